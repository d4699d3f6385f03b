"""Whatever is changed in the record, `verify` names it: every column of every table of the ledger, every column of the
lake, every file. What there is to change is asked of the schema, so that nothing new goes unseen."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tampering import other, rehashed, tables, unguarded

from orchestration.audit import verify as checking
from orchestration.audit.derived import wrong_exports, wrong_lake, wrong_warehouse
from orchestration.audit.recompute import first_difference
from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.errors import IntegrityFailure, TallystickError
from orchestration.exports.csvfiles import export_invoices
from orchestration.ingest import lake as lake_files
from orchestration.ingest.raw import RawStore
from orchestration.ledger.checkpoints import export_checkpoint
from orchestration.ledger.journal import check_chain
from orchestration.ledger.rows import BatchRow, DeliveryRow, FileRow, JournalRow, ReferenceRow, TapeRow
from orchestration.ledger.store import Ledger
from orchestration.pipeline.generation import publish, start_build
from orchestration.pipeline.instance import Instance

NAMED = {
    "batches": "batch {batch_id}",
    "catalogs": "archived catalog {hash}",
    "deliveries": "deliveries '{source}' '{path}'",
    "documents": "{number}",
    "files": "files {file_id}",
    "journal": "journal entry {seq}",
    "mappings": "mapping {hash}",
    "meta": "{key}",
    "raw_references": "raw_references '{sha256}'",
    "tapes": "tapes '{tape_id}'",
}
"""How a row of each table is named. A table that isn't here has no case, and fails."""
OTHERWISE = {
    ("meta", "schema_version"): "the ledger has schema",
    ("meta", "key_fingerprint"): "instance.key is not the key",
    ("meta", "deliveries"): "ledger.sqlite, deliveries: there are",
    ("meta", "raw_references"): "ledger.sqlite, raw_references: there are",
}
ENDS_WITH_2 = {("meta", "schema_version"): "a ledger of another version is no damage: this program can't read it"}


