"""Configuration cases 43 to 49: each refused with file and line, in every part of it, or allowed by a stated rule.

Further tests of them stand in test_catalog, test_catalog_plans, test_yamltext, test_catalog_edits (46, 47), test_terms
(44, 47), test_exports (48) and test_issue (49).
"""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest

from orchestration.billing.credits import Used
from orchestration.billing.documents import build_document
from orchestration.billing.due import due_lines, grouped
from orchestration.billing.rating import Line
from orchestration.billing.statements import Agreed, statements
from orchestration.billing.taxes import Buyer
from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.catalog.models import Customer, Entity
from orchestration.closing.rated import Quantity, rate_all
from orchestration.errors import CatalogInvalid
from orchestration.exports.csvfiles import expected_exports
from orchestration.ledger.rows import DocumentRow
from orchestration.metering.control import charged_segments
from orchestration.money import Money
from orchestration.settings import parse_instant

PLAN = """key: pro
name: Pro
currency: EUR
versions:
  - effective: 2026-01-01
    charges:
      - key: calls
        name: Calls
        model: graduated
        meter: calls
        tiers:
          - {up_to: "10", price: "1"}
          - {price: "0.5"}
      - {key: fee, name: Fee, model: flat, amount: "5.00"}
"""
FILES = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common}\n",
    "meters.yaml": "meters:\n  - {key: calls, name: C, event_type: request, aggregation: count}\n",
    "plans/pro.yaml": PLAN,
    "customers.csv": "customer,name,address,country,zone,entity\nacme,Acme,A,DE,Europe/Berlin,seller\n",
    "credentials.csv": "credential,customer\nk,acme\n",
    "subscriptions.csv": "subscription,customer,plan,start,end,stacking\ns1,acme,pro,2026-01-01,,\n",
}
AT = "plans/pro.yaml"
NOW_US = parse_instant("2026-03-20T12:00:00Z", "test")


def found(*changes: tuple[str, str, str], **more: str) -> list[str]:
    """What is wrong after replacing texts (file, old, new); `more` are further plans."""
    texts = FILES | {f"plans/{name}.yaml": text for name, text in more.items()}
    for name, old, new in changes:
        assert old in texts[name], old
        texts[name] = texts[name].replace(old, new)
    try:
        parse_catalog(texts)
    except CatalogInvalid as error:
        assert error.exit_code == 2
        assert "nothing was read, priced or published" in error.render()
        return [str(problem) for problem in error.problems]
    return []


def says(problems: list[str], where: str, said: str) -> bool:
    return any(re.match(f"{where}: .*{said}", problem) for problem in problems)


TIERS = '          - {up_to: "10", price: "1"}\n          - {price: "0.5"}\n'


def tiers(*bounds: str) -> tuple[str, str, str]:
    rows = (f'          - {{up_to: "{b}", price: "1"}}\n' if b else '          - {price: "1"}\n' for b in bounds)
    return AT, TIERS, "".join(rows)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        (("10", "20"), "tier 2: .*0 prices, 21 for one"),
        (("10", "", "20", ""), "tier 2: only the last is open, what follows would have 2 prices"),
        (("10", "5", ""), "tier 2: up_to 5 is not above 10; a quantity of 5 would have 2 prices"),
        (("20", "10", "30", ""), "tier 2: .*a quantity of 10 would have 2 prices"),
        (("10", "10", ""), "tier 2: .*a quantity of 10 would have 2 prices"),
        (("0", ""), "tier 1: .*a quantity of 0 would have 2 prices"),
        (("10.0", "10", ""), "tier 2: .*a quantity of 10 would have 2 prices"),
    ],
    ids=["no last tier", "open in the middle", "decreasing", "unsorted", "equal", "at zero", "equal as numbers"],
)
def test_43_tiers_that_price_a_quantity_not_once_are_named_with_plan_tier_and_quantity(
    bounds: tuple[str, ...], said: str
) -> None:
    """A gap or an overlap can't be written: a tier begins where the one before it ends."""
    problems = found(tiers(*bounds))
    assert says(problems, f"{AT}:7", f"plan 'pro'.*charge 'calls', {said}"), problems


def money(currency: str, fee: str) -> list[tuple[str, str, str]]:
    return [(AT, "currency: EUR", f"currency: {currency}"), (AT, '"5.00"', fee)]


