"""Rating lines: `python -m tests.bench.rating [--lines N] [--days N]`.

Of 20 lines, 8 are tiered (graduated or volume, with flat fees and a price version), 4 are percentages of events (with
free ones and bounds), 4 are of a customer with a commitment, a coupon and two taxes (a fee, two prices a unit, what
tops up to the commitment), 2 are fees and 2 have prices a unit of what is converted and rounded up. Each has so many
days of usage in a month that has ended.

A line goes from quantities in the engine's table to its stored row: the formula with all its numbers, the amounts of
its days, the digest of its terms. Those with coupon and tax are then read again and made into documents, as canonical
bytes with all sums checked. That is done by one process, and shared out by customers over two, which is what a machine
of two cores can do; no process holds more than the lines of some thousand customers at a time. Not in it: measuring,
and what a run does once for a catalog (its segments, `prepare`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

import duckdb

from orchestration.billing.due import grouped
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.numbering import numbered
from orchestration.closing.statements import all_due
from orchestration.ledger.rows import document_row
from orchestration.metering.control import charged_segments
from orchestration.pipeline.rated import rate_changed, read_lines
from orchestration.settings import parse_instant
from tests.bench.measure import Measured, machine, measured, table

PLAIN = """
key: plain
name: Plain
currency: EUR
versions:
  - effective: 2020-01-01
    charges:
      - {key: fee, name: Fee, model: flat, amount: "10.00"}
      - {key: calls, name: Calls, model: graduated, meter: calls,
         tiers: [{up_to: "1000", price: "0.0018"}, {up_to: "20000", price: "0.0012"}, {price: "0.0009"}]}
      - {key: bytes, name: Bytes, model: graduated, meter: bytes,
         tiers: [{up_to: "50000", price: "0.00018", flat_fee: "1"}, {price: "0.00012"}]}
      - {key: tokens, name: Tokens, model: graduated, meter: tokens, discount_percent: "5", minimum: "3",
         tiers: [{up_to: "5000", price: "0.0015"}, {price: "0.0012"}]}
      - {key: disk, name: Disk, model: volume, meter: disk,
         tiers: [{up_to: "30000", price: "0.002"}, {price: "0.0017", flat_fee: "2"}]}
      - {key: card, name: Card, model: percentage, meter: card, rate: "0.029", fixed: "0.30"}
      - {key: transfer, name: Transfer, model: percentage, meter: transfer, rate: "0.008", fixed: "0.05",
         free_events: 10, min_per_event: "0.10", max_per_event: "5"}
      - {key: other, name: Other, model: per_unit, meter: other, price: "0.003",
         convert: {divide_by: "1000", unit: thousand, rounding: up}}
"""
COMMITTED = """
key: committed
name: Committed
currency: EUR
versions:
  - effective: 2020-01-01
    commitment: {amount: "2000"}
    charges:
      - {key: base, name: Base, model: flat, amount: "40.00"}
      - {key: calls, name: Calls, model: per_unit, meter: calls, price: "0.0015"}
      - {key: tokens, name: Tokens, model: per_unit, meter: tokens, price: "0.0008"}
"""
TAXES = """
rates:
  - {category: standard, name: State, percent: "8.25"}
  - {category: standard, name: City, percent: "1.375"}
