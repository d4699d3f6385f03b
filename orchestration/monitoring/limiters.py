"""Rate limits as a gateway would keep them: four kinds, exact in whole microseconds.

A limiter is asked first (`wait_us`) and told afterwards (`take`), so that it can follow what a gateway really let
through as well as its own verdict. Times never go back.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush, nsmallest
from typing import Literal, NamedTuple, Protocol

Kind = Literal["token_bucket", "fixed_window", "sliding_window", "concurrency"]


class Limit(NamedTuple):
    """`limit` requests in each `window_us`, at most `burst` of them at once (token bucket); of a concurrency, `limit`
    requests at the same time."""

    kind: Kind
    limit: int
    window_us: int = 0
    burst: int = 0


class Limiter(Protocol):
    """The state of one limit for one client."""

    def wait_us(self, at_us: int) -> int:
        """0 where a request is within the limit, else how long until it would be."""
        ...

    def take(self, at_us: int, lasts_us: int) -> None:
        """A request was let through at `at_us`, within the limit or beyond it."""
        ...


class TokenBucket:
    """`limit` tokens come in each window, evenly; `burst` of them fit. It starts full.

    Levels are in shares of a token, `window_us` of which make one: so each microsecond adds `limit` whole shares. A
    request beyond the limit takes what is there, and leaves no debt.
    """

    def __init__(self, rule: Limit) -> None:
        self._rate, self._cost = rule.limit, rule.window_us
        self._full = rule.burst * rule.window_us
        self._level, self._at = self._full, 0

    def wait_us(self, at_us: int) -> int:
        self._level = min(self._full, self._level + (at_us - self._at) * self._rate)
        self._at = at_us
        return -(-max(0, self._cost - self._level) // self._rate)

    def take(self, at_us: int, lasts_us: int) -> None:
        self.wait_us(at_us)
        self._level = max(0, self._level - self._cost)


class FixedWindow:
    """Windows follow one another from 1970-01-01T00:00Z on; each lets `limit` through."""

    def __init__(self, rule: Limit) -> None:
        self._limit, self._length = rule.limit, rule.window_us
        self._window, self._used = -1, 0

    def wait_us(self, at_us: int) -> int:
        window = at_us // self._length
        if window != self._window:
            self._window, self._used = window, 0
        return 0 if self._used < self._limit else (window + 1) * self._length - at_us

    def take(self, at_us: int, lasts_us: int) -> None:
        self.wait_us(at_us)
        self._used += 1


class SlidingWindow:
    """At most `limit` in any time as long as the window: of what was let through, later than a window ago counts."""

    def __init__(self, rule: Limit) -> None:
        self._limit, self._length = rule.limit, rule.window_us
        self._taken: deque[int] = deque()

    def wait_us(self, at_us: int) -> int:
        taken = self._taken
        while taken and taken[0] <= at_us - self._length:
            taken.popleft()
        above = len(taken) - self._limit
        return 0 if above < 0 else taken[above] + self._length - at_us

    def take(self, at_us: int, lasts_us: int) -> None:
        self._taken.append(at_us)


class Concurrency:
    """At most `limit` at the same time; a request that ends when another begins makes room for it."""

    def __init__(self, rule: Limit) -> None:
        self._limit = rule.limit
        self._ends: list[int] = []

    def wait_us(self, at_us: int) -> int:
        while self._ends and self._ends[0] <= at_us:
            heappop(self._ends)
        above = len(self._ends) - self._limit
        return 0 if above < 0 else nsmallest(above + 1, self._ends)[-1] - at_us

    def take(self, at_us: int, lasts_us: int) -> None:
        if lasts_us > 0:
            heappush(self._ends, at_us + lasts_us)


_KINDS: dict[Kind, type[TokenBucket | FixedWindow | SlidingWindow | Concurrency]] = {
    "token_bucket": TokenBucket,
    "fixed_window": FixedWindow,
    "sliding_window": SlidingWindow,
    "concurrency": Concurrency,
}


def limiter(rule: Limit) -> Limiter:
    """A limiter that nothing has passed yet."""
    return _KINDS[rule.kind](rule)
