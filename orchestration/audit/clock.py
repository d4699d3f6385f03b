"""Local days and windows as lists of instants, found by asking the clock: no offsets, no multiples."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

from orchestration.zones import bucket_start, local_date, midnight_us

MINUTE_US = 60_000_000
_SHORT_US = {"1m": MINUTE_US, "5m": 5 * MINUTE_US, "15m": 15 * MINUTE_US}


@dataclass(frozen=True)
class Clock:
    """The local days of a zone from `first` to `end`, the last as a bound; those that a zone left out are not there."""

    zone: str
    first: date
    end: date
    _starts: dict[str, Sequence[int]] = field(default_factory=dict, compare=False)

    @cached_property
    def days(self) -> list[tuple[int, date]]:
        """(first instant, day), ascending."""
        count = (self.end - self.first).days + 1
        named = ((midnight_us(self.zone, day), day) for n in range(count) for day in [self.first + timedelta(days=n)])
        return [(start, day) for start, day in named if local_date(self.zone, start) == day]

    def day_of(self, us: int) -> date:
        """The local day of an instant of the span."""
        return self.days[bisect_right(self.days, (us, date.max)) - 1][1]

    def starts(self, length: str) -> Sequence[int]:
        """The first instants of all windows of a length, ascending, and the end of the last.

        Clocks are moved by whole quarters of an hour: shorter windows go on at equal steps.
        """
        if length not in self._starts:
            begin, end = midnight_us(self.zone, self.first), midnight_us(self.zone, self.end)
            if length == "1d":
                found: Sequence[int] = [start for start, _ in self.days]
            elif length == "1h":
                found = sorted({bucket_start(self.zone, us) for us in range(begin, end, _SHORT_US["15m"])})
            else:
                found = range(begin, end, _SHORT_US[length])
            self._starts[length] = [*(us for us in found if us < end), end]
        return self._starts[length]

    def between(self, length: str, start_us: int, end_us: int) -> Sequence[int]:
        """The first instants of the windows in [start_us, end_us)."""
        starts = self.starts(length)
        return starts[bisect_left(starts, start_us) : bisect_left(starts, end_us)]
