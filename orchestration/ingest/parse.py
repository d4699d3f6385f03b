"""Raw files to their lake files, every line in exactly one bucket. The only way in which a raw file is ever read.

What comes out is a function of the raw bytes and of the `ParseTask` alone, whatever is read beside a file: ingest,
rebuild and audit call it alike. A plain file is split by the engine, small ones many at a time; a file in which
something else than newlines could end a line, or whose text is damaged, is split here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb

from orchestration.durable import make_folder, naming
from orchestration.ingest.canonical_sql import Context, canonical
from orchestration.ingest.erased import take_kept, with_kept, write_erased
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import Format
from orchestration.ingest.inflate import MAGIC, Refused, packing_of
from orchestration.ingest.lane import Lane, begin_tables
from orchestration.ingest.lines import BOM, MAX_LINE, Census, blocks
from orchestration.ingest.raw import RawStore
from orchestration.ingest.texts import record_a_line, text_of
from orchestration.ingest.written import SMALL, Member, Parsed, ParseTask, write

PARSER_VERSION = "1"
"""Goes up when a line could come to mean something else; the ledger records it with each batch."""

TOGETHER = 8 << 20
"""So many bytes of small files are read at a time."""


def parse_files(con: duckdb.DuckDBPyConnection, raw: RawStore, tasks: Sequence[ParseTask]) -> list[Parsed]:
    """Read raw files of one source, write their lake files, count their lines.

    Args:
        con: a connection of `engine.connect` with one thread; used by nobody else meanwhile.
        tasks: one file, or several that are `small`.
    Raises:
        IntegrityFailure: the raw bytes are not those of their hash, or the counts don't add up.
        Refused: a file can't be read at all (never after `landing.land` has let it pass).
    """
    found = _parse_together(con, raw, tasks) if len(tasks) > 1 else {}
    return [found.get(task.file_id) or _parse_alone(con, raw, task) for task in tasks]


def _parse_together(con: duckdb.DuckDBPyConnection, raw: RawStore, tasks: Sequence[ParseTask]) -> dict[int, Parsed]:
    """Read plain files as if they were one; by number what became of each. The others are left to be read alone."""
    members: list[Member] = []
    aside, lines = _aside(tasks[0]), 0
    try:
        with naming(aside), aside.open("wb") as handle:
            for task in tasks:
                if raw.rewritten(task.sha256) is not None:
                    continue
                census, kept = Census(), b""
                for chunk in census.counting(_text(raw, task)):
                    kept += chunk if census.size <= 4 * SMALL else b""
                if census.plain and len(kept) == census.size:
                    handle.write(kept + b"\n" if census.unterminated else kept)
                    members.append(Member(task, lines, census.lines))
                    lines += census.lines
        if not members:
            return {}
        lane = _begin(con, raw, tasks[0], together=True)
        if not lane.read_file(aside, 0, lines):
            return {}
    finally:
        aside.unlink(missing_ok=True)
    lane.finish()
    return {member.task.file_id: parsed for member, parsed in zip(members, write(con, members), strict=True)}


def _parse_alone(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask) -> Parsed:
    with raw.at_hand(task.sha256, task.path):
        lines = (_read_table if FORMATS[task.source.format].table else _read_lines)(con, raw, task)
        erased = take_kept(con, raw, task)
    [parsed] = write(con, [Member(task, 0, lines)], with_kept if erased else None)
    if erased:
        write_erased(con, task)
    return parsed


def _read_lines(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask) -> int:
    lane = _begin(con, raw, task)
    skip = max(task.first_line - 1, 1 if FORMATS[task.source.format].header else 0)
    lines = _read_whole(lane, raw, task, skip)
    if lines is None:
        lines = _read_blocks(lane, raw, task, skip)
    lane.finish()
    return lines


def head_text(form: Format, chunks: Iterable[bytes]) -> str:
    """The format's head, its first lines as text, without byte order mark and last newline.

    A line that is no text counts as an empty one where the format can do without a head: it is set aside like any
    other. Raises Refused where it can't.
    """
    data = b""
    for chunk in chunks:
        data += chunk
        if data.count(b"\n") >= form.head or len(data) > form.head * MAX_LINE:
            break
    lines = data.removeprefix(BOM).split(b"\n", form.head)[: form.head]
    return "\n".join(_head_line(line, required=form.header) for line in lines).rstrip("\n")


def _head_line(line: bytes, *, required: bool) -> str:
    try:
        if len(line) <= MAX_LINE and b"\0" not in line:
            return line.decode()
    except UnicodeDecodeError:
        pass
    if required:
        raise Refused("bad_header: line 1 is not text")
    return ""


def _begin(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask, *, together: bool = False) -> Lane:
    form = FORMATS[task.source.format]
    head = head_text(form, _text(raw, task)) if form.head else ""
    reader = form.reader(task.source, head)
    return Lane(con, reader, task.source, context_of(task), each_blank=task.only is not None or together)


def context_of(task: ParseTask) -> Context:
    return Context(task.tape_id is not None, task.now_us, task.skew_us)


def _text(raw: RawStore, task: ParseTask) -> Iterator[bytes]:
    return text_of(raw, FORMATS[task.source.format], task.sha256, task.path)


def _aside(task: ParseTask) -> Path:
    """Where a text is put for the engine to read; what a crash leaves of it is removed with the lake's leftovers."""
    make_folder(task.events.parent)
    return task.events.with_suffix(".text.tmp")