@pytest.mark.parametrize(
    ("changes", "where", "said"),
    [
        ([(AT, "currency: EUR\n", "")], f"{AT}:1", "currency: .*required"),
        (money("eur", '"5"'), f"{AT}:3", "unknown currency 'eur' .ISO 4217, upper case"),
        (money("EURO", '"5"'), f"{AT}:3", "unknown currency 'EURO'"),
        (money("XXX", '"5"'), f"{AT}:3", "unknown currency 'XXX'"),
        (money("no", '"5"'), f"{AT}:3", "unknown currency 'no'"),
        (money("EUR", '"5.001"'), f"{AT}:14", "5.001 has more decimals than EUR .2."),
        (money("JPY", '"5.5"'), f"{AT}:14", "5.5 has more decimals than JPY .0."),
        (money("KWD", '"5.0001"'), f"{AT}:14", "5.0001 has more decimals than KWD .3."),
        (money("CLF", '"5.00001"'), f"{AT}:14", "5.00001 has more decimals than CLF .4."),
        (money("EUR", "5.00"), f"{AT}:14", "quoted text, not as a number: '5.00'"),
        (money("EUR", "5"), f"{AT}:14", "quoted text, not as a number: '5'"),
        (money("EUR", "1e3"), f"{AT}:14", "quoted text"),
        (money("EUR", '"1e3"'), f"{AT}:14", "not a plain decimal"),
        (money("EUR", "no"), f"{AT}:14", "not a plain decimal"),
        (money("EUR", "true"), f"{AT}:14", "quoted text"),
        (money("EUR", "2026-01-01"), f"{AT}:14", "not a plain decimal"),
        (money("EUR", ".inf"), f"{AT}:14", "quoted text"),
        (money("EUR", '"NaN"'), f"{AT}:14", "not a plain decimal"),
        (money("EUR", '"5.0000000000001"'), f"{AT}:14", "12 after the point"),
        ([(AT, "meter: calls", "meter: moon")], f"{AT}:7", "unknown meter 'moon' .known: calls"),
        ([(AT, "name: Pro", "name: Pro\nname: Max")], f"{AT}:3", "'name' is written twice"),
        ([(AT, "name: Pro", "name: &n Pro")], f"{AT}:2", "anchors and aliases"),
        ([(AT, "name: Pro", "name: *n")], f"{AT}:2", "undefined alias"),
        ([(AT, "2026-01-01", "2026-1-1")], f"{AT}:5", "YYYY-MM-DD"),
        ([(AT, "2026-01-01", "tomorrow")], f"{AT}:5", "YYYY-MM-DD"),
        ([("meters.yaml", "request, ", "request, name: D, ")], "meters.yaml:2", "'name' is written twice"),
    ],
)
def test_44_what_is_no_price_currency_meter_or_date_is_named(
    changes: list[tuple[str, str, str]], where: str, said: str
) -> None:
    problems = found(*changes)
    assert says(problems, where, said), problems


@pytest.mark.parametrize(("currency", "fee"), [("JPY", '"5"'), ("KWD", '"5.001"'), ("CLF", '"5.0001"')])
def test_44_currencies_of_0_3_and_4_decimals_have_their_own(currency: str, fee: str) -> None:
    assert found(*money(currency, fee)) == []


def test_44_a_plan_that_is_there_twice_and_two_currencies_of_one_subscription_are_named() -> None:
    assert says(found(copy=PLAN), f"{AT}:1", "plan 'pro' is also defined at plans/copy.yaml")
    yen = PLAN.replace("key: pro", "key: yen").replace("EUR", "JPY").replace('"5.00"', '"5"')
    phases = "01-01,,\n", "01-01,2026-02-01,\ns1,acme,yen,2026-02-01,,\n"
    assert says(found(("subscriptions.csv", *phases), yen=yen), "subscriptions.csv:3", "changes its currency")


def test_44_a_meter_that_no_plan_prices_is_measured_and_shown_and_no_error() -> None:
    another = "count}\n", "count}\n  - {key: seen, name: S, event_type: request, aggregation: count}\n"
    assert found(("meters.yaml", *another)) == []


def test_44_everything_wrong_comes_in_one_go() -> None:
    problems = found(
        (AT, "EUR", "eur"), (AT, '"5.00"', "5.00"), ("customers.csv", "Europe/Berlin", "Mars"),
        ("meters.yaml", "count}", "counts}"), ("subscriptions.csv", "acme", "ghost"),
    )  # fmt: skip
    places = {problem.split(": ")[0] for problem in problems}
    assert places == {f"{AT}:3", f"{AT}:14", "customers.csv:2", "meters.yaml:2", "subscriptions.csv:2"}


