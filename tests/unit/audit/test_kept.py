"""What the warehouse keeps of a line's evidence says the same as the events, and is not believed where it can't be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.audit import explain as room
from orchestration.audit.attribution import Stretch
from orchestration.audit.explain import brief, explain
from orchestration.audit.kept import Cell, _priced_day
from orchestration.audit.splitting import Part
from orchestration.catalog import load_catalog
from orchestration.engine import connect, load_rows
from orchestration.ledger.store import Ledger
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.trail import fold_trail

FILES = {"file_id": "INTEGER", "sha256": "VARCHAR", "path": "VARCHAR"}


@pytest.fixture(scope="module")
def kept(november: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, Path]]:
    """A ledger of two closes and a database with the audit trail of both, folded one after the other."""
    home = tmp_path_factory.mktemp("kept") / "home"
    shutil.copytree(november, home)
    # The catalog of the build is another than the one that was archived.
    with (home / "catalog" / "meters.yaml").open("a") as handle:
        handle.write("# reviewed\n")
    catalog, path = load_catalog(home / "catalog"), home / "trail.duckdb"
    with Ledger.open(home) as ledger:
        with connect(path, folders=[home], temp=home / "temp") as con:
            named = [{"file_id": f.file_id, "sha256": f.sha256, "path": f.path} for f in ledger.files()]
            load_rows(con, "record.files", FILES, named, home / "scratch")
            for last in (1, 2):
                fold_trail(con, Instance(home), _until(ledger, last), catalog)
            fold_trail(con, Instance(home), ledger, catalog)
        yield ledger, path


def _until(ledger: Ledger, last: int) -> Ledger:
    """The ledger as it stood after an entry."""
    entries = [entry for entry in ledger.journal() if entry.seq <= last]
    earlier = Ledger(ledger._db, ledger.key, ledger.path)
    earlier.journal = lambda: entries  # type: ignore[method-assign]
    return earlier


def lines_of(ledger: Ledger, number: str) -> list[dict[str, Any]]:
    row = ledger.document(number)
    assert row is not None
    return json.loads(row.body)["lines"]


def test_a_line_is_told_from_the_warehouse_as_from_its_events(
    kept: tuple[Ledger, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, warehouse = kept
    wanted = {"PRV-2026-000001": ("tiers", "volume", "packs", "kilo", "fee"), "PRV-2026-000003": ("calls",)}
    for number, charges in wanted.items():
        lines = [row for row in lines_of(ledger, number) if row["charge"] in charges and row["start"] == "2026-10-01"]
        assert {line["charge"] for line in lines} == set(charges)
        for line in lines:
            slow = explain(ledger, number, line["position"], tmp_path / "scratch")
            with monkeypatch.context() as patched:
                patched.setattr(room, "_events_of", None)
                fast = explain(ledger, number, line["position"], tmp_path / "scratch", warehouse=warehouse)
            assert fast == slow, line["charge"]
            assert (fast["evidence"]["events"] == "0") == (line["charge"] == "fee")


def test_events_are_read_only_where_a_price_changes_within_a_day_of_several_files(
    kept: tuple[Ledger, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, warehouse = kept
    monkeypatch.setattr(room, "_events_of", None)
    monkeypatch.setattr(room, "day_by_file", None)
    position = next(line["position"] for line in lines_of(ledger, "PRV-2026-000001") if line["charge"] == "tiers")
    told = explain(ledger, "PRV-2026-000001", position, tmp_path / "scratch", warehouse=warehouse)
    assert (told["evidence"]["events"], told["evidence"]["amount"]) == ("40", "2.415")
    assert told["days"][2] == {"day": "2026-10-08", "events": "4", "quantity": "353", "amount": "0.3415"}
    # The largest line of a document is told at least by its formula.
    assert brief(ledger, "PRV-2026-000001", tmp_path / "scratch", None)["line"]["formula"]["details"]


def test_another_journal_another_sum_or_an_older_warehouse_is_not_believed(
    kept: tuple[Ledger, Path], tmp_path: Path
) -> None:
    ledger, warehouse = kept
    position = next(line["position"] for line in lines_of(ledger, "PRV-2026-000003") if line["charge"] == "calls")
    slow = explain(ledger, "PRV-2026-000003", position, tmp_path / "scratch")
    for fault in (
        "UPDATE record.trail_through SET hash = 'another'",
        "UPDATE record.trail_through SET seq = 1",
        "UPDATE record.line_evidence SET quantity = quantity + 1",
        "DROP TABLE record.line_evidence",
    ):
        copy = tmp_path / "copy.duckdb"
        shutil.copy(warehouse, copy)
        with duckdb.connect(str(copy)) as con:
            con.execute(fault)
        assert explain(ledger, "PRV-2026-000003", position, tmp_path / "scratch", warehouse=copy) == slow, fault


def test_the_trail_names_entries_rows_and_edits(kept: tuple[Ledger, Path]) -> None:
    ledger, warehouse = kept
    first, second = ledger.journal()
    with duckdb.connect(str(warehouse), read_only=True) as con:
        entries = con.execute(
            "SELECT entry, kind, cut_off, documents, files, previous_hash, hash FROM record.journal_entries ORDER BY 1"
        ).fetchall()
        edits = con.execute("SELECT entry, file, count(*) FROM record.catalog_changes GROUP BY ALL ORDER BY ALL")
        found = edits.fetchall()
        doubled = con.execute(
            "SELECT count(*) FROM (SELECT document, position, file_id, local_day, outcome FROM record.line_evidence "
            "GROUP BY ALL HAVING count(*) > 1)"
        ).fetchall()
    assert entries == [
        (1, "close", date(2026, 11, 1), 2, 2, "0" * 64, first.hash),
        (2, "close", date(2026, 12, 1), 2, int(json.loads(second.body)["files"]), first.hash, second.hash),
    ]
    assert ("customers.csv", 2) in [(file, count) for entry, file, count in found if entry == 1]
    assert {entry for entry, _, _ in found} == {1}
    assert doubled == [(0,)]


def test_a_day_within_which_the_price_changes_is_split_by_its_events_or_not_at_all() -> None:
    day, pieces = date(2026, 10, 1), [Stretch(Fraction(10), Fraction(2)), Stretch(Fraction(90), Fraction(1))]
    one = Cell(1, "a", "", day, "taken", 3, Decimal(6), 1, 3)
    two = Cell(2, "b", "", day, "taken", 2, Decimal(8), 1, 2)
    asked: list[tuple[list[int], list[Stretch]]] = []

    def split(_: date, files: list[int], left: list[Stretch]) -> dict[int, Part]:
        asked.append((files, left))
        return {1: Part(3, Decimal(6), Fraction(9)), 2: Part(2, Decimal(8), Fraction(9))}

    # Units 5 to 11 of one file: five at 2, one at 1. Of two files: 5 to 19, of which five cost 2.
    [alone] = _priced_day(day, [one], Fraction(5), Fraction(11), pieces, split) or []
    assert (alone.amount, asked) == (11, [])
    both = _priced_day(day, [one, two], Fraction(5), Fraction(19), pieces, split) or []
    assert [cell.amount for cell in both] == [9, 9]
    assert asked == [([1, 2], [Stretch(Fraction(5), Fraction(2)), Stretch(Fraction(90), Fraction(1))])]
    assert _priced_day(day, [one, two], Fraction(5), Fraction(19), pieces, lambda *_: {}) is None