def _read_whole(lane: Lane, raw: RawStore, task: ParseTask, skip: int) -> int | None:
    """The fast way: the engine splits the file into lines. How many; None if they have to be split here instead.

    The raw bytes are compared with their hash when they are looked at: here, or as the file was landed just now.
    """
    census, path, aside = task.census or Census(), raw.local(task.sha256), _aside(task)
    try:
        if not _is_text(raw, task):
            census, path = Census(), aside
            with naming(aside), aside.open("wb") as handle:
                for chunk in census.counting(_text(raw, task)):
                    handle.write(chunk)
        elif task.census is None:
            deque(census.counting(_text(raw, task)), 0)
        if census.plain and lane.read_file(path, skip, census.lines):
            return census.lines
        return None
    finally:
        aside.unlink(missing_ok=True)


def _is_text(raw: RawStore, task: ParseTask) -> bool:
    """Whether the raw bytes are the text itself: not compressed, and one record a line."""
    beginning = next(raw.read(task.sha256, task.path, MAGIC), b"")
    plain = record_a_line(raw, FORMATS[task.source.format], task.sha256)
    return plain and packing_of(beginning, "") is None


def _read_blocks(lane: Lane, raw: RawStore, task: ParseTask, skip: int) -> int:
    """The careful way: lines are split here, and those that are no text are set aside."""
    census = Census()
    for block in blocks(census.counting(_text(raw, task)), skip):
        lane.take(block)
    lane.read()
    return census.lines


def table_head(con: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, int]:
    """Columns of a Parquet file as JSON [[name, type], ...], and its rows. Raises duckdb.Error."""
    con.execute("SET VARIABLE raw_path = ?", [str(path)])
    columns = con.execute("DESCRIBE SELECT * FROM read_parquet(getvariable('raw_path'))").fetchall()
    (rows,) = con.execute("SELECT count(*) FROM read_parquet(getvariable('raw_path'))").fetchall()[0]
    listed = con.execute("SELECT CAST(to_json($1::VARCHAR[][]) AS VARCHAR)", [[list(c[:2]) for c in columns]])
    return str(listed.fetchall()[0][0]), int(rows)


def _read_table(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask) -> int:
    raw.verify(task.sha256, task.path)
    head, rows = table_head(con, raw.local(task.sha256))
    reader = FORMATS[task.source.format].reader(task.source, head)
    sql = canonical(reader, reader.sql, task.source, context_of(task))
    begin_tables(con)
    con.execute(f"CREATE TEMP TABLE parsed AS SELECT * FROM ({sql}) WHERE line >= {task.first_line}")
    return rows
