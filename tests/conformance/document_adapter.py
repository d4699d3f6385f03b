"""Cases of kinds `discount`, `credit`, `invoice` and `tax` in this project's words. Nothing is computed here.

Amounts of a case become lines of a document; what is taken off, taxed and due is read from the document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from conformance_cases import Case, UnknownCase

from orchestration.billing.charges import Slice
from orchestration.billing.corrections import creditable
from orchestration.billing.credits import Account, Used
from orchestration.billing.documents import build_document
from orchestration.billing.due import due_lines, grouped, issued_lines
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import charge_prices, segments
from orchestration.billing.shares import Use, at_most
from orchestration.billing.statements import Agreed, paid, statements
from orchestration.billing.taxes import Buyer
from orchestration.catalog.charges import Charge
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Customer, Entity, Subscription
from orchestration.catalog.plans import Plan
from orchestration.catalog.terms import Coupon, Grant, TaxRate
from orchestration.money import CURRENCIES, Money

ENTITY = Entity(key="seller", name="Seller", address="-")
BUYER = Customer(customer="buyer", name="Buyer", address="-", country="FR", zone="UTC", entity="seller")
MONTH = (date(2026, 10, 1), date(2026, 11, 1))
METER = Meter(key="units", name="Units", unit="unit", event_type="use", aggregation="sum", value="n")
ROUNDING = {"half_up": "half_away"}
NOTHING = "none"
"""A charge that no line is of: a coupon that applies to it applies to nothing."""

Body = dict[str, Any]
Answer = dict[str, Any]


@dataclass
class Terms:
    """What a case says beside its amounts, under the names of the catalog."""

    currency: str
    coupons: list[Coupon] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    rates: list[TaxRate] = field(default_factory=list)
    used: Used = field(default_factory=Used)
    documents: list[Body] = field(default_factory=list)

    def coupon(self, key: str, **fields: Any) -> None:
        values = {"id": key, "customer": "buyer", "issued": "2026-01-01", **fields}
        self.coupons.append(Coupon.model_validate(values))

    def grant(self, key: str, amount: str, kind: str, **fields: Any) -> None:
        values = {"id": key, "customer": "buyer", "kind": kind, "amount": amount, "currency": self.currency}
        self.grants.append(Grant.model_validate({**values, "granted": "2026-01-01", **fields}))

    def rate(self, percent: str, category: str = "standard", name: str = "tax") -> None:
        self.rates.append(TaxRate(category=category, name=name, percent=Decimal(percent)))

    def issue(self, lines: Sequence[Line], cut_off: date = MONTH[1]) -> Body:
        """The one document of a close."""
        buyer = Buyer("seller", "FR", self.rates or None)
        agreed = Agreed(buyer, self.coupons, self.grants)
        due = due_lines(lines, issued_lines(self.documents), cut_off)
        ((group,),) = (grouped(due, lambda *_: "seller"),)
        (statement,) = statements(group, agreed, self.used, cut_off)
        whole = paid(statement, agreed, self.used, cut_off)
        number = f"DOC-{len(self.documents) + 1}"
        dates = {"issue_date": cut_off, "due_date": cut_off, "cut_off": cut_off}
        body = build_document(whole, number=number, entity=ENTITY, customer=BUYER, **dates)
        self.used.add(number, whole.account, whole.total, [*whole.uses, *whole.payments])
        self.documents.append(body)
        return body

    def line(self, charge: str, amount: Money, kind: str = "usage", category: str = "standard") -> Line:
        usage = kind == "usage"
        return Line(
            subscription="s",
            customer="buyer",
            plan="p",
            charge=charge,
            name=charge,
            meter="units" if usage else None,
            due="arrears",
            currency=self.currency,
            period_start=MONTH[0],
            period_end=MONTH[1],
            start=MONTH[0],
            end=MONTH[1],
            measured=Decimal(1),
            quantity=Decimal(1),
            unit="unit",
            amount=amount,
            formula={},
            kind="usage" if usage else "fee",
            tax_category=category,
        )


def terms_of(case: Case, *params: str, inputs: Sequence[str]) -> Terms:
    """Empty terms of a case; its money is rounded as ours, at the currency's decimals."""
    case.known({*params, "rounding"}, inputs)
    rounding = case.params.get("rounding")
    if rounding is not None and (
        rounding["mode"] not in ROUNDING or int(rounding["scale"]) != CURRENCIES[case.currency]
    ):
        raise UnknownCase(f"{case.id}: unknown rounding {rounding}")
    return Terms(case.currency)


