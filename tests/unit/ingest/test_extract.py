"""Properties that a mapping gained later are those of an instance that had it from the start, in every format."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Entity, Settings
from orchestration.engine import connect
from orchestration.errors import IntegrityFailure
from orchestration.ingest import batch
from orchestration.ingest.batch import Workshop
from orchestration.ingest.extract import extract, extractions
from orchestration.ingest.lake import Lake
from orchestration.ingest.quarantined import Wanted
from orchestration.ingest.rebuild import rebuild_lake
from orchestration.ingest.retry import retry
from orchestration.metering.lakeview import create_line_views

NOW = 1793491200000000


def meter(*names: str) -> dict[str, Meter]:
    """A meter that reads properties of these names."""
    return {"m": Meter(key="m", name="M", event_type="request", aggregation="count", dimensions=names)}


def mapped(source: Any, **properties: str) -> Any:
    return source.model_copy(update={"properties": source.properties | properties})


def catalog(*sources: Any, reads: tuple[str, ...] = ("x", "y")) -> Any:
    """As much of a catalog as the lake's view asks for."""
    return SimpleNamespace(sources=sources, meters=meter(*reads))


def seen(instance: Any, known: Any, tmp: Path) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Lines with `x` and `y`, by path, and the lines that don't count, after extraction as a build does it."""
    files = [row for row in instance.ledger.files() if row.min_us is not None]
    extract(Workshop.of(instance.home, instance.ledger), instance.ledger, known, files)
    with connect(None, folders=[instance.home], temp=tmp / "temp") as con:
        con.execute("CREATE SCHEMA record; CREATE TABLE record.retracted (file_id INTEGER, line BIGINT)")
        con.execute("CREATE TABLE record.decided (file_id INTEGER, line BIGINT, counts BOOLEAN)")
        create_line_views(con, known, Lake(instance.home / "lake"), files)
        paths = "(SELECT unnest($1::INTEGER[]) AS file_id, unnest($2::VARCHAR[]) AS place)"
        named = [[f.file_id for f in files], [f.path for f in files]]
        lines = (
            f"SELECT place, line, event_id, time_us, user_key, p_x, p_y FROM lake.lines JOIN {paths} USING (file_id)"
        )
        verdicts = f"SELECT place, line, verdict FROM lake.verdicts JOIN {paths} USING (file_id)"
        return tuple(con.execute(f"{query} ORDER BY ALL", named).fetchall() for query in (lines, verdicts))  # type: ignore[return-value]


def compare(
    instance: Any, before: Any, after: Any, tmp: Path, batches: list[Mapping[str, str | bytes]]
) -> list[tuple[Any, ...]]:
    """The lines of an instance whose mapping gained properties after `batches`: those of one that had them always."""
    (tmp / "always").mkdir(parents=True)
    shutil.copy(instance.home / "instance.key", tmp / "always")
    other = type(instance)(tmp / "always")
    for files in batches:
        for path, content in files.items():
            instance.put(path, content)
            other.put(path, content)
        instance.run(before)
        other.run(after)
    found, expected = seen(instance, catalog(after), tmp), seen(other, catalog(after), tmp)
    assert found == expected
    assert list((instance.home / "lake/extracted").glob("*"))
    assert not list((other.home / "lake").glob("extracted/*"))
    other.ledger.close()
    return found[0]


