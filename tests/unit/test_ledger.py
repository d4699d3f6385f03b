"""The ledger: one commit point, nothing issued ever changes, and no ledger opens under another key."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.catalog.sources import Source
from orchestration.durable import Point
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ledger.rows import BatchRow, DeliveryRow, DocumentRow, FileRow, TapeRow
from orchestration.ledger.store import Ledger
from orchestration.settings import REPOSITORY

BATCH = BatchRow(1, 100, 5, "1")
FILE = FileRow(
    1, 1, "gw", "gw?node=a", "ab" * 32, "a.log", 10, "common",
    Source(name="gw", path="*", format="common").model_dump_json(), "tape", 1, 10, 5, 2, 1, 1, 1, 50, 60,
)  # fmt: skip
TAPE = TapeRow("tape", "gw?node=a", "cd" * 32, 10, 10, "ef" * 32, "a.log", 1)
DELIVERY = DeliveryRow("gw", "a.log", 10, 1, "ab" * 32, "taken", "", 100)


def document(sequence: int, **changed: object) -> DocumentRow:
    row = DocumentRow(
        f"INV-2026-{sequence:06}", "INV-2026", sequence, "invoice", "e", f"c{sequence}", "USD", "2026-11-01",
        "2026-11-05", 1, b"{}", "00",
    )  # fmt: skip
    return replace(row, **changed)  # type: ignore[arg-type]


def filled(home: Path) -> Ledger:
    ledger = Ledger.open(home)
    ledger.commit_batch(BATCH, [FILE], [TAPE], [DELIVERY])
    with ledger.transaction(Point.CLOSE_COMMITTED):
        ledger.archive_catalog("digest", b"blob")
        ledger.append_journal("close", b"{}")
        ledger.insert_document(document(1))
    return ledger


FINAL = ["batches", "files", "mappings", "catalogs", "journal", "documents"]


@pytest.mark.parametrize("table", FINAL)
def test_no_statement_changes_or_deletes_what_was_taken_or_issued(table: str, tmp_path: Path) -> None:
    filled(tmp_path).close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    db.execute("PRAGMA foreign_keys = OFF")
    before = list(db.iterdump())
    column = db.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()[0]
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match=r"never (changed|deleted)"):
            db.execute(statement)
    assert list(db.iterdump()) == before


def test_a_replacing_insert_is_no_way_around_it(tmp_path: Path) -> None:
    filled(tmp_path).close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    before = list(db.iterdump())
    for table in FINAL:
        values = list(db.execute(f"SELECT * FROM {table}").fetchone())
        values[1] = b"other" if table == "catalogs" else values[1]
        values[1] = "{}" if table == "mappings" else values[1]
        marks = ", ".join("?" * len(values))
        with suppress(sqlite3.IntegrityError):
            db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", values)
        assert list(db.iterdump()) == before, table
    with pytest.raises(sqlite3.IntegrityError, match="never replaced"):
        db.execute(
            "INSERT OR REPLACE INTO documents SELECT 'INV-2026-000009', series, sequence, kind, entity, customer, "
            "currency, cut_off, issue_date, journal_seq, body, sha256, corrects FROM documents"
        )


def test_F5_a_transaction_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        wrong = replace(FILE, accepted=6)
        with pytest.raises(sqlite3.IntegrityError):
            ledger.commit_batch(BATCH, [wrong], [TAPE], [DELIVERY])
        assert (
            ledger.batches(),
            ledger.files(),
            ledger.tapes("gw?node=a", TAPE.head_sha, TAPE.path),
            ledger.deliveries("gw"),
        ) == (
            [],
            [],
            [],
            {},
        )
        ledger.commit_batch(BATCH, [FILE], [TAPE], [DELIVERY])
        assert ledger.files() == [FILE]
        with pytest.raises(KeyboardInterrupt), ledger.transaction(Point.CLOSE_COMMITTED):
            ledger.append_journal("close", b"{}")
            ledger.insert_document(document(1))
            raise KeyboardInterrupt
        assert (ledger.journal(), list(ledger.documents()), ledger.last_sequence("INV-2026")) == ([], [], 0)


@pytest.mark.parametrize(
    "again",
    [
        document(1, customer="other"),
        document(1, number="INV-2026-000002", customer="other"),
        document(2, customer="c1"),
        document(2, journal_seq=9),
        document(2, kind="receipt"),
    ],
)
def test_D5_a_number_a_place_in_a_series_and_a_customers_cut_off_exist_once(again: DocumentRow, tmp_path: Path) -> None:
    with filled(tmp_path) as ledger:
        with pytest.raises(sqlite3.IntegrityError), ledger.transaction(Point.CLOSE_COMMITTED):
            ledger.insert_document(again)
        assert list(ledger.documents()) == [document(1)]


def test_the_same_bytes_are_one_file_of_a_stream(tmp_path: Path) -> None:
    with filled(tmp_path) as ledger:
        with pytest.raises(sqlite3.IntegrityError):
            ledger.commit_batch(replace(BATCH, batch_id=2), [replace(FILE, file_id=2, batch_id=2)], [], [])
        assert ledger.next_batch_id() == 2
        assert ledger.find_file("gw?node=a", "ab" * 32) == FILE
        assert ledger.find_file("gw?node=b", "ab" * 32) is None


def test_a_missing_other_or_empty_key_ends_with_5_and_makes_no_new_one(tmp_path: Path) -> None:
    filled(tmp_path).close()
    key = tmp_path / "instance.key"
    text = key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o400 and len(bytes.fromhex(text)) == 32
    for content in (None, "", "00" * 32, text[:-2], "not hexadecimal"):
        key.unlink(missing_ok=True)
        if content is not None:
            key.write_text(content)
        with pytest.raises(IntegrityFailure, match=r"instance\.key") as caught:
            Ledger.open(tmp_path)
        assert caught.value.exit_code == 5
        assert key.exists() == (content is not None)
    key.unlink(missing_ok=True)
    key.write_text(text + "\n")
    Ledger.open(tmp_path).close()


def test_an_empty_key_is_never_taken_for_the_key_of_a_new_ledger(tmp_path: Path) -> None:
    (tmp_path / "instance.key").write_text("")
    with pytest.raises(IntegrityFailure, match="0 bytes, not 32"):
        Ledger.open(tmp_path)


def test_a_ledger_that_was_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    (tmp_path / ".instance.key.tmp").write_text("")
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    with Ledger.open(tmp_path) as ledger:
        assert ledger.files() == []
    assert not (tmp_path / ".instance.key.tmp").exists()


def test_two_instances_have_two_keys(tmp_path: Path) -> None:
    keys = set()
    for name in "ab":
        with Ledger.open(tmp_path / name) as ledger:
            keys.add(ledger.key)
    assert len(keys) == 2


def test_F59_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    filled(tmp_path).close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    db.commit()
    with pytest.raises(ConfigInvalid, match="schema 99"):
        Ledger.open(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from orchestration.ledger.store import Ledger
ledger = Ledger.open(Path(sys.argv[1]))
ledger._db.execute("BEGIN IMMEDIATE")
ledger._db.execute("PRAGMA cache_size = 1")
ledger._db.execute("PRAGMA cache_spill = 1")
for n in range(200):
    ledger.append_journal("close", b'{"x":"' + b"y" * 9000 + b'"}')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_F5_a_kill_inside_a_transaction_that_has_reached_the_disk_is_undone(tmp_path: Path) -> None:
    filled(tmp_path).close()
    size = (tmp_path / "ledger.sqlite").stat().st_size
    code = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=REPOSITORY, check=False).returncode
    assert code == -9
    assert (tmp_path / "ledger.sqlite").stat().st_size > size
    with Ledger.open(tmp_path) as ledger:
        assert len(ledger.journal()) == 1
        assert list(ledger.documents()) == [document(1)]
    assert (tmp_path / "ledger.sqlite").stat().st_size == size


def test_F60_a_lost_ledger_is_not_begun_again_beside_what_was_issued(tmp_path: Path) -> None:
    Ledger.open(tmp_path).close()
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "2026-11-01").mkdir()
    (tmp_path / "ledger.sqlite").unlink()
    with pytest.raises(IntegrityFailure, match=r"ledger\.sqlite is gone"):
        Ledger.open(tmp_path)
    assert not (tmp_path / "ledger.sqlite").exists()
