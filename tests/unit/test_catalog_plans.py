"""Plans, subscriptions and contracts that make no sense: all of it in one go, with file and line, before a run."""

from __future__ import annotations

import re

import pytest

from orchestration.catalog.load import parse_catalog
from orchestration.errors import CatalogInvalid

GOOD = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common}\n",
    "meters.yaml": (
        "meters:\n"
        "  - {key: requests, name: R, event_type: request, aggregation: count, dimensions: [method]}\n"
        "  - {key: money, name: M, event_type: request, aggregation: sum, value: bytes}\n"
    ),
    "plans/basic.yaml": (
        "key: basic\nname: Basic\ncurrency: USD\nversions:\n  - effective: 2026-01-01\n    charges:\n"
        "      - {key: calls, name: Calls, model: per_unit, meter: requests, price: '1'}\n"
    ),
    "customers.csv": "customer,name,address,country,zone,entity\nacme,Acme,A,DE,Europe/Berlin,seller\n",
    "credentials.csv": "credential,customer,source,valid_from,valid_to\n",
}
CHARGES = """key: pro
name: Pro
currency: EUR
interval: {interval}
anchor: {anchor}
versions:
  - effective: 2026-01-01
    {version}
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "10.00", {fee}}}
      - {{key: calls, name: Calls, model: graduated, meter: requests, tiers: [{tiers}], {calls}}}
      - {{key: cut, name: Cut, model: percentage, meter: money, rate: "0.02", fixed: "0.30"}}
      - {{key: cells, name: Cells, model: matrix, meter: requests, cells: [{{match: {{method: GET}}, price: "1"}}]}}
{more}"""
TIERS = '{up_to: "10", price: "1"}, {price: "0.5"}'
OVERRIDE = "{{customer: acme, plan: pro, charge: {charge}, start: {start}, {end}contract: {contract}, {prices}}}"
BASE = {"interval": "month", "anchor": "calendar", "version": "at_once: false", "fee": "", "tiers": TIERS, "calls": ""}


def plan(**fields: str) -> str:
    return CHARGES.format(**{**BASE, "more": "", **fields})


def found(overrides: tuple[str, ...] = (), rows: str = "", **fields: str) -> list[str]:
    """What is wrong with the good catalog, with the plan `pro` beside it."""
    texts = GOOD | {"plans/pro.yaml": plan(**fields)}
    header = "subscription,customer,plan,start,end,stacking,restart,trial_end\n"
    texts["subscriptions.csv"] = header + "s1,acme,basic,2026-01-01,,,,\n" + rows
    if overrides:
        texts["overrides.yaml"] = "overrides:\n" + "".join(f"  - {row}\n" for row in overrides)
    try:
        parse_catalog(texts)
    except CatalogInvalid as error:
        assert error.exit_code == 2
        return [str(problem) for problem in error.problems]
    return []


def override(
    charge: str = "fee", start: str = "2026-02-01", end: str = "", prices: str = 'amount: "9.00"', contract: str = "C-1"
) -> str:
    end = end and f"end: {end}, "
    return OVERRIDE.format(charge=charge, start=start, end=end, contract=contract, prices=prices)


def tiers(*bounds: str, more: str = "") -> str:
    """Tiers up to the bounds, of which an empty one is open."""
    return ", ".join(f'{{up_to: "{b}", price: "1"{more}}}' if b else '{price: "2"}' for b in bounds)


def another(day: str, key: str = "a") -> str:
    return f"  - {{effective: {day}, charges: [{{key: {key}, name: A, model: flat, amount: '1'}}]}}"


GOOD_ROWS = "s2,acme,pro,2026-01-01,2026-03-01,true,,2026-01-15\ns2,acme,pro,2026-03-01,,true,true,2026-03-15\n"


def test_what_is_right_is_valid() -> None:
    good = (
        override(end="2026-03-01"),
        override(start="2026-03-01", contract="C-2"),
        override("calls", prices=f"tiers: [{TIERS}]"),
        override("cut", prices='rate: "0.01", fixed: "0.10"'),
        override("cells", prices='cells: [{match: {method: GET}, price: "0.9"}]'),
    )
    commitment = 'commitment: {amount: "100.00", interval: year}\n    cap: "50.00"'
    assert found(good, GOOD_ROWS, anchor="subscription", version=commitment, calls="interval: day, days: null") == []