def row(k: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{k}", "ts": f"2026-10-01T10:00:{k:02d}Z", "who": f"u{k}", "x": f"x{k}"} | more


def json_text(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in rows)


def csv_text(*rows: Mapping[str, Any]) -> str:
    names = list(rows[0])
    quoted = (",".join(f'"{one[n]}"' if n == "x" else str(one[n]) for n in names) for one in rows)
    return "\n".join([",".join(names), *quoted]) + "\n"


def parquet_bytes(tmp: Path, *rows: Mapping[str, Any]) -> bytes:
    path = tmp / "made.parquet"
    (tmp / "made.jsonl").write_text(json_text(*rows))
    columns = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in ("id", "ts", "who", "x")) + "}"
    read = f"read_json('{tmp}/made.jsonl', columns = {columns})"
    duckdb.execute(f"COPY (FROM {read}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


FIELDS = {"id": "id", "time": "ts", "user": "who"}


def test_json_lines_with_duplicates_conflicts_broken_and_odd_lines(
    instance: Any, make_source: Any, tmp_path: Path
) -> None:
    """A repeated name sends a line through the slow lane; a conflict stays one, a duplicate too."""
    before = make_source(format="json_lines", fields=FIELDS)
    odd = '{"id": "e9", "ts": "2026-10-01T11:00:00Z", "x": "\\u00e4\\n", "z": 1, "z": 2}\n'
    first = json_text(row(1), row(2, x=None), row(3, y=7)) + "broken\n\n" + odd
    again = json_text(row(1), row(2, who="another"), row(4, x="x\t4"))
    batches: list[Mapping[str, str | bytes]] = [{"a.jsonl": first}, {"b.jsonl.gz": gzip.compress(again.encode())}]
    lines = compare(instance, before, mapped(before, x="x", y="y"), tmp_path, batches)
    assert [(place, n, x, y) for place, n, *_, x, y in lines] == [
        ("a.jsonl", 1, "x1", None), ("a.jsonl", 2, None, None), ("a.jsonl", 3, "x3", "7"), ("a.jsonl", 6, "ä\n", None),
        ("b.jsonl.gz", 1, "x1", None), ("b.jsonl.gz", 2, "x2", None), ("b.jsonl.gz", 3, "x\t4", None),
    ]  # fmt: skip


def test_csv_with_quoted_fields_and_a_parquet_table(instance: Any, make_source: Any, tmp_path: Path) -> None:
    before = make_source(format="csv", fields=FIELDS)
    lines = compare(instance, before, mapped(before, x="x"), tmp_path / "csv", [{"a.csv": csv_text(row(1), row(2))}])
    assert [x for *_, x, _ in lines] == ["x1", "x2"]
    other = type(instance)(tmp_path / "parquet")
    before = make_source(format="parquet", fields=FIELDS)
    table = {"a.parquet": parquet_bytes(tmp_path, row(1), row(3))}
    lines = compare(other, before, mapped(before, x="x"), tmp_path, [table])
    assert [x for *_, x, _ in lines] == ["x1", "x3"]
    other.ledger.close()


def test_log_lines_of_a_file_that_grew_between_two_runs(instance: Any, make_source: Any, tmp_path: Path) -> None:
    def log(*numbers: int) -> str:
        return "".join(
            f'10.0.0.{n} - k{n} [01/Oct/2026:10:00:{n:02d} +0000] "GET /{n} HTTP/1.1" 200 {n} "http://r/{n}" "a"\n'
            for n in numbers
        )

    before = make_source(path="{gateway}/*.log*")
    after = mapped(before, x="referer", y="remote_addr").model_copy(update={"hash": ("y",)})
    batches = [{"g1/a.log": log(1, 2)}, {"g1/a.log": log(1, 2, 3)}, {"g2/a.log": log(1)}]
    lines = compare(instance, before, after, tmp_path, batches)
    assert [(place, n, x) for place, n, *_, x, _ in lines] == [
        ("g1/a.log", 1, "http://r/1"), ("g1/a.log", 2, "http://r/2"), ("g1/a.log", 3, "http://r/3"),
        ("g2/a.log", 1, "http://r/1"),
    ]  # fmt: skip
    hashes = {y for *_, y in lines}
    assert len(hashes) == 3
    assert all(len(y) == 32 for y in hashes), "an address is kept as its keyed hash, when it is read again too"
    for path in (instance.home / "lake/extracted").glob("*"):
        assert b"10.0.0." not in path.read_bytes()


def test_lines_that_a_retry_took_up(instance: Any, make_source: Any, tmp_path: Path) -> None:
    strict = make_source(format="json_lines", fields=FIELDS, properties={"n": "m"}, quantity="n")
    instance.put("a.jsonl", json_text(row(1, n="1"), row(2, m="2"), row(3, n="3")))
    assert instance.run(strict).quarantined == 2
    mended = strict.model_copy(update={"properties": {"n": "n"}})
    settings = Settings(entities=(Entity(key="e", name="E", address="A"),))
    retry(instance.home, instance.ledger, settings, [mended], NOW, Wanted())
    lines, _ = seen(instance, catalog(mapped(mended, x="x")), tmp_path)
    assert [(n, event_id, x) for _, n, event_id, *_, x, _ in lines] == [
        (1, "e1", "x1"),
        (2, "e2", "x2"),
        (3, "e3", "x3"),
    ]


def test_a_column_that_an_older_file_does_not_have_is_missing_in_its_events(
    instance: Any, make_source: Any, tmp_path: Path
) -> None:
    before = make_source(format="csv", fields=FIELDS)
    instance.put("old.csv", csv_text(row(1)))
    instance.put("new.csv", csv_text(row(2, y="y2")))
    instance.run(before)
    lines, _ = seen(instance, catalog(mapped(before, x="x", y="y")), tmp_path)
    assert [(event_id, x, y) for _, _, event_id, _, _, x, y in lines] == [("e2", "x2", "y2"), ("e1", "x1", None)]


def test_what_was_mapped_to_another_field_before_stays_as_it_was_read(
    instance: Any, make_source: Any, tmp_path: Path
) -> None:
    before = make_source(format="json_lines", fields=FIELDS, properties={"x": "who"})
    after = before.model_copy(update={"properties": {"x": "x", "y": "id"}})
    instance.put("a.jsonl", json_text(row(1)))
    instance.run(before)
    instance.put("b.jsonl", json_text(row(2)))
    instance.run(after)
    lines, _ = seen(instance, catalog(after), tmp_path)
    assert [(x, y) for *_, x, y in lines] == [("u1", "e1"), ("x2", "e2")]


def test_only_what_is_read_is_extracted_once_and_the_same_bytes_each_time(
    instance: Any, make_source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_source(format="json_lines", fields=FIELDS)
    for n in range(5):
        instance.put(f"{n}.jsonl", json_text(*(row(10 * n + k) for k in range(5))))
    instance.put("large.jsonl", json_text(*(row(k % 60, id=f"l{k}", pad="p" * 100) for k in range(3000))))
    instance.put("none.jsonl", "broken\n")
    instance.run(before)
    shop, files = Workshop.of(instance.home, instance.ledger), instance.ledger.files()
    folder = instance.home / "lake/extracted"

    def made(known: Any) -> dict[str, bytes]:
        extract(shop, instance.ledger, known, files)
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}

    after = mapped(before, x="x", y="y")
    assert made(catalog(after, reads=())) == {}
    first = made(catalog(after, reads=("x",)))
    assert len(first) == 6
    assert extract(shop, instance.ledger, catalog(after, reads=("x",)), files) == 0
    both = made(catalog(after))
    assert len(both) == 6
    assert not both.keys() & first.keys(), "what is not needed any more is removed"
    for path in folder.glob("*"):
        path.unlink()
    monkeypatch.setattr(batch, "WORKERS", 1)
    assert extract(shop, instance.ledger, catalog(after), files[:1]) == 1
    assert made(catalog(after)) == both
    (instance.home / "lake").rename(tmp_path / "lake")
    rebuild_lake(instance.home, instance.ledger)
    assert made(catalog(after)) == both
    assert not list((instance.home / "scratch").rglob("extracted"))


def test_a_raw_file_that_is_gone_is_named(instance: Any, make_source: Any) -> None:
    before = make_source(format="json_lines", fields=FIELDS)
    instance.put("a.jsonl", json_text(row(1)))
    instance.run(before)
    [file] = instance.ledger.files()
    shop, known = Workshop.of(instance.home, instance.ledger), catalog(mapped(before, x="x"))
    shop.raw.path(file.sha256).unlink()
    with pytest.raises(IntegrityFailure, match=rf"{file.sha256} \(delivered as 'a.jsonl'\) is damaged"):
        extract(shop, instance.ledger, known, [file])
    [wanted] = extractions(known, shop.lake, [file])
    assert not wanted.path.exists()
