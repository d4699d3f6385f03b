"""Cases of kinds `pricing` and `rounding` in this project's words. The adapter computes nothing: see `pricing_terms`.

What needs measuring (`MEASURED`) is a customer of the instance that the cases of kind `aggregation` share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from conformance_cases import Case, UnknownCase
from pricing_terms import (
    METER,
    START,
    fields_of,
    line_of,
    refuse_other_rounding,
    segment,
    terms_of,
    text,
    tiers_of,
    used,
)

from orchestration.audit.clock import Clock
from orchestration.audit.items import days_by_rank
from orchestration.audit.states import Reading, series_of
from orchestration.billing.charges import Slice
from orchestration.billing.conversion import converted
from orchestration.billing.formula import average_price, paid_quantity
from orchestration.billing.models.matrix import cell_text
from orchestration.billing.models.tiered import tier_of
from orchestration.billing.per_event import sliced
from orchestration.billing.rating import Line, rate
from orchestration.billing.seats import Change, weighed
from orchestration.billing.segments import ChargeTerms, Segment
from orchestration.billing.taxes import tax_of
from orchestration.catalog.charges import Conversion
from orchestration.catalog.meters import Meter
from orchestration.money import CURRENCIES, Money, Rounding, allocate, round_fraction
from orchestration.zones import midnight_us

MEASURED = frozenset({"metered_per_unit"})
Fields = dict[str, Any]


def minor(money: Money) -> str:
    return str(money.minor)


def plain(case: Case, line: Line, quantity: Decimal | None = None) -> Fields:
    """What a case may ask of one line. `quantity` is that of units where the line's own is of money."""
    exact = Fraction(line.formula["exact"])
    counted = line.quantity if quantity is None else quantity
    per = case.expected.get("unit_amount_rounded", {}).get("per", "unit")
    if per not in ("unit", "paid_unit"):
        raise UnknownCase(f"{case.id}: unknown value '{per}' of 'per'")
    divided_by = paid_quantity(counted, line.formula) if per == "paid_unit" else counted
    unit = average_price(exact, divided_by)
    return {
        "amount": exact,
        "amount_cents": minor(line.amount),
        "rounded": line.amount.text,
        "unit_amount": unit,
        "unit_amount_rounded": unit,
    }


def by_quantity(model: str) -> Callable[[Case], Fields]:
    def answer(case: Case) -> Fields:
        case.known(case.params, {"quantity"})
        fields = fields_of(case, model, case.params, Decimal(case.input["quantity"]))
        return plain(case, line_of(case, fields, used(case.input["quantity"])))

    return answer


def dynamic(case: Case) -> Fields:
    """Amounts come in cents here, in whole units there."""
    case.known(case.params, {"quantity", "event_amounts_cents"})
    cents = [Decimal(amount) for amount in case.input["event_amounts_cents"]]
    slices = [Slice(START, amount.scaleb(-CURRENCIES[case.currency])) for amount in cents]
    line = line_of(case, fields_of(case, "dynamic", case.params), slices)
    return plain(case, line, Decimal(case.input["quantity"]))


def percentage(case: Case) -> Fields:
    case.known(case.params, {"events"})
    return by_events(case, case.input["events"])


def single_event(case: Case) -> Fields:
    case.known(case.params, {"event"})
    return by_events(case, [case.input["event"]])


def by_events(case: Case, events: Iterable[str]) -> Fields:
    params = {name: value for name, value in case.params.items() if name != "tax_percent"}
    fields = fields_of(case, "percentage", params)
    line = line_of(case, fields, sliced(terms_of(fields), [(START, Decimal(event)) for event in events]))
    tax = tax_of(line.amount, Decimal(case.params.get("tax_percent", "0")))
    return {**plain(case, line), "total_with_tax_cents": minor(line.amount + tax)}


def matrix(case: Case) -> Fields:
    case.known(case.params, {"quantities"})
    fields = fields_of(case, "matrix", case.params)
    name, given = case.params["dimension"], case.input["quantities"]
    cells = {value: cell_text({name: value}) for value in given}
    whole = line_of(case, fields, [Slice(START, Decimal(given[v]), cell=cells[v]) for v in given])
    apart = {v: line_of(case, fields, [Slice(START, Decimal(given[v]), cell=cells[v])]) for v in given}
    return {**plain(case, whole), "by_key": {value: minor(line.amount) for value, line in apart.items()}}


