"""What detectors are given and what they say: series as a matrix, charts, alarms, incidents. Plain data, no engine.

All matrices are time x series: row t holds one moment of every series, so that a step over time is one operation on all
of them. A missing value is NaN. Nothing here is money: amounts arrive as figures to compare, and are billed nowhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]


class Series(NamedTuple):
    """Series of one grain. `values` is moments x keys; `moments` are whole seconds of UTC, ascending, evenly spaced."""

    keys: tuple[str, ...]
    moments: Whole
    values: Floats


class Chart(NamedTuple):
    """A control chart, moments x series, all in the unit of its statistic: why something fired can be seen from it."""

    statistic: Floats
    centre: Floats
    lower: Floats
    upper: Floats

    def outside(self) -> Flags:
        """Where the statistic is known and beyond a limit. A missing statistic is not outside."""
        return (self.statistic > self.upper) | (self.statistic < self.lower)


class Alarm(NamedTuple):
    """A moment at which a series is beyond what its past allows. `observed`, `centre` and limits have its unit."""

    key: str
    kind: str
    moment: int
    observed: float
    centre: float
    lower: float
    upper: float
    z: float
    p: float


class Incident(NamedTuple):
    """Alarms of one key and kind that belong together, from the first to the last moment, both included."""

    key: str
    kind: str
    first: int
    last: int
    alarms: tuple[Alarm, ...]

    @property
    def peak(self) -> Alarm:
        """The alarm that is furthest from its centre; of equal ones, the earliest."""
        return max(self.alarms, key=lambda alarm: (abs(alarm.z), -alarm.moment))


def hour_of_day(moments: Whole) -> Whole:
    """The slot of a day, 0 to 23, in UTC. Callers shift the moments by a zone's offset where days are local ones."""
    return moments // 3600 % 24


def hour_of_week(moments: Whole) -> Whole:
    """The slot of a week, 0 to 167, from Monday 00:00 UTC; 1970-01-01 was a Thursday."""
    return (moments // 3600 + 72) % 168


def day_type(moments: Whole) -> Whole:
    """The hour of the day, 0 to 23 on working days and 24 to 47 at weekends: for histories of few weeks."""
    return hour_of_day(moments) + 24 * (hour_of_week(moments) >= 120).astype(np.int64)
