"""An instance with two customers and a charge of each kind: taken, measured a second way and issued without a build."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb

from orchestration.audit.requantify import requantify
from orchestration.catalog import load_catalog
from orchestration.closing.close import Knowledge, due_groups, issue
from orchestration.closing.concerned import later_causes
from orchestration.closing.rated import rate_all
from orchestration.engine import connect
from orchestration.ingest import ingest
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant

CUSTOMERS = {"ashcanary": "Europe/Berlin", "yewcanary": "America/New_York"}

METERS = """
meters:
  - {key: calls, name: Calls, unit: call, event_type: call, aggregation: count}
  - {key: tokens, name: Tokens, unit: token, event_type: call, aggregation: sum, value: tokens,
     dimensions: [model, region]}
  - {key: users, name: Users, unit: user, event_type: call, aggregation: unique_count, value: user}
  - {key: stored, name: Stored, unit: GB, event_type: stored, aggregation: max, value: gb}
  - {key: level, name: Level, unit: GB, event_type: moved, aggregation: weighted_sum, value: gb}
  - {key: seats, name: Seats, unit: seat, event_type: seats, aggregation: sum, value: gb, carry: true}
  - {key: paid, name: Paid, unit: USD, event_type: paid, aggregation: sum, value: money, allow_negative: true}
"""

V1 = """
      - {key: fee, name: Fee, model: flat, amount: "31.00"}
      - {key: calls, name: Calls, model: per_unit, meter: calls, price: "0.011", discount_percent: "10"}
      - {key: tiers, name: Tiers, model: graduated, meter: tokens,
         tiers: [{up_to: "1000", price: "0.001", flat_fee: "1"}, {price: "0.0005", flat_fee: "2.5"}]}
      - {key: volume, name: Volume, model: volume, meter: tokens,
         tiers: [{up_to: "1000", price: "0.002"}, {price: "0.001"}], maximum: "3.00"}
      - {key: packs, name: Packs, model: package, meter: tokens, price: "0.70", size: "300", free: "250"}
      - {key: blocks, name: Blocks, model: graduated, meter: tokens,
         tiers: [{up_to: "1000", price: "0.3", block: "400"}, {price: "0.2", block: "1000"}]}
      - {key: cells, name: Cells, model: matrix, meter: tokens, default: "0.0001",
         cells: [{match: {model: big, region: eu}, price: "0.01"}, {match: {model: small, region: eu}, price: "0.003"}]}
      - {key: kilo, name: Kilo, model: per_unit, meter: tokens, price: "0.33", included: "0.5",
         convert: {divide_by: "1000", unit: kilotoken, rounding: up, decimals: 1}}
      - {key: users, name: Users, model: per_unit, meter: users, price: "1.50", minimum: "50"}
      - {key: daily, name: Daily, model: per_unit, meter: users, price: "0.10", active: {per: day, take: mean}}
      - {key: peak, name: Peak, model: per_unit, meter: stored, price: "0.25", watermark: {of: max, window: 1h}}
      - {key: busy, name: Busy, model: per_unit, meter: calls, price: "0.05", watermark: {of: count, window: 1h}}
      - {key: days, name: Days, model: per_unit, meter: calls, price: "0.07",
         watermark: {of: count, window: 1h, take: daily_sum}}
      - {key: each, name: Each, model: graduated, meter: calls, watermark: {of: count, window: 1d, take: each_window},
         tiers: [{up_to: "3", price: "0.01"}, {price: "0.03"}]}
      - {key: level, name: Level, model: per_unit, meter: level, price: "2.00"}
      - {key: seats, name: Seats, model: per_unit, meter: seats, price: "9.00", prorate: days}
      - {key: cut, name: Cut, model: percentage, meter: paid, rate: "0.029", fixed: "0.30", free_events: 2,
         free_amount: "60", min_per_event: "0.50", max_per_event: "4"}
      - {key: share, name: Share, model: graduated_percentage, meter: paid,
         tiers: [{up_to: "100", rate: "0.02"}, {rate: "0.01"}]}
      - {key: given, name: Given, model: dynamic, meter: paid, multiplier: "1.1"}
"""

CATALOG = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller Ltd, address: 1 Quay, series: PRV}\ngrace_days: 3\n",
    "sources.yaml": """
sources:
  - name: app
    path: "{stream}.jsonl"
    format: cloudevents
    fields: {user: data.user}
    properties: {tokens: data.tokens, model: data.model, region: data.region, gb: data.gb, money: data.money}
""",
    "meters.yaml": METERS,
    "plans/all.yaml": "key: all\nname: All\ncurrency: USD\nversions:\n  - effective: 2026-01-01\n    charges:"
    + V1
    + "  - effective: 2026-10-16\n    charges:"
    + V1.replace('"0.011"', '"0.012"').replace('price: "0.001"', 'price: "0.0012"').replace('"0.01"}', '"0.02"}'),
    "customers.csv": "customer,name,address,country,zone,entity,terms_days\n"
    + "".join(f"{key},{key.title()} Co,{key} Road,DE,{zone},seller,30\n" for key, zone in CUSTOMERS.items()),
    "credentials.csv": "credential,customer\n" + "".join(f"key_{key},{key}\n" for key in CUSTOMERS),
    "subscriptions.csv": "subscription,customer,plan,start\n"
    + "".join(f"sub-{key},{key},all,2026-10-01\n" for key in CUSTOMERS),
    "overrides.yaml": """