OTHER = PLAN.replace("key: pro", "key: max")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("s1,acme,pro,2026-01-01,2026-02-02,\ns2,acme,pro,2026-02-01,,\n", "both price calls on the same days"),
        ("s1,acme,pro,2026-01-01,,\ns2,acme,max,2026-02-01,,\n", "both price calls on the same days"),
        ("s1,acme,pro,2026-01-01,,\ns2,acme,max,2026-01-01,,\n", "both price calls on the same days"),
        ("s1,acme,pro,2026-01-01,2026-02-02,\ns1,acme,max,2026-02-01,,\n", "overlaps with its phase"),
        ("s1,acme,pro,2026-01-01,,\ns1,acme,max,2026-01-01,,\n", "overlaps with its phase"),
        ("x,acme,pro,2026-01-01,2026-01-02,\ns1,acme,pro,2026-03-01,2026-02-01,\n", "ends before it starts"),
        ("x,acme,pro,2026-01-01,2026-01-02,\ns1,acme,pro,2026-03-01,2026-03-01,\n", "ends before it starts"),
    ],
    ids=["overlap", "two plans", "same day twice", "phases overlap", "phases on one day", "end first", "no day"],
)
def test_45_subscriptions_that_would_bill_a_day_twice_or_never_are_named(rows: str, said: str) -> None:
    problems = found(("subscriptions.csv", "s1,acme,pro,2026-01-01,,\n", rows), max=OTHER)
    assert says(problems, "subscriptions.csv:3", said), problems


@pytest.mark.parametrize(
    ("rows", "billed"),
    [
        ("s1,acme,pro,2026-01-01,2026-02-10,\ns1,acme,max,2026-02-10,,\n", [("s1", 4), ("s1", 5)]),
        ("s1,acme,pro,2026-01-01,2026-02-05,\ns1,acme,max,2026-02-10,,\n", [("s1", 4), ("s1", 5)]),
        ("s1,acme,pro,2026-01-01,,\ns2,acme,max,2026-01-01,,true\n", [("s1", 9), ("s2", 9)]),
    ],
    ids=["change in the period", "gap", "stacked"],
)
def test_45_otherwise_each_subscription_bills_an_event_in_exactly_one_segment(
    rows: str, billed: list[tuple[str, int]]
) -> None:
    catalog = parse_catalog(
        FILES | {"plans/max.yaml": OTHER, "subscriptions.csv": FILES["subscriptions.csv"].split("s1,")[0] + rows}
    )
    used = {"2026-02-04": 4, "2026-02-10": 5}
    assert [(x.subscription, x.measured) for x in february(catalog, used) if x.measured and x.meter] == billed


def february(catalog: Catalog, used: dict[str, int]) -> list[Line]:
    charged = charged_segments(catalog, NOW_US)
    days = {
        item.line_id: [
            Quantity(day, Decimal(n))
            for text, n in used.items()
            if item.segment.start <= (day := item.segment.start.fromisoformat(text)) < item.segment.end
        ]
        for item in charged
        if item.terms.charge.meter
    }
    return [line for line in rate_all(catalog, charged, days) if line.period_start.month == 2]


def later(day: str, price: str) -> str:
    return PLAN[PLAN.index("  - effective") :].replace("2026-01-01", day).replace('"1"', f'"{price}"')


def test_F46_prices_with_one_date_or_out_of_order_are_named() -> None:
    for versions in (later("2026-02-01", "2") + later("2026-02-01", "3"), later("2025-12-01", "2")):
        line = 15 + 10 * (versions.count("effective") - 1)
        problems = found((AT, '"5.00"}\n', '"5.00"}\n' + versions))
        assert says(problems, f"{AT}:{line}", "in the order of their dates, each date once"), problems


def test_F46_a_price_dated_back_into_an_open_period_prices_it_again_from_its_day() -> None:
    """By its day and not by when it came: what is closed is refused instead (test_catalog_edits)."""
    used = {"2026-02-04": 4, "2026-02-20": 5}
    amounts = []
    for versions in ("", later("2026-02-10", "2")):
        catalog = parse_catalog(FILES | {AT: PLAN + versions})
        amounts += [line.amount.text for line in february(catalog, used) if line.charge == "calls"]
    assert amounts == ["9.00", "14.00"]


BAD = ["../../etc", "=cmd|'/c calc'", "CON", "x" * 300, "\U0001f600", "a\u202eb", "a/b", "a b", "-", "Acme"]


