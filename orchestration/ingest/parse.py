"""One raw file to its two lake files, every line in exactly one bucket. The only way in which a raw file is ever read.

`parse_file` is a pure function of the raw bytes and of `ParseTask`: ingest, rebuild and audit call it alike.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.catalog.models import Source
from orchestration.errors import IntegrityFailure
from orchestration.ingest.canonical_sql import Context, canonical, parsed_columns
from orchestration.ingest.disguise import disguised
from orchestration.ingest.durable import make_folder
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import Reader
from orchestration.ingest.inflate import MAGIC, Refused, inflated, packing_of
from orchestration.ingest.lake import write_parquet
from orchestration.ingest.lines import BOM, MAX_LINE, BadLine, Block, Census, blocks
from orchestration.ingest.raw import RawStore
from orchestration.sqltext import literal

PARSER_VERSION = "1"
"""Goes up when a line could come to mean something else; the ledger records it with each batch."""

_ONE_COLUMN = (
    "columns = {text: 'VARCHAR'}, delim = '\x01', quote = '', escape = '', new_line = '\\n', header = false, "
    "auto_detect = false"
)
_SLOW_AT_ONCE = 50_000
_READ_AT_ONCE = 64 << 20
_ADD_RANGE = (
    "INSERT INTO gathered SELECT unnest(range($2::BIGINT, $3::BIGINT)), unnest(string_split($1::VARCHAR, chr(10)))"
)
_ADD_LISTED = "INSERT INTO gathered SELECT unnest($2::BIGINT[]), unnest(string_split($1::VARCHAR, chr(10)))"


@dataclass(frozen=True, slots=True)
class ParseTask:
    """A raw file, its reading rules and where its lake files go.

    `first_line` is the first line that is new; those before are duplicates by place and are not read.
    `only` is SQL that selects the lines to take (a column `line`); the file's other lines were dealt with before.
    """

    sha256: str
    path: str
    source: Source
    file_id: int
    tape_id: str | None
    first_line: int
    now_us: int
    skew_us: int
    events: Path
    quarantine: Path
    only: str | None = None
    census: Census | None = None
    """What landing found in the file's text; None where nobody has looked yet."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """Counts in lines. `events` still holds the duplicates and conflicts that a comparison with others will find."""

    lines: int
    events: int
    earlier: int
    quarantined: int
    blank: int
    rounded: int
    reasons: dict[str, int] = field(default_factory=dict)
    min_us: int | None = None
    max_us: int | None = None


def parse_file(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask) -> Parsed:
    """Read one raw file, write its lake files, count its lines.

    Args:
        con: a connection of `engine.connect` with one thread; used by nobody else meanwhile.
    Raises:
        IntegrityFailure: the raw bytes are not those of their hash, or the counts don't add up.
        Refused: the file can't be read at all (never after `landing.land` has let it pass).
    """
    context = Context(task.file_id, task.tape_id, task.now_us, task.skew_us)
    con.execute("DROP TABLE IF EXISTS parsed; DROP TABLE IF EXISTS bad")
    con.execute("CREATE TEMP TABLE bad (line BIGINT, reason VARCHAR, raw BLOB)")
    read = _read_table if FORMATS[task.source.format].table else _read_lines
    with raw.at_hand(task.sha256, task.path):
        lines = read(con, raw, task, context)
    return _write(con, task, lines)


def head_text(chunks: Iterable[bytes], lines: int = 1) -> str:
    """The first lines as text, without byte order mark and last newline. Raises Refused."""
    data = b""
    for chunk in chunks:
        data += chunk
        if data.count(b"\n") >= lines or len(data) > lines * MAX_LINE:
            break
    head = b"\n".join(data.split(b"\n", lines)[:lines]).removeprefix(BOM)
    try:
        if len(head) <= lines * MAX_LINE and b"\0" not in head:
            return head.decode().rstrip("\n")
    except UnicodeDecodeError:
        pass
    raise Refused("bad_header: line 1 is not text")


# -- line formats -------------------------------------------------------------------------------------------------


def _read_lines(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask, context: Context) -> int:
    form = FORMATS[task.source.format]

    def text() -> Iterator[bytes]:
        return form.unpack(inflated(raw.read(task.sha256, task.path)))

    head = head_text(text(), form.head) if form.head else ""
    lane = _Lane(con, form.reader(task.source, head), task, context)
    skip = max(task.first_line - 1, 1 if form.header else 0)
    lines = _read_whole(lane, raw, task, text, skip)
    if lines is None:
        census = Census()
        for block in blocks(census.counting(text()), skip):
            lane.take(block)
        lane.read()
        lines = census.lines
    lane.finish()
    return lines


def _read_whole(
    lane: _Lane, raw: RawStore, task: ParseTask, text: Callable[[], Iterator[bytes]], skip: int
) -> int | None:
    """The fast way: the engine splits the file into lines. How many; None if they have to be split here instead.

    The raw bytes are compared with their hash when they are looked at: here, or as the file was landed just now.
    """
    census, path = task.census or Census(), raw.local(task.sha256)
    aside = task.events.with_suffix(".text.tmp")
    try:
        if not _is_text(task, raw):
            make_folder(aside.parent)
            census = Census()
            with aside.open("wb") as handle:
                for chunk in census.counting(text()):
                    handle.write(chunk)
            path = aside
        elif task.census is None:
            deque(census.counting(text()), 0)
        if census.plain and lane.read_file(path, skip, census.lines):
            return census.lines
        return None
    finally:
        aside.unlink(missing_ok=True)


