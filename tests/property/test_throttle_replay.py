"""Replayed limits beside a direct simulation: each request judged anew from the whole list of what was let through."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.monitoring.limiters import Kind, Limit
from orchestration.monitoring.throttling import Follow, Policy, Request, refused_by, replay, smallest_limit

KINDS: tuple[Kind, ...] = ("token_bucket", "fixed_window", "sliding_window", "concurrency")
SECOND = 1_000_000


def tokens(rule: Limit, taken: Sequence[tuple[int, int]], at: int) -> Fraction:
    """Tokens in the bucket at a moment, as fractions, from all that was taken since it was full."""
    level, before = Fraction(rule.burst), 0
    for time, _ in taken:
        level = min(Fraction(rule.burst), level + Fraction((time - before) * rule.limit, rule.window_us))
        level, before = max(Fraction(0), level - 1), time
    return min(Fraction(rule.burst), level + Fraction((at - before) * rule.limit, rule.window_us))


def within(rule: Limit, taken: Sequence[tuple[int, int]], at: int) -> bool:
    """Whether a request at a moment is within the limit, given what was let through before."""
    if rule.kind == "token_bucket":
        return tokens(rule, taken, at) >= 1
    if rule.kind == "fixed_window":
        return sum(time // rule.window_us == at // rule.window_us for time, _ in taken) < rule.limit
    if rule.kind == "sliding_window":
        return sum(at - rule.window_us < time <= at for time, _ in taken) < rule.limit
    return sum(time + lasts > at for time, lasts in taken) < rule.limit


def simulated(policies: Sequence[Policy], requests: Sequence[Request], follow: Follow) -> dict[int, bool]:
    """Place of each request that a policy refuses (True) or only the gateway did (False)."""
    passed: list[Request] = []
    found = {}
    for place, request in enumerate(requests):
        beyond = False
        for policy in policies:
            if not policy.concerns(request):
                continue
            same = [p for p in passed if policy.concerns(p) and policy.client(p) == policy.client(request)]
            beyond |= not within(policy.rule, [(p.time_us, p.lasts_us) for p in same], request.time_us)
        if not (request.refused if follow == "gateway" else beyond):
            passed.append(request)
        if beyond or request.refused:
            found[place] = beyond
    return found


@st.composite
def rules(draw: st.DrawFn) -> Limit:
    kind = draw(st.sampled_from(KINDS))
    window = draw(st.sampled_from([1, 7, 1_000, SECOND, 3 * SECOND, 60 * SECOND]))
    return Limit(kind, draw(st.integers(1, 4)), window, draw(st.integers(1, 4)))


NAMES = {"credential": "kl", "user": "uv", "address": "mn", "endpoint": "st"}
"""What requests say of themselves; "" where the log does not tell."""
LIMITED = {
    name: st.frozensets(st.sampled_from(NAMES[name]), max_size=2) | st.just(frozenset[str]())
    for name in ("credential", "endpoint")
}
CALLERS = st.fixed_dictionaries({name: st.sampled_from(["", *values]) for name, values in NAMES.items()})


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    named = st.frozensets(st.sampled_from("xy"), max_size=1)
    return [
        Policy(
            f"p{number}",
            draw(rules()),
            draw(st.sampled_from(["customer", "credential", "user", "address", "policy"])),
            plans=draw(named),
            credentials=draw(LIMITED["credential"]),
            endpoints=draw(LIMITED["endpoint"]),
        )
        for number in range(draw(st.integers(1, 3)))
    ]


@st.composite
def logs(draw: st.DrawFn) -> list[Request]:
    step = draw(st.sampled_from([1, 500, SECOND // 3, SECOND]))
    time, found = draw(st.integers(0, 10 * SECOND)), []
    callers = st.sampled_from(draw(st.lists(CALLERS, min_size=1, max_size=4)))
    for _ in range(draw(st.integers(0, 40))):
        time += step * draw(st.integers(0, 3))
        found.append(
            Request(
                time,
                draw(st.integers(0, 3)) * step,
                draw(st.booleans()),
                customer=draw(st.sampled_from("ab")),
                plans=draw(st.frozensets(st.sampled_from("xy"))),
                **draw(callers),
            )
        )
    return found


@settings(max_examples=300, deadline=None)
@given(policies(), logs(), st.sampled_from(["gateway", "policy"]))
def test_a_replay_says_of_every_request_what_a_direct_simulation_says(
    chosen: list[Policy], log: list[Request], follow: Follow
) -> None:
    found = {v.place: v.policy is not None for v in replay(chosen, log, follow)}
    assert found == simulated(chosen, log, follow)


@settings(max_examples=200, deadline=None)
@given(rules(), logs())
def test_who_waits_as_long_as_is_said_is_let_through_and_not_a_microsecond_sooner(
    rule: Limit, log: list[Request]
) -> None:
    policy = Policy("p", rule, "policy")
    for verdict in replay([policy], log, "gateway"):
        if verdict.policy is None:
            continue
        before = [(r.time_us, r.lasts_us) for r in log[: verdict.place] if not r.refused]
        due = log[verdict.place].time_us + verdict.wait_us
        assert within(rule, before, due)
        assert not within(rule, before, due - 1)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 3), logs(), st.sampled_from(["0.1", "0.3", "0.9"]))
def test_the_smallest_limit_is_that_of_trying_them_all(kind: Kind, burst: int, log: list[Request], share: str) -> None:
    def policy_of(limit: int) -> Policy:
        return Policy("p", Limit(kind, limit, SECOND, burst), "customer")

    most = 12
    few = [len(refused_by(policy_of(limit), log)) < Fraction(share) * len(log) for limit in range(1, most + 1)]
    expected = next((n + 1 for n in range(most) if all(few[n:])), None)
    assert smallest_limit(policy_of, log, Fraction(share), most) == expected


def test_a_log_that_goes_back_in_time_is_refused() -> None:
    policy = Policy("p", Limit("fixed_window", 1, SECOND))
    with pytest.raises(ValueError, match="request 1 is earlier"):
        list(replay([policy], [Request(5), Request(4)]))
