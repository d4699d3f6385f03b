"""Duplicates and conflicts among events with ids: against the whole history, and within a batch.

The index of the history has one 64-bit hash and a place for each event that counts. It only proposes; sources and ids
are compared themselves. The first committed counts; within a batch the first by time, then by payload hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import duckdb

from orchestration.catalog.sources import Source
from orchestration.ingest.canonical_sql import COLUMNS, property_columns
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import PROPERTY, wanted
from orchestration.ingest.lake import Lake, write_parquet
from orchestration.sqltext import identifier, literal

_NO_PAYLOAD = {"file_id", "line", "source", "event_id", "feed"}
_COLUMNS_OF = {
    "time": ["time_us"],
    "user": ["user_key"],
    "address": ["address_key", "network"],
    "agent": ["agent", "agent_key"],
    "latency": ["latency_us"],
}


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A committed or new lake file with event ids of its own, and the mapping it was read under."""

    file_id: int
    batch_id: int
    path: Path
    source: Source


def payload_hash(source: Source) -> str:
    """SQL: SHA-256 over every field that is there and that the source doesn't ignore, with names and lengths."""
    parts = (f"coalesce({part}, '')" for part in _parts(source).values())
    return f"sha256({' || '.join(parts)})"


def _parts(source: Source) -> dict[str, str]:
    """By column of the payload, SQL for `name=length:value;`, NULL where there is no value."""
    ignored = {column for name in source.ignore for column in (*_COLUMNS_OF.get(name, [name]), PROPERTY + name)}
    # How long a request took is content only where the source says so itself: what a format knows of it may grow.
    ignored |= {"latency_us"} if source.latency is None else set()
    names = [name for name, _ in COLUMNS if name not in _NO_PAYLOAD] + property_columns(source)
    parts = {}
    for name in sorted(set(names) - ignored):
        value = f"CAST({identifier(name)} AS VARCHAR)"
        parts[name] = f"{literal(name + '=')} || strlen({value}) || ':' || {value} || ';'"
    return parts


def _read_as(source: Source) -> dict[str, str]:
    """By column of the payload, where its value comes from: what two mappings read alike can be compared."""
    places = {target: f"constant {value}" for target, value in source.constants.items()}
    places |= {"event_type": f"constant {source.event_type}"} if "event_type" not in places else {}
    places |= wanted(source, FORMATS[source.format].defaults)
    places["time"] = f"{places.get('time')} {source.zone}"
    columns = {column: place for name, place in places.items() for column in _COLUMNS_OF.get(name, [name])}
    columns |= {"latency_us": f"{source.latency}"} if source.latency is not None else {}
    columns["network"] = f"{columns.get('network')} {source.network}"
    columns |= {PROPERTY + name: f"hash of {columns[PROPERTY + name]}" for name in source.hash}
    dropped = {column for name in source.drop for column in _COLUMNS_OF.get(name, [name])}
    return {name: columns[name] for name in _parts(source) if name in columns and name not in dropped}


def judge_batch(
    con: duckdb.DuckDBPyConnection, lake: Lake, batch_id: int, new: Sequence[LakeFile], history: Sequence[LakeFile]
) -> dict[int, tuple[int, int]]:
    """Write the verdicts and keys of a batch.

    Args:
        con: a connection of any number of threads; the files are the same.
        new: the batch's files with ids; `history`: those of all batches before it.
    Returns:
        For each file with verdicts: (duplicates, conflicts), in lines.
    """
    _new_keys(con, new)
    _suspects(con, lake, batch_id)
    _candidates(con, new, history)
    erased = _set_erased_apart(con, lake, [*history, *new])
    con.execute(_VERDICTS, [batch_id])
    if erased:
        con.execute(_OF_ERASED, [[file.file_id for file in new], batch_id])
    write_parquet(con, "SELECT * FROM verdicts ORDER BY file_id, line", lake.verdicts(batch_id))
    write_parquet(
        con,
        "SELECT key, file_id, line FROM new_keys ANTI JOIN verdicts USING (file_id, line) ORDER BY file_id, line",
        lake.keys(batch_id),
    )
    counts = con.execute(
        "SELECT file_id, count(*) FILTER (WHERE verdict = 'duplicate'), count(*) FILTER (WHERE verdict = 'conflict') "
        "FROM verdicts GROUP BY file_id ORDER BY file_id"
    ).fetchall()
    con.execute("DROP TABLE new_keys; DROP TABLE suspects; DROP TABLE candidates; DROP TABLE verdicts")
    return {file_id: (duplicates, conflicts) for file_id, duplicates, conflicts in counts}


