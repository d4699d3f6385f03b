"""Items that are added and removed, measured a second way: every event replayed in order, with what is there in hand.

A day is one on which an item is seen, so that none counts twice; a rank is how many there are when one more is added.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from orchestration.audit.clock import Clock
from orchestration.audit.states import Reading


def days_there(events: Sequence[Reading], clock: Clock, until_us: int) -> Iterator[tuple[str, str, date]]:
    """(item, dimensions, day) of the clock's days before `until_us`; the days of additions and removals count too."""
    days = [day for start_us, day in clock.days if start_us < until_us]
    for added, removed_us in _stays(events, until_us):
        first = clock.day_of(max(added.time_us, clock.days[0][0]))
        last = date.max if removed_us is None else _day_of(clock, removed_us)
        for day in days[bisect_left(days, first) : bisect_right(days, last)]:
            yield added.session or "", added.dimensions, day


def _day_of(clock: Clock, us: int) -> date:
    return clock.day_of(us) if us >= clock.days[0][0] else date.min


def _stays(events: Sequence[Reading], until_us: int) -> Iterator[tuple[Reading, int | None]]:
    """(the event that adds, the instant of the removal) of every stay."""
    there: dict[str | None, Reading] = {}
    for event in _before(events, until_us):
        if event.value > 0:
            there.setdefault(event.session, event)
        elif event.session in there:
            yield there.pop(event.session), event.time_us
    for event in there.values():
        yield event, None


def _before(events: Sequence[Reading], until_us: int) -> Iterable[Reading]:
    return (event for event in sorted(events) if event.time_us < until_us)


def days_by_rank(
    events: Sequence[Reading], clock: Clock, first: date, end: date, until_us: int
) -> dict[tuple[date, int], int]:
    """Days of items in [first, end), by the day of their addition and their rank; all that isn't known stays there.

    Days are dates: one that the zone left out counts, as it does in the length of a period.
    """
    begin_us = next(us for us, day in clock.days if day >= first)
    there: dict[str | None, tuple[int, date]] = {}
    counted: dict[str | None, set[date]] = defaultdict(set)
    found: Counter[tuple[date, int]] = Counter()

    def leaves(item: str | None, last: date) -> None:
        rank, day = there.pop(item)
        days = {day + timedelta(days=n) for n in range((last - day).days + 1)} - counted[item]
        if days:
            found[min(days), rank] += len(days)
        counted[item] |= days

    known = list(_before(events, until_us))
    for event in known:
        if event.time_us >= begin_us:
            break
        if event.value < 0:
            there.pop(event.session, None)
        else:
            there.setdefault(event.session, (0, first))
    there = {item: (rank, first) for rank, item in enumerate(there, 1)}
    for event in known:
        if event.time_us >= begin_us and event.value < 0 and event.session in there:
            leaves(event.session, clock.day_of(event.time_us))
        elif event.time_us >= begin_us and event.value > 0 and event.session not in there:
            there[event.session] = (len(there) + 1, clock.day_of(event.time_us))
    for item in list(there):
        leaves(item, end - timedelta(days=1))
    return found