@pytest.mark.parametrize(
    ("fields", "line", "said"),
    [
        ({"tiers": tiers("10", "20")}, 11, "tier 2: the last tier has an up_to: .*0 prices, 21 for one"),
        ({"tiers": tiers("", "")}, 11, "tier 1: only the last is open.*2 prices"),
        ({"tiers": tiers("10", "5", "")}, 11, "tier 2: up_to 5 is not above 10; .*5 would have 2 prices"),
        ({"tiers": tiers("10", "10", "")}, 11, "tier 2: .*10 would have 2 prices"),
        ({"tiers": ""}, 11, "has no tiers .missing price"),
        ({"calls": "interval: week"}, 11, "interval .week. does not divide the plan's .month"),
        ({"calls": "interval: quarter"}, 11, "interval .quarter. does not divide the plan's .month"),
        ({"calls": "interval: day, every: 2"}, 11, "interval .2 days. does not divide"),
        ({"interval": "week\nevery: 2", "fee": "interval: day, every: 3"}, 11, ".3 days. does not divide .*.2 weeks"),
        ({"interval": "week", "fee": "days: 30"}, 10, "'days: 30' counts months"),
        ({"fee": "minimum: '1.001'"}, 10, "minimum 1.001 has more decimals than EUR"),
        ({"version": "cap: '1.001'"}, 8, "the cap 1.001 has more decimals than EUR"),
        ({"version": "commitment: {amount: '1.001'}"}, 8, "the commitment 1.001 has more decimals than EUR"),
        ({"version": "commitment: {amount: '1', interval: week}"}, 8, "interval .month. does not divide that of"),
        ({"version": "commitment: {amount: '1', interval: day, every: 45}"}, 8, "does not divide .*.45 days"),
        ({"version": "commitment: {amount: '10'}\n    cap: '9.99'"}, 9, "the cap 9.99 is below the commitment 10"),
        ({"version": "cap: '9'", "fee": "tax_category: books"}, 8, "one tax category.* have books, standard"),
        ({"more": another("2026-01-01")}, 14, "each date once"),
        ({"more": another("2025-01-01")}, 14, "in the order of their dates"),
        ({"more": another("2027-01-01", "cap")}, 14, "lines of caps and commitments"),
        ({"more": another("2027-01-01", "true_up")}, 14, "lines of caps and commitments"),
        ({"calls": "meter: nothing"}, 11, "written twice"),
        ({"calls": "active: {per: day}"}, 11, "counts distinct values"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_priced_is_named_with_file_and_line(fields: dict[str, str], line: int, said: str) -> None:
    problems_found = found(**fields)
    assert any(re.match(f"plans/pro.yaml:({line}|{line - 1}): .*{said}", p) for p in problems_found), problems_found
    assert any("plan 'pro'" in p or "written twice" in p for p in problems_found)


STATED_FEE, STATED_BLOCK = ', flat_fee: "3"', ', block: "3"'
EU, US = ('{match: {method: GET}, price: "1"}', '{match: {region: us}, price: "1"}')


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (override("nothing"), "plan 'pro' has no charge 'nothing' .its charges: calls, cells, cut, fee"),
        (override(prices="plan: gold, amount: '1'"), "written twice"),
        (override().replace("plan: pro", "plan: gold"), "unknown plan 'gold'"),
        (override().replace("acme", "ghost"), "unknown customer 'ghost'"),
        (override(end="2026-02-01"), "ends before it starts"),
        (override(prices='price: "1"'), "model 'flat' has no price to replace"),
        (override(prices="amount: null"), "it names no price; model 'flat' has amount"),
        (override(prices='amount: "9.999"'), "fee 9.999 has more decimals than EUR"),
        (override("calls", prices='price: "1"'), "model 'graduated' has no price to replace"),
        (override("calls", prices='tiers: [{price: "1"}]'), "it has 1 tiers, the charge has 2"),
        (override("calls", prices=f"tiers: [{tiers('11', '')}]"), "tier 1: up_to 11 is not the charge's 10"),
        (override("calls", prices='tiers: [{up_to: "10", rate: "1"}, {price: "2"}]'), "tier 1: .* a price and no rate"),
        (override("calls", prices=f"tiers: [{tiers('10', '', more=', flat_fee: 3')}]"), "flat_fee"),
        (override("calls", prices=f"tiers: [{tiers('10', '', more=STATED_FEE)}]"), "tier 1: flat_fee is no price"),
        (override("calls", prices=f"tiers: [{tiers('10', '', more=STATED_BLOCK)}]"), "tier 1: block is no price"),
        (override("cells", prices=f"cells: [{US}]"), "has no cell {'region': 'us'}"),
        (override("cells", prices=f"cells: [{EU}, {EU}]"), "has two prices"),
        (override("cells", prices='default: "1"'), "has no default"),
        (override("cut", prices='amount: "1"'), "model 'percentage' has no amount to replace"),
    ],
)  # fmt: skip
def test_a_contract_that_does_not_fit_its_charge_is_named_with_file_and_line(row: str, said: str) -> None:
    problems_found = found((override("cut", prices='rate: "0"'), row))
    assert any(re.match(f"overrides.yaml:3: .*{said}", p) for p in problems_found), problems_found


def test_contracts_of_one_charge_that_overlap_by_a_day_are_refused() -> None:
    rows = (override(end="2026-03-02"), override(start="2026-03-01", contract="C-2"))
    (problem,) = found(rows)
    assert problem.startswith("overrides.yaml:3: contracts 'C-2' and 'C-1' of customer 'acme' both price charge 'fee'")
    assert problem.endswith("the other is at overrides.yaml:2 [overlap]")


LATER = """  - effective: 2026-02-10
    charges:
      - {key: calls, name: Calls, model: graduated, meter: requests, tiers: [{up_to: "20", price: "1"}, {price: "0.5"}]}
"""
OLD, NEW = (f'tiers: [{{up_to: "{bound}", price: "1"}}, {{price: "0.4"}}]' for bound in ("10", "20"))


@pytest.mark.parametrize(
    ("start", "end", "prices", "fits"),
    [
        ("2026-01-15", "2026-03-01", OLD, True),
        ("2026-01-15", "2026-03-02", OLD, False),
        ("2026-03-01", "", NEW, True),
        ("2026-02-28", "", NEW, False),
        ("2026-02-20", "2026-03-01", OLD, True),
        ("2026-02-20", "2026-03-01", NEW, False),
    ],
)
def test_a_contract_fits_the_version_by_which_its_customer_is_priced_on_its_days(
    start: str, end: str, prices: str, fits: bool
) -> None:
    """The version of 10 February waits for 1 March: until then the old bounds are in force."""
    row = "s2,acme,pro,2026-01-01,,true,,\n"
    problems_found = found((override("calls", start, end, prices=prices),), row, more=LATER)
    assert [p.split("[")[-1] for p in problems_found] == ([] if fits else ["override_shape]"])


def test_a_contract_of_a_customer_who_is_not_on_the_plan_yet_fits_what_will_be_effective() -> None:
    assert found((override("calls", "2026-02-20", prices=NEW),), more=LATER) == []
    assert len(found((override("calls", "2026-02-20", prices=OLD),), more=LATER)) == 1
    assert len(found((override("calls", "2026-02-01", prices=NEW),), more=LATER)) == 1


MARCH = "s2,acme,pro,2026-02-01,2026-03-01,true,,\n"


@pytest.mark.parametrize(
    ("rows", "line", "said"),
    [
        ("s2,acme,pro,2026-02-01,,true,true,\n", 3, "'restart' belongs on a later phase"),
        ("s2,acme,pro,2026-02-01,,true,,2026-02-01\n", 3, "trial until 2026-02-01, which is not within"),
        ("s2,acme,pro,2026-02-01,2026-03-01,true,,2026-03-02\n", 3, "trial until 2026-03-02, which is not within"),
        ("s2,acme,pro,2026-02-01,2026-01-01,true,,\n", 3, "ends before it starts"),
        (MARCH + "s2,acme,pro,2026-03-01,,true,true,\n", 4, "counts from 'calendar' as before"),
        (MARCH + "s2,acme,pro,2026-02-28,,true,,\n", 4, "overlaps with its phase"),
        (MARCH + "s2,acme,pro,2026-02-01,,true,,\n", 4, "overlaps with its phase"),
        (MARCH + "s2,acme,basic,2026-03-01,,true,,\n", 4, "changes its currency"),
        ("s2,acme,pro,2026-02-01,,,,\n", 3, "both price requests on the same days"),
    ],
)  # fmt: skip
def test_a_subscription_that_cannot_be_cut_into_periods_is_named(rows: str, line: int, said: str) -> None:
    problems_found = found(rows=rows)
    assert any(p.startswith(f"subscriptions.csv:{line}: ") and said in p for p in problems_found), problems_found


def test_a_change_to_another_anchor_restarts_and_one_to_another_interval_needs_not() -> None:
    other = plan(anchor="subscription").replace("key: pro", "key: own")
    yearly = plan(interval="year").replace("key: pro", "key: year")
    texts = GOOD | {"plans/pro.yaml": plan(), "plans/own.yaml": other, "plans/year.yaml": yearly}
    header = "subscription,customer,plan,start,end,restart\ns2,acme,pro,2026-02-01,2026-03-05,\n"
    for second, expected in (
        ("s2,acme,own,2026-03-05,,\n", 1),
        ("s2,acme,own,2026-03-05,,true\n", 0),
        ("s2,acme,year,2026-03-05,,\n", 0),
    ):
        try:
            parse_catalog(texts | {"subscriptions.csv": header + second})
            problems_found = []
        except CatalogInvalid as error:
            problems_found = [str(p) for p in error.problems]
        assert len(problems_found) == expected, problems_found
        assert all("say 'restart: true' to count anew" in p for p in problems_found)


def test_a_gap_between_phases_is_a_pause_and_no_error() -> None:
    assert found(rows="s2,acme,pro,2026-02-01,2026-03-01,true,,\ns2,acme,pro,2026-04-01,,true,,\n") == []


def test_every_mistake_of_plans_subscriptions_and_contracts_comes_in_one_go() -> None:
    rows = "s2,acme,pro,2026-02-01,,true,true,2026-01-01\n"
    problems_found = found(
        (override("nothing"), override(prices='price: "1"')),
        rows,
        calls="interval: week",
        fee="minimum: '1.001', days: 30",
        version="cap: '9.999'",
    )
    codes = sorted(p.rsplit("[", 1)[1] for p in problems_found)
    assert codes == [
        "interval_divides]",
        "override_shape]",
        "restart_nothing]",
        "too_many_decimals]",
        "too_many_decimals]",
        "trial_outside]",
        "unknown_charge]",
    ]


def test_two_faults_of_one_charge_are_both_said() -> None:
    (problem,) = found(calls="size: '5', due: advance")
    assert "takes no size" in problem and "billed in arrears" in problem