def _list(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _new_keys(con: duckdb.DuckDBPyConnection, new: Sequence[LakeFile]) -> None:
    con.execute("CREATE OR REPLACE TEMP TABLE new_keys (key UBIGINT, file_id INTEGER, line BIGINT)")
    if new:
        con.execute(
            "INSERT INTO new_keys SELECT hash(source, event_id), file_id, line "
            f"FROM read_parquet({_list([f.path for f in new])}, union_by_name = true)"
        )


def _suspects(con: duckdb.DuckDBPyConnection, lake: Lake, batch_id: int) -> None:
    """Places, new and old, of every key that occurs more than once in the batch, or in the batch and before."""
    earlier = [path for path in sorted(lake.keys(batch_id).parent.glob("*.parquet")) if int(path.stem) < batch_id]
    # An inner join on one column: only that is pushed down into the scan of the history.
    known = (
        f"SELECT h.key, h.file_id, h.line FROM read_parquet({_list(earlier)}) h JOIN new_keys n ON h.key = n.key"
        if earlier
        else "SELECT * FROM new_keys LIMIT 0"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE suspects AS {known}")
    # Sorting and looking back takes half the time and memory of grouping by a key that is nearly always alone.
    con.execute(
        "INSERT INTO suspects SELECT * FROM new_keys WHERE key IN (SELECT key FROM suspects UNION SELECT key FROM ("
        "SELECT key, key = lag(key) OVER (ORDER BY key) AS again FROM new_keys) WHERE again)"
    )


def _candidates(con: duckdb.DuckDBPyConnection, new: Sequence[LakeFile], history: Sequence[LakeFile]) -> None:
    """The suspects' identity, time and payload, read from the lake under each file's own mapping.

    Where several mappings come together, also the parts of each payload, and in `common` what two mappings read alike.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE candidates (batch_id INTEGER, file_id INTEGER, line BIGINT, source VARCHAR, "
        "event_id VARCHAR, time_us BIGINT, payload_hash VARCHAR, mapping INTEGER, parts MAP(VARCHAR, VARCHAR))"
    )
    suspected = {row[0] for row in con.execute("SELECT DISTINCT file_id FROM suspects").fetchall()}
    groups: dict[tuple[tuple[str, str], ...], list[LakeFile]] = {}
    for file in (*history, *new):
        if file.file_id in suspected:
            groups.setdefault(tuple(sorted(_read_as(file.source).items())), []).append(file)
    for mapping, files in enumerate(groups.values()):
        parts = _parts(files[0].source)
        names, values = ", ".join(map(literal, parts)), ", ".join(parts.values())
        kept = f"MAP([{names}], [{values}])" if len(groups) > 1 else "NULL"
        con.execute(
            "INSERT INTO candidates SELECT batch_id, file_id, line, source, event_id, time_us, "
            f"{payload_hash(files[0].source)}, {mapping}, {kept} FROM read_parquet({_list([f.path for f in files])}) "
            "SEMI JOIN suspects USING (file_id, line) "
            "JOIN (SELECT unnest($1::INTEGER[]) AS file_id, unnest($2::INTEGER[]) AS batch_id) USING (file_id)",
            [[f.file_id for f in files], [f.batch_id for f in files]],
        )
    con.execute("CREATE OR REPLACE TEMP TABLE common (mapping INTEGER, of_mapping INTEGER, names VARCHAR[])")
    for (one, left), (other, right) in permutations(enumerate(groups), 2):
        con.execute("INSERT INTO common VALUES (?, ?, ?)", [one, other, [name for name, _ in {*left} & {*right}]])


def _set_erased_apart(con: duckdb.DuckDBPyConnection, lake: Lake, files: Sequence[LakeFile]) -> bool:
    """Take the events that were erased out of the candidates: their payload is gone, they keep the verdicts they had.

    Whether there are any. All lines of an event are erased together, so what else bears its key came later.
    """
    known = lake.erased_files()
    paths = [known[file.file_id] for file in files if file.file_id in known]
    if not paths:
        return False
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE erased AS FROM read_parquet({_list(paths)}) WHERE event_id IS NOT NULL; "
        "CREATE OR REPLACE TEMP TABLE again AS SELECT * FROM candidates "
        "SEMI JOIN erased USING (source, event_id) ANTI JOIN erased USING (file_id, line); "
        "CREATE OR REPLACE TEMP TABLE candidates AS SELECT * FROM candidates ANTI JOIN erased USING (source, event_id)"
    )
    return True


_OF_ERASED = """
INSERT INTO verdicts
SELECT file_id, line, verdict, of_file_id, of_line, payload_hash, of_payload_hash FROM erased
WHERE verdict IS NOT NULL AND list_contains($1::INTEGER[], file_id)
UNION ALL
SELECT again.file_id, again.line, 'duplicate', erased.file_id, erased.line, again.payload_hash, again.payload_hash
FROM again JOIN erased USING (source, event_id) WHERE erased.verdict IS NULL AND again.batch_id = $2
"""
"""What comes again under the key of an erased event is its duplicate: the key alone is compared."""

# Under one mapping all of the payload is compared, under two what both read in the same way: an event that is sent
# again after a mapping has changed is no conflict.
_VERDICTS = """
CREATE OR REPLACE TEMP TABLE verdicts AS
SELECT file_id, line,
    CASE WHEN payload_hash = of_payload_hash OR list_bool_and(list_transform(
        common.names, lambda name: parts[name] IS NOT DISTINCT FROM of_parts[name]
    )) THEN 'duplicate' ELSE 'conflict' END AS verdict,
    of_file_id, of_line, payload_hash, of_payload_hash
FROM (
    SELECT batch_id, file_id, line, payload_hash, mapping, parts, row_number() OVER first_counts AS place,
        first_value(file_id) OVER first_counts AS of_file_id, first_value(line) OVER first_counts AS of_line,
        first_value(payload_hash) OVER first_counts AS of_payload_hash,
        first_value(mapping) OVER first_counts AS of_mapping, first_value(parts) OVER first_counts AS of_parts
    FROM candidates
    WINDOW first_counts AS (
        PARTITION BY source, event_id ORDER BY batch_id, time_us, payload_hash, file_id, line
    )
)
LEFT JOIN common USING (mapping, of_mapping)
WHERE place > 1 AND batch_id = $1
"""
