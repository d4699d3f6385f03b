"""What runs, closes and audits share: the charges of every segment, their ids, and the lines that plans add to them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from orchestration.catalog import Catalog, parse_catalog
from orchestration.closing.rated import Quantity, rate_all
from orchestration.metering.control import billing_day_rows, charged_segments, segment_rows
from orchestration.settings import parse_instant

NOW = parse_instant("2026-03-20T12:00:00Z", "test")
YEAR = """key: year
name: Year
currency: EUR
interval: year
anchor: subscription
trial_days: 20
versions:
  - effective: 2026-01-01
    charges:
      - {key: fee, name: Fee, model: flat, amount: "365.00", due: advance}
      - {key: calls, name: Calls, model: per_unit, meter: requests, price: "1", interval: month}
      - {key: readings, name: Users, model: per_unit, meter: users, price: "1", interval: month}
    commitment: {amount: "1000.00"}
    cap: "2000.00"
"""
FILES = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common}\n",
    "meters.yaml": (
        "meters:\n  - {key: requests, name: R, event_type: request, aggregation: count}\n"
        "  - {key: users, name: U, event_type: request, aggregation: unique_count, value: user}\n"
    ),
    "plans/year.yaml": YEAR,
    "plans/month.yaml": YEAR.replace("key: year", "key: month").replace("interval: year", "interval: month"),
    "customers.csv": "customer,name,address,country,zone,entity\nacme,A,A,DE,Asia/Tokyo,seller\n",
    "credentials.csv": "credential,customer,source,valid_from,valid_to\n",
    "subscriptions.csv": (
        "subscription,customer,plan,start,end,stacking,restart\n"
        "one,acme,year,2026-01-31,2026-03-15,,\none,acme,month,2026-03-15,,,true\ntwo,acme,month,2026-03-01,,true,\n"
    ),
    "overrides.yaml": (
        "overrides:\n  - {customer: acme, plan: year, charge: calls, start: 2026-03-01, contract: C, price: '3'}\n"
    ),
}


def catalog(**changes: tuple[str, str]) -> Catalog:
    texts = dict(FILES)
    for name, (old, new) in changes.items():
        texts[f"plans/{name}.yaml"] = texts[f"plans/{name}.yaml"].replace(old, new)
    return parse_catalog(texts)


def test_line_ids_are_unique_over_trials_own_intervals_restarts_and_stacked_subscriptions() -> None:
    charged = charged_segments(catalog(), NOW)
    ids = [item.line_id for item in charged]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if "/calls/" in i] == [
        "one/calls/2026-01-31",
        "one/calls/2026-02-20",
        "one/calls/2026-02-28",
        "one/calls/2026-03-15",
        "two/calls/2026-03-01",
    ]
    assert [i for i in ids if i.startswith("one/fee/")] == [
        "one/fee/2026-01-31",
        "one/fee/2026-02-20",
        "one/fee/2026-03-15",
    ]
    assert [item.segment.trial for item in charged if item.terms.charge.key == "calls"] == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert all(item.of_plan.start <= item.segment.start < item.segment.end <= item.of_plan.end for item in charged)


def test_sql_reads_a_charge_in_its_own_period_and_in_no_day_twice() -> None:
    known = catalog()
    rows = [row for row in segment_rows(known, charged_segments(known, NOW)) if row["line_id"].startswith("one/calls/")]
    assert [(row["period_start"], row["start_day"], row["end_day"]) for row in rows] == [
        ("2026-01-31", "2026-01-31", "2026-02-20"),
        ("2026-01-31", "2026-02-20", "2026-02-28"),
        ("2026-02-28", "2026-02-28", "2026-03-15"),
        ("2026-03-15", "2026-03-15", "2026-04-15"),
    ]


def test_usage_stands_in_the_period_of_the_charge_that_prices_its_meter() -> None:
    rows = [row for row in billing_day_rows(catalog(), NOW) if row["meter"] == "requests"]
    assert [(row["subscription"], row["period_start"], row["start_day"], row["end_day"]) for row in rows] == [
        ("one", "2026-01-31", "2026-01-31", "2026-02-20"),
        ("one", "2026-01-31", "2026-02-20", "2026-02-28"),
        ("one", "2026-02-28", "2026-02-28", "2026-03-15"),
        ("one", "2026-03-15", "2026-03-15", "2026-04-15"),
    ]


def test_a_mean_of_days_is_divided_by_the_days_of_the_charges_own_part() -> None:
    mean = ("model: per_unit, meter: users", "model: per_unit, meter: users, active: {per: day, take: mean}")
    charged = charged_segments(catalog(year=mean), NOW)
    found = {item.line_id: item.divisor for item in charged if item.terms.charge.key == "readings"}
    assert (found["one/readings/2026-01-31"], found["one/readings/2026-02-20"]) == (20, 8)


def test_the_lines_of_plans_come_after_those_of_their_subscription_wherever_lines_are_made() -> None:
    known = catalog()
    quantities = {
        "one/calls/2026-01-31": [Quantity(date(2026, 2, 1), Decimal(5000))],
        "one/calls/2026-02-20": [Quantity(date(2026, 2, 21), Decimal(10))],
        "one/calls/2026-02-28": [Quantity(date(2026, 2, 28), Decimal(20)), Quantity(date(2026, 3, 1), Decimal(30))],
        "one/calls/2026-03-15": [Quantity(date(2026, 3, 16), Decimal(4000))],
    }
    lines = list(rate_all(known, charged_segments(known, NOW), quantities))
    told = [(x.charge, str(x.start), str(x.period_end), x.amount.text) for x in lines if x.subscription == "one"]
    assert [x for x in told if x[0] not in ("readings",)] == [
        ("fee", "2026-01-31", "2027-01-31", "0.00"),
        ("calls", "2026-01-31", "2026-02-28", "0.00"),
        ("fee", "2026-02-20", "2027-01-31", "23.00"),
        ("calls", "2026-02-20", "2026-02-28", "10.00"),
        ("calls", "2026-02-28", "2026-03-31", "110.00"),
        ("fee", "2026-03-15", "2026-04-15", "365.00"),
        ("calls", "2026-03-15", "2026-04-15", "4000.00"),
        ("cap", "2026-03-15", "2026-04-15", "-2365.00"),
    ]
    assert [x.charge for x in lines if x.kind in ("cap", "true_up")] == ["cap"]
    few = list(rate_all(known, charged_segments(known, NOW), {}))
    assert [(x.charge, str(x.start), str(x.period_end), x.amount.text) for x in few if x.kind == "true_up"] == [
        ("true_up", "2026-02-20", "2027-01-31", "40.01"),
        ("true_up", "2026-03-15", "2026-04-15", "635.00"),
    ]
    assert few[-1].subscription == "two"
