"""YAML has many readings; the catalog has one."""

from __future__ import annotations

import pytest

from orchestration.catalog.yamltext import parse_yaml


def codes(text: str) -> list[str]:
    return [str(p) for p in parse_yaml(text, "f.yaml")[2]]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("NO", "NO"),
        ("2026-10-01", "2026-10-01"),
        ("1e3", "1e3"),
        ("0x10", "0x10"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("0.10", "0.10"),
        (".inf", ".inf"),
        ("=", "="),
        ("'12'", "12"),
        ("12", 12),
        ("-3", -3),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("''", ""),
    ],
)
def test_a_word_is_never_taken_for_a_boolean_a_date_or_another_number(written: str, read: object) -> None:
    data, _, problems = parse_yaml(f"a: {written}\n", "f.yaml")
    assert problems == []
    assert data == {"a": read}
    assert type(data["a"]) is type(read) or isinstance(data["a"], str)


def test_a_key_that_is_written_twice_is_named_with_its_line_in_every_depth() -> None:
    assert codes("a: 1\nb:\n  - c: 1\n    d: 2\n    c: 3\na: 2\n") == [
        "f.yaml:5: 'c' is written twice [duplicate_key]",
        "f.yaml:6: 'a' is written twice [duplicate_key]",
    ]


def test_an_anchor_is_refused_so_that_no_price_is_shared_by_accident() -> None:
    assert codes("a: &x 1\nb: *x\n") == [
        "f.yaml:1: anchors and aliases are not used: write the value out [yaml_anchor]",
        "f.yaml:2: anchors and aliases are not used: write the value out [yaml_anchor]",
    ]
    assert codes("a: 'x & y * z'\n") == []


def test_a_file_that_grows_when_it_is_read_neither_hangs_nor_ends_in_a_traceback() -> None:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert "yaml_anchor" in codes(laughs)[0]
    assert "yaml_anchor" in codes("a: &a [*a]\n")[0]
    assert "bad_yaml" in codes("[" * 20_000)[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1\n", "f.yaml:2"), ("a: 1\n---\nb: 2\n", "f.yaml:2"), ("\ta: 1\n", "f.yaml:1"), ("a: *x\n", "f.yaml:1")],
)
def test_what_is_not_yaml_is_named_with_its_line(text: str, place: str) -> None:
    (problem,) = parse_yaml(text, "f.yaml")[2]
    assert (problem.code, problem.where) == ("bad_yaml", place)


@pytest.mark.parametrize("escape", ["\\0", "\\ud800", "\\x1b", "\\x07"])
def test_text_that_no_database_or_document_can_hold_is_refused_with_its_line(escape: str) -> None:
    (problem,) = parse_yaml(f'a: 1\nb: "x{escape}y"\n', "f.yaml")[2]
    assert (problem.code, problem.where) == ("bad_text", "f.yaml:2")
