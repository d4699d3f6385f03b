"""What each event of a line costs: from the line's formula as it stands in the document, exact to the last decimal.

Units go through the parts of the formula in the order of their use: the first tier first, an earlier version before a
later one, and what is included before all. An event costs what all units up to its own cost, less what they cost before
it; so the events sum to the whole whatever is cut on the way, and what is cut is the part `rounding`. Packages and
blocks, which no single event fills, are shared by units. What no event caused are named parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from orchestration.audit.counted import ORDER, Behind, by_day
from orchestration.catalog.charges import Charge
from orchestration.money import round_fraction

AMOUNT = "DECIMAL(38, 21)"
"""Quantities have 9 decimals and prices 12: a product is exact."""
_FEES = {"fee": "fee", "tier_fee": "flat fee of a tier"}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Units that follow one another at one price: so many measured units, and what each costs."""

    width: Fraction
    price: Fraction


def parts_of(line: Mapping[str, Any]) -> dict[str, Fraction]:
    """What of a line no event caused, by name: fees, discount, excess, top-up, and what was billed before."""
    formula, found = line["formula"], dict[str, Fraction]()
    share = Fraction(formula.get("proration", "1"))
    for detail in formula["details"]:
        if (name := _FEES.get(detail["part"])) is not None:
            found[name] = found.get(name, Fraction(0)) + Fraction(detail["amount"]) * share
    for name, step, sign in (("discount", "amount", -1), ("maximum", "excess", -1), ("minimum", "top_up", 1)):
        if name in formula:
            found[{"maximum": "excess", "minimum": "top-up"}.get(name, name)] = sign * Fraction(formula[name][step])
    if formula["model"] in ("cap", "commitment", "adjustment"):
        found[{"commitment": "top-up"}.get(formula["model"], formula["model"])] = Fraction(formula["exact"])
    if "correction" in line:
        found["billed before"] = -Fraction(line["correction"]["before"]["amount"])
    return {name: amount for name, amount in found.items() if amount}


def amount_sql(behind: Behind, total: Decimal) -> str:
    """A SQL expression over `counted` for what an event costs; `total` is the sum of its quantities."""
    formula = behind.line["formula"]
    if behind.measure == "events" and not _costs_nothing(formula):
        return _by_event(behind)
    plain = "included" not in formula and "conversion" not in formula
    if behind.charge.model == "matrix" and plain and not _costs_nothing(formula):
        return f"CAST(quantity * price AS {AMOUNT})"
    return along_sql(priced_stretches(behind.line, behind.charge, total))


def priced_stretches(line: Mapping[str, Any], charge: Charge, total: Decimal) -> list[Stretch]:
    """As `stretches`, in the decimals of quantities and prices; none where events cost nothing."""
    if _costs_nothing(line["formula"]):
        return []
    found, start, cut = [], Fraction(0), Fraction(0)
    for piece in stretches(line, charge, total):
        start += piece.width
        end = Fraction(round_fraction(start, 9))
        found.append(Stretch(end - cut, Fraction(round_fraction(piece.price, 12))))
        cut = end
    return found


def _costs_nothing(formula: Mapping[str, Any]) -> bool:
    return "trial" in formula or not formula["details"]


def stretches(line: Mapping[str, Any], charge: Charge, total: Decimal) -> Iterator[Stretch]:
    """The measured units of a line one after the other. Where their order says nothing, they are one stretch."""
    formula, measured = line["formula"], Fraction(total)
    share = Fraction(formula["proration"])
    details = [d for d in formula["details"] if d["part"] not in _FEES]
    amount = sum((Fraction(d["amount"]) for d in details), Fraction(0)) * share
    used = Fraction(formula.get("included", {}).get("used", "0"))
    priced = used + Fraction(line["quantity"])
    if not measured:
        return
    in_order = all(d["part"] == "units" and Fraction(d["quantity"]) > 0 for d in details) and "cell" not in details[0]
    apart = charge.prorate is not None or (charge.watermark is not None and charge.watermark.take == "each_window")
    if len({d["price"] for d in details}) == 1 and not used and in_order and not apart and priced == measured:
        yield Stretch(measured, Fraction(details[0]["price"]) * share)
    elif measured < 0 or priced <= 0 or apart or not (in_order or charge.model == "package"):
        yield Stretch(measured, amount / measured)
    else:
        ratio = measured / priced
        if used:
            yield Stretch(used * ratio, Fraction(0))
        if charge.model == "package":
            free = sum((Fraction(d["quantity"]) for d in details if d["part"] == "free"), Fraction(0))
            rest = Fraction(line["quantity"]) - free
            yield Stretch(free * ratio, Fraction(0))
            yield Stretch(rest * ratio, amount / (rest * ratio) if rest else Fraction(0))
            return
        for detail in sorted(details, key=lambda d: (d["version"], int(d["tier"] or 0))):
            yield Stretch(Fraction(detail["quantity"]) * ratio, Fraction(detail["price"]) * share / ratio)


