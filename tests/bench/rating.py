"""Rating lines: `python -m tests.bench.rating [--lines N] [--days N] [--rounds N]`.

Customers with five charges each (two graduated over tiers, one at a price a unit, all over a price version, a fee, one
converted and rounded up) and so many days of usage a month are rated from quantities in the engine's tables to
stored rows with the amounts of their days: by one process, and shared out by customers over two, which is what a
machine of two cores can do. Nothing but the lines of one customer is held at a time.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.metering.control import charged_segments
from orchestration.pipeline.rated import rate_changed
from tests.bench.measure import Measured, machine, measured, table
from tests.bench.world import now_after

PLAN = """
key: mixed
name: Mixed
currency: EUR
versions:
  - effective: 2020-01-01
    charges: &charges
      - {key: fee, name: Fee, model: flat, amount: "10.00"}
      - {key: calls, name: Calls, model: graduated, meter: calls,
         tiers: [{up_to: "1000", price: "0.0018"}, {up_to: "20000", price: "0.0012"}, {price: "0.0009"}]}
      - {key: bytes, name: Bytes, model: graduated, meter: bytes,
         tiers: [{up_to: "50000", price: "0.00018", flat_fee: "1"}, {price: "0.00012"}]}
      - {key: tokens, name: Tokens, model: per_unit, meter: tokens, price: "0.000015"}
      - {key: other, name: Other, model: per_unit, meter: other, price: "0.003",
         convert: {divide_by: "1000", unit: thousand, rounding: up}}
"""
CHARGES = 5
METERS = "".join(
    f"  - {{key: {key}, name: {key}, event_type: e, aggregation: sum, value: bytes}}\n"
    for key in ("calls", "bytes", "tokens", "other")
)
LAST = date(2026, 10, 30)
MEASURED = (
    "line_id VARCHAR, local_day DATE, quantity DECIMAL(38, 9), window_us BIGINT, windows BIGINT, rank BIGINT, "
    "value VARCHAR, cell VARCHAR, hour_us BIGINT, events BIGINT, part VARCHAR"
)


def catalog_of(first: int, end: int) -> Catalog:
    """A catalog of the customers `first` to `end`."""
    numbers = range(first, end)
    later = PLAN.split("charges: &charges\n")[1].replace('"0.000015"', '"0.000014"')
    return parse_catalog(
        {
            "instance.yaml": 'entities: [{key: seller, name: Seller, address: "1 Quay", series: T}]\n',
            "meters.yaml": f"meters:\n{METERS}",
            "sources.yaml": "sources:\n  - {name: logs, path: '*.log', format: combined, event_type: e}\n",
            "plans/mixed.yaml": f"{PLAN.replace(' &charges', '')}  - effective: 2026-10-16\n    charges:\n{later}",
            "customers.csv": "customer,name,address,country,zone,entity,terms_days\n"
            + "".join(f"c{n},C{n},1 Road,DE,Europe/Berlin,seller,30\n" for n in numbers),
            "credentials.csv": "credential,customer\n",
            "subscriptions.csv": "subscription,customer,plan,start\n"
            + "".join(f"s{n},c{n},mixed,2026-10-01\n" for n in numbers),
        }
    )


def rated(folder: str, first: int, end: int, days: int) -> tuple[int, float]:
    """Rate the customers `first` to `end` in a database of their own; lines, and seconds without the preparation."""
    catalog, home = catalog_of(first, end), Path(folder) / f"{first}"
    home.mkdir()
    charged = charged_segments(catalog, now_after(LAST))
    with duckdb.connect(str(home / "build.duckdb")) as con:
        con.execute("SET threads = 1; SET memory_limit = '1GB'; CREATE SCHEMA marts; CREATE SCHEMA control")
        con.execute(f"CREATE TABLE control.touched_lines (line_id VARCHAR); CREATE TABLE lines ({MEASURED})")
        con.execute(f"CREATE TABLE marts.charge_quantities ({MEASURED})")
        con.execute(
            "INSERT INTO marts.charge_quantities SELECT line_id, DATE '2026-10-01' + CAST(d AS INTEGER), "
            "(hash(line_id, d) % 10000000000) / 1000000, NULL, 1, NULL, '', '', NULL, 0, 'units' "
            "FROM (SELECT unnest(['calls', 'bytes', 'tokens', 'other']) AS charge) JOIN "
            f"(SELECT n, 's' || n AS sub FROM range({first}, {end}) AS numbers(n)) ON true "
            f"JOIN (SELECT (31 * d) // {days} AS d FROM range({days}) AS numbers(d)) ON true, "
            "(SELECT 1), LATERAL (SELECT sub || '/' || charge || '/2026-10-01' AS line_id)"
        )
        begun = process_time()
        rate_changed(con, catalog, charged, home)
        seconds = process_time() - begun
        (count,) = con.execute("SELECT count(*) FROM record.rated_lines").fetchall()[0]
    return count, seconds


def shared(lines: int, days: int, processes: int, chunk: int = 4_000) -> dict[str, Any]:
    """Rate so many lines by so many processes, some thousand customers at a time."""
    customers = lines // CHARGES
    parts = [(n, min(n + chunk, customers)) for n in range(0, customers, chunk)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, get_context("spawn").Pool(processes) as pool:
        found = pool.starmap(rated, [(folder, *part, days) for part in parts])
    return {"lines": sum(count for count, _ in found), "seconds": sum(seconds for _, seconds in found) / processes}


def _row(name: str, lines: int, cost: Measured) -> list[str]:
    found = cost.result
    if found["lines"] != lines:
        raise SystemExit(f"{lines} lines were asked for, {found['lines']} were rated")
    per_line = found["seconds"] * 1_000_000 / lines
    return [name, f"{lines:,}", f"{found['seconds']:.1f}", f"{per_line:.0f}", f"{cost.wall:.1f}", f"{cost.memory:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=10, help="days with usage of each line")
    asked = parser.parse_args()
    lines = asked.lines // CHARGES * CHARGES
    print(machine(), flush=True)
    rows = []
    for name, processes, count in (("one process", 1, lines // 10 // CHARGES * CHARGES), ("two processes", 2, lines)):
        rows.append(_row(name, count, measured("tests.bench.rating:shared", count, asked.days, processes)))
    print(table(["rated by", "lines", "rating s", "us a line", "all s", "peak MB of the parent"], rows))


if __name__ == "__main__":
    main()