@pytest.fixture(scope="module")
def home(november: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two closes, exports, a checkpoint; then a log, a file that is kept by reference, and a held one. Each test leaves
    it as it was."""
    home = tmp_path_factory.mktemp("tampered") / "home"
    shutil.copytree(november, home)
    with Ledger.open(home) as ledger:
        export_invoices(ledger, home / "exports")
        export_checkpoint(ledger, home / "outside.note")
        data = b"192.0.2.7 a line\n"
        digest = sha256_hex(data)
        raw = home / "raw" / digest[:2] / digest
        raw.parent.mkdir(exist_ok=True)
        raw.write_bytes(data)
        number, mapping = ledger.next_file_id(), ledger.files()[0].mapping_json
        file = FileRow(
            number, 3, "log", "log", digest, "a.log", 17, "common", mapping, "tape", 1, 1, 0, 0, 0, 1, 0, None, None
        )
        ledger.commit_batch(
            BatchRow(3, 1, 2, "1"),
            [file],
            [TapeRow("tape", "log", "ab" * 32, 17, 1, digest, "a.log", number)],
            [DeliveryRow("log", "a.log", 17, 1, digest, "taken", "", 1, "e")],
            [ReferenceRow(digest, "s3://bucket/a.log", "v1", "e", 17, "{}")],
        )
        ledger.record_deliveries([DeliveryRow("log", "b.log", 1, 1, "", "held", "bad_gzip", 1)])
    yield home
    assert said(home) == []


def said(home: Path) -> list[str]:
    try:
        found = checking.verify(home, home / "exports", home / "scratch", fast=True)
    except TallystickError as error:
        return [f"{error.exit_code}: {error.message} {error.where}"]
    return [f"5: {problem}" for problem in found.problems]


def after(home: Path, change: Callable[[sqlite3.Connection], object]) -> list[str]:
    """What is said of a ledger in which something was changed; it is as before afterwards."""
    path = home / "ledger.sqlite"
    before = path.read_bytes()
    try:
        with unguarded(path) as db:
            change(db)
        return said(home)
    finally:
        path.write_bytes(before)


def rows(home: Path, table: str) -> list[dict[str, Any]]:
    db = sqlite3.connect(home / "ledger.sqlite")
    try:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT rowid AS at, * FROM {table} ORDER BY rowid")]
    finally:
        db.close()


def test_every_column_of_every_table_of_the_ledger(home: Path) -> None:
    unseen = []
    found = tables(home / "ledger.sqlite")
    assert sorted(found) == sorted(NAMED), "a table without a case"
    for table, columns in found.items():
        every = rows(home, table)
        for row in every if table == "meta" else every[-1:]:
            for column in columns:
                value = other(table, column, row[column])
                say = after(
                    home,
                    lambda db, t=table, c=column, v=value, r=row: db.execute(  # type: ignore[misc]
                        f"UPDATE {t} SET {c} = ? WHERE rowid = ?", (v, r["at"])
                    ),
                )
                names = [NAMED[table].format(**{**row, column: text}) for text in (row[column], value)]
                names += [OTHERWISE[key] for key in [(table, row.get("key", column))] if key in OTHERWISE]
                code = "2: " if (table, row.get("key")) in ENDS_WITH_2 else "5: "
                if not any(name in text and text.startswith(code) for name in names for text in say):
                    unseen.append((table, column, names, say))
    assert not unseen, "\n".join(map(repr, unseen))


def _delete(table: str, row: dict[str, Any]) -> Callable[[sqlite3.Connection], object]:
    return lambda db: db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row["at"],))


def _insert(table: str, row: dict[str, Any]) -> Callable[[sqlite3.Connection], object]:
    """The same row once more, under other keys."""
    keep = ("batch_id", "mapping_hash", "source", "kind", "status") if table != "batches" else ()
    values = {
        name: value if name in keep or value is None else value + 7 if isinstance(value, int) else
        value + b"x" if isinstance(value, bytes) else f"{value}x"
        for name, value in row.items() if name != "at"
    }  # fmt: skip
    marks = ", ".join("?" * len(values))
    return lambda db: db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def _swap(table: str, columns: list[str], one: dict[str, Any], two: dict[str, Any]) -> Callable[[Any], object]:
    """Two rows change places: each has what the other had beside its first column."""

    def change(db: sqlite3.Connection) -> None:
        free = [c for c in columns[1:] if c not in ("hash", "sha256", "path")] or columns[1:]
        for row, values in ((one, two), (two, one)):
            for column in free:
                unique = f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ?"
                db.execute(unique, (values[column], row["at"]))

    return change


def test_rows_that_are_deleted_added_exchanged_or_cut_off(home: Path) -> None:
    unseen = []
    for table, columns in tables(home / "ledger.sqlite").items():
        every = rows(home, table)
        changes = {"first": _delete(table, every[0]), "last": _delete(table, every[-1])}
        changes["added"] = _insert(table, every[-1])
        changes["all"] = lambda db, t=table: db.execute(f"DELETE FROM {t}")  # type: ignore[misc]
        if len(every) > 1:
            changes["exchanged"] = _swap(table, columns, every[0], every[-1])
        for name, change in changes.items():
            if not (say := after(home, change)) or not all(text.startswith(("5:", "2:")) for text in say):
                unseen.append((table, name, say))
    assert not unseen, "\n".join(map(repr, unseen))


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("DROP TRIGGER journal_is_final", "trigger journal_is_final is missing"),
        ("DROP INDEX files_by_bytes", "index files_by_bytes is missing"),
        ("ALTER TABLE files ADD COLUMN more TEXT", "table files differs"),
        ("CREATE TABLE more (a TEXT)", "table more is not of this ledger"),
    ],
)
def test_guards_of_the_ledger_that_were_removed(home: Path, script: str, named: str) -> None:
    path = home / "ledger.sqlite"
    before = path.read_bytes()
    db = sqlite3.connect(path)
    db.executescript(script)
    db.close()
    found = said(home)
    path.write_bytes(before)
    assert found[0] == f"5: ledger.sqlite: {named} [ledger_schema]"


def test_a_ledger_that_is_no_database(home: Path) -> None:
    path = home / "ledger.sqlite"
    before = path.read_bytes()
    path.write_bytes(b"x" * len(before))
    with pytest.raises(IntegrityFailure, match=r"ledger\.sqlite is damaged"):
        checking.verify(home, home / "exports", home / "scratch", fast=True)
    path.write_bytes(before)


def test_every_field_of_the_journal_also_when_its_chain_is_made_anew(home: Path) -> None:
    """Behind a rewritten chain only the checkpoint that was exported shows it, and `verify` looks at that."""
    entry = rows(home, "journal")[-1]
    body = json.loads(entry["body"])
    for name, value in body.items():
        text = canonical_bytes(body | {name: _changed(value)}).decode()

        def edit(db: sqlite3.Connection, text: str = text) -> None:
            db.execute("UPDATE journal SET body = ? WHERE seq = ?", (text, entry["seq"]))

        def rewrite(db: sqlite3.Connection, edit: Callable[[sqlite3.Connection], None] = edit) -> None:
            edit(db)
            rehashed(db)

        edited = JournalRow(entry["seq"], entry["kind"], text, entry["prev_hash"], entry["hash"])
        assert "journal_edited" in [problem.code for problem in check_chain([edited])], name
        assert any("the ledger was rewritten" in text for text in after(home, rewrite)), name


def _changed(value: Any) -> Any:
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, list):
        return [*value, "x"]
    return {**value, "x": "y"} if isinstance(value, dict) else "x"


def test_a_journal_that_was_cut_off_with_its_documents(home: Path) -> None:
    def cut(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM documents WHERE journal_seq = 2")
        db.execute("DELETE FROM journal WHERE seq = 2")

    said_of_it = after(home, cut)
    assert any("rolled back: its journal has 1 entries, the checkpoint 2" in text for text in said_of_it)
    assert any("2026-12-01/invoices.csv: the ledger has nothing" in text for text in said_of_it)


def test_every_field_of_a_document_is_named_by_its_place(home: Path) -> None:
    """When all hashes were made anew, as a document that is made again shows it."""
    body = json.loads(rows(home, "documents")[-1]["body"])
    for place, changed in _leaves(body):
        other_body = json.loads(json.dumps(body))
        holder: Any = other_body
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = changed
        text = "".join(f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")
        assert first_difference(other_body, body).startswith(f"{text}: issued")


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*place, key))
    else:
        yield place, not value if isinstance(value, bool) else f"{value}0"


def _flip(place: int) -> Callable[[bytes], bytes | None]:
    return lambda data: data[: place % len(data)] + bytes([data[place % len(data)] ^ 1]) + data[place % len(data) + 1 :]


EDITS: dict[str, Callable[[bytes], bytes | None]] = {
    "first byte": _flip(0),
    "a byte within": _flip(11),
    "last byte": _flip(-1),
    "longer": lambda data: data + b"\n",
    "shorter": lambda data: data[:-1],
    "other order": lambda data: b"".join(reversed(data.splitlines(keepends=True))) + b"\n",
    "deleted": lambda _: None,
}


def _edited(path: Path, find: Callable[[], list[str]], names: tuple[str, ...], but: Collection[str] = ()) -> list[str]:
    """The kinds of edit of a file of which nothing is said by any of the names. It is as before afterwards."""
    before, mode, unseen = path.read_bytes(), path.stat().st_mode, []
    for name, edit in EDITS.items():
        changed = edit(before)
        if name in but or changed == before:
            continue
        path.unlink()
        if changed is not None:
            path.write_bytes(changed)
        if not any(n in text for n in names for text in find()):
            unseen.append(f"{path.name}: {name}")
        path.write_bytes(before)
        path.chmod(mode)
    return unseen


def test_every_raw_file_and_every_export_by_every_kind_of_edit(home: Path) -> None:
    with Ledger.open(home) as ledger:
        files, documents = ledger.files(), list(ledger.documents())
    store, unseen = RawStore(home / "raw"), []
    for path in sorted(path for path in (home / "raw").rglob("*") if path.is_file()):
        unseen += _edited(
            path, lambda: [str(p) for p in checking._raw_files(store, files, documents, {})], (str(path),)
        )
    for path in sorted(path for path in (home / "exports").rglob("*") if path.is_file()):
        unseen += _edited(path, lambda: [str(p) for p in wrong_exports(documents, home / "exports")], (str(path),))
    assert not unseen


NOT_FOUND = {
    "instance.key": {"longer": "a key is read without the space around it", "other order": "it is one line"},
    "checkpoint.key": {"longer": "a key is read without the space around it", "other order": "it is one line"},
    "checkpoint.pub": {"deleted": "it is written again from the key", "other order": "it is one line"},
    "checkpoint.note": {"deleted": "it guards; the copy outside is what `checkpoint compare` is given"},
}


@pytest.mark.parametrize("name", NOT_FOUND)
def test_every_key_and_the_checkpoint_by_every_kind_of_edit(home: Path, name: str) -> None:
    """A key that doesn't fit is also named by what was signed with it."""
    assert not _edited(home / name, lambda: said(home), (name, "checkpoint.note"), NOT_FOUND[name])


def test_an_export_that_was_added(home: Path) -> None:
    path = home / "exports" / "2026-11-01" / "documents" / "PRV-2026-000009.json"
    path.write_text("{}")
    assert said(home) == [f"5: {path}: the ledger has nothing that is exported as this file [export_unfounded]"]
    path.unlink()


def test_every_column_of_every_part_of_the_lake(home: Path, tmp_path: Path) -> None:
    kinds = (*lake_files._BY_FILE, *lake_files._BY_BATCH)
    unseen = []
    # Nothing of this instance is erased: rows of another part stand for what would be kept.
    kept = home / "lake" / "erased" / "000001" / "00000001.parquet"
    kept.parent.mkdir(parents=True)
    shutil.copyfile(sorted((home / "lake" / "events").rglob("*.parquet"))[0], kept)
    for kind in kinds:
        path = sorted((home / "lake" / kind).rglob("*.parquet"))[-1]
        before = path.read_bytes()
        con = duckdb.connect()
        con.execute(f"CREATE TABLE t AS SELECT * FROM read_parquet('{path}')")
        columns = con.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't'").fetchall()
        copy = tmp_path / "again"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(home / "lake", copy)
        for column, data_type in columns:
            con.execute("CREATE OR REPLACE TABLE u AS SELECT *, row_number() OVER () AS n FROM t")
            con.execute(f'UPDATE u SET "{column}" = {_other_sql(column, data_type)} WHERE n = 1')
            con.execute(f"COPY (SELECT * EXCLUDE n FROM u ORDER BY n) TO '{path}' (FORMAT parquet)")
            found = [str(problem) for problem in wrong_lake(home / "lake", copy, tmp_path / "temp")]
            expected = f"{path}: differs from the raw file in row 1, column {column}"
            if not (len(found) == 1 and found[0].startswith(expected)):
                unseen.append((kind, column, data_type, found))
        for name, edit in EDITS.items():
            if name in ("a byte within", "shorter"):
                path.write_bytes(edit(before) or b"")
                if not any(str(path) in str(problem) for problem in wrong_lake(home / "lake", copy, tmp_path / "temp")):
                    unseen.append((kind, name, "", []))
        path.write_bytes(before)
        assert list(wrong_lake(home / "lake", copy, tmp_path / "temp")) == []
    assert not unseen, "\n".join(map(repr, unseen))
    shutil.rmtree(home / "lake" / "erased")
    shutil.rmtree(copy / "erased")
    surplus = home / "lake" / "events" / "000001" / "00000099.parquet"
    shutil.copyfile(sorted((home / "lake" / "events").rglob("*.parquet"))[0], surplus)
    (problem,) = wrong_lake(home / "lake", copy, tmp_path / "temp")
    assert problem.code == "lake_unfounded" and problem.where == str(surplus)
    surplus.unlink()


def _other_sql(column: str, data_type: str) -> str:
    name = f'"{column}"'
    if data_type.endswith("]") or data_type.startswith(("MAP", "STRUCT")):
        return f"CASE WHEN {name} IS NULL OR len({name}) = 0 THEN [NULL]::{data_type} ELSE NULL END"
    if data_type == "BOOLEAN":
        return f"NOT coalesce({name}, false)"
    if data_type in ("VARCHAR", "BLOB"):
        return f"coalesce({name}::VARCHAR, '') || '0'"
    if data_type.startswith("TIMESTAMP"):
        return f"{name} + INTERVAL 1 SECOND"
    return f"CASE WHEN coalesce({name}, 0) = 0 THEN 1 ELSE {name} - 1 END"


def test_F50_a_warehouse_that_was_edited_by_a_row_or_a_byte_or_is_an_older_one_is_named(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    for _ in range(2):
        start_build(instance, fresh=True)
        duckdb.connect(str(instance.build_db)).execute("CREATE TABLE t AS SELECT 1 AS v").close()
        publish(instance)
    warehouse = tmp_path / "warehouse"
    path = warehouse / "gen-000002" / "tallystick.duckdb"
    assert list(wrong_warehouse(warehouse)) == []
    before = path.read_bytes()
    path.chmod(0o600)
    for edit in EDITS.values():
        changed = edit(before)
        path.unlink() if changed is None else path.write_bytes(changed)
        (problem,) = wrong_warehouse(warehouse)
        assert (problem.code, problem.where) == ("warehouse_edited", str(path))
        path.write_bytes(before)
    shutil.copyfile(warehouse / "gen-000001" / "tallystick.duckdb", path)
    duckdb.connect(str(path)).execute("UPDATE t SET v = 2").close()
    (problem,) = wrong_warehouse(warehouse)
    assert problem.code == "warehouse_edited"
    path.write_bytes(before)
    (warehouse / "current").unlink()
    (warehouse / "current").symlink_to("gen-000001")
    (problem,) = wrong_warehouse(warehouse)
    assert problem.code == "warehouse_stale" and "publishes gen-000001, though gen-000002" in problem.message