def grouped(case: Case) -> Fields:
    """A line for each value."""
    case.known(case.params, {"quantities"})
    fields = {**fields_of(case, "per_unit", case.params), "line_per": "key"}
    lines = {v: line_of(case, fields, used(q), v) for v, q in case.input["quantities"].items()}
    total = sum((line.amount for line in lines.values()), Money.zero(case.currency))
    return {"amount_cents": minor(total), "by_key": {value: minor(line.amount) for value, line in lines.items()}}


def bucketed(case: Case) -> Fields:
    case.known({"inner_model", "inner", "rounding"}, {"buckets"})
    buckets = [Decimal(value) for value in case.input["buckets"]]
    inner = fields_of(case, case.params["inner_model"], case.params["inner"], max(buckets, default=Decimal(0)))
    fields = {**inner, "watermark": {"of": "sum", "window": "1h", "take": "each_window"}}
    return plain(case, line_of(case, fields, [Slice(START, value) for value in buckets]))


def weighed_units(
    model: str, changes: Callable[[Case], list[tuple[str, str]]], *names: str
) -> Callable[[Case], Fields]:
    """Units that are held: full ones choose the tier, prorated ones are paid."""

    def answer(case: Case) -> Fields:
        case.known({"tiers", "flat_fee_at_zero", "result_rounding"}, set(names))
        plan = {name: value for name, value in case.params.items() if name != "result_rounding"}
        greatest = sum((max(Decimal(full), Decimal(0)) for full, _ in changes(case)), Decimal(0))
        terms = terms_of({**fields_of(case, model, plan, greatest), "prorate": "days"})
        rows = [Change(START, Decimal(full), Fraction(held) / Fraction(full)) for full, held in changes(case)]
        priced, _ = weighed(terms, rows, 9)
        units = sum((Fraction(d.amount) for d in priced.details if d.part == "units"), Fraction(0))
        per_unit = average_price(units, sum((row.units for row in rows), Decimal(0)))
        return {"amount": Fraction(priced.amount), "per_unit_rounded": per_unit}

    return answer


SEATS = METER.model_copy(update={"carry": True})
ITEM: dict[str, Any] = {"key": "units", "name": "Items", "event_type": "use"}
ITEM |= {f: {"field": "op", "op": "eq", "value": v} for f, v in (("start", "add"), ("stop", "remove"))}
ITEMS = Meter.model_validate({**ITEM, "aggregation": "unique_count", "value": "item"})
ITEM_LEVEL = Meter.model_validate({**ITEM, "aggregation": "level", "session": "item"})


def timeline_of(case: Case) -> tuple[ChargeTerms, Segment]:
    case.known({"tiers", "flat_fee_at_zero", "period_days", "rounding"}, {"events", "period"})
    start, end = (date.fromisoformat(case.input["period"][name]) for name in ("from", "to"))
    plan = {name: value for name, value in case.params.items() if name != "period_days"}
    terms = terms_of({**fields_of(case, "graduated", plan), "prorate": "days"}, start)
    return terms, segment(case, start, end, int(case.params["period_days"]))


def rows_of(case: Case, *names: str) -> list[tuple[date, Fields]]:
    for event in case.input["events"]:
        for name in event.keys() - {"d", *names}:
            raise UnknownCase(f"{case.id}: unknown event field '{name}'")
    return [(date.fromisoformat(event["d"]), event) for event in case.input["events"]]


def seats_timeline(case: Case) -> Fields:
    """What came before the period is carried into it: on its first day."""
    terms, part = timeline_of(case)
    changes = [(day, Decimal(event["change"])) for day, event in rows_of(case, "change") if day < part.end]
    found = rate(terms, part, [Slice(max(day, part.start), change) for day, change in changes], SEATS)
    return {"amount_cents": minor(found.amount), "full_units": Fraction(found.measured)}


def items_timeline(case: Case) -> Fields:
    """Events of a day come in the order of the case."""
    terms, part = timeline_of(case)
    signs = {"add": Decimal(1), "remove": Decimal(-1)}
    events = []
    for number, (day, event) in enumerate(rows_of(case, "item", "op")):
        if event["op"] not in signs:
            raise UnknownCase(f"{case.id}: unknown operation '{event['op']}'")
        at = midnight_us("UTC", day) + number
        events.append(Reading(at, "case", str(number), signs[event["op"]], "{}", event["item"]))
    until = midnight_us("UTC", part.end)
    found = days_by_rank(events, Clock("UTC", part.start, part.end), part.start, part.end, until)
    slices = [Slice(day, Decimal(days), rank=rank) for (day, rank), days in found.items()]
    level = [series.before(until) for series in series_of(ITEM_LEVEL, events)]
    priced = rate(terms, part, slices, ITEMS, divisor=part.period_days)
    return {"amount_cents": minor(priced.amount), "full_units": Fraction(next(iter(level), None) or 0)}


