"""Lines through a format's reader into the table `parsed`, and those that it refuses into the table `bad`."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from orchestration.catalog.sources import Source
from orchestration.ingest.canonical_sql import Context, canonical, is_blank, parsed_columns
from orchestration.ingest.formats.base import Reader
from orchestration.ingest.lines import BadLine, Block
from orchestration.sqltext import literal

_ONE_COLUMN = (
    "columns = {text: 'VARCHAR'}, delim = '\x01', quote = '', escape = '', new_line = '\\n', header = false, "
    "auto_detect = false"
)
_SLOW_AT_ONCE = 50_000
_READ_AT_ONCE = 64 << 20
_LINES_AT_ONCE = 1_000_000
_ADD_RANGE = (
    "INSERT INTO gathered SELECT unnest(range($2::BIGINT, $3::BIGINT)), unnest(string_split($1::VARCHAR, chr(10)))"
)
_ADD_LISTED = "INSERT INTO gathered SELECT unnest($2::BIGINT[]), unnest(string_split($1::VARCHAR, chr(10)))"


def begin_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Forget what a file before has left."""
    con.execute(
        "DROP TABLE IF EXISTS parsed; CREATE OR REPLACE TEMP TABLE bad (line BIGINT, reason VARCHAR, raw BLOB); "
        "CREATE OR REPLACE TEMP TABLE blanks (line BIGINT, lines BIGINT)"
    )


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


class Lane:
    """Feeds lines through the reader's SQL, and the lines that it flags through the reader's Python.

    Lines come from a file that the engine splits, or in blocks; both give the same.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        reader: Reader,
        source: Source,
        context: Context,
        *,
        each_blank: bool = False,
    ) -> None:
        """`each_blank`: blank lines are kept by number, as it has to be known which they are."""
        self._each_blank = each_blank
        self._con = con
        self._reader = reader
        self._source = source
        self._context = context
        self._bytes = self._lines = 0
        columns = ", ".join(f'"{name}" {kind}' for name, kind in parsed_columns(source))
        begin_tables(con)
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
            if self._read(max(lines - skip, 0)):
                return True
        except duckdb.InvalidInputException:
            pass
        self._con.execute("TRUNCATE parsed; TRUNCATE blanks")
        return False

    def take(self, block: Block) -> None:
        if block.bad:
            self._set_aside(block.bad)
        if block.numbers is None:
            self._con.execute(_ADD_RANGE, [block.text, block.first, block.first + block.count])
        elif block.numbers:
            self._con.execute(_ADD_LISTED, [block.text, block.numbers])
        self._bytes += len(block.text)
        self._lines += block.count - len(block.bad)
        if self._bytes > _READ_AT_ONCE or self._lines > _LINES_AT_ONCE:
            self.read()

    def read(self) -> None:
        """Read the lines gathered so far: one large statement costs less than many, its planning is dear."""
        self._con.execute("CREATE OR REPLACE TEMP VIEW src AS FROM gathered")
        self._read(self._lines)
        self._con.execute("TRUNCATE gathered")
        self._bytes = self._lines = 0

    def _read(self, lines: int) -> bool:
        """Read `src`. Whether it has so many lines. Blank ones are only counted: millions of them cost nothing."""
        sql = self._canonical(reading(self._con, self._reader))
        ((read,),) = self._con.execute(f"INSERT INTO parsed FROM ({sql}) WHERE NOT blank").fetchall()
        if read == lines:
            return True
        kept, having = ("line, 1", "") if self._each_blank else ("min(line), count(*)", " HAVING count(*) > 0")
        self._con.execute(f"INSERT INTO blanks SELECT {kept} FROM src WHERE {is_blank(self._reader)}{having}")
        ((found, blanks),) = self._con.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {is_blank(self._reader)}) FROM src"
        ).fetchall()
        return bool(found == lines and read + blanks == lines)

    def _canonical(self, read: str) -> str:
        return canonical(self._reader, read, self._source, self._context)

    def _set_aside(self, bad: list[BadLine]) -> None:
        columns = [[b.line for b in bad], [b.reason for b in bad], [b.raw for b in bad]]
        self._con.execute(
            "INSERT INTO bad SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[]), unnest($3::BLOB[])", columns
        )

    def finish(self) -> None:
        """Read the flagged lines one by one."""
        self._con.execute("CREATE OR REPLACE TEMP TABLE flagged AS SELECT line, text FROM parsed WHERE slow")
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
