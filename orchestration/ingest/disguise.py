"""What names a person: kept as a keyed hash, and what is wanted of it otherwise is derived first.

Each distinct value is hashed once for a file, not once for each line: hashing costs more than reading.
"""

from __future__ import annotations

import ipaddress

import duckdb

from orchestration.catalog.sources import Network, Source
from orchestration.ingest.canonical_sql import lake_columns
from orchestration.ingest.engine import keyed_hash
from orchestration.ingest.formats.base import PROPERTY
from orchestration.sqltext import identifier

MAX_AGENT = 64
_TOKEN = "[A-Za-z0-9!#$%&''*+.^_`|~-]+"
_FAMILY = f"nullif(left(regexp_extract(value, '^{_TOKEN}(/{_TOKEN})?'), {MAX_AGENT}), '')"
"""SQL: family and version of a client, the first product that its user agent names (RFC 9110, 10.1.5)."""
_HASHED = ("user_key", "address_key", "agent_key")
_AT_ONCE = 100_000


def disguised(con: duckdb.DuckDBPyConnection, source: Source) -> str:
    """SQL: the lake's columns of the rows in the relation `accepted`.

    Users, addresses, user agents and the properties that the source lists under `hash` are HMAC-SHA-256 under the
    instance key; the client's family and version, and the address's network if asked for, stand beside them in plain.
    """
    names = lake_columns(source)
    hashed = [*_HASHED, *(f"{PROPERTY}{name}" for name in source.hash if f"{PROPERTY}{name}" in names)]
    columns, joins = {name: f"a.{identifier(name)}" for name in names}, ""
    for number, name in enumerate(hashed):
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE hashed_{number} AS SELECT value, {keyed_hash('value')} AS hash, "
            f"{_FAMILY if name == 'agent_key' else 'NULL::VARCHAR'} AS family, NULL::VARCHAR AS network FROM "
            f"(SELECT DISTINCT {identifier(name)} AS value FROM accepted) WHERE value IS NOT NULL"
        )
        if not con.execute(f"SELECT 1 FROM hashed_{number} LIMIT 1").fetchall():
            continue
        joins += f" LEFT JOIN hashed_{number} AS h{number} ON h{number}.value = a.{identifier(name)}"
        columns[name] = f"h{number}.hash"
        if name == "agent_key":
            columns["agent"] = f"h{number}.family"
        if name == "address_key" and source.network is not None:
            _find_networks(con, f"hashed_{number}", source.network)
            columns["network"] = f"h{number}.network"
    listed = ", ".join(f"{value} AS {identifier(name)}" for name, value in columns.items())
    return f"SELECT {listed} FROM accepted AS a{joins}"


def _find_networks(con: duckdb.DuckDBPyConnection, table: str, network: Network) -> None:
    """Fill the column `network` of a table of distinct addresses."""
    con.execute("CREATE OR REPLACE TEMP TABLE networks (value VARCHAR, network VARCHAR)")
    values = [value for (value,) in con.execute(f"SELECT value FROM {table}").fetchall()]
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE]
        con.execute(
            "INSERT INTO networks SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])",
            [part, [network_of(value, network) for value in part]],
        )
    con.execute(f"UPDATE {table} SET network = n.network FROM networks AS n WHERE n.value = {table}.value")


def network_of(address: str, network: Network) -> str | None:
    """`203.0.113.0/24` of `203.0.113.9`; None for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    bits = network.ipv4 if found.version == 4 else network.ipv6
    return str(ipaddress.ip_network((found, bits), strict=False))
