"""A log replayed against throttling policies: who was over a limit, when and by how much; what the gateway did.

The log says what the gateway let through. Following it, a verdict tells whether the gateway kept the policy: `missed`
refusals and `undue` ones. Following the policy instead, the replay tells what the policy itself would have refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from orchestration.monitoring.limiters import Kind, Limit, Limiter, limiter

Per = Literal["customer", "credential", "user", "address", "policy"]
Follow = Literal["gateway", "policy"]


class Request(NamedTuple):
    """A request of the log, with the plans that its customer was on. `refused` is the gateway's own 429.

    It begins at `time_us` and lasts `lasts_us`. What the log doesn't tell is "".
    """

    time_us: int
    lasts_us: int = 0
    refused: bool = False
    customer: str = ""
    credential: str = ""
    user: str = ""
    address: str = ""
    endpoint: str = ""
    plans: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """A limit for each client, `per` what one is; for requests of one of the plans, credentials and endpoints, where
    any are named."""

    key: str
    rule: Limit
    per: Per = "customer"
    plans: frozenset[str] = frozenset()
    credentials: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()

    def concerns(self, request: Request) -> bool:
        """Whether the policy limits a request."""
        return (
            (not self.plans or not self.plans.isdisjoint(request.plans))
            and (not self.credentials or request.credential in self.credentials)
            and (not self.endpoints or request.endpoint in self.endpoints)
        )

    def client(self, request: Request) -> str:
        """Whose limit it is. Requests without a name for it share one."""
        return self.key if self.per == "policy" else str(getattr(request, self.per))


class Verdict(NamedTuple):
    """What is to be said of the request at `place` in the log: `policy` is the one that refuses it the longest (None
    where none does), `wait_us` how long until it would be let through."""

    place: int
    time_us: int
    customer: str
    policy: str | None
    client: str
    wait_us: int
    refused: bool

    @property
    def missed(self) -> bool:
        """Beyond a limit, and let through by the gateway."""
        return self.policy is not None and not self.refused

    @property
    def undue(self) -> bool:
        """Refused by the gateway, within every limit."""
        return self.policy is None and self.refused


def replay(policies: Sequence[Policy], requests: Iterable[Request], follow: Follow = "gateway") -> Iterator[Verdict]:
    """The verdicts on requests that a policy refuses or the gateway refused, in the order of the log.

    Requests come in the order of their times; of those of one time, the first of the log came first. Where several
    policies concern a request, it is taken from the limits of all of them, or of none. Raises ValueError where a time
    goes back.
    """
    limiters: dict[tuple[str, str], Limiter] = {}
    before = None
    for place, request in enumerate(requests):
        if before is not None and request.time_us < before:
            raise ValueError(f"request {place} is earlier than the one before it")
        before, asked = request.time_us, []
        worst, name, client = 0, None, ""
        for policy in policies:
            if not policy.concerns(request):
                continue
            who = policy.client(request)
            kept = limiters.get((policy.key, who))
            if kept is None:
                kept = limiters[policy.key, who] = limiter(policy.rule)
            asked.append(kept)
            wait = kept.wait_us(request.time_us)
            if wait > worst:
                worst, name, client = wait, policy.key, who
        if not (request.refused if follow == "gateway" else worst):
            for kept in asked:
                kept.take(request.time_us, request.lasts_us)
        if worst or request.refused:
            yield Verdict(place, request.time_us, request.customer, name, client, worst, request.refused)


class Episode(NamedTuple):
    """A time in which a client was over a policy's limit again and again."""

    policy: str
    client: str
    from_us: int
    to_us: int
    over: int
    missed: int
    longest_wait_us: int


def episodes(verdicts: Iterable[Verdict], gap_us: int) -> list[Episode]:
    """Verdicts in the order of time as episodes of a policy and client: no `gap_us` without one.

    Sorted by beginning, policy and client.
    """
    running: dict[tuple[str, str], Episode] = {}
    ended: list[Episode] = []
    for verdict in verdicts:
        if verdict.policy is None:
            continue
        time_us = verdict.time_us
        key = (verdict.policy, verdict.client)
        known = running.get(key)
        if known is not None and time_us - known.to_us >= gap_us:
            ended.append(running.pop(key))
            known = None
        known = known or Episode(*key, time_us, time_us, 0, 0, 0)
        running[key] = known._replace(
            to_us=time_us,
            over=known.over + 1,
            missed=known.missed + verdict.missed,
            longest_wait_us=max(known.longest_wait_us, verdict.wait_us),
        )
    return sorted((*ended, *running.values()), key=lambda e: (e.from_us, e.policy, e.client))


def refused_by(policy: Policy, requests: Iterable[Request]) -> list[int]:
    """The places of the requests that a policy alone would refuse, whatever the gateway did."""
    return [v.place for v in replay([policy], (r._replace(refused=False) for r in requests), "policy")]


def smallest_limit(
    policy_of: Callable[[int], Policy], requests: Collection[Request], share: Fraction, most: int
) -> int | None:
    """The smallest limit of 1 to `most` from which on every limit would have refused less than `share` of the
    requests that it concerns; None where `most` itself would not.

    A higher limit of a window or bucket never refuses more, so half of what is left is looked at each time. A higher
    concurrency may: a long request let in can shut out several short ones, so these are tried from above, one by one.
    """
    concerned = sum(1 for r in requests if policy_of(1).concerns(r))

    def few(limit: int) -> bool:
        return len(refused_by(policy_of(limit), requests)) < share * concerned

    if not few(most):
        return None
    low, high = 0, most
    if _one_by_one(policy_of(1).rule.kind):
        while high > 1 and few(high - 1):
            high -= 1
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if few(middle) else (middle, high)
    return high


def _one_by_one(kind: Kind) -> bool:
    return kind == "concurrency"