def line(model: str) -> Callable[[Case], Fields]:
    """The one line of a period. Split lines inside a period (progressive billing) are none of ours."""

    def answer(case: Case) -> Fields:
        case.known(case.params, {"line", "quantity_before", "previously_billed", "quantity"})
        given = case.input
        if given["line"] not in ("single", "last"):
            raise UnknownCase(f"{case.id}: unknown line '{given['line']}'")
        for name in ("quantity_before", "previously_billed"):
            if Decimal(given[name]):
                raise UnknownCase(f"{case.id}: a period that is billed in parts ('{name}')")
        found = line_of(case, bounded(case, model, Decimal(given["quantity"])), used(given["quantity"]))
        return {
            "amount": Fraction(found.gross.amount),
            "discount": Fraction(found.excess.amount),
            "commitment": Fraction(found.top_up.amount),
            "total": Fraction(found.amount.amount),
            "detailed": detailed(found),
        }

    return answer


BOUNDS = {"minimum_spend": "minimum", "maximum_spend": "maximum", "usage_discount": "included"}


def bounded(case: Case, model: str, greatest: Decimal) -> Fields:
    """A charge with its minimum, maximum, included units and conversion."""
    own = {"conversion", "last_step_closes_period", *BOUNDS}
    fields = fields_of(case, model, {n: v for n, v in case.params.items() if n not in own}, greatest)
    fields |= {ours: case.params[theirs] for theirs, ours in BOUNDS.items() if theirs in case.params}
    return fields | ({"convert": conversion(case, case.params["conversion"])} if "conversion" in case.params else {})


def detailed(found: Line) -> list[Fields]:
    """Tiers that cost something: units and flat fees apart."""
    rows = []
    for detail in found.formula["details"]:
        if detail["part"] == "tier_fee":
            rows.append({"tier": detail["tier"], "flat": detail["amount"]})
        elif Fraction(detail["amount"]):
            rows.append({"tier": detail["tier"], "units": detail["quantity"], "amount": detail["amount"]})
    return sorted(rows, key=lambda row: row["tier"])


ROUNDINGS = {"none": "none", "ceil": "up", "floor": "down", "half_up": "half_up", "half_even": "half_even"}
ROUNDINGS |= {"up": "up", "down": "down"}


def conversion(case: Case, given: Fields) -> Fields:
    """Quantities of these cases aren't below 0, so that up and ceil are one."""
    factors = {"divide": "divide_by", "multiply": "multiply_by"}
    for name in given.keys() - {"operation", "factor", "rounding", "scale"}:
        raise UnknownCase(f"{case.id}: unknown part of conversion '{name}'")
    if given["operation"] not in factors or given["rounding"] not in ROUNDINGS:
        raise UnknownCase(f"{case.id}: unknown conversion {given}")
    decimals = {} if given["rounding"] == "none" else {"decimals": int(given["scale"])}
    rounding = ROUNDINGS[given["rounding"]]
    return {factors[given["operation"]]: given["factor"], "unit": "unit", "rounding": rounding, **decimals}


def unit_conversion(case: Case) -> Fields:
    case.known({"operation", "factor", "rounding", "scale"}, {"quantity"})
    quantity, given = Decimal(case.input["quantity"]), conversion(case, case.params)
    if quantity < 0:
        raise UnknownCase(f"{case.id}: a conversion below 0")
    exact = Conversion.model_validate({**given, "rounding": "none", "decimals": 0})
    invoiced = converted(quantity, Conversion.model_validate(given))
    return {"converted": Fraction(converted(quantity, exact)), "invoiced": Fraction(invoiced)}


def tier_index(case: Case) -> Fields:
    """Counted from 0 there, from 1 here."""
    case.known({"tiers"}, {"quantity"})
    quantity = Decimal(case.input["quantity"])
    terms = terms_of({"model": "volume", "meter": "units", "tiers": tiers_of(case, case.params, quantity)})
    return {"tier_index": str(tier_of(terms.charge, quantity) - 1)}


