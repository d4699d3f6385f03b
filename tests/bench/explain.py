"""How long it takes to explain the largest line: `python -m tests.bench.explain [--events N] [--rounds N]`.

One customer has 99% of the events of a month, which lie in a file a UTC day; the document is issued from them, and the
evidence of its lines is written as a close does. Then `tallystick explain` runs in new processes, after the page cache
was dropped where the machine lets one: from the warehouse, and from the events where there is no warehouse. The sums of
what it says must be those of the document, or the run stops.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from orchestration.catalog import load_catalog
from orchestration.closing.close import Knowledge, due_groups, issue
from orchestration.closing.rated import Quantity, rate_all
from orchestration.engine import load_rows
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.metering.lakeview import path_list
from orchestration.pipeline.generation import publish, start_build
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.prepare import FILE_COLUMNS, open_build
from orchestration.pipeline.trail import fold_trail
from orchestration.zones import midnight_us
from tests.bench.measure import ROOT, machine, table
from tests.bench.world import KEYS, NOBODYS, days_before, make_instance, now_after, write_history

FIRST, CUT_OFF = date(2026, 10, 1), date(2026, 11, 1)
DAYS = days_before(date(2026, 10, 31), 32)
ZONE = "Europe/Berlin"
LARGE = KEYS - NOBODYS
"""So many of the keys, 99 of 100, belong to the large customer."""
TARGET = 2.0
CATALOG = {
    "plans/usual.yaml": """
        key: usual
        name: Usual
        currency: USD
        interval: month
        versions:
          - effective: 2020-01-01
            charges:
              - {key: base, name: Base fee, model: flat, amount: "10.00", due: arrears}
              - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.01"}
              - {key: tokens, name: Tokens, model: graduated, meter: tokens,
                 tiers: [{up_to: "1000000", price: "0.0001"}, {price: "0.00005"}]}
    """,
    "customers.csv": "customer,name,address,country,tax_id,zone,entity,terms_days\n"
    + "".join(f"{key},{key},1 Road,DE,,{ZONE},seller,30\n" for key in ("large", "small")),
    "credentials.csv": "credential,customer,source,valid_from,valid_to\n"
    + "".join(f"ak_{n:06d},{'large' if n < LARGE else 'small'},,,\n" for n in range(KEYS)),
    "subscriptions.csv": "subscription,customer,plan,start,end,stacking\n"
    + "".join(f"s-{key},{key},usual,{FIRST},,\n" for key in ("large", "small")),
}


def make(home: Path, events: int) -> tuple[str, str]:
    """An instance of so many events, with an issued October; number and position of the line with the most tokens."""
    home.mkdir(parents=True, exist_ok=True)
    make_instance(home, FIRST)
    for name, text in CATALOG.items():
        (home / "catalog" / name).write_text(textwrap.dedent(text).lstrip())
    write_history(home, DAYS, events // len(DAYS))
    catalog, now_us = load_catalog(home / "catalog"), now_after(date(2026, 11, 4))
    charged = charged_segments(catalog, now_us)
    with Ledger.open(home) as ledger:
        lines = rate_all(catalog, charged, _quantities(home))
        groups = due_groups(catalog, ledger, lines, CUT_OFF)
        result = issue(catalog, ledger, groups, CUT_OFF, {}, Knowledge(now_us, len(DAYS), "bench"))
    [body] = [json.loads(row.body) for row in result.documents if row.customer == "large"]
    return body["number"], next(line["position"] for line in body["lines"] if line["charge"] == "tokens")


def _quantities(home: Path) -> dict[str, list[Quantity]]:
    """Requests and tokens by local day, as few files at a time as have a part of it."""
    lake, found = Lake(home / "lake"), defaultdict(list)
    paths = {day: lake.events(number, number) for number, day in enumerate(DAYS, 1)}
    with duckdb.connect() as con:
        for day in DAYS[1:]:
            start, end = midnight_us(ZONE, day), midnight_us(ZONE, day + timedelta(days=1))
            rows = con.execute(
                f"SELECT CASE WHEN credential < 'ak_{LARGE:06d}' THEN 's-large' ELSE 's-small' END, count(*), "
                "sum(CAST(p_tokens AS DECIMAL(38, 9))) "
                f"FROM read_parquet({path_list([paths[day - timedelta(days=1)], paths[day]])}) "
                f"WHERE time_us >= {start} AND time_us < {end} GROUP BY 1 ORDER BY 1"
            ).fetchall()
            for subscription, number, tokens in rows:
                found[f"{subscription}/requests/{FIRST}"].append(Quantity(day, Decimal(number)))
                found[f"{subscription}/tokens/{FIRST}"].append(Quantity(day, tokens))
    return found


def keep(home: Path) -> float:
    """Write the evidence as the build after a close does, and publish it; the seconds it took."""
    instance, catalog = Instance(home), load_catalog(home / "catalog")
    start_build(instance, fresh=True)
    with Ledger.open(home) as ledger, open_build(instance) as con:
        load_rows(con, "record.files", FILE_COLUMNS, map(asdict, ledger.files()), instance.scratch)
        begun = time.perf_counter()
        fold_trail(con, instance, ledger, catalog)
        took = time.perf_counter() - begun
    publish(instance)
    return took


def drop_caches() -> bool:
    """Forget all files that were read; whether the machine let us."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        return False
    return True


