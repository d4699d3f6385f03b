"""When things happen: random streams, zones, and instants that follow the hours and days of a customer. Integers only.

Instants are whole seconds of UTC since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate
from random import Random
from zoneinfo import ZoneInfo

from orchestration.example.profiles import MONTH_END, MONTH_START, WINDOW_END, WINDOW_START, Profile

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# All zones of the example begin their days on a quarter of an hour of UTC.
_SLOT = 900

# How busy the hours of a local day are (from midnight), and the days of a week (from Monday).
_HOURS = (4, 3, 2, 2, 2, 4, 7, 14, 26, 38, 42, 40, 34, 36, 42, 41, 36, 28, 20, 15, 12, 10, 8, 6)
_DAYS = (10, 11, 11, 11, 9, 4, 3)


class Dice:
    """A stream of random whole numbers; several times as fast as `Random.randrange`, and as even as traffic needs."""

    __slots__ = ("_bits",)

    def __init__(self, seed: str) -> None:
        self._bits = Random(seed).getrandbits

    def below(self, count: int) -> int:
        """A number from 0 up to, not including, `count` (at most 2^32)."""
        return self._bits(32) * count >> 32

    def skewed(self, count: int) -> int:
        """A number below `count`, small ones more often."""
        return min(self.below(count), self.below(count))


def stream(seed: int, name: str) -> Dice:
    """A random stream of its own for each part, so that a change of one part leaves the others as they are."""
    return Dice(f"{seed}/{name}")


def share(volume: int, percent: int) -> int:
    """`percent` of a volume; what was not zero stays at least one."""
    return max(1, volume * percent // 100) if volume and percent else 0


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The zone as the pinned `tzdata` package has it: data of the host would make the files depend on the machine."""
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def seconds(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return (moment - _EPOCH) // _SECOND


def moment(at: int, zone_name: str = "UTC") -> datetime:
    """The instant as a clock of that zone shows it."""
    return datetime.fromtimestamp(at, zone(zone_name))


def midnight(day: date, zone_name: str) -> int:
    """The local midnight of a day. In October 2026 no zone of the example skips or repeats one."""
    return seconds(datetime.combine(day, time(0), tzinfo=zone(zone_name)))


@lru_cache(maxsize=64)
def month(zone_name: str) -> tuple[int, int]:
    """The local October, half-open."""
    return midnight(MONTH_START, zone_name), midnight(MONTH_END, zone_name)


def active(profile: Profile) -> tuple[int, int]:
    """The part of the window in which a customer sends anything, half-open."""
    first = midnight(profile.first, profile.zone) if profile.first else seconds(WINDOW_START)
    until = midnight(profile.until, profile.zone) if profile.until else seconds(WINDOW_END)
    return first, until


def instants(dice: Dice, profile: Profile, count: int) -> list[int]:
    """`count` instants in the customer's part of the window, ascending, more of them when its day is busy."""
    first, until = active(profile)
    return spread(dice, profile.zone, first, until, count)


def spread(dice: Dice, zone_name: str, first: int, until: int, count: int) -> list[int]:
    """`count` instants in [first, until), ascending; both bounds are on quarters of an hour."""
    totals = _totals(zone_name, first, until)
    found = []
    for _ in range(count):
        slot = bisect_right(totals, dice.below(totals[-1]))
        found.append(first + slot * _SLOT + dice.below(_SLOT))
    return sorted(found)


@lru_cache(maxsize=128)
def _totals(zone_name: str, first: int, until: int) -> tuple[int, ...]:
    if first % _SLOT or until % _SLOT or first >= until:
        raise ValueError("an interval of traffic begins and ends on a quarter of an hour")
    local = (moment(at, zone_name) for at in range(first, until, _SLOT))
    return tuple(accumulate(_HOURS[clock.hour] * _DAYS[clock.weekday()] for clock in local))


def edges(profile: Profile) -> tuple[int, ...]:
    """The last second before the local October, its first and last, and the first after it: where months are lost."""
    start, end = month(profile.zone)
    first, until = active(profile)
    return tuple(at for at in (start - 1, start, end - 1, end) if first <= at < until)
