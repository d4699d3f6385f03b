"""What is derived and should say what the record says: exports, the lake, the published warehouse.

None of it proves anything, and all of it can be made again; but people read it, and drafts are made of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import duckdb

from orchestration.engine import connect
from orchestration.errors import Problem
from orchestration.exports.csvfiles import expected_exports
from orchestration.ledger.rows import DocumentRow
from orchestration.sqltext import literal

_CUT_OFF = re.compile(r"\d{4}-\d\d-\d\d")
_GENERATION = re.compile(r"gen-\d+")


def wrong_exports(documents: Sequence[DocumentRow], exports: Path) -> Iterator[Problem]:
    """Exported files against what the ledger renders now; folders that were never exported are no fault."""
    expected = expected_exports(documents)
    for relative, data in expected.items():
        path = exports / relative
        if not (exports / relative.parts[0]).exists():
            continue
        if not path.is_file():
            yield Problem("export_missing", "the file is gone; `tallystick export invoices` writes it again", str(path))
        elif path.read_bytes() != data:
            place = _first_byte(path.read_bytes(), data)
            message = f"differs from the ledger {place}; `tallystick export invoices` restores it"
            yield Problem("export_edited", message, str(path))
    folders = [path for path in sorted(exports.glob("*")) if _CUT_OFF.fullmatch(path.name)]
    for path in sorted(path for folder in folders for path in folder.rglob("*") if not path.is_dir()):
        # A name with a dot is one that a killed export has left half written.
        if not path.name.startswith(".") and PurePosixPath(path.relative_to(exports).as_posix()) not in expected:
            yield Problem("export_unfounded", "the ledger has nothing that is exported as this file", str(path))


def _first_byte(found: bytes, wanted: bytes) -> str:
    """Where two files part, for a person to look at."""
    pairs = enumerate(zip(found, wanted, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(found), len(wanted)))
    return f"from byte {place + 1} (line {wanted[:place].count(10) + 1})"


def wrong_lake(lake: Path, again: Path, scratch: Path) -> Iterator[Problem]:
    """Lake files that aren't those that raw files and ledger give, as they were made in the folder `again`.

    What is missing is made again by the next run. A lake of another engine has other bytes, and is made anew as well.
    """
    marker = lake / "engine"
    if not marker.is_file() or marker.read_bytes() != (again / "engine").read_bytes():
        return
    wanted = {path.relative_to(again): path for path in sorted(again.rglob("*.parquet"))}
    last = max((_batch(name) for name in wanted if name.parts[0] != "extracted"), default=0)
    for path in sorted(lake.rglob("*.parquet")):
        name = path.relative_to(lake)
        if name in wanted:
            if path.read_bytes() != wanted[name].read_bytes():
                message = f"{_first_row(path, wanted[name], scratch)}; delete it, and the next run makes it again"
                yield Problem("lake_edited", message, str(path))
        elif name.parts[0] != "extracted" and _batch(name) <= last:
            # A batch that is being made is committed later. What was extracted beside follows from catalogs since the
            # last close; where it is wrong, a document will differ.
            yield Problem("lake_unfounded", "no committed file gives this part of the lake", str(path))


def _batch(name: Path) -> int:
    """Of a file of the lake; 0 for a name that no batch gives."""
    number = name.parts[1][:6] if len(name.parts) > 1 else ""
    return int(number) if number.isdecimal() else 0


def _first_row(path: Path, wanted: Path, scratch: Path) -> str:
    """The first row and column in which two Parquet files differ."""
    try:
        with connect(None, folders=[path.parent, wanted.parent], temp=scratch) as con:
            (names, rows), (other_names, others) = _rows(con, path), _rows(con, wanted)
    except duckdb.Error as error:
        return f"can't be read: {str(error).splitlines()[0]}"
    if names != other_names:
        return f"has the columns {', '.join(names)}"
    for number, (found, should) in enumerate(zip(rows, others, strict=False), 1):
        if found != should:
            column = next(name for name, a, b in zip(names, found, should, strict=True) if a != b)
            return f"differs from the raw file in row {number}, column {column}"
    return f"has {len(rows)} rows in other bytes, where the raw file gives {len(others)}"


def _rows(con: duckdb.DuckDBPyConnection, path: Path) -> tuple[list[str], list[tuple[object, ...]]]:
    result = con.execute(f"SELECT * FROM read_parquet({literal(str(path))})")
    return [column[0] for column in result.description or ()], result.fetchall()


def wrong_warehouse(warehouse: Path) -> Iterator[Problem]:
    """The published generation against the hash it was published with; an older one in its place."""
    current = warehouse / "current"
    if not current.is_symlink():
        return
    folder = current.resolve()
    newest = max((p.name for p in warehouse.iterdir() if _GENERATION.fullmatch(p.name)), default=folder.name)
    if folder.name != newest:
        message = f"publishes {folder.name}, though {newest} was published after it; `tallystick run` builds anew"
        yield Problem("warehouse_stale", message, str(current))
    path = folder / "tallystick.duckdb"
    try:
        stated = path.with_name(f"{path.name}.sha256").read_text().strip()
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if current.resolve() == folder:
            yield Problem("warehouse_edited", f"can't be read: {error}", str(path))
        return
    if found != stated:
        message = f"has the hash {found}, and was published with {stated}; delete warehouse/, and run again"
        yield Problem("warehouse_edited", message, str(path))
