"""What events pay, one after the other and in fractions: the plain reading that the models are compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Terms:
    """Prices of a charge by event; `free_*` as in the charge, None where there is none."""

    rate: str
    fixed: str | None = None
    free_events: int | None = None
    free_amount: str | None = None
    least: str | None = None
    most: str | None = None


def fraction(text: str | None) -> Fraction:
    return Fraction(text or 0)


def amount(terms: Terms, values: Iterable[str]) -> Fraction:
    """The sum of the fees of events in order: what a person works out with a pencil."""
    return sum((fee for fee, _, _ in fees(terms, ((terms, v) for v in values))), Fraction(0))


def fees(terms: Terms, events: Iterable[tuple[Terms, str]]) -> Iterable[tuple[Fraction, str, Fraction]]:
    """(fee, part, money that pays) of each event at the prices of its day; `terms` say what is free."""
    count, used = 0, Fraction(0)
    for prices, text in events:
        value = fraction(text)
        limited = terms.free_events is not None or terms.free_amount is not None
        ended = (terms.free_events is not None and count >= terms.free_events) or (
            terms.free_amount is not None and used >= fraction(terms.free_amount)
        )
        free = Fraction(0)
        if limited and not ended:
            free = value if terms.free_amount is None else min(value, fraction(terms.free_amount) - used)
        count, used = count + 1, used + max(value, Fraction(0))
        if limited and not ended and free == value:
            yield Fraction(0), "free", Fraction(0)
            continue
        if value < 0:
            yield fraction(prices.rate) * value, "units", value
            continue
        fee = fraction(prices.rate) * (value - free) + fraction(prices.fixed)
        if prices.least is not None and fee < fraction(prices.least):
            yield fraction(prices.least), "at_min", value - free
        elif prices.most is not None and fee > fraction(prices.most):
            yield fraction(prices.most), "at_max", value - free
        else:
            yield fee, "units", value - free


def parts(terms: Terms, events: Iterable[tuple[Any, Terms, str]]) -> dict[tuple[Any, str], tuple[Fraction, int]]:
    """(money, events) by (day, part) of (day, prices of the day, value) in order; free money and free events too."""
    events = list(events)
    found: dict[tuple[Any, str], tuple[Fraction, int]] = defaultdict(lambda: (Fraction(0), 0))
    for (day, _, text), (_, part, paying) in zip(events, fees(terms, ((t, v) for _, t, v in events)), strict=True):
        free = fraction(text) - paying
        if part == "free" or free:
            money, count = found[day, "free"]
            found[day, "free"] = money + free, count + (part == "free")
        if part != "free":
            money, count = found[day, part]
            found[day, part] = money + paying, count + (paying >= 0)
    return dict(found)