"""
SUMS = {"plain": ("calls", "bytes", "tokens", "disk", "other"), "committed": ("calls", "tokens")}
EVENTS = {"card": ("units",), "transfer": ("free", "units", "at_min", "at_max")}
"""By meter of events what those of a day pay; `free` on the first day."""
MIX = {"tiered": 8, "percentage": 4, "commitment, coupon and tax": 4, "fee": 2, "per unit, converted": 2}
LINES, CUSTOMERS = sum(MIX.values()), 3
"""So many lines of so many customers: two plain ones, and one with a commitment."""
CUT_OFF, NOW = date(2026, 11, 1), parse_instant("2026-11-03T06:00:00Z", "now")
MEASURED = (
    "line_id VARCHAR, local_day DATE, quantity DECIMAL(38, 9), window_us BIGINT, windows BIGINT, rank BIGINT, "
    "value VARCHAR, cell VARCHAR, hour_us BIGINT, events BIGINT, part VARCHAR"
)


def catalog_of(first: int, end: int) -> Catalog:
    """A catalog of the customers `first` to `end`; every third has a commitment."""
    plans = {n: "committed" if n % CUSTOMERS == 2 else "plain" for n in range(first, end)}
    charges = PLAIN.split("charges:\n")[1].replace('"0.0012"', '"0.0011"').replace('"0.029"', '"0.028"')
    return parse_catalog(
        {
            "instance.yaml": 'entities: [{key: seller, name: Seller, address: "1 Quay", series: T}]\n',
            "meters.yaml": "meters:\n"
            + "".join(
                f"  - {{key: {key}, name: {key}, event_type: e, aggregation: sum, value: bytes}}\n"
                for key in (*SUMS["plain"], *EVENTS)
            ),
            "sources.yaml": "sources:\n  - {name: logs, path: '*.log', format: combined, event_type: e}\n",
            "plans/plain.yaml": f"{PLAIN}  - effective: 2026-10-16\n    charges:\n{charges}",
            "plans/committed.yaml": COMMITTED,
            "taxes.yaml": TAXES,
            "coupons.yaml": "coupons:\n"
            + "".join(
                f'  - {{id: off{n}, customer: c{n}, issued: 2026-01-01, percent: "10", lasts: forever}}\n'
                for n, plan in plans.items()
                if plan == "committed"
            ),
            "customers.csv": "customer,name,address,country,zone,entity,terms_days\n"
            + "".join(f"c{n},C{n},1 Road,DE,Europe/Berlin,seller,30\n" for n in plans),
            "credentials.csv": "credential,customer\n",
            "subscriptions.csv": "subscription,customer,plan,start,end\n"
            + "".join(f"s{n},c{n},{plan},2026-10-01,{CUT_OFF}\n" for n, plan in plans.items()),
        }
    )


def measure(con: duckdb.DuckDBPyConnection, first: int, end: int, days: int) -> None:
    """Quantities of every charge with a meter, on so many days."""
    parts = [(charge, "units", n % 3 == 2) for n in (0, 2) for charge in SUMS["committed" if n == 2 else "plain"]]
    parts += [(charge, part, False) for charge, found in EVENTS.items() for part in found]
    values = ", ".join(f"('{charge}', '{part}', {committed})" for charge, part, committed in parts)
    con.execute(f"""
        INSERT INTO marts.charge_quantities
        SELECT 's' || n || '/' || charge || '/2026-10-01', DATE '2026-10-01' + CAST(d AS INTEGER),
            (hash(n, charge, part, d) % 10000000000) / 1000000, NULL, 1, NULL, '', '', NULL,
            CASE WHEN charge IN ('card', 'transfer') THEN 1 + hash(n, charge, part, d, 1) % 20 ELSE 0 END, part
        FROM (VALUES {values}) AS parts(charge, part, committed)
        JOIN (SELECT n, n % {CUSTOMERS} = 2 AS committed FROM range({first}, {end}) AS numbers(n)) USING (committed)
        JOIN (SELECT (31 * d) // {days} AS d FROM range({days}) AS numbers(d)) ON part <> 'free' OR d = 0
    """)


def rated(folder: str, first: int, end: int, days: int) -> dict[str, int | float]:
    """Rate the customers `first` to `end` in a database of their own: lines, documents, and seconds of each part."""
    home = Path(folder) / f"{first}"
    home.mkdir()
    spent: dict[str, int | float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        begun = process_time()
        yield
        spent[name] = process_time() - begun

    catalog = catalog_of(first, end)
    with timed("segments"):
        charged = charged_segments(catalog, NOW)
    with duckdb.connect(str(home / "build.duckdb")) as con:
        con.execute("SET threads = 1; SET memory_limit = '1GB'; CREATE SCHEMA marts; CREATE SCHEMA control")
        con.execute("CREATE TABLE control.touched_lines (line_id VARCHAR)")
        con.execute(f"CREATE TABLE marts.charge_quantities ({MEASURED})")
        measure(con, first, end, days)
        with timed("rating"):
            rate_changed(con, catalog, charged, home)
        with timed("documents"):
            lines = list(read_lines(con, "plan = 'committed'"))
            groups = grouped(all_due(catalog, lines, {}, CUT_OFF), catalog.seller)
            bodies, _ = numbered(catalog, groups, CUT_OFF, NOW, 1, lambda series: 0)
            made = [document_row(body, 1) for body in bodies]
        (spent["lines"],) = con.execute("SELECT count(*) FROM record.rated_lines").fetchall()[0]
    return spent | {"documents made": len(made)}


def shared(lines: int, days: int, processes: int, chunk: int = 3_000) -> dict[str, float]:
    """Rate so many lines by so many processes, some thousand customers at a time: sums over all of them."""
    customers = lines // LINES * CUSTOMERS
    parts = [(n, min(n + chunk, customers)) for n in range(0, customers, chunk)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, get_context("spawn").Pool(processes) as pool:
        found = pool.starmap(rated, [(folder, *part, days) for part in parts], chunksize=1)
    return {name: sum(one[name] for one in found) for name in found[0]}


def _row(name: str, lines: int, processes: int, cost: Measured) -> list[str]:
    found: dict[str, Any] = cost.result
    if found["lines"] != lines or found["documents made"] != lines // LINES:
        raise SystemExit(f"{lines} lines were asked for, {found['lines']} and {found['documents made']} documents made")
    seconds = (found["rating"] + found["documents"]) / processes
    parts = (found[part] * 1_000_000 / lines for part in ("rating", "documents"))
    per_line = (f"{us:.0f}" for us in parts)
    return [name, f"{lines:,}", f"{seconds:.1f}", *per_line, f"{cost.wall:.1f}", f"{cost.memory:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=10, help="days with usage of each line")
    asked = parser.parse_args()
    lines = asked.lines // LINES * LINES
    print(machine(), flush=True)
    print(", ".join(f"{100 * n // LINES}% {name}" for name, n in MIX.items()), flush=True)
    rows = []
    for name, processes, count in (("one process", 1, lines // 10 // LINES * LINES), ("two processes", 2, lines)):
        rows.append(_row(name, count, processes, measured("tests.bench.rating:shared", count, asked.days, processes)))
    heads = [
        "rated by",
        "lines",
        "s",
        "CPU us a line",
        "documents, CPU us a line",
        "wall s with all",
        "peak MB of the parent",
    ]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
