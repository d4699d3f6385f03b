"""Reviewed rows that retract events: refused with file and line where they say nothing, else kept with their lists."""

from __future__ import annotations

import re

import pytest

from orchestration.catalog.load import Catalog, from_archive, parse_catalog
from orchestration.catalog.retractions import list_text
from orchestration.errors import CatalogInvalid
from orchestration.settings import REPOSITORY

GOOD = {
    "instance.yaml": "entities:\n  - {key: e, name: E, address: A}\n",
    "sources.yaml": "sources: []\n",
    "meters.yaml": "meters: []\n",
    "customers.csv": "customer,name,address,country,zone,entity\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start\n",
}
HASH = "0f" * 32
WHO = "by: ada, on: 2026-11-03, reason: a test run of theirs"
BOTS = "name: bots, filter: {field: agent, op: eq, value: Bot}, from: '2026-10-01T00:00:00Z'"


def texts(*rows: str, **lists: str) -> dict[str, str]:
    text = "retractions:\n" + "".join(f"  - {{{row}, {WHO}}}\n" for row in rows)
    return GOOD | {"retractions.yaml": text} | {f"retractions/{n}.jsonl": found for n, found in lists.items()}


def problems(*rows: str, **lists: str) -> list[str]:
    try:
        parse_catalog(texts(*rows, **lists))
    except CatalogInvalid as error:
        return [str(p) for p in error.problems]
    return []


def listed(row: str, *events: tuple[str, str]) -> str:
    [parsed] = parse_catalog(texts(row), unlisted={"bots"}).retractions.rows
    return list_text(parsed, events)


def test_every_way_to_name_events_is_kept_with_who_when_and_why_in_archive_and_hash() -> None:
    events = (("s", "b\n\u00e4"), ("s", "a"))
    rows = ("source: s, id: a", f"sha256: {HASH}, line: 7", "path: a/b.log, line: 7, feed: gw", BOTS, "name: bots")
    catalog = parse_catalog(texts(*rows, "source: s, id: a, restore: true", bots=listed(BOTS, *events)))
    kept = catalog.retractions
    assert [kept.events_of(row) for row in kept.rows] == [
        (("s", "a"),), (), (), tuple(sorted(events)), tuple(sorted(events)), (("s", "a"),)
    ]  # fmt: skip
    assert [row.restore for row in kept.rows] == [False] * 5 + [True]
    assert {(row.by, row.on.isoformat(), row.reason) for row in kept.rows} == {
        ("ada", "2026-11-03", "a test run of theirs")
    }
    again = from_archive(catalog.archive())
    assert (again.retractions, again.digest) == (kept, catalog.digest)


def test_a_catalog_without_retractions_keeps_its_hash() -> None:
    assert parse_catalog(GOOD).retractions.rows == ()
    assert "retractions.yaml" not in parse_catalog(GOOD).files


@pytest.mark.parametrize(
    "row",
    [
        "source: s",
        "id: a",
        "line: 7",
        f"sha256: {HASH}",
        "source: s, id: a, line: 7, path: x",
        "path: x, line: 7, name: n",
        "filter: {field: agent, op: eq, value: Bot}",
        "source: s, id: a, name: n",
        "feed: gw",
        "restore: true",
    ],
)
def test_a_row_that_names_nothing_or_in_two_ways_at_once_is_refused_with_its_line(row: str) -> None:
    [found] = problems("source: s, id: good", row)
    assert found.startswith("retractions.yaml:3: ")
    assert "a row names an event by 'source' and 'id'" in found


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("path: x, line: 0", "line: Input should be greater than or equal to 1"),
        (f"sha256: {HASH[:-1]}, line: 1", "sha256: String should match"),
        ("name: n, from: '2026-10-02T00:00:00Z', to: '2026-10-02T00:00:00Z'", "'to' lies after 'from'"),
        ("name: n, from: '2026-10-02T00:00:00'", "RFC 3339 with an offset"),
        ("name: n, filter: {field: agent, op: eq}", "'eq' takes one value"),
        ("source: s, id: a, because: x", "because: Extra inputs"),
    ],
)
def test_a_row_with_a_wrong_value_is_refused_with_its_line(row: str, said: str) -> None:
    found = problems("source: s, id: good", row)
    assert any(said in text and text.startswith("retractions.yaml:3: ") for text in found), found