@pytest.mark.parametrize("name", BAD)
def test_48_what_is_no_plain_key_is_no_key_of_a_customer_a_subscription_or_a_plan(name: str) -> None:
    quoted = f'"{name}"'
    for file, old in (("customers.csv", "acme,Acme"), ("subscriptions.csv", "s1,acme")):
        problems = found((file, old, old.replace(old.split(",")[0], quoted)))
        assert says(problems, f"{file}:2", "pattern"), problems
    assert says(found((AT, "key: pro", f"key: {json.dumps(name, ensure_ascii=False)}")), f"{AT}:1", "pattern")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("acme,Acme,A,", "acme,Acme,,", "address: .*required"),
        ("acme,Acme,", "acme,,", "name: .*required"),
        ("DE,Europe/Berlin,", "DE,,", "zone: .*required"),
        ("DE,", ",", "country: .*required"),
        ("DE,", "Germany,", "country: "),
        ("Europe/Berlin", "CET+1", "unknown IANA time zone"),
        ("seller\n", "seller\nacme,Acme,A,DE,UTC,seller\n", "customer 'acme' is also defined at customers.csv:2"),
    ],
)
def test_48_a_customer_without_what_a_document_needs_is_named(old: str, new: str, said: str) -> None:
    problems = found(("customers.csv", old, new))
    assert says(problems, f"customers.csv:{3 if 'also' in said else 2}", said), problems


NAMES = ["../../etc", "=cmd|'/c calc'", "CON", "x" * 300, "\U0001f600 Ltd", "a\u202etxt.exe"]


@pytest.mark.parametrize("name", NAMES)
def test_48_any_other_name_is_text_on_the_document_and_never_part_of_a_path(name: str) -> None:
    body = document([line_of("5.00")], name)
    assert body["buyer"]["name"] == name
    data, number, day = canonical_bytes(body), body["number"], body["cut_off"]
    row = DocumentRow(
        number, "INV", 1, "invoice", "seller", "acme", "EUR", day, day, 1, body=data, sha256=sha256_hex(data)
    )
    folder = PurePosixPath(day)
    names = ["invoices.csv", "invoice_lines.csv", "documents/INV-2026-000001.json"]
    files = expected_exports([row])
    assert list(files) == [folder / name for name in names]
    guarded = name if name[0] != "=" else f"'{name}"
    assert f'"{guarded}"'.encode() in files[folder / "invoices.csv"]


def line_of(amount: str, number: int = 0) -> Line:
    day = date(2026, 1, 1)
    return Line(
        subscription="s1", customer="acme", plan="pro", charge=f"c{number}", name="Calls", meter="calls",
        due="arrears", currency="EUR", period_start=day, period_end=day.replace(month=2), start=day,
        end=day.replace(month=2), measured=Decimal(1), quantity=Decimal(1), unit="call",
        amount=Money(Decimal(amount), "EUR"), formula={},
    )  # fmt: skip


def document(lines: list[Line], name: str = "Acme") -> dict[str, Any]:
    day = lines[0].period_end
    (group,) = grouped(due_lines(lines, {}, day), lambda *_: "seller")
    (statement,) = statements(group, Agreed(Buyer("seller", "DE")), Used(), day)
    entity = Entity(key="seller", name="Seller", address="A")
    buyer = Customer(customer="acme", name=name, address="A", country="DE", zone="UTC", entity="seller")
    dates = {"issue_date": day, "due_date": day, "cut_off": day}
    return build_document(statement, number="INV-2026-000001", entity=entity, customer=buyer, **dates)


@pytest.mark.parametrize(
    ("amounts", "kind", "total"),
    [
        (["0.00"], "invoice", "0.00"),
        (["7.00", "-7.00"], "invoice", "0.00"),
        (["1.00", "-3.50"], "credit_note", "-2.50"),
        (["10000000000000.01"], "invoice", "10000000000000.01"),
        (["99999999999999999999999999.99", "0.01"], "invoice", "100000000000000000000000000.00"),
    ],
    ids=["no usage", "nothing in all", "below zero", "over 10^13", "a digit more"],
)
def test_49_totals_of_zero_below_it_and_beyond_any_double_are_exact(amounts: list[str], kind: str, total: str) -> None:
    body = document([line_of(amount, n) for n, amount in enumerate(amounts)])
    assert (body["kind"], body["total"], body["amount_due"]) == (kind, total, total)


def test_49_less_than_a_minor_unit_is_a_line_of_nothing_that_is_shown() -> None:
    small = parse_catalog(FILES | {AT: PLAN.replace('price: "1"', 'price: "0.0049"')})
    (line,) = (x for x in february(small, {"2026-02-04": 1}) if x.meter)
    assert (line.amount.text, line.formula["exact"]) == ("0.00", "0.0049")


def test_49_very_many_lines_add_up_to_the_cent() -> None:
    """Each by itself; a million take as much longer as they are more."""
    body = document([line_of("0.01", n) for n in range(3_000)])
    assert (len(body["lines"]), body["total"]) == (3_000, "30.00")
