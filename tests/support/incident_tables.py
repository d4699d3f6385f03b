"""Tables of what was watched, as a build has them, filled by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from orchestration.pipeline.watchtables import write
from orchestration.settings import parse_instant

TEXTS = {
    "instance.yaml": 'entities: [{key: seller, name: S, address: "1 Quay"}]\n',
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: combined, event_type: request}\n",
    "meters.yaml": "meters:\n  - {key: calls, name: C, event_type: request, aggregation: count}\n",
    "plans/basic.yaml": """key: basic
name: Basic
currency: USD
versions:
  - effective: 2026-01-01
    charges: [{key: calls, name: Calls, model: per_unit, meter: calls, price: "0.25"}]
""",
    "customers.csv": "customer,name,address,country,zone,entity\nacme,A,1 Road,DE,Europe/Berlin,seller\n"
    "birch,B,2 Road,US,America/New_York,seller\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start,end\ns,acme,basic,2026-09-01,\nt,birch,basic,2026-09-01,\n",
    "monitoring.yaml": "holds: [traffic_spike, scraping]\n",
}
HOLDS = ("traffic_spike", "scraping")
NOON = parse_instant("2026-10-14T12:00:00Z", "test")
NOW = parse_instant("2026-11-04T09:00:00Z", "test")
PLANTED = ("alarms", "incidents", "unusual_hours", "unusual_series")
REASONS = '{"requests": 0.8, "denied": 0.1}'
HOUR_US = 3_600_000_000


def incident(name: str, customer: str, kind: str, first_us: int, hours: int = 2, observed: str = "412") -> list[Any]:
    """A row of marts.incidents: so many hours, the last of them its peak, where 100 were expected."""
    last_us = first_us + (hours - 1) * HOUR_US
    return [name, customer, kind, first_us, last_us, hours, observed, 100, 60, 150, 9.5, 0.00001, None, kind in HOLDS]


SPIKE = incident("aaaa00000001", "acme", "traffic_spike", NOON)
ROWS = [
    SPIKE,
    incident("aaaa00000002", "acme", "new_country", NOON),
    incident("bbbb00000003", "birch", "scraping", NOON),
]


def plant(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[Any]]) -> None:
    """The tables anew, with these incidents; an alarm for each hour, and one hour of each that was odd as a whole."""
    con.execute("BEGIN")
    for table in PLANTED:
        write(con, table, {})
    for row in rows:
        con.execute(f"INSERT INTO marts.incidents VALUES ({', '.join('?' * len(row))})", row)
    con.execute(
        "INSERT INTO marts.alarms SELECT customer, kind, hour_us, incident, "
        "CASE WHEN hour_us = last_us THEN observed ELSE 300 END, centre, lower, upper, z, p FROM "
        f"(SELECT *, unnest(range(first_us, last_us + 1, {HOUR_US})) AS hour_us FROM marts.incidents)"
    )
    con.execute(
        "INSERT INTO marts.unusual_hours SELECT customer, last_us, 21.5, 9.25, '3f2a', ? FROM marts.incidents",
        [REASONS],
    )
    con.execute("COMMIT")


def plant_published(home: Path, rows: Sequence[Sequence[Any]]) -> None:
    """The same in the published generation, with the hash that it is known by made anew."""
    path = (home / "warehouse" / "current").resolve() / "tallystick.duckdb"
    path.chmod(0o600)
    with duckdb.connect(str(path)) as con:
        plant(con, rows)
    path.chmod(0o444)
    path.with_name(f"{path.name}.sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")
