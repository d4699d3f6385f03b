"""The bare engine: one plain script of DuckDB that parses the same files and writes the same columns as Parquet.

It proves nothing: no line is counted or numbered, nothing is hashed, no bad line would be kept, nothing is flushed to
the disk, and users and addresses stay readable. Whatever the ingest does beyond that is its price.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

_CLOUDEVENTS = """
    SELECT 1::INTEGER AS file_id, NULL::BIGINT AS line, source, id AS event_id,
        epoch_us(CAST(time AS TIMESTAMP)) AS time_us, type AS event_type, 'bench' AS feed, subject AS credential,
        data.user AS user_key, NULL::VARCHAR AS method, NULL::VARCHAR AS path, NULL::INTEGER AS status,
        NULL::BIGINT AS bytes, NULL::VARCHAR AS address_key, NULL::VARCHAR AS agent, NULL::VARCHAR AS extra,
        data.model AS p_model, data.tokens AS p_tokens
    FROM read_json('{files}', format = 'newline_delimited', columns = {{
        id: 'VARCHAR', source: 'VARCHAR', type: 'VARCHAR', time: 'VARCHAR', subject: 'VARCHAR',
        data: 'STRUCT("user" VARCHAR, model VARCHAR, tokens VARCHAR)'}})"""

_COMBINED = """
    SELECT 1::INTEGER AS file_id, NULL::BIGINT AS line, 'bench' AS source, NULL::VARCHAR AS event_id,
        epoch_us(strptime(day, '[%d/%b/%Y:%H:%M:%S')) AS time_us, 'request' AS event_type, 'bench' AS feed,
        nullif(account, '-') AS credential, NULL::VARCHAR AS user_key, split_part(request, ' ', 1) AS method,
        split_part(split_part(request, ' ', 2), '?', 1) AS path, CAST(status AS INTEGER) AS status,
        CAST(bytes AS BIGINT) AS bytes, address AS address_key, nullif(split_part(agent, ' ', 1), '-') AS agent,
        NULL::VARCHAR AS extra
    FROM read_csv('{files}', delim = ' ', quote = '"', escape = '"', header = false, auto_detect = false, columns = {{
        address: 'VARCHAR', ident: 'VARCHAR', account: 'VARCHAR', day: 'VARCHAR', zone: 'VARCHAR', request: 'VARCHAR',
        status: 'VARCHAR', bytes: 'VARCHAR', referer: 'VARCHAR', agent: 'VARCHAR'}})"""

_DEDUPE = """
    SELECT * FROM ({read})
    QUALIFY row_number() OVER (PARTITION BY source, event_id ORDER BY time_us, p_model, p_tokens) = 1"""


def parse(kind: str, data: str, target: str, options: str) -> None:
    """Parse all files of the folder `data` and write one Parquet file."""
    _write((_CLOUDEVENTS if kind == "cloudevents" else _COMBINED).format(files=f"{data}/*"), target, options)


def parse_and_dedupe(_: str, data: str, target: str, options: str) -> None:
    """The same for CloudEvents, each event once."""
    _write(_DEDUPE.format(read=_CLOUDEVENTS.format(files=f"{data}/*")), target, options)


def _write(query: str, target: str, options: str) -> None:
    with duckdb.connect() as con:
        con.execute("SET threads = 2; SET TimeZone = 'UTC'")
        con.execute(f"COPY ({query}) TO '{target}' ({options})")


def copy(_: str, data: str, target: str, __: str) -> None:
    """Copy all files of `data` below `target`, each flushed to the disk."""
    folder = Path(target)
    folder.mkdir()
    for path in sorted(Path(data).iterdir()):
        with path.open("rb", buffering=0) as source, (folder / path.name).open("wb", buffering=0) as copied:
            while block := source.read(4 << 20):
                copied.write(block)
            os.fsync(copied.fileno())
