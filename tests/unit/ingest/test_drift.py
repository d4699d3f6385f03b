"""The fields of files, in the lake: what is sampled, how each format names its fields, and what bounds them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.catalog.sources import Source
from orchestration.ingest import drift, sample

Counts = dict[tuple[int, str, str], tuple[int, bool]]
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z", "subject": "k"}
HEAD = ["id", "source", "type", "time", "subject"]


def fields(instance: Any, file_id: int = 1) -> Counts:
    """(part, field, type) -> (records, mapped) of one file."""
    paths = sorted(str(p) for p in (instance.home / "lake" / "fields").glob("*.parquet"))
    rows = duckdb.execute("SELECT * FROM read_parquet($1) WHERE file_id = $2", [paths, file_id]).fetchall()
    found = {(part, field, kind): (records, mapped) for _, part, field, kind, records, mapped in rows}
    assert len(found) == len(rows)
    return found


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def named(found: Counts, part: int = 1) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for at, field, kind in sorted(found):
        if at == part and field:
            out.setdefault(field, []).append(kind)
    return out


Make = Callable[..., Source]


def test_f42_members_of_json_are_dotted_paths_with_their_types(instance: Any, make_source: Make) -> None:
    source = make_source(format="cloudevents", properties={"n": "data.usage.tokens", "gone": "data.gone"})
    data = {"usage": {"tokens": 3}, "items": [{"sku": "a"}, {"sku": 1}], "ok": True, "none": None, "a.b": "x", "": 0}
    instance.put("a.jsonl", lines({**EVENT, "data": data}, {**EVENT, "id": "2", "data": {"usage": {"tokens": "4"}}}))
    instance.run(source)
    found = fields(instance)
    assert found[1, "", ""] == (2, False)
    assert found[1, "data.usage.tokens", "number"] == (1, True)
    assert found[1, "data.usage.tokens", "string"] == (1, True)
    assert found[1, "data.usage", "object"] == (2, False)
    assert found[1, "data.items[].sku", "string"] == (1, False)
    assert found[1, "data.items[].sku", "number"] == (1, False)
    assert found[1, "data.ok", "boolean"] == (1, False)
    assert found[1, "data.none", "null"] == (1, False)
    assert found[1, 'data."a.b"', "string"] == (1, False)
    assert found[1, 'data.""', "number"] == (1, False)
    assert found[1, "data.gone", ""] == (0, True), "a field that is mapped and missing"
    assert {field for (_, field, _), (_, mapped) in found.items() if mapped} == {
        *HEAD,
        "data.usage.tokens",
        "data.gone",
    }


def test_f42_lines_that_can_not_be_read_are_no_records(instance: Any, make_source: Make) -> None:
    bad = "no json\n[1]\n\n" + '{"a":' * 3000 + "\n" + '{"n": ' + "9" * 5000 + "}\n"
    instance.put("a.jsonl", b"\xff\xfe\n" + bad.encode() + lines(EVENT).encode())
    instance.run(make_source(format="cloudevents"))
    assert fields(instance)[1, "", ""] == (1, False)


@pytest.mark.parametrize("packed", [False, True])
def test_f42_first_and_last_lines_are_two_parts_and_those_between_are_not_read(
    instance: Any, make_source: Make, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(sample, "LINES", 10)
    monkeypatch.setattr(sample, "SPAN", 4000)
    names = ["old"] * 30 + ["between"] * 40 + ["new"] * 30
    text = lines(*({**EVENT, "id": str(n), name: n} for n, name in enumerate(names))).encode()
    assert len(text) > 8000
    instance.put("a.jsonl", gzip.compress(text, mtime=0) if packed else text)
    instance.run(make_source(format="cloudevents"))
    found = fields(instance)
    assert (found[1, "", ""], found[2, "", ""]) == ((10, False), (10, False))
    assert set(named(found)) == {*EVENT, "old"}
    assert set(named(found, 2)) == {*EVENT, "new"}


def test_f42_no_line_is_sampled_twice(instance: Any, make_source: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LINES", 10)
    text = lines(*({**EVENT, "id": str(n), f"f{n}": 1} for n in range(13)))
    instance.put("a.jsonl", text)
    instance.run(make_source(format="cloudevents"))
    found = fields(instance)
    assert (found[1, "", ""], found[2, "", ""]) == ((10, False), (3, False))
    assert [count for (_, field, _), (count, _) in found.items() if field.startswith("f")] == [1] * 13


def test_f42_of_a_log_that_grows_only_the_new_lines_are_looked_at(instance: Any, make_source: Make) -> None:
    source = make_source(path="{node}/*.csv", format="csv", fields={"time": "t"})
    head = "t,a,b\n"
    instance.put("n/x.csv", head + "2026-10-01T10:00:00Z,1,\n" * 3)
    instance.run(source)
    instance.put("n/x.csv", head + "2026-10-01T10:00:00Z,1,\n" * 3 + "2026-10-01T11:00:00Z,,2\n" * 2)
    instance.run(source)
    assert fields(instance, 1) == {(1, "", ""): (3, False), (1, "t", "text"): (3, True), (1, "a", "text"): (3, False)}
    assert fields(instance, 2) == {(1, "", ""): (2, False), (1, "t", "text"): (2, True), (1, "b", "text"): (2, False)}


def test_f42_names_are_bounded_in_number_length_and_depth_and_safe_to_print(
    instance: Any, make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "MAX_FIELDS", 12)
    deep = {"a": {"b": {"c": {"d": {"e": 1}}}}}
    strange = {"x" * 5000: 1, "\ud800\x1b[2J": 1}
    many = {f"key{n}": n for n in range(500)}
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    instance.put("a.jsonl", lines({**EVENT, **strange}, {**EVENT, "id": "2", "nested": nested, **many, **deep}))
    instance.run(make_source(format="cloudevents", properties={"deep": "a.b.c.d.e"}))
    found = fields(instance)
    names = {field for _, field, _ in found}
    assert found[1, "(others)", ""] == (1, False)
    assert len(names) <= 12 + 1 + 10 + 7, "known ones, the records, those on the way to mapped ones, and array's"
    assert max(map(len, names)) <= 200
    assert '"\\\\ud800\\\\u001b[2J"' in names
    assert all(name.isprintable() for name in names)
    assert found[1, "a.b.c.d.e", "number"] == (1, True), "a mapped field is looked for however deep it lies"


def test_f42_columns_of_tables_are_counted_where_they_have_a_value(instance: Any, make_source: Make) -> None:
    mapped = {"fields": {"time": "t"}, "properties": {"n": "n"}}
    instance.put("c/a.csv", 't,n,"odd, name"\n2026-10-01T10:00:00Z,1,"x, y"\n2026-10-01T10:00:00Z,,\n')
    instance.put("t/a.tsv", "t\tn\tm\n2026-10-01T10:00:00Z\t\tx\n")
    target = instance.put("p/a.parquet", b"")
    duckdb.execute(
        "COPY (SELECT '2026-10-01T10:00:00Z' AS t, nullif(i, 0)::DECIMAL(9, 2) AS n, [i] AS l, NULL::INT AS z "
        f"FROM range(2500) r(i)) TO '{target}' (FORMAT parquet)"
    )
    instance.run(
        make_source(name="c", path="c/*", format="csv", **mapped),
        make_source(name="p", path="p/*", format="parquet", **mapped),
        make_source(name="t", path="t/*", format="tsv", **mapped),
    )
    assert fields(instance, 1) == {
        (1, "", ""): (2, False),
        (1, "t", "text"): (2, True),
        (1, "n", "text"): (1, True),
        (1, "odd, name", "text"): (1, False),
    }
    parquet = fields(instance, 2)
    assert (parquet[1, "", ""], parquet[2, "", ""]) == ((1000, False), (1000, False))
    assert parquet[1, "n", "DECIMAL(9,2)"] == (999, True)
    assert parquet[2, "n", "DECIMAL(9,2)"] == (1000, True)
    assert parquet[1, "l", "BIGINT[]"] == (1000, False)
    assert parquet[1, "z", "INTEGER"] == (0, False)
    assert fields(instance, 3) == {
        (1, "", ""): (1, False),
        (1, "t", "text"): (1, True),
        (1, "n", ""): (0, True),
        (1, "m", "text"): (1, False),
    }


def test_f42_cloudfronts_columns_are_those_that_its_header_names(instance: Any, make_source: Make) -> None:
    head = "#Version: 1.0\n#Fields: date time c-ip cs-method cs-uri-stem sc-status sc-bytes x-new\n"
    line = ["2026-10-01", "10:00:00", "1.1.1.1", "GET", "/", "200", "1", "-"]
    instance.put("a.log", head + "\t".join(line) + "\n" + "\t".join([*line[:-1], "x"]) + "\n")
    instance.run(make_source(format="cloudfront"))
    found = fields(instance)
    assert found[1, "", ""] == (2, False)
    assert found[1, "x-new", "text"] == (1, False)
    assert found[1, "cs-uri-stem", "text"] == (2, True)


def test_f42_of_a_text_log_the_further_quoted_fields_are_counted(instance: Any, make_source: Make) -> None:
    line = '1.1.1.1 - k [01/Oct/2026:10:00:00 +0000] "GET /1 HTTP/1.1" 200 1 "-" "x"'
    instance.put("a.log", line + "\n" + line + ' "u1"\n' + line + ' "u2" "say \\"hi\\""\n')
    instance.run(make_source(fields={"user": "extra_1"}))
    assert fields(instance) == {
        (1, "", ""): (3, False),
        (1, "extra_1", "text"): (2, True),
        (1, "extra_2", "text"): (1, False),
    }


def test_f42_of_kafkas_records_the_attributes_and_the_data_are_fields(instance: Any, make_source: Make) -> None:
    headers = {f"ce_{name}": value for name, value in EVENT.items()}
    record = {"headers": headers, "offset": 3, "value": json.dumps({"tokens": 3})}
    instance.put("a.jsonl", lines(record, {"headers": {}, "value": "x"}))
    instance.run(make_source(format="cloudevents_binary", properties={"tokens": "data.tokens"}))
    found = fields(instance)
    assert found[1, "", ""] == (1, False)
    assert found[1, "subject", "string"] == (1, True)
    assert found[1, "data.tokens", "number"] == (1, True)
    assert found[1, "record.offset", "number"] == (1, False)


def test_f42_elements_of_a_batch_are_records_however_they_are_laid_out(instance: Any, make_source: Make) -> None:
    events: Sequence[object] = [{**EVENT, "id": str(n), "data": {"n": n}} for n in range(3)]
    instance.put("a.json", json.dumps(events, indent=2) + "\n")
    instance.run(make_source(format="cloudevents_batch"))
    assert fields(instance)[1, "data.n", "number"] == (3, False)


def test_f42_any_json_log_has_fields_behind_a_container_runtimes_prefix(instance: Any, make_source: Make) -> None:
    source = make_source(format="json_lines", fields={"time": "ts as epoch_ms", "credential": "keys[0].id"})
    entry = lines({"ts": 1790848800000, "keys": [{"id": "k"}]})
    instance.put("a.log", f"2026-10-01T10:00:00.1Z stdout F {entry}{entry}")
    instance.run(source)
    found = fields(instance)
    assert found[1, "ts", "number"] == (2, True)
    assert found[1, "keys[].id", "string"] == (2, True)


def test_f42_a_format_with_fixed_fields_has_none_to_report(instance: Any, make_source: Make) -> None:
    line = '1.1.1.1 - k [01/Oct/2026:10:00:00 +0000] "GET /1 HTTP/1.1" 200 1\n'
    path: Path = instance.put("a.log", line)
    instance.run(make_source(format="tomcat"))
    assert path.exists()
    assert fields(instance) == {}
