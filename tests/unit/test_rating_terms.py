"""Groups that are rated together, and the digests that tell whether a group has to be rated again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.engine import load_rows
from orchestration.metering.control import charged_segments
from orchestration.pipeline.rated import Rated, rate_changed
from orchestration.pipeline.terms import Digests, groups_of
from orchestration.settings import parse_instant

NOW = parse_instant("2026-11-25T09:00:00Z", "test")
PLAN = """key: {key}
name: {key}
currency: EUR
anchor: calendar
trial_days: 0
versions:
  - effective: 2026-01-01
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "31.00"}}
      - {{key: calls, name: Calls, model: per_unit, meter: calls, price: "1", included: "0",
         convert: {{multiply_by: "2", unit: u}}}}
      - {{key: shops, name: Shops, model: matrix, meter: sales, cells: [{{match: {{shop: x}}, price: "2"}}]}}
{bounds}
  - effective: 2026-10-12
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "31.00"}}
      - {{key: calls, name: Calls, model: per_unit, meter: calls, price: "2", included: "0",
         convert: {{multiply_by: "2", unit: u}}}}
      - {{key: shops, name: Shops, model: matrix, meter: sales, cells: [{{match: {{shop: x}}, price: "2"}}]}}
{bounds}
"""
BOUNDS = '    commitment: {amount: "90.00", interval: quarter}\n    cap: "900.00"'
FREE, BOUND, SUBS = "plans/free.yaml", "plans/bound.yaml", "subscriptions.csv"
FILES = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n"
    "  - {key: other, name: O, address: B, series: O}\n",
    "sources.yaml": "sources:\n  - {name: app, path: '*.jsonl', format: cloudevents, "
    "properties: {shop: data.shop, n: data.n}}\n",
    "meters.yaml": "meters:\n  - {key: calls, name: C, event_type: e, aggregation: count}\n"
    "  - {key: sales, name: S, event_type: e, aggregation: sum, value: n, dimensions: [shop]}\n",
    FREE: PLAN.format(key="free", bounds=""),
    BOUND: PLAN.format(key="bound", bounds=BOUNDS),
    "customers.csv": "customer,name,address,country,zone,entity,valid_from\n"
    "a,A,A,DE,UTC,seller,\nb,B,B,DE,UTC,seller,\n",
    "credentials.csv": "credential,customer\n",
    SUBS: "subscription,customer,plan,start,end,trial_end\nsa,a,free,2026-08-05,,\nsb,b,bound,2026-08-05,,\n",
    "overrides.yaml": "overrides:\n"
    "  - {customer: a, plan: free, charge: calls, start: 2026-10-20, contract: C-1, price: '0.5'}\n",
}


def edited(name: str, old: str, new: str) -> Catalog:
    assert old in FILES[name], old
    return parse_catalog({**FILES, name: FILES[name].replace(old, new)})


def digests(catalog: Catalog, now: int = NOW) -> dict[str, str]:
    found = Digests(catalog)
    return {name: found.of(items) for name, items in groups_of(catalog, charged_segments(catalog, now)).items()}


def test_periods_are_rated_apart_but_where_a_plan_adds_lines_of_its_own() -> None:
    months = [f"sa/2026-{month:02d}-01" for month in (8, 9, 10, 11)]
    assert list(digests(parse_catalog(FILES))) == [*months, "sb"]
    # Who was once on such a plan has a commitment that ended there: what is rated of it is the whole.
    moved = edited(SUBS, "sa,a,free,2026-08-05,,", "sa,a,free,2026-08-05,2026-11-02,\nsa,a,bound,2026-11-02,,")
    assert list(digests(moved)) == ["sa", "sb"]


OCTOBER, NOVEMBER, AUGUST = "sa/2026-10-01", "sa/2026-11-01", "sa/2026-08-01"
ALL = {AUGUST, "sa/2026-09-01", OCTOBER, NOVEMBER}


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        # A contract replaces the price from the 20th on.
        (FREE, 'price: "2", included', 'price: "3", included', {OCTOBER}),
        (FREE, 'included: "0"', 'included: "7"', ALL),
        (FREE, "unit: u}", "unit: u, rounding: up}", ALL),
        (FREE, "unit: u}", "unit: u, rounding: up, decimals: 1}", ALL),
        (FREE, '{shop: x}, price: "2"}]', '{shop: x}, price: "2"}], default: "1"', ALL),
        (FREE, "trial_days: 0", "trial_days: 3", {AUGUST}),
        (FREE, "effective: 2026-10-12", "effective: 2026-10-13", {OCTOBER, NOVEMBER}),
        ("overrides.yaml", "0.5", "0.6", {OCTOBER, NOVEMBER}),
        ("overrides.yaml", "C-1", "C-2", {OCTOBER, NOVEMBER}),
        ("overrides.yaml", "start: 2026-10-20", "start: 2026-10-20, end: 2026-11-01", {NOVEMBER}),
        ("meters.yaml", "aggregation: count}", "aggregation: count, unit: call}", {*ALL, "sb"}),
        (SUBS, "sa,a,free,2026-08-05,,", "sa,a,free,2026-08-05,2026-11-20,", {NOVEMBER}),
        (SUBS, "sa,a,free,2026-08-05,,", "sa,a,free,2026-08-05,,2026-08-09", {AUGUST}),
        # How the seller rounds, and who it is: from the period on that begins after the move.
        ("instance.yaml", "address: A}", "address: A, rounding: half_even}", {*ALL, "sb"}),
        ("customers.csv", "a,A,A,DE,UTC,seller,\n", "a,A,A,DE,UTC,other,\n", set()),
        ("customers.csv", "b,B,B,DE,UTC,seller,\n", "b,B,B,DE,Asia/Tokyo,seller,\n", set()),
        # What a plan adds depends on all that it says, and on the end of the subscription.
        (BOUND, 'cap: "900.00"', 'cap: "901.00"', {"sb"}),
        (BOUND, 'amount: "90.00"', 'amount: "91.00"', {"sb"}),
        (BOUND, "interval: quarter", "interval: year", {"sb"}),
        (SUBS, "sb,b,bound,2026-08-05,,", "sb,b,bound,2026-08-05,2027-01-01,", {"sb"}),
    ],
)  # fmt: skip
def test_what_a_line_is_rated_by_changes_the_digest_of_its_group_and_of_no_other(
    name: str, old: str, new: str, changed: set[str]
) -> None:
    before, after = digests(parse_catalog(FILES)), digests(edited(name, old, new))
    assert {group for group in before.keys() | after.keys() if before.get(group) != after.get(group)} == changed


def test_a_customer_that_moves_to_a_seller_who_rounds_otherwise_is_rated_again_from_that_period_on() -> None:
    even = {**FILES, "instance.yaml": FILES["instance.yaml"].replace("series: O}", "series: O, rounding: half_even}")}
    moved = {**even, "customers.csv": f"{even['customers.csv']}a,A,A,DE,UTC,other,2026-09-20\n"}
    before, after = digests(parse_catalog(even)), digests(parse_catalog(moved))
    assert {group for group in before if before[group] != after[group]} == {OCTOBER, NOVEMBER}


def rate(con: duckdb.DuckDBPyConnection, catalog: Catalog, now: str, scratch: Path) -> tuple[Rated, list[str]]:
    charged = charged_segments(catalog, parse_instant(now, "test"))
    found = rate_changed(con, catalog, charged, scratch)
    lines = con.execute("SELECT subscription || '/' || charge || '/' || start FROM record.rated_lines ORDER BY 1")
    return found, [line for (line,) in lines.fetchall()]


def test_a_charge_that_begins_in_a_period_whose_other_charges_have_ended_is_rated(tmp_path: Path) -> None:
    weeks = FILES[FREE][: FILES[FREE].index("  - effective: 2026-10-12")]
    weeks = weeks[: weeks.index("      - {key: calls")].replace("currency: EUR\n", "currency: EUR\ninterval: week\n")
    subscriptions = "subscription,customer,plan,start,end\ns,a,weeks,2026-06-01,2026-06-04\ns,a,months,2026-06-20,\n"
    months = weeks.replace("free", "months").replace("interval: week\n", "")
    texts = {**FILES, "plans/weeks.yaml": weeks.replace("free", "weeks"), "plans/months.yaml": months}
    catalog = parse_catalog({**texts, SUBS: subscriptions, "overrides.yaml": "overrides: []\n"})
    columns = dict.fromkeys(("line_id", "value", "cell", "part"), "VARCHAR") | {"local_day": "DATE"}
    columns |= dict.fromkeys(("window_us", "windows", "rank", "hour_us", "events"), "BIGINT")
    with duckdb.connect() as con:
        load_rows(con, "marts.charge_quantities", columns | {"quantity": "DECIMAL(38, 9)"}, [], tmp_path)
        load_rows(con, "control.touched_lines", {"line_id": "VARCHAR"}, [], tmp_path)
        assert rate(con, catalog, "2026-06-19T12:00:00Z", tmp_path) == (Rated(1, 0), ["s/fee/2026-06-01"])
        # Both are of periods that begin on the first of June; the week is over.
        both = ["s/fee/2026-06-01", "s/fee/2026-06-20"]
        assert rate(con, catalog, "2026-06-20T12:00:00Z", tmp_path) == (Rated(1, 0), both)
        assert rate(con, catalog, "2026-07-02T12:00:00Z", tmp_path) == (Rated(2, 0), [*both, "s/fee/2026-07-01"])
        assert rate(con, catalog, "2026-07-02T12:00:00Z", tmp_path)[0] == Rated(1, 1)