def rerating(model: str) -> Callable[[Case], Fields]:
    """The period is priced again at each step; what comes is the amount now less what was booked.

    A minimum belongs to a period that has ended: the last step.
    """

    def answer(case: Case) -> Fields:
        case.known(case.params, {"cumulative_quantity"})
        if case.params.get("last_step_closes_period") is not True:
            raise UnknownCase(f"{case.id}: unknown value of switch 'last_step_closes_period'")
        steps = case.input["cumulative_quantity"]
        fields = bounded(case, model, max(Decimal(step) for step in steps))
        open_period = {name: value for name, value in fields.items() if name != "minimum"}
        lines = [line_of(case, open_period, used(step)) for step in steps[:-1]]
        lines.append(line_of(case, fields, used(steps[-1])))
        return {
            "net": [text(n) for n in differences_of([one.amount for one in lines])],
            "discount": [text(n) for n in differences_of([one.excess for one in lines])],
            "commitment": [text(n) for n in differences_of([one.top_up for one in lines])],
        }

    return answer


def differences_of(amounts: list[Any]) -> list[Decimal]:
    """Each amount less the one before, which is all that was issued until then."""
    before = [Money.zero(amounts[0].currency), *amounts[:-1]]
    return [(now - issued).amount for now, issued in zip(amounts, before, strict=True)]


def late_usage(model: str) -> Callable[[Case], Fields]:
    """Every period is priced again at each step, and its difference is its own."""

    def answer(case: Case) -> Fields:
        case.known(case.params, {"cumulative_by_period"})
        issued: list[Money] = []
        nets, by_period = [], []
        for totals in case.input["cumulative_by_period"]:
            ends = [Decimal(total) for total in totals]
            own = [end - start for start, end in zip([Decimal(0), *ends], ends, strict=False)]
            fields = bounded(case, model, max(own))
            now = [line_of(case, fields, [Slice(START, quantity)]).amount for quantity in own]
            zero = Money.zero(case.currency)
            parts = [a - b for a, b in zip(now, [*issued, zero][: len(now)], strict=True)]
            by_period.append([text(part.amount) for part in parts])
            nets.append(text(sum(parts, zero).amount))
            issued = now
        return {"net": nets, "net_by_period": by_period}

    return answer


def consumable_blocks(case: Case) -> Fields:
    """Tiers hold so many blocks each there, and end at a quantity here. Each unit is a charge of its own."""
    case.known({"tier_mode", "tiers"}, {"quantity", "previously_billed"})
    model = case.choice("tier_mode", {"ALL_TIERS": "graduated", "TOP_TIER": "volume"})
    zero = Money.zero(case.currency)
    exact, total = Fraction(0), zero
    for unit, quantity in case.input["quantity"].items():
        tiers, capacity, open_ended = [], Decimal(0), False
        for tier in case.params["tiers"]:
            [block] = [block for block in tier["blocks"] if block["unit"] == unit]
            for name in block.keys() - {"unit", "size", "max_blocks", "block_price"}:
                raise UnknownCase(f"{case.id}: unknown part of a block '{name}'")
            open_ended = block["max_blocks"] == "-1"
            capacity += Decimal(block["size"]) * Decimal(block["max_blocks"])
            tiers.append({"up_to": text(capacity), "price": block["block_price"], "block": block["size"]})
        if model == "graduated" and not open_ended and Decimal(quantity) > capacity:
            raise UnknownCase(f"{case.id}: a quantity beyond the last tier, which has no price")
        tiers[-1].pop("up_to")
        found = line_of(case, {"model": model, "meter": "units", "tiers": tiers}, used(quantity))
        exact, total = exact + Fraction(found.formula["exact"]), total + found.amount
    before = Money.of(Decimal(case.input.get("previously_billed", "0")), case.currency)
    return {"amount": exact, "new_item": Fraction((total - before).amount)}


# -- rounding --------------------------------------------------------------------------------------------------------

MODES: dict[str, tuple[Rounding, Rounding]] = {
    "half_up": ("half_away", "half_away"),
    "half_even": ("half_even", "half_even"),
    "up": ("up", "up"),
    "down": ("down", "down"),
    "ceil": ("up", "down"),
    "floor": ("down", "up"),
}
"""What a mode is called here: above 0, and below."""


def decimal(case: Case) -> Fields:
    case.known({"mode", "scale"}, {"value"})
    value, mode = Decimal(case.input["value"]), case.choice("mode", MODES)
    return {"value": text(round_fraction(value, int(case.params["scale"]), mode[value < 0]))}


