"""One raw file to its two lake files, every line in exactly one bucket. The only way in which a raw file is ever read.

`parse_file` is a pure function of the raw bytes and of `ParseTask`: ingest, rebuild and audit call it alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.catalog.models import Source
from orchestration.errors import IntegrityFailure
from orchestration.ingest.canonical_sql import Context, canonical, lake_columns, parsed_columns
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import Reader
from orchestration.ingest.inflate import Refused, inflated
from orchestration.ingest.lake import write_parquet
from orchestration.ingest.lines import BOM, MAX_LINE, BadLine, Block, blocks
from orchestration.ingest.raw import RawStore

PARSER_VERSION = "1"
"""Goes up when a line could come to mean something else; the ledger records it with each batch."""

_SLOW_AT_ONCE = 50_000
_READ_AT_ONCE = 64 << 20
_ADD_RANGE = "INSERT INTO src SELECT unnest(range($2::BIGINT, $3::BIGINT)), unnest(string_split($1::VARCHAR, chr(10)))"
_ADD_LISTED = "INSERT INTO src SELECT unnest($2::BIGINT[]), unnest(string_split($1::VARCHAR, chr(10)))"


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
    if FORMATS[task.source.format].table:
        lines = _read_table(con, raw, task, context)
    else:
        lines = _read_lines(con, raw, task, context)
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
    reader = form.reader(task.source, head)
    lane = _Lane(con, reader, task, context)
    skip = max(task.first_line - 1, 1 if form.header else 0)
    counted = _Counted(text())
    for block in blocks(counted, skip):
        lane.take(block)
    lane.finish()
    return counted.lines()


class _Counted:
    """Passes chunks through and counts the lines in them, independently of how they are cut into blocks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._newlines = 0
        self._last = b"\n"

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if chunk:
                self._newlines += chunk.count(b"\n")
                self._last = chunk[-1:]
                yield chunk

    def lines(self) -> int:
        return self._newlines + (self._last != b"\n")


class _Lane:
    """Feeds blocks of lines through the reader's SQL, and the lines that it flags through the reader's Python."""

    def __init__(self, con: duckdb.DuckDBPyConnection, reader: Reader, task: ParseTask, context: Context) -> None:
        self._con = con
        self._reader = reader
        self._task = task
        self._context = context
        self._bytes = 0
        self._sql = f"INSERT INTO parsed {self._canonical(reader.sql)}"
        columns = ", ".join(f'"{name}" {kind}' for name, kind in parsed_columns(task.source))
        con.execute(
            f"CREATE TEMP TABLE parsed ({columns}); CREATE OR REPLACE TEMP TABLE src (line BIGINT, text VARCHAR)"
        )

    def _canonical(self, read: str) -> str:
        return canonical(self._reader, read, self._task.source, self._context)

    def take(self, block: Block) -> None:
        if block.bad:
            self._set_aside(block.bad)
        if block.numbers is None:
            self._con.execute(_ADD_RANGE, [block.text, block.first, block.first + block.count])
        elif block.numbers:
            self._con.execute(_ADD_LISTED, [block.text, block.numbers])
        self._bytes += len(block.text)
        if self._bytes > _READ_AT_ONCE:
            self._read()

    def _read(self) -> None:
        """Read the lines gathered so far: one large statement costs less than many, its planning is dear."""
        self._con.execute(self._sql)
        self._con.execute("TRUNCATE src")
        self._bytes = 0

    def _set_aside(self, bad: list[BadLine]) -> None:
        columns = [[b.line for b in bad], [b.reason for b in bad], [b.raw for b in bad]]
        self._con.execute(
            "INSERT INTO bad SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[]), unnest($3::BLOB[])", columns
        )

    def finish(self) -> None:
        """Read what is left, then the flagged lines one by one."""
        self._read()
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
    head, rows = table_head(con, raw.path(task.sha256))
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
    columns = ", ".join(f'"{name}"' for name in lake_columns(task.source))
    good = "NOT slow AND NOT blank AND reason IS NULL"
    con.execute(
        "INSERT INTO bad SELECT line, reason, encode(text) FROM parsed WHERE reason IS NOT NULL; "
        "CREATE OR REPLACE TEMP VIEW quarantined AS "
        f"SELECT {task.file_id}::INTEGER AS file_id, line, reason, raw FROM bad ORDER BY line"
    )
    counts = con.execute(
        f"SELECT count(*) FILTER (WHERE {good}), count(*) FILTER (WHERE blank), "
        f"count(*) FILTER (WHERE {good} AND rounded), min(time_us) FILTER (WHERE {good}), "
        f"max(time_us) FILTER (WHERE {good}) FROM parsed"
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
    write_parquet(con, f"SELECT {columns} FROM parsed WHERE {good} ORDER BY line", task.events)
    if reasons and task.only is None:
        write_parquet(con, "FROM quarantined", task.quarantine)
    else:
        task.quarantine.unlink(missing_ok=True)
    con.execute("DROP VIEW quarantined; DROP TABLE parsed; DROP TABLE bad")
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