def one_price(pieces: Sequence[Stretch], start: Fraction, end: Fraction) -> Fraction | None:
    """What each unit between two places costs, where that is one price."""
    if not pieces:
        return Fraction(0)
    low = Fraction(0)
    for number, piece in enumerate(pieces):
        high = low + piece.width
        if start >= low and (end <= high or number == len(pieces) - 1):
            return piece.price
        low = high
    return None


def cost_of(pieces: Sequence[Stretch], place: Fraction) -> Fraction:
    """What all units up to a place cost; the last piece has no end."""
    cost, low = Fraction(0), Fraction(0)
    for number, piece in enumerate(pieces):
        high = place if number == len(pieces) - 1 else min(place, low + piece.width)
        cost += max(high - low, Fraction(0)) * piece.price
        low += piece.width
    return cost


def left_after(pieces: Sequence[Stretch], start: Fraction) -> list[Stretch]:
    """What is left of the pieces when so many units are gone."""
    found, low = [], Fraction(0)
    for number, piece in enumerate(pieces):
        high = low + piece.width
        if high > start or number == len(pieces) - 1:
            found.append(Stretch(max(high - max(start, low), Fraction(0)), piece.price))
        low = high
    return found


def along_sql(pieces: Sequence[Stretch]) -> str:
    """A SQL expression over `counted`: what the running total costs now, less what it cost before the event."""
    if not pieces:
        return f"CAST(0 AS {AMOUNT})"
    if len(pieces) == 1:
        return f"CAST(quantity * {_price(pieces[0].price)} AS {AMOUNT})"
    running = f"sum(quantity) OVER (ORDER BY {ORDER} ROWS UNBOUNDED PRECEDING)"

    def cost(place: str) -> str:
        terms, start = [], Fraction(0)
        for number, piece in enumerate(pieces):
            low = _units(start)
            start += piece.width
            top = f"least({place}, {_units(start)})" if number < len(pieces) - 1 else f"({place})"
            terms.append(f"greatest({top} - {low}, 0::DECIMAL(38, 9)) * {_price(piece.price)}")
        return " + ".join(terms)

    after = f"CAST({running} AS DECIMAL(38, 9))"
    return f"CAST(({cost(after)}) - ({cost(f'CAST({after} - quantity AS DECIMAL(38, 9))')}) AS {AMOUNT})"


def _units(value: Fraction) -> str:
    return f"{round_fraction(value, 9):f}::DECIMAL(38, 9)"


def _price(value: Fraction) -> str:
    return f"{round_fraction(value, 12):f}::DECIMAL(38, 12)"


def _by_event(behind: Behind) -> str:
    """Rate and fixed fee of each event, between its bounds; the first events or the first money may be free."""
    charge = behind.charge
    before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    free = "CAST(0 AS DECIMAL(38, 9))"
    wholly = "false"
    if charge.free_events is not None or charge.free_amount is not None:
        used = f"coalesce(sum(greatest(quantity, 0)) OVER (ORDER BY {ORDER} {before}), 0)"
        left = f"({charge.free_amount:f}::DECIMAL(38, 9) - {used})" if charge.free_amount is not None else "NULL"
        seen = f"row_number() OVER (ORDER BY {ORDER}) <= {charge.free_events}"
        open_still = seen if charge.free_events is not None else "true"
        wholly = f"({open_still} AND ({left} > 0 AND quantity <= {left}))" if left != "NULL" else f"({open_still})"
        free = f"CASE WHEN {open_still} AND {left} > 0 THEN {left} ELSE 0 END" if left != "NULL" else free
    rate = by_day(behind, {p.from_day: f"{p.charge.rate or 0:f}" for p in behind.item.terms.prices})
    fixed = by_day(behind, {p.from_day: f"{p.charge.fixed or 0:f}" for p in behind.item.terms.prices})
    money = f"CAST(quantity - ({free}) AS DECIMAL(38, 9))"
    fee = f"({money} * CAST({rate} AS DECIMAL(38, 12)) + CAST({fixed} AS DECIMAL(38, 12)))"
    bounded = fee
    for option, function in (("min_per_event", "greatest"), ("max_per_event", "least")):
        bounds = {p.from_day: getattr(p.charge, option) for p in behind.item.terms.prices}
        if any(bound is not None for bound in bounds.values()):
            texts = {day: "NULL" if bound is None else f"{bound:f}" for day, bound in bounds.items()}
            bounded = f"{function}({bounded}, CAST({by_day(behind, texts)} AS DECIMAL(38, 12)))"
    paid_back = f"{money} * CAST({rate} AS DECIMAL(38, 12))"
    return f"CAST(CASE WHEN {wholly} THEN 0 WHEN {money} < 0 THEN {paid_back} ELSE {bounded} END AS {AMOUNT})"