def explained(home: Path, number: str, position: str, *more: str) -> tuple[float, float, dict[str, Any]]:
    """Wall and CPU seconds of the whole command in a process of its own, and what it said."""
    command = [sys.executable, "-m", "orchestration.cli", "explain", number, position, "--home", str(home), "--json"]
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run([*command, *more], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    told = json.loads(done.stdout)
    _must_add_up(told)
    return wall, cpu, told


def _must_add_up(told: dict[str, Any]) -> None:
    evidence, line = told["evidence"], told["line"]
    for rows in (told["days"], told["files"]):
        for name in ("events", "quantity", "amount"):
            if sum(Fraction(row[name]) for row in rows) != Fraction(evidence[name]):
                raise SystemExit(f"{name} by day or file is not that of the line: {evidence}")
    amount = Fraction(evidence["amount"]) + sum(Fraction(part["amount"]) for part in evidence["parts"])
    if Fraction(evidence["quantity"]) != Fraction(line["measured"]) or amount != Fraction(line["amount"]):
        raise SystemExit(f"the events are not those of the line: {evidence}, {line['measured']}, {line['amount']}")


def report(home: Path, events: int, rounds: int) -> str:
    number, position = make(home, events)
    instance, rows, told = Instance(home), [], []

    def measure(name: str, *more: str) -> None:
        cold = drop_caches()
        found = [(drop_caches(), *explained(home, number, position, *more))[1:] for _ in range(rounds)]
        walls, cpus = [wall for wall, _, _ in found], [cpu for _, cpu, _ in found]
        told.append(found[0][2])
        spread = f"{min(walls):.2f} / {median(walls):.2f} / {max(walls):.2f}"
        rows.append([name, "cold" if cold else "not cold", spread, f"{min(cpus):.2f}"])

    took = keep(home)
    measure("from the warehouse")
    measure("with --events, as Parquet", "--events", str(home / "events.parquet"))
    instance.current.unlink()
    measure("from the events, no warehouse")
    if any(one != told[0] for one in told):
        raise SystemExit("the warehouse and the events tell the line otherwise")
    with duckdb.connect() as con:
        written = con.execute(f"SELECT count(*), sum(amount) FROM '{home}/events.parquet'").fetchall()
    if [tuple(map(Fraction, row)) for row in written] != [
        (Fraction(told[0]["evidence"]["events"]), Fraction(told[0]["evidence"]["amount"]))
    ]:
        raise SystemExit(f"what was written is not the evidence: {written}")
    heads = ["explained", "page cache", "wall s: least / median / greatest", "CPU s, least"]
    return (
        f"{table(heads, rows)}\n{told[0]['evidence']['events']} of {events} events behind the line, "
        f"{len(told[0]['files'])} files; all ways agree; target {TARGET} s\n"
        f"its evidence was written in {took:.1f} s, once, in the build after the close"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        print(f"\nexplain: {machine()}")
        print(report(Path(name) / "home", asked.events, asked.rounds), flush=True)


if __name__ == "__main__":
    main()