def cents(text: str, currency: str) -> Money:
    return Money.of_minor(int(text), currency)


def minor(text: str, currency: str) -> str:
    return str(Money(Decimal(text), currency).minor)


def whole(text: str, currency: str) -> Money:
    return Money.of(Decimal(text), currency)


def add_coupon(case: Case, terms: Terms, key: str, row: dict[str, Any], charges: Sequence[str] | None) -> None:
    """A coupon of a case. `fees` are positions of lines, here charges."""
    known = {
        "type",
        "amount",
        "amount_cents",
        "rate_percent",
        "fees",
        "frequency",
        "remaining",
        "already_used_cents",
        "currency",
    }
    if row.keys() - known:
        raise UnknownCase(f"{case.id}: unknown field {sorted(row.keys() - known)} of a coupon")
    fields: dict[str, Any] = {}
    if charges is not None:
        fields["applies_to"] = charges or [NOTHING]
    if "frequency" in row:
        fields["lasts"] = lasting(case, row)
    if row["type"] == "percentage":
        terms.coupon(key, percent=row["rate_percent"], **fields)
        return
    if row["type"] != "fixed":
        raise UnknownCase(f"{case.id}: unknown type '{row['type']}' of a coupon")
    currency = row.get("currency", terms.currency)
    amount = row["amount"] if "amount" in row else cents(row["amount_cents"], currency).text
    terms.coupon(key, amount=amount, currency=currency, **fields)
    if "already_used_cents" in row:
        earlier = Use("coupon", key, cents(row["already_used_cents"], terms.currency))
        none = Money.zero(terms.currency)
        terms.used.add("EARLIER", Account("seller", "buyer", terms.currency), none, [earlier])


def lasting(case: Case, row: dict[str, Any]) -> str | int:
    """For how many documents a coupon is good."""
    if row["frequency"] == "recurring":
        return int(row["remaining"])
    if row["frequency"] not in ("once", "forever"):
        raise UnknownCase(f"{case.id}: unknown frequency '{row['frequency']}' of a coupon")
    return str(row["frequency"])


def coupons(case: Case) -> Answer:
    terms = terms_of(case, "coupons", inputs=["fees_cents"])
    for n, row in enumerate(case.params["coupons"]):
        fees = row.get("fees")
        add_coupon(case, terms, f"c{n}", row, None if fees is None else [f"f{fee}" for fee in fees])
    lines = [terms.line(f"f{n}", cents(fee, terms.currency)) for n, fee in enumerate(case.input["fees_cents"])]
    body = terms.issue(lines)
    taken = {use["id"]: use["amount"] for use in body.get("coupons", ())}
    applied = [taken.get(c.id, Money.zero(terms.currency).text) for c in terms.coupons if applies(c, terms)]
    return {
        "coupon_cents": [minor(amount, terms.currency) for amount in applied],
        "fee_discount_cents": [
            minor(next((use["amount"] for use in shown.get("coupons", ())), "0.00"), terms.currency)
            for shown in body["lines"]
        ],
        "total_cents": minor(body["coupon_total"], terms.currency),
        "remaining_cents": minor(body["total"], terms.currency),
        "remaining_after": str(int(terms.coupons[0].lasts) - terms.used.documents("c0"))
        if isinstance(terms.coupons[0].lasts, int)
        else None,
    }


def applies(coupon: Coupon, terms: Terms) -> bool:
    """The cases list a coupon that may be used, also when it takes nothing."""
    return coupon.applies_to != (NOTHING,) and coupon.currency in (None, terms.currency)


def single(case: Case) -> Answer:
    terms = terms_of(case, "type", "rate_percent", "amount", inputs=["amount"])
    row = {name: case.params[name] for name in ("type", "rate_percent", "amount") if name in case.params}
    add_coupon(case, terms, "c0", row, None)
    body = terms.issue([terms.line("f0", whole(case.input["amount"], terms.currency))])
    return {"discount": Decimal(body["coupon_total"]), "final": Decimal(body["total"])}


