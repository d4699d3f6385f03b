"""Tab-separated values with a header line and a column mapping, as IANA registers them: no quoting, a quote is text.

An empty field is a missing value. Where fields are quoted, use format `csv` with a tab as its delimiter. `time` may
say how it is written (`ts as epoch_ms`). Without an `id` column events are known by place.
"""

from __future__ import annotations

from orchestration.catalog.sources import Source
from orchestration.errors import Problem
from orchestration.ingest.engine import without_cr
from orchestration.ingest.formats.base import LineFormat, Reader, SlowResult, check_names, time_unit, wanted
from orchestration.ingest.formats.csv import column_place, header_fits

NOT_TSV = "not_tsv"
_TAB = "\t"


class Tsv(LineFormat):
    """Format 'tsv'."""

    name = "tsv"
    header = True
    head = 1

    def positional(self, source: Source) -> bool:
        return "id" not in source.fields

    def check(self, source: Source) -> list[Problem]:
        problems = check_names(source, bool, "a column name", units=True)
        if "time" not in source.fields:
            problems.append(Problem("no_time_column", "no column is mapped to 'time'", f"source '{source.name}'"))
        return problems

    def reader(self, source: Source, head: str) -> Reader:
        columns = head.rstrip("\r").split(_TAB)
        chosen = wanted(source, {})
        style = time_unit(chosen, "iso")
        places = {target: column_place(columns, name) for target, name in chosen.items()}
        fields = "".join(f", nullif(c[{n + 1}], '') AS f_{target}" for target, n in places.items())
        sql = f"""
            SELECT line, text, false AS slow, CASE WHEN len(c) <> {len(columns)} THEN '{NOT_TSV}' END AS grammar{fields}
            FROM (SELECT line, text, string_split({without_cr("text")}, chr(9)) AS c FROM src)"""
        return Reader(tuple(places), sql, lambda text: _slow(text, len(columns), places), style)

    def recognises(self, source: Source, lines: list[str]) -> int:
        return header_fits(source, lines, lambda line: line.split(_TAB))


def _slow(text: str, count: int, places: dict[str, int]) -> SlowResult:
    record = text.rstrip("\r").split(_TAB)
    if len(record) != count:
        return NOT_TSV, (None,) * len(places)
    return None, tuple(record[place] or None for place in places.values())


FORMAT = Tsv()
