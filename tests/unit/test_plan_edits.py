"""Edits of what a plan is made of, after a close: each field that would bill a closed month otherwise is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest

from orchestration.catalog import Catalog, parse_catalog
from orchestration.closing.edits import refuse_edits
from orchestration.closing.rated import Quantities, Quantity, rate_all
from orchestration.errors import PeriodClosed
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant

NOW = parse_instant("2026-11-25T09:00:00Z", "test")
CUT_OFF = date(2026, 11, 1)
PLAN = """key: {key}
name: {key}
currency: EUR
anchor: {anchor}
trial_days: 0
versions:
  - effective: 2026-01-01
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "31.00"}}
      - {{key: calls, name: Calls, model: per_unit, meter: requests, price: "1", included: "0"}}
    commitment: {{amount: "10.00"}}
    cap: "9000.00"
  - effective: 2026-10-12
    at_once: false
    charges:
      - {{key: fee, name: Fee, model: flat, amount: "62.00"}}
      - {{key: calls, name: Calls, model: per_unit, meter: requests, price: "2", included: "0"}}
    commitment: {{amount: "10.00"}}
    cap: "9000.00"
"""
PRO, DAY = "plans/pro.yaml", "plans/day.yaml"
FILES = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common}\n",
    "meters.yaml": "meters:\n  - {key: requests, name: R, event_type: request, aggregation: count}\n",
    PRO: PLAN.format(key="pro", anchor="subscription"),
    DAY: PLAN.format(key="day", anchor="2026-01-05"),
    "customers.csv": "customer,name,address,country,zone,entity\nacme,A,A,DE,UTC,seller\nbeta,B,B,DE,UTC,seller\n",
    "credentials.csv": "credential,customer,source,valid_from,valid_to\n",
    "subscriptions.csv": (
        "subscription,customer,plan,start,end,stacking,restart,trial_end\n"
        "s1,acme,pro,2026-08-05,2026-09-20,,,\n"
        "s1,acme,pro,2026-09-20,,,true,\n"
        "s2,beta,day,2026-08-01,,,,2026-08-03\n"
    ),
    "overrides.yaml": (
        "overrides:\n  - {customer: beta, plan: day, charge: calls, start: 2026-08-10, end: 2026-08-30, "
        "contract: C-1, price: '0.5'}\n"
    ),
}


def used(catalog: Catalog) -> Quantities:
    """100 requests on the day before the end of each line; the ids are those of the catalog that measured them."""
    metered = [item for item in charged_segments(catalog, NOW) if item.terms.charge.meter]
    return {
        item.line_id: [Quantity(day, Decimal(50)) for day in sorted({item.segment.start, *DAYS}) if _in(item, day)]
        for item in metered
    }


DAYS = [date(2026, month, day) for month in (8, 9, 10, 11) for day in (11, 21)]


def _in(item: object, day: date) -> bool:
    return item.segment.start <= day < item.segment.end  # type: ignore[attr-defined]


def edited(edits: Mapping[str, tuple[str, str]]) -> Catalog:
    texts = dict(FILES)
    for name, (old, new) in edits.items():
        assert old in texts[name], old
        texts[name] = texts[name].replace(old, new, 1)
    return parse_catalog(texts)


@pytest.fixture(scope="module")
def billed() -> Catalog:
    return parse_catalog(FILES)


def check(billed: Catalog, now: Catalog) -> None:
    quantities = used(now)
    then = rate_all(billed, charged_segments(billed, NOW), used(billed))
    issued = [line.key for line in then if line.period_end <= CUT_OFF]
    refuse_edits(
        billed, now, quantities, list(rate_all(now, charged_segments(now, NOW), quantities)), issued, CUT_OFF, NOW
    )


SUBS = "subscriptions.csv"
SECOND = "  - effective: 2026-10-12\n    at_once: "
CALLS = '      - {key: calls, name: Calls, model: per_unit, meter: requests, price: "1"'
OVERRIDE = "  - {customer: beta, plan: day, charge: calls, start: 2026-11-05, contract: C-2, price: '3'}\n"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (PRO, "trial_days: 0", "trial_days: 3"),
        (SUBS, ",,,2026-08-03", ",,,"),
        (SUBS, ",,,2026-08-03", ",,,2026-08-04"),
        (SUBS, "2026-09-20,,,true,", "2026-09-20,,,,"),
        (SUBS, "s1,acme,pro,2026-09-20,,,true,", "s1,acme,pro,2026-09-20,,,true,2026-09-25"),
        (DAY, "anchor: 2026-01-05", "anchor: 2026-01-06"),
        (DAY, "anchor: 2026-01-05", "anchor: calendar"),
        (PRO, "currency: EUR", "currency: EUR\ninterval: quarter"),
        (PRO, "currency: EUR", "currency: EUR\nevery: 2"),
        (PRO, 'commitment: {amount: "10.00"}', 'commitment: {amount: "900.00"}'),
        (PRO, 'cap: "9000.00"', 'cap: "90.00"'),
        (PRO, 'price: "1", included', 'price: "1", interval: day, included'),
        (DAY, 'amount: "31.00"', 'amount: "31.00", days: 30'),
        (DAY, 'amount: "31.00"', 'amount: "31.00", prorated: false'),
        (PRO, 'price: "1"', 'price: "1.5"'),
        (PRO, CALLS, '      - {key: more, name: More, model: flat, amount: "5.00"}\n' + CALLS),
        (PRO, SECOND + "false", SECOND + "true"),
        ("overrides.yaml", "price: '0.5'", "price: '0.6'"),
        ("overrides.yaml", "end: 2026-08-30", "end: 2026-08-20"),
        ("overrides.yaml", "start: 2026-08-10", "start: 2026-08-12"),
        ("overrides.yaml", "customer: beta, plan: day", "customer: acme, plan: pro"),
    ],
)  # fmt: skip
def test_an_edit_of_a_field_that_billed_a_closed_month_is_refused(
    billed: Catalog, name: str, old: str, new: str
) -> None:
    with pytest.raises(PeriodClosed) as refusal:
        check(billed, edited({name: (old, new)}))
    assert refusal.value.exit_code == 7


def test_an_added_commitment_cap_or_charge_is_seen_where_no_line_was() -> None:
    bare = {name: text.replace('    commitment: {amount: "10.00"}\n', "") for name, text in FILES.items()}
    billed = parse_catalog(bare)
    check(billed, billed)
    texts = bare | {PRO: bare[PRO].replace('cap: "9000.00"', 'cap: "9000.00"\n    commitment: {amount: "500.00"}')}
    with pytest.raises(PeriodClosed, match=r"(?s)charge 'true_up'.*was no line when its period was closed.*line_new"):
        check(billed, parse_catalog(texts))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (SUBS, "s2,beta,day,2026-08-01,,,,", "s2,beta,day,2026-08-01,2026-11-20,,,"),
        (SUBS, "2026-09-20,,,true,\n", "2026-09-20,2026-11-20,,true,\ns1,acme,pro,2026-11-20,,,true,2026-11-24\n"),
        (PRO, 'cap: "9000.00"\n  - effective', 'cap: "9000.00"\n    at_once: true\n  - effective'),
        ("overrides.yaml", "overrides:\n", "overrides:\n" + OVERRIDE),
        ("overrides.yaml", "contract: C-1", "contract: C-1A"),
        (DAY, '    cap: "9000.00"\n', '    cap: "8000.00"\n'),
    ],
    ids=["end", "restart", "at once of the first", "contract", "name of a contract", "cap that nobody reached"],
)  # fmt: skip
def test_an_edit_that_changes_no_closed_amount_is_an_ordinary_fact(
    billed: Catalog, name: str, old: str, new: str
) -> None:
    check(billed, edited({name: (old, new)}))


def test_an_end_that_is_moved_on_takes_the_usage_of_its_new_days(billed: Catalog) -> None:
    """What was measured after the old end is no usage of the old catalog, and no fault."""
    ended = (SUBS, ("s2,beta,day,2026-08-01,,,,", "s2,beta,day,2026-08-01,2026-11-12,,,"))
    moved = (SUBS, ("s2,beta,day,2026-08-01,,,,", "s2,beta,day,2026-08-01,2026-11-24,,,"))
    check(edited(dict([ended])), edited(dict([moved])))


def test_a_version_at_once_from_the_cut_off_on_is_an_ordinary_fact(billed: Catalog) -> None:
    block = FILES[PRO][FILES[PRO].index("  - effective: 2026-10-12") :]
    later = (
        block.replace("2026-10-12", "2026-11-10").replace("at_once: false", "at_once: true").replace("62.00", "70.00")
    )
    check(billed, parse_catalog(FILES | {PRO: FILES[PRO] + later}))
