"""How much of what a customer may use is used, what is left, and when it will be gone. Pure: days in, status out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

HISTORY_DAYS = 28
"""Days before today whose use is the forecast's: four of each day of the week."""
ZERO = Decimal(0)
Per = Literal["day", "week", "month", "period"]
How = Literal["sum", "max"]


class Window(NamedTuple):
    """Local days, half-open."""

    start: date
    end: date


class Earned(NamedTuple):
    """What the meter earned on a local day, in one currency."""

    day: date
    currency: str
    amount: Fraction


class Status(NamedTuple):
    """The use of a limit in a window. `reached` is the day on which the limit was first met, `forecast` the one on
    which it will be, if use goes on as in the last weeks; None where neither happens within the window. `percent` is
    rounded down, and 100 of a limit of 0; `alerts` are the thresholds that are reached. `over` is what lies above the
    limit, and `overage` what it earned."""

    window: Window
    limit: Decimal
    used: Decimal
    remaining: Decimal
    percent: int
    alerts: tuple[int, ...]
    reached: date | None
    forecast: date | None
    over: Decimal
    overage: Mapping[str, Fraction]


def window_on(per: Per, today: date, period: Window) -> Window:
    """The window that a day lies in. `period` is the billing period."""
    if per == "day":
        return Window(today, today + timedelta(days=1))
    if per == "week":
        start = today - timedelta(days=today.weekday())
        return Window(start, start + timedelta(days=7))
    if per == "month":
        start = today.replace(day=1)
        return Window(start, (start + timedelta(days=31)).replace(day=1))
    return period


def status(
    window: Window,
    today: date,
    limit: Decimal,
    alerts: Sequence[int],
    days: Mapping[date, Decimal],
    earned: Sequence[Earned] = (),
    how: How = "sum",
) -> Status:
    """The status on a local day, which is not over yet.

    Args:
        days: what was used on each local day, of the window and of the weeks before it: what adds up to the quantity
            of a time, or its peaks (`how`).
        earned: what the meter earned on days of the window.
    """
    used, over, reached = ZERO, {}, None
    for day in sorted(d for d in days if window.start <= d < window.end):
        before, used = used, used + days[day] if how == "sum" else max(used, days[day])
        if reached is None and used >= limit and used > 0:
            reached = day
        over[day] = max(ZERO, used - max(limit, before))
    percent = int(used * 100 / limit) if limit else 100
    return Status(
        window,
        limit,
        used,
        max(ZERO, limit - used),
        percent,
        tuple(a for a in alerts if a <= percent),
        reached,
        None if reached is not None or how == "max" else _forecast(window, today, limit - used, days),
        max(ZERO, used - limit),
        _overage(over, days, earned) if how == "sum" else {},
    )


def _forecast(window: Window, today: date, left: Decimal, days: Mapping[date, Decimal]) -> date | None:
    """The day on which what is left will be gone, at the average of its day of the week in the weeks before today.

    Today counts with what it usually has beyond what it has had. Days before the first use count for nothing: a
    customer of ten days has no four weeks.
    """
    known = {day: n for day, n in days.items() if today - timedelta(days=HISTORY_DAYS) <= day < today and n}
    if not known:
        return None
    usual = _usual(known, min(known), today)
    left_over = Fraction(left)
    day = today
    while day < window.end:
        left_over -= max(Fraction(0), usual[day.weekday()] - (Fraction(days.get(day, ZERO)) if day == today else 0))
        if left_over <= 0:
            return day
        day += timedelta(days=1)
    return None


def _usual(days: Mapping[date, Decimal], first: date, today: date) -> list[Fraction]:
    """The average of each day of the week from `first` until before `today`; where there was none, of all days."""
    weekdays = [(first + timedelta(days=n)).weekday() for n in range((today - first).days)]
    average = Fraction(sum(days.values())) / len(weekdays)
    sums = [sum((n for day, n in days.items() if day.weekday() == weekday), ZERO) for weekday in range(7)]
    counts = [weekdays.count(weekday) for weekday in range(7)]
    return [Fraction(total) / count if count else average for total, count in zip(sums, counts, strict=True)]


def _overage(
    over: Mapping[date, Decimal], days: Mapping[date, Decimal], earned: Sequence[Earned]
) -> dict[str, Fraction]:
    """Of each day's amount the share that its units above the limit have in its units."""
    found: dict[str, Fraction] = {}
    for day, currency, amount in earned:
        if over.get(day):
            share = amount * Fraction(over[day]) / Fraction(days[day])
            found[currency] = found.get(currency, Fraction(0)) + share
    return found