def _is_text(task: ParseTask, raw: RawStore) -> bool:
    """Whether the raw bytes are the text itself: not compressed, and one record a line."""
    beginning = next(raw.read(task.sha256, task.path, MAGIC), b"")
    return FORMATS[task.source.format].record_a_line and packing_of(beginning, "") is None


def reading(con: duckdb.DuckDBPyConnection, reader: Reader) -> str:
    """The reader's SQL, with the lines flagged in which a name that is read comes twice. They are in `src` already."""
    if reader.shape is None:
        return reader.sql
    shape = f"CAST(to_json({reader.shape.sql}) AS VARCHAR)"
    found = con.execute(f"SELECT DISTINCT {shape} AS shape FROM src WHERE shape IS NOT NULL")
    repeating: list[str] = []
    while rows := found.fetchmany(_SLOW_AT_ONCE):
        repeating += [text for (text,) in rows if reader.shape.repeats(json.loads(text))]
    if not repeating:
        return reader.sql
    con.execute("CREATE OR REPLACE TEMP TABLE repeating AS SELECT unnest($1::VARCHAR[])", [repeating])
    repeats = f"coalesce({shape} IN (FROM repeating), false)"
    return f"SELECT * REPLACE (slow OR {repeats} AS slow) FROM ({reader.sql})"