def usage_discount(case: Case) -> Answer:
    """Free units are a first tier at nothing; the units that are billed are those of the second, at 1 each."""
    terms = terms_of(case, "free_units", inputs=["quantity_before", "quantity"])
    tiers = [{"up_to": case.params["free_units"], "price": "0"}, {"price": "1"}]
    priced = Charge.model_validate(
        {"key": "units", "name": "Units", "model": "graduated", "meter": "units", "tiers": tiers}
    )
    before, quantity = Decimal(case.input["quantity_before"]), Decimal(case.input["quantity"])
    first = used(terms, priced, [(MONTH[0], before)])
    terms.issue(first)
    later = used(terms, priced, [(MONTH[0], before), (MONTH[0] + timedelta(days=1), quantity)])
    billed = Decimal(terms.issue(later, MONTH[1] + timedelta(days=1))["total"])
    return {
        "billed_before": Decimal(terms.documents[0]["total"]),
        "billed_quantity": billed,
        "applied": quantity - billed,
    }


def plan_of(terms: Terms, priced: Charge, key: str = "p", anchor: Any = "calendar") -> Plan:
    version = {"effective": "2000-01-01", "charges": [priced]}
    return Plan.model_validate(
        {"key": key, "name": key, "currency": terms.currency, "anchor": anchor, "versions": [version]}
    )


def used(terms: Terms, priced: Charge, days: Sequence[tuple[date, Decimal]]) -> list[Line]:
    return rated([plan_of(terms, priced)], [phase(MONTH[0], MONTH[1])], days)


def phase(start: date, end: date | None, plan: str = "p") -> Subscription:
    return Subscription(subscription="s", customer="buyer", plan=plan, start=start, end=end)


def rated(plans: Sequence[Plan], phases: Sequence[Subscription], days: Sequence[tuple[date, Decimal]]) -> list[Line]:
    by_key = {plan.key: plan for plan in plans}
    lines = []
    for segment in segments(phases, by_key, max(p.end or p.start for p in phases) - timedelta(days=1)):
        for terms in charge_prices(by_key[segment.plan], segment):
            slices = [Slice(day, quantity) for day, quantity in days if segment.start <= day < segment.end]
            metered = terms.charge.meter is not None
            lines.append(rate(terms, segment, slices if metered else (), METER if metered else None))
    return lines


def maximum_spend(case: Case) -> Answer:
    """The whole of a period. What was billed of it before (progressive billing) is none of ours."""
    case.known({"maximum_spend", "unit_price", "rounding"}, {"quantity", "previously_billed"})
    if Decimal(case.input["previously_billed"]):
        raise UnknownCase(f"{case.id}: a period that is billed in parts ('previously_billed')")
    fields = {"price": case.params["unit_price"], "maximum": case.params["maximum_spend"]}
    priced = {"key": "units", "name": "Units", "model": "per_unit", "meter": "units", **fields}
    (found,) = used(Terms(case.currency), Charge.model_validate(priced), [(MONTH[0], Decimal(case.input["quantity"]))])
    return {"discount": None if found.excess is None else found.excess.amount}


def credit_cap(case: Case) -> Answer:
    case.known((), ("potential_credit", "paid", "already_credited"))
    potential, paid_before, credited = (
        whole(case.input[name], case.currency) for name in ("potential_credit", "paid", "already_credited")
    )
    left = creditable(paid_before, credited)
    return {"credit": Money.of_minor(at_most(potential.minor, left.minor), case.currency).amount}


def prepaid_wallets(case: Case) -> Answer:
    """Credits that pay usage alone apply to its charges; discounts of a line and of an invoice are coupons."""
    terms = terms_of(case, inputs=["lines", "wallets"])
    rows = case.input["lines"]
    body = with_wallets(terms, rows, [f"f{n}" for n in range(len(rows))], case.input["wallets"])
    debits = [Decimal(use["amount"]) for use in body["prepaid"]]
    return {"applied": [Decimal(body["prepaid_total"])] if len(rows) == 1 else None, "debits": debits}