overrides:
  - {customer: ashcanary, plan: all, charge: calls, start: 2026-10-20, contract: ashcanary-7, price: "0.005"}
  - {customer: yewcanary, plan: all, charge: calls, start: 2026-10-20, contract: yewcanary-1, price: "0.006"}
""",
    "taxes.yaml": """
rates:
  - {category: standard, name: VAT, percent: "19", countries: [DE]}
exemptions: []
""",
    "coupons.yaml": """
coupons:
  - {id: ashcanary-spring, customer: ashcanary, issued: 2026-10-02, percent: "7.5", applies_to: [calls, tiers]}
  - {id: yewcanary-spring, customer: yewcanary, issued: 2026-10-02, percent: "5"}
""",
}


def _event(who: str, kind: str, number: int, time: str, data: dict[str, object]) -> str:
    head = {"specversion": "1.0", "id": f"{who}-{kind}-{number}", "source": "app", "type": kind, "time": time}
    return json.dumps({**head, "subject": f"key_{who}", "data": data}) + "\n"


def _events(who: str) -> str:
    """40 calls on 10 days; readings, a level, seats and payments."""
    lines = [
        _event(
            who, "call", n, f"2026-10-{2 + 3 * (n % 10):02d}T{8 + n // 20:02d}:{n:02d}:30.5Z",
            {"tokens": f"{37 + 3 * n}.25", "model": ("big", "small")[n % 2], "region": ("eu", "us", "eu")[n % 3],
             "user": f"{who}-u{n % 7}"},
        )
        for n in range(40)
    ]  # fmt: skip
    lines += [_event(who, "stored", n, f"2026-10-{5 + n:02d}T11:00:00Z", {"gb": f"{(7 * n) % 11}.5"}) for n in range(9)]
    lines += [_event(who, "moved", n, f"2026-10-{7 * n + 1:02d}T10:17:00Z", {"gb": "3"}) for n in range(4)]
    lines += [_event(who, "seats", n, f"2026-10-{4 * n + 3:02d}T10:00:00Z", {"gb": f"{2 - n}"}) for n in range(4)]
    money = ("25.10", "30.00", "80.00", "0", "199.99", "12.34", "-20.00", "5.00")
    lines += [_event(who, "paid", n, f"2026-10-{9 + 2 * n:02d}T10:00:00Z", {"money": m}) for n, m in enumerate(money)]
    return "".join(lines)


def make(home: Path) -> Ledger:
    """The instance after its October was issued: one invoice of each customer."""
    for name, text in CATALOG.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (home / "instance.key").write_text("5a" * 32)
    (home / "inbox").mkdir()
    for who in CUSTOMERS:
        (home / "inbox" / f"{who}.jsonl").write_text(_events(who))
    ledger = Ledger.open(home)
    close(home, ledger, "2026-11")
    return ledger


def close(home: Path, ledger: Ledger, month: str) -> None:
    """Take what was delivered and issue what is due on the first of a month, five days after it."""
    catalog, now_us = load_catalog(home / "catalog"), parse_instant(f"{month}-05T09:00:00Z", "test")
    ingest(home, ledger, catalog.settings, catalog.sources, now_us)
    charged, scratch = charged_segments(catalog, now_us), home / "scratch"
    with connect(None, folders=[home / "lake", scratch], temp=scratch) as con:
        quantities = requantify(con, catalog, charged, home / "lake", ledger.files(), scratch / "rows")
        cut_off, lines = date.fromisoformat(f"{month}-01"), rate_all(catalog, charged, quantities)
        groups = due_groups(
            catalog, ledger, lines, cut_off, lambda changed: later_causes(con, catalog, ledger, changed)
        )
    issue(catalog, ledger, groups, cut_off, {}, Knowledge(now_us, len(ledger.batches()), "code"))


def deliver_late(home: Path) -> None:
    """Five calls of October that come in November, one of them for the second time, a line that says otherwise, and one
    that can't be read."""
    lines = [
        _event(
            "ashcanary", "call", n, f"2026-10-30T20:{n - 39}5:00Z", {"tokens": "10.5", "model": "big", "region": "eu"}
        )
        for n in range(40, 44)
    ]
    again = _event("ashcanary", "call", 43, "2026-10-30T20:45:00Z", {"tokens": "11", "model": "big", "region": "eu"})
    (home / "inbox" / "late.jsonl").write_text("".join([*lines, lines[0], again, "no event\n"]))


def parquet_text(path: Path) -> str:
    """All values of a Parquet file as text: compressed pages can't be searched."""
    return str(duckdb.read_parquet(str(path)).fetchall())