class _Lane:
    """Feeds lines through the reader's SQL, and the lines that it flags through the reader's Python.

    Lines come from a file that the engine splits, or in blocks; both give the same.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, reader: Reader, task: ParseTask, context: Context) -> None:
        self._con = con
        self._reader = reader
        self._task = task
        self._context = context
        self._bytes = 0
        columns = ", ".join(f'"{name}" {kind}' for name, kind in parsed_columns(task.source))
        con.execute(
            f"CREATE TEMP TABLE parsed ({columns}); CREATE OR REPLACE TEMP TABLE gathered (line BIGINT, text VARCHAR)"
        )

    def read_file(self, path: Path, skip: int, lines: int) -> bool:
        """Read all lines of a file after the first `skip`. False, and nothing read, if the engine finds other lines."""
        try:
            self._con.execute(
                "CREATE OR REPLACE TEMP VIEW src AS SELECT line, text FROM (SELECT row_number() OVER () AS line, "
                "coalesce(text, '') AS text "
                f"FROM read_csv({literal(str(path))}, {_ONE_COLUMN})) WHERE line > {skip}"
            )
            self._read()
            (found,) = self._con.execute("SELECT count(*) FROM parsed").fetchall()[0]
        except duckdb.InvalidInputException:
            found = -1
        if found != max(lines - skip, 0):
            self._con.execute("TRUNCATE parsed")
            return False
        return True

    def take(self, block: Block) -> None:
        if block.bad:
            self._set_aside(block.bad)
        if block.numbers is None:
            self._con.execute(_ADD_RANGE, [block.text, block.first, block.first + block.count])
        elif block.numbers:
            self._con.execute(_ADD_LISTED, [block.text, block.numbers])
        self._bytes += len(block.text)
        if self._bytes > _READ_AT_ONCE:
            self.read()

    def read(self) -> None:
        """Read the lines gathered so far: one large statement costs less than many, its planning is dear."""
        self._con.execute("CREATE OR REPLACE TEMP VIEW src AS FROM gathered")
        self._read()
        self._con.execute("TRUNCATE gathered")
        self._bytes = 0

    def _read(self) -> None:
        self._con.execute(f"INSERT INTO parsed {self._canonical(reading(self._con, self._reader))}")

    def _canonical(self, read: str) -> str:
        return canonical(self._reader, read, self._task.source, self._context)

    def _set_aside(self, bad: list[BadLine]) -> None:
        columns = [[b.line for b in bad], [b.reason for b in bad], [b.raw for b in bad]]
        self._con.execute(
            "INSERT INTO bad SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[]), unnest($3::BLOB[])", columns
        )

    def finish(self) -> None:
        """Read the flagged lines one by one."""
        self._con.execute(
            "CREATE OR REPLACE TEMP TABLE flagged AS SELECT line, text FROM parsed WHERE slow AND NOT blank"
        )
        start = 0
        while rows := self._con.execute(
            "SELECT line, text FROM flagged WHERE rowid >= $1 AND rowid < $2", [start, start + _SLOW_AT_ONCE]
        ).fetchall():
            start += _SLOW_AT_ONCE
            self._one_by_one(rows)

    def _one_by_one(self, rows: list[tuple[int, str]]) -> None:
        good: list[tuple[object, ...]] = []
        bad: list[BadLine] = []
        for line, text in rows:
            reason, values = self._reader.slow(text)
            if reason is None:
                good.append((line, text, *values))
            else:
                bad.append(BadLine(line, reason, text.encode()))
        if bad:
            self._set_aside(bad)
        if good:
            names = ["line", "text", *(f"f_{target}" for target in self._reader.targets)]
            unnested = ", ".join(
                f"unnest(${n}::{'BIGINT' if n == 1 else 'VARCHAR'}[]) AS {name}" for n, name in enumerate(names, 1)
            )
            read = f"SELECT *, false AS slow, CAST(NULL AS VARCHAR) AS grammar FROM (SELECT {unnested})"
            columns = [list(column) for column in zip(*good, strict=True)]
            self._con.execute(f"INSERT INTO parsed {self._canonical(read)}", columns)


# -- table formats ------------------------------------------------------------------------------------------------


def table_head(con: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, int]:
    """Columns of a Parquet file as JSON [[name, type], ...], and its rows. Raises duckdb.Error."""
    con.execute("SET VARIABLE raw_path = ?", [str(path)])
    columns = con.execute("DESCRIBE SELECT * FROM read_parquet(getvariable('raw_path'))").fetchall()
    (rows,) = con.execute("SELECT count(*) FROM read_parquet(getvariable('raw_path'))").fetchall()[0]
    listed = con.execute("SELECT CAST(to_json($1::VARCHAR[][]) AS VARCHAR)", [[list(c[:2]) for c in columns]])
    return str(listed.fetchall()[0][0]), int(rows)


def _read_table(con: duckdb.DuckDBPyConnection, raw: RawStore, task: ParseTask, context: Context) -> int:
    raw.verify(task.sha256, task.path)
    head, rows = table_head(con, raw.local(task.sha256))
    reader = FORMATS[task.source.format].reader(task.source, head)
    sql = canonical(reader, reader.sql, task.source, context)
    con.execute(f"CREATE TEMP TABLE parsed AS SELECT * FROM ({sql}) WHERE line >= {task.first_line}")
    return rows


# -- the end of both ----------------------------------------------------------------------------------------------


def _write(con: duckdb.DuckDBPyConnection, task: ParseTask, lines: int) -> Parsed:
    header = FORMATS[task.source.format].header and lines > 0 and task.first_line == 1
    if task.only is not None:
        lines, first = _keep_only(con, task.only)
        header = header and first
    good = "NOT slow AND NOT blank AND reason IS NULL"
    con.execute(
        "INSERT INTO bad SELECT line, reason, encode(text) FROM parsed WHERE reason IS NOT NULL; "
        "CREATE OR REPLACE TEMP VIEW quarantined AS "
        f"SELECT {task.file_id}::INTEGER AS file_id, line, reason, raw FROM bad ORDER BY line; "
        f"CREATE OR REPLACE TEMP VIEW accepted AS FROM parsed WHERE {good}"
    )
    counts = con.execute(
        f"SELECT count(*) FILTER (WHERE {good}), count(*) FILTER (WHERE blank), "
        f"count(*) FILTER (WHERE {good} AND rounded), min(time_us) FILTER (WHERE {good}), "
        f"max(time_us) FILTER (WHERE {good}), count(*) FILTER (WHERE slow) FROM parsed"
    ).fetchall()[0]
    reasons = dict(con.execute("SELECT reason, count(*) FROM bad GROUP BY reason ORDER BY reason").fetchall())
    parsed = Parsed(
        lines=lines,
        events=counts[0],
        earlier=task.first_line - 1,
        quarantined=sum(reasons.values()),
        blank=counts[1] + header,
        rounded=counts[2],
        reasons=reasons,
        min_us=counts[3],
        max_us=counts[4],
    )
    _must_balance(parsed, task)
    # Lines that were read one by one stand at the end.
    order = " ORDER BY line" if counts[5] else ""
    write_parquet(con, f"{disguised(con, task.source)}{order}", task.events)
    if reasons and task.only is None:
        write_parquet(con, "FROM quarantined", task.quarantine)
    else:
        task.quarantine.unlink(missing_ok=True)
    con.execute("DROP VIEW quarantined; DROP VIEW accepted; DROP TABLE parsed; DROP TABLE bad")
    return parsed


def _keep_only(con: duckdb.DuckDBPyConnection, only: str) -> tuple[int, bool]:
    """Forget every line that isn't selected: how many lines are, and whether line 1 is among them."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT line FROM ({only}); "
        "DELETE FROM parsed WHERE line NOT IN (FROM wanted); DELETE FROM bad WHERE line NOT IN (FROM wanted)"
    )
    count, first = con.execute("SELECT count(*), count(*) FILTER (WHERE line = 1) FROM wanted").fetchall()[0]
    return count, first > 0


def _must_balance(parsed: Parsed, task: ParseTask) -> None:
    found = parsed.events + parsed.earlier + parsed.quarantined + parsed.blank
    if found != parsed.lines:
        raise IntegrityFailure(
            f"{parsed.lines} lines, but {found} in buckets: {parsed}",
            where=f"{task.source.name}: {task.path}",
            not_done="the file was not taken",
            next_step="report this with the file: the parser of its format is wrong",
        )