def lines_then_sum(case: Case) -> Fields:
    """Each amount is that of a line."""
    case.known({"mode", "scale"}, {"lines"})
    case.choice("mode", {"half_up": "half_away"})
    case.choice("scale", {str(CURRENCIES[case.currency]): "the minor unit"})
    lines = [line_of(case, {"model": "flat", "amount": amount}, []) for amount in case.input["lines"]]
    return {"subtotal": sum((one.amount for one in lines), Money.zero(case.currency)).text}


def allocation(case: Case) -> Fields:
    """Of equals the earlier comes first; where the key decides, they stand in its order."""
    case.known({"scale", "tie"}, {"amount", "weights"})
    rows = case.input["weights"]
    rows = sorted(rows) if case.choice("tie", {"order": False, "key": True}) else rows
    scale = int(case.params["scale"])
    shares = allocate(int(Decimal(case.input["amount"]).scaleb(scale)), [Decimal(weight) for _, weight in rows])
    return {"shares": {key: text(Decimal(n).scaleb(-scale)) for (key, _), n in zip(rows, shares, strict=True)}}


def full_and_held(case: Case) -> list[tuple[str, str]]:
    return [(event["full"], event["prorated"]) for event in case.input["events"]]


def full_and_prorated(case: Case) -> list[tuple[str, str]]:
    return [(case.input["full_units"], case.input["prorated_units"])]


LINES = ("dynamic", "flat", "graduated", "package", "per_unit", "volume")
PRICING: dict[str, Callable[[Case], Fields]] = {
    **{model: by_quantity(model) for model in ("graduated", "graduated_percentage", "package", "per_unit", "volume")},
    **{f"line_{model}": line(model) for model in LINES},
    **{f"rerating_{model}": rerating(model) for model in LINES},
    **{f"late_usage_{model}": late_usage(model) for model in LINES},
    "bucketed": bucketed,
    "consumable_blocks": consumable_blocks,
    "dynamic": dynamic,
    "graduated_prorated_items_timeline": items_timeline,
    "graduated_prorated_timeline": seats_timeline,
    "graduated_prorated": weighed_units("graduated", full_and_held, "events"),
    "grouped_per_unit": grouped,
    "matrix": matrix,
    "percentage": percentage,
    "percentage_single_event": single_event,
    "tier_index": tier_index,
    "unit_conversion": unit_conversion,
    "volume_prorated": weighed_units("volume", full_and_prorated, "full_units", "prorated_units"),
}
ROUNDING = {"allocation": allocation, "decimal": decimal, "lines_then_sum": lines_then_sum}
MODELS = {"pricing": PRICING, "rounding": ROUNDING}


def compute(case: Case) -> Fields:
    """What this project says to a case, under the case's names. Raises UnknownCase for what it can't translate."""
    if case.model not in MODELS[case.kind]:
        raise UnknownCase(f"{case.id}: unknown model '{case.model}' of kind {case.kind}")
    refuse_other_rounding(case)
    return MODELS[case.kind][case.model](case)


def shown(case: Case, found: Any, expected: Any) -> Any:
    """A number as the case writes it: rounded where it says so, and to the digits given where it has no end."""
    if isinstance(expected, dict) and "scale" in expected:
        rounded = round_fraction(found, int(expected["scale"]))
        return expected if rounded == Decimal(expected["value"]) else text(rounded)
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [shown(case, a, b) for a, b in zip(found, expected, strict=True)]
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        return {name: shown(case, found[name], expected[name]) for name in expected}
    if isinstance(found, str) and isinstance(expected, str) and found != expected:
        return expected if Fraction(found) == Fraction(expected) else found
    if not isinstance(found, Fraction):
        return found
    stated = case.params.get("result_rounding")
    if stated is not None:
        mode = case_mode(case, stated["mode"])[found < 0]
        found = Fraction(round_fraction(found, int(stated["scale"]), mode))
    return expected if equal(found, Decimal(expected)) else str(found)


def case_mode(case: Case, name: str) -> tuple[Rounding, Rounding]:
    if name not in MODES:
        raise UnknownCase(f"{case.id}: unknown value '{name}' of rounding mode")
    return MODES[name]


def equal(found: Fraction, expected: Decimal) -> bool:
    """Exactly; a number that no decimal is equal to, to the digits given."""
    rest = found.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1:
        return found == Fraction(expected)
    return round_fraction(found, -int(expected.as_tuple().exponent)) == expected
