"""Verdicts on a log with a gateway's own refusals, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from orchestration.monitoring.limiters import Limit
from orchestration.monitoring.throttling import (
    Episode,
    Policy,
    Request,
    Verdict,
    episodes,
    refused_by,
    replay,
    smallest_limit,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND


def at(*seconds: float, customer: str = "a", refused: bool = False) -> list[Request]:
    return [Request(round(s * SECOND), 0, refused, customer=customer) for s in seconds]


def test_missed_and_undue_refusals_of_a_gateway() -> None:
    """Two a minute: the third within it is beyond the limit, refused or not; the first of the next minute isn't."""
    policy = Policy("free", Limit("fixed_window", 2, MINUTE))
    log = [*at(10, 20), *at(30, refused=True), *at(40), *at(60, refused=True)]
    found = list(replay([policy], log))
    assert found == [
        Verdict(2, 30 * SECOND, "a", "free", "a", 30 * SECOND, True),
        Verdict(3, 40 * SECOND, "a", "free", "a", 20 * SECOND, False),
        Verdict(4, 60 * SECOND, "a", None, "", 0, True),
    ]
    assert [(v.missed, v.undue) for v in found] == [(False, False), (True, False), (False, True)]


def test_a_sliding_window_has_no_edge_at_which_twice_the_limit_passes() -> None:
    log = at(59, 59.5, 60, 60.5)
    assert len(refused_by(Policy("f", Limit("fixed_window", 2, MINUTE)), log)) == 0
    assert len(refused_by(Policy("s", Limit("sliding_window", 2, MINUTE)), log)) == 2


def test_what_left_the_window_to_the_microsecond_counts_no_more() -> None:
    policy = Policy("s", Limit("sliding_window", 1, MINUTE))
    assert len(refused_by(policy, [Request(0), Request(MINUTE)])) == 0
    assert len(refused_by(policy, [Request(0), Request(MINUTE - 1)])) == 1


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    """Ten a minute is one in 6 s; four fit. Five at once: the fifth waits 6 s. At 6 s one passes, its twin does not."""
    policy = Policy("b", Limit("token_bucket", 10, MINUTE, burst=4))
    assert list(replay([policy], at(0, 0, 0, 0, 0, 6, 6), "policy")) == [
        Verdict(4, 0, "a", "b", "a", 6 * SECOND, False),
        Verdict(6, 6 * SECOND, "a", "b", "a", 6 * SECOND, False),
    ]


def test_a_third_of_a_token_is_not_lost_to_rounding() -> None:
    """Three in 10 s: a token is there at 3.333334 s, and not a microsecond before."""
    policy = Policy("b", Limit("token_bucket", 3, 10 * SECOND, burst=1))
    assert [v.wait_us for v in replay([policy], [Request(0), Request(3_333_333)], "policy")] == [1]
    assert len(refused_by(policy, [Request(0), Request(3_333_334)])) == 0
    # Where two fit, what is more than a token stays: of three waits nothing is lost, and the fifth is there at 10 s.
    fits_two = Policy("b", Limit("token_bucket", 3, 10 * SECOND, burst=2))
    log = [Request(at) for at in (0, 0, 3_333_334, 6_666_667, 10 * SECOND)]
    assert len(refused_by(fits_two, log)) == 0


def test_concurrency_counts_who_is_still_there() -> None:
    policy = Policy("c", Limit("concurrency", 2))
    log = [Request(0, 10), Request(1, 4), Request(4, 1), Request(5, 9), Request(6, 0), Request(10, 1)]
    assert [(v.place, v.wait_us) for v in replay([policy], log, "policy")] == [(2, 1), (4, 4)]


def test_each_client_has_a_limit_of_its_own_and_each_policy_its_scope() -> None:
    rule = Limit("fixed_window", 1, MINUTE)
    log = [
        Request(1, customer="a", credential="k1", endpoint="/x", plans=frozenset({"free"})),
        Request(2, customer="a", credential="k2", endpoint="/y", plans=frozenset({"free"})),
        Request(3, customer="b", credential="k3", endpoint="/x", plans=frozenset({"pro"})),
        Request(4, customer="a", credential="k1", endpoint="/x", plans=frozenset({"free"})),
    ]
    whole = Policy("p", rule)
    assert [v.place for v in replay([whole], log)] == [1, 3]
    assert [v.place for v in replay([replace(whole, per="credential")], log)] == [3]
    assert [v.place for v in replay([replace(whole, per="policy")], log)] == [1, 2, 3]
    assert [v.place for v in replay([replace(whole, per="policy", endpoints=frozenset({"/x"}))], log)] == [2, 3]
    assert [v.place for v in replay([replace(whole, per="policy", plans=frozenset({"pro"}))], log)] == []
    assert [v.place for v in replay([replace(whole, per="policy", credentials=frozenset({"k1"}))], log)] == [3]


def test_what_one_policy_refuses_uses_up_nothing_of_another() -> None:
    """The narrow one refuses the second request: so the third still finds room in the wide one."""
    narrow = Policy("narrow", Limit("sliding_window", 1, 2 * SECOND))
    wide = Policy("wide", Limit("fixed_window", 2, MINUTE))
    assert [(v.place, v.policy) for v in replay([wide, narrow], at(0, 1, 2, 4), "policy")] == [
        (1, "narrow"),
        (3, "wide"),
    ]


def test_episodes_end_where_the_client_keeps_the_limit_for_a_while() -> None:
    policy = Policy("free", Limit("fixed_window", 1, MINUTE))
    log = sorted(at(1, 2, 3, 61, 62, 200, 201) + at(2, 3, customer="b"))
    assert episodes(replay([policy], log), 2 * MINUTE) == [
        Episode("free", "a", 2 * SECOND, 62 * SECOND, 3, 3, 58 * SECOND),
        Episode("free", "b", 3 * SECOND, 3 * SECOND, 1, 1, 57 * SECOND),
        Episode("free", "a", 201 * SECOND, 201 * SECOND, 1, 1, 39 * SECOND),
    ]


def test_the_smallest_limit_that_refuses_less_than_a_share() -> None:
    """Minutes of 1, 2, ..., 10 requests, 55 in all: limit 7 refuses 1 + 2 + 3 = 6 (10.9 %), limit 8 refuses 3."""
    log = [Request(minute * MINUTE + n, customer="a") for minute in range(1, 11) for n in range(minute)]

    def policy_of(limit: int) -> Policy:
        return Policy("p", Limit("fixed_window", limit, MINUTE))

    assert smallest_limit(policy_of, log, Fraction(1, 10), 100) == 8
    assert smallest_limit(policy_of, log, Fraction(11, 100), 100) == 7
    assert smallest_limit(policy_of, log, Fraction(1, 100), 9) is None
    assert smallest_limit(policy_of, log, Fraction(1, 55), 100) == 10