def test_a_filter_without_its_list_is_refused_and_the_command_is_named() -> None:
    assert problems("source: s, id: a", BOTS) == [
        "retractions.yaml:3: its events are not listed yet: run `tallystick retract bots` [no_list]"
    ]


def test_a_list_belongs_to_what_its_row_chooses_and_to_no_later_edit() -> None:
    made = listed(BOTS, ("s", "a"))
    assert problems(BOTS, bots=made) == []
    for edited in (BOTS.replace("Bot}", "Cat}"), BOTS.replace("10-01", "10-02"), f"{BOTS}, credential: k"):
        [found] = problems(edited, bots=made)
        assert "its row chooses otherwise now" in found
    rewritten = texts(BOTS, bots=made)
    rewritten["retractions.yaml"] = rewritten["retractions.yaml"].replace("a test run of theirs", "tests")
    assert parse_catalog(rewritten).retractions.rows[0].reason == "tests"


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text[:-1],
        lambda text: text[: text.rindex("[")],
        lambda text: text + '["s", "a"]\n',
        lambda text: text.replace('["s", "b"]', '["s", "a"]'),
        lambda text: text.replace('["s", "b"]', '["s", 7]'),
        lambda text: text.replace('["s", "b"]', "s,b"),
        lambda text: text.split("\n", 1)[1],
        lambda text: "",
    ],
)
def test_a_list_that_is_not_whole_is_refused(broken: object) -> None:
    [found] = problems(BOTS, bots=broken(listed(BOTS, ("s", "a"), ("s", "b"))))  # type: ignore[operator]
    assert found.startswith("retractions/bots.jsonl: not a list as `tallystick retract` writes it")


def test_names_are_made_once_and_before_they_are_used_and_every_list_has_its_row() -> None:
    made = listed(BOTS, ("s", "a"))
    assert problems(BOTS, BOTS, bots=made) == [
        "retractions.yaml:3: list 'bots' is also made at retractions.yaml:2 [duplicate]"
    ]
    assert problems("name: bots, restore: true", BOTS, bots=made) == [
        "retractions.yaml:2: no row before this one makes a list 'bots' [unknown_list]"
    ]
    assert problems("source: s, id: a", bots=made) == [
        "retractions/bots.jsonl: no row of retractions.yaml makes this list [stray_list]"
    ]


def _of(*rows: str, **lists: str) -> Catalog:
    return parse_catalog(texts(*rows, **lists))


def test_what_was_known_goes_on_only_by_further_rows() -> None:
    made = listed(BOTS, ("s", "a"))
    before = _of("source: s, id: x", BOTS, bots=made).retractions
    assert _of("source: s, id: x", BOTS, "name: bots, restore: true", bots=made).retractions.continues(before)
    assert not _of("source: s, id: x").retractions.continues(before)
    assert not _of(BOTS, "source: s, id: x", bots=made).retractions.continues(before)
    assert not _of("source: s, id: y", BOTS, bots=made).retractions.continues(before)
    assert not _of("source: s, id: x", BOTS, bots=listed(BOTS, ("s", "b"))).retractions.continues(before)
    assert before.continues(parse_catalog(GOOD).retractions)


def test_the_documented_rows_are_valid_as_they_stand() -> None:
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    [example] = [b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if b.startswith("retractions:")]
    catalog = parse_catalog(GOOD | {"retractions.yaml": example}, unlisted={"load-test"})
    assert [row.restore for row in catalog.retractions.rows] == [False, False, False, True]