def with_wallets(terms: Terms, rows: Sequence[dict[str, str]], charges: Sequence[str], wallets: Sequence[str]) -> Body:
    for n, row in enumerate(rows):
        for name in ("line_discount", "invoice_discount"):
            if Decimal(row.get(name, "0")):
                terms.coupon(f"{name}-{n}", amount=row[name], currency=terms.currency, applies_to=[charges[n]])
    usage = [charge for charge, row in zip(charges, rows, strict=True) if row["type"] == "usage"]
    for n, amount in enumerate(wallets):
        terms.grant(f"w{n}", amount, "prepaid", priority=n, applies_to=usage)
    return terms.issue(
        [
            terms.line(charge, whole(row["amount"], terms.currency), row["type"])
            for charge, row in zip(charges, rows, strict=True)
        ]
    )


def discounts_then_credits(case: Case) -> Answer:
    terms = terms_of(case, "line_discounts", "invoice_discounts", inputs=["lines", "wallets"])
    for position, row in sorted(case.params["line_discounts"].items()):
        add_coupon(case, terms, f"a-line-{position}", row, [f"f{position}"])
    for n, row in enumerate(case.params["invoice_discounts"]):
        add_coupon(case, terms, f"b-invoice-{n}", row, None)
    rows = case.input["lines"]
    body = with_wallets(terms, rows, [f"f{n}" for n in range(len(rows))], case.input["wallets"])
    found = {"subtotal": "subtotal", "discount": "coupon_total", "credits": "prepaid_total", "total": "amount_due"}
    return {name: Decimal(body[ours]) for name, ours in found.items()}


def unused_days_credit(case: Case) -> Answer:
    """A fee in advance, ended after the day of termination: what comes back is the credit."""
    terms = terms_of(case, "plan_amount_cents", "tax_percent", "full_period", inputs=["terminated_on"])
    terms.rate(case.params["tax_percent"])
    start, end = (date.fromisoformat(case.params["full_period"][name]) for name in ("from", "to"))
    amount = cents(case.params["plan_amount_cents"], terms.currency).text
    fee = Charge.model_validate({"key": "fee", "name": "Fee", "model": "flat", "amount": amount, "due": "advance"})
    plans = [plan_of(terms, fee, anchor="subscription")]
    terms.issue(rated(plans, [phase(start, end)], ()), start)
    after = date.fromisoformat(case.input["terminated_on"]) + timedelta(days=1)
    return given_back(terms, terms.issue(rated(plans, [phase(start, after)], ()), end))


def given_back(terms: Terms, note: Body) -> Answer:
    """The amounts of a credit note, which has them below 0, as the cases write them."""
    if note["kind"] != "credit_note":
        raise UnknownCase(f"{note['number']} is no credit note")
    names = {"net_cents": "subtotal", "tax_cents": "tax", "total_cents": "total"}
    return {name: minor(note[ours].removeprefix("-"), terms.currency) for name, ours in names.items()}


def partial_credit(case: Case) -> Answer:
    terms = terms_of(case, "tax_percent", inputs=["invoice_fee_cents", "net_cents"])
    terms.rate(case.params["tax_percent"])
    billed, back = (cents(case.input[name], terms.currency) for name in ("invoice_fee_cents", "net_cents"))
    terms.issue([terms.line("f0", billed)])
    return given_back(terms, terms.issue([terms.line("f0", billed - back)], MONTH[1] + timedelta(days=1)))


def coupons_and_taxes(case: Case) -> Answer:
    terms = terms_of(case, "coupons", inputs=["fees"])
    for n, row in enumerate(case.params["coupons"]):
        add_coupon(case, terms, f"c{n}", row, row.get("fees") and [f"f{fee}" for fee in row["fees"]])
    fees = case.input["fees"]
    for percent in sorted({fee["tax_percent"] for fee in fees}):
        terms.rate(percent, category=f"at{percent}")
    body = terms.issue(
        [
            terms.line(f"f{n}", cents(fee["amount_cents"], terms.currency), category=f"at{fee['tax_percent']}")
            for n, fee in enumerate(fees)
        ]
    )
    shown = {line["charge"]: line for line in body["lines"]}
    in_order = [shown[f"f{n}"] for n in range(len(fees))]
    return {
        "fee_discount_cents": [minor(line["coupons"][0]["amount"], terms.currency) for line in in_order],
        "fee_tax_cents": [minor(line["taxes"][0]["amount"], terms.currency) for line in in_order],
        "fees_cents": minor(body["subtotal"], terms.currency),
        "coupons_cents": minor(body["coupon_total"], terms.currency),
        "net_cents": str(sum(int(minor(tax["base"], terms.currency)) for tax in body["taxes"])),
        "tax_cents": minor(body["tax"], terms.currency),
        "total_cents": minor(body["total"], terms.currency),
    }


