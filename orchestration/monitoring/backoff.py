"""How clients behave after a refusal (429, 503): as `Retry-After` says, with growing waits, fixed ones, or at once.

Attempts of one client at one endpoint form a chain: each is refused and followed by another within `CHAIN_GAP_US`. A
client is judged over all of its chains, attempt by attempt, so that jitter evens out: one chain says little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Literal, NamedTuple

Class = Literal["retry_after", "exponential", "fixed", "immediate", "irregular", "too_few"]

SECOND_US = 1_000_000
CHAIN_GAP_US = 3_600 * SECOND_US
"""What comes later than an hour after a refusal is no retry of it."""
IMMEDIATE_US = SECOND_US // 2
"""Who waits less than half a second, mostly, does not wait."""
ENOUGH = 5
"""Waits below which nothing is said of a client."""
GROWTH = 1.3
"""Waits that grow by this factor from attempt to attempt, in the middle of them, are exponential."""
SPREAD = 1.5
"""Fixed waits lie within this factor of one another, nine of ten."""
LEAST_RETRIES = 30
"""Retries of an endpoint in a minute that make a storm, where they are most of its requests."""
OBEYED = 0.9
"""Share of the refusals with a `Retry-After` after which a client waited as long."""


class Attempt(NamedTuple):
    """A request of a client at an endpoint. `refused` is a 429 or 503, `retry_after_us` what it asked to wait (None
    where it named nothing); `ends_us` is when the answer came. `billed` is whether it counts on a bill, `place` where
    it stands in the log."""

    client: str
    endpoint: str
    time_us: int
    ends_us: int
    refused: bool
    retry_after_us: int | None = None
    billed: bool = False
    place: int = 0


class Retry(NamedTuple):
    """A request that follows a refusal: the `number`-th after the first of its chain, `wait_us` after the answer."""

    attempt: Attempt
    number: int
    wait_us: int
    asked_us: int | None


class Behaviour(NamedTuple):
    """How a client takes refusals. `waits_us` are the middle waits before its first, second, ... retry."""

    client: str
    kind: Class
    refusals: int
    retries: int
    refused_again: int
    billed: int
    waits_us: tuple[int, ...]
    obeyed: float | None


def retries_of(attempts: Iterable[Attempt]) -> list[Retry]:
    """The retries among attempts that come in the order of their times."""
    last: dict[tuple[str, str], tuple[Attempt, int]] = {}
    found = []
    for attempt in attempts:
        key = (attempt.client, attempt.endpoint)
        before, number = last.get(key, (None, 0))
        number += 1
        if before is not None and before.refused and attempt.time_us - before.ends_us <= CHAIN_GAP_US:
            wait = max(0, attempt.time_us - before.ends_us)
            found.append(Retry(attempt, number, wait, before.retry_after_us))
        else:
            number = 0
        last[key] = (attempt, number)
    return found


def behaviours(attempts: Sequence[Attempt]) -> list[Behaviour]:
    """What is to be said of each client that was refused, by client."""
    refusals = Counter(a.client for a in attempts if a.refused)
    by_client: dict[str, list[Retry]] = defaultdict(list)
    for retry in retries_of(attempts):
        by_client[retry.attempt.client].append(retry)
    return [_behaviour(client, refusals[client], by_client[client]) for client in sorted(refusals)]


def _behaviour(client: str, refusals: int, retries: Sequence[Retry]) -> Behaviour:
    waits = _by_number(retries)
    asked = [(r.wait_us, r.asked_us) for r in retries if r.asked_us is not None]
    obeyed = sum(wait >= asked_us for wait, asked_us in asked) / len(asked) if asked else None
    return Behaviour(
        client,
        _kind(retries, waits, obeyed, len(asked)),
        refusals,
        len(retries),
        sum(r.attempt.refused for r in retries),
        sum(r.attempt.billed for r in retries),
        tuple(round(median(times)) for times in waits),
        obeyed,
    )


def _by_number(retries: Sequence[Retry]) -> list[list[int]]:
    """Waits before each retry of a chain, as far as at least a quarter of the chains go (three of them): of few long
    chains alone, the middle would be another client's."""
    waits: dict[int, list[int]] = defaultdict(list)
    for retry in retries:
        waits[retry.number].append(retry.wait_us)
    enough = max(3, len(waits.get(1, ())) // 4)
    return [waits[number] for number in sorted(waits) if number == 1 or len(waits[number]) >= enough]


def _kind(retries: Sequence[Retry], waits: Sequence[Sequence[int]], obeyed: float | None, asked: int) -> Class:
    every = sorted(r.wait_us for r in retries)
    if len(every) < ENOUGH:
        return "too_few"
    if median(every) < IMMEDIATE_US:
        return "immediate"
    if obeyed is not None and asked >= ENOUGH and obeyed >= OBEYED:
        return "retry_after"
    middles = [median(times) for times in waits]
    if len(middles) > 2 and middles[0] > 0 and (middles[-1] / middles[0]) ** (1 / (len(middles) - 1)) >= GROWTH:
        return "exponential"
    tenth = len(every) // 20
    low, high = every[tenth], every[-1 - tenth]
    return "fixed" if high <= low * SPREAD else "irregular"


class Storm(NamedTuple):
    """A minute in which retries made most of an endpoint's requests; `billed` of them count on a bill, and `places` is
    where they stand in the log."""

    endpoint: str
    minute_us: int
    requests: int
    retries: int
    clients: int
    billed: int
    places: tuple[int, ...]


def storms(
    attempts: Sequence[Attempt],
    requests: Mapping[tuple[str, int], int] | None = None,
    *,
    least: int = LEAST_RETRIES,
    share: float = 0.5,
) -> list[Storm]:
    """Minutes with at least `least` retries at an endpoint that are at least `share` of its requests, in order.

    `requests` counts them by endpoint and minute since 1970, where `attempts` lack those of clients never refused.
    """
    minute = 60 * SECOND_US
    if requests is None:
        requests = Counter((a.endpoint, a.time_us // minute) for a in attempts)
    retried: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for retry in retries_of(attempts):
        retried[retry.attempt.endpoint, retry.attempt.time_us // minute].append(retry.attempt)
    return [
        Storm(
            endpoint,
            at * minute,
            requests[endpoint, at],
            len(found),
            len({attempt.client for attempt in found}),
            sum(attempt.billed for attempt in found),
            tuple(attempt.place for attempt in found),
        )
        for (endpoint, at), found in sorted(retried.items(), key=lambda item: (item[0][1], item[0][0]))
        if len(found) >= least and len(found) >= share * requests[endpoint, at]
    ]