def totals(case: Case) -> Answer:
    terms = terms_of(case, "tax_percent", inputs=["fees_cents", "credit_notes_cents"])
    terms.rate(case.params["tax_percent"])
    account = Account("seller", "buyer", terms.currency)
    terms.used.add("NOTE", account, -cents(case.input["credit_notes_cents"], terms.currency), ())
    fees = case.input["fees_cents"]
    body = terms.issue([terms.line(f"f{n}", cents(fee, terms.currency)) for n, fee in enumerate(fees)])
    names = {"fees_cents": "subtotal", "tax_cents": "tax", "total_cents": "amount_due"}
    return {name: minor(body[ours], terms.currency) for name, ours in names.items()}


def usage_split_at_plan_change(case: Case) -> Answer:
    terms = terms_of(case, "unit_price_before", "unit_price_after", inputs=["events", "change_date", "period"])
    start, end = (date.fromisoformat(case.input["period"][name]) for name in ("from", "to"))
    change = date.fromisoformat(case.input["change_date"])
    plans = []
    for key in ("before", "after"):
        price = case.params[f"unit_price_{key}"]
        priced = {"key": "units", "name": "Units", "model": "per_unit", "meter": "units", "price": price}
        plans.append(plan_of(terms, Charge.model_validate(priced), key, "subscription"))
    events = [(date.fromisoformat(event["t"]), Decimal(event["value"])) for event in case.input["events"]]
    body = terms.issue(rated(plans, [phase(start, change, "before"), phase(change, end, "after")], events), end)
    return {f"amount_{line['plan']}": Decimal(line["amount"]) for line in body["lines"]}


def single_tax(case: Case) -> Answer:
    return taxed(case, [case.params["rate_percent"]])


def several_taxes(case: Case) -> Answer:
    return taxed(case, case.params["rates_percent"])


def taxed(case: Case, percents: Sequence[str]) -> Answer:
    terms = terms_of(case, "rate_percent", "rates_percent", inputs=["amount", "discount"])
    for n, percent in enumerate(percents):
        terms.rate(percent, name=f"tax-{n}")
    if "discount" in case.input:
        terms.coupon("c0", amount=case.input["discount"], currency=terms.currency)
    body = terms.issue([terms.line("f0", whole(case.input["amount"], terms.currency))])
    tax = Decimal(body["tax"])
    return {"tax": tax, "tax_total": tax, "total": Decimal(body["total"])}


MODELS: dict[tuple[str, str], Callable[[Case], Answer]] = {
    ("credit", "credit_cap"): credit_cap,
    ("credit", "partial_credit"): partial_credit,
    ("credit", "prepaid_wallets"): prepaid_wallets,
    ("credit", "unused_days_credit"): unused_days_credit,
    ("discount", "coupons"): coupons,
    ("discount", "maximum_spend"): maximum_spend,
    ("discount", "single"): single,
    ("discount", "usage_discount"): usage_discount,
    ("invoice", "coupons_and_taxes"): coupons_and_taxes,
    ("invoice", "discounts_then_credits"): discounts_then_credits,
    ("invoice", "totals"): totals,
    ("invoice", "usage_split_at_plan_change"): usage_split_at_plan_change,
    ("tax", "after_discount"): single_tax,
    ("tax", "several"): several_taxes,
    ("tax", "single"): single_tax,
}


def compute(case: Case) -> Answer:
    """What this project says to a case, under the case's names. Raises UnknownCase for what it can't translate."""
    model = MODELS.get((case.kind, case.model))
    if model is None:
        raise UnknownCase(f"{case.id}: unknown model '{case.model}' of kind {case.kind}")
    return {name: shown(value, case.expected.get(name)) for name, value in model(case).items()}


def shown(found: Any, expected: Any) -> Any:
    """A number with as many decimals as the case gives it, if it is equal; text stays as it is."""
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [shown(a, b) for a, b in zip(found, expected, strict=True)]
    if not isinstance(found, Decimal):
        return found
    return expected if isinstance(expected, str) and found == Decimal(expected) else str(found)
