"""Clients whose behaviour is known, made with a seeded generator, and what is said of them."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from orchestration.monitoring.backoff import Attempt, Retry, behaviours, retries_of, storms

SECOND = 1_000_000
Wait = Callable[[random.Random, int, int], float]
"""Seconds before the retry of a number, of a client that was asked to wait so many seconds."""

CLIENTS: dict[str, tuple[str, Wait]] = {
    "at once": ("immediate", lambda rng, n, asked: rng.uniform(0.01, 0.2)),
    "hammers with jitter": ("immediate", lambda rng, n, asked: rng.uniform(0, 0.8)),
    "every 5 s": ("fixed", lambda rng, n, asked: 5),
    "every 2 s, a little later or sooner": ("fixed", lambda rng, n, asked: 2 * rng.uniform(0.9, 1.1)),
    "as asked": ("retry_after", lambda rng, n, asked: asked + rng.uniform(0, 0.5)),
    "as asked, and then some": ("retry_after", lambda rng, n, asked: asked * rng.uniform(1, 3)),
    "doubles": ("exponential", lambda rng, n, asked: 2.0 ** (n - 1)),
    "doubles with full jitter": ("exponential", lambda rng, n, asked: rng.uniform(0, 2.0**n)),
    "doubles with equal jitter": ("exponential", lambda rng, n, asked: 2.0 ** (n - 1) * rng.uniform(0.5, 1)),
    "half as much again": ("exponential", lambda rng, n, asked: 1.5**n * rng.uniform(0.8, 1.2)),
    "as it likes": ("irregular", lambda rng, n, asked: rng.uniform(1, 60)),
}


def chains(client: str, wait: Wait, seed: int, *, chains: int = 40, asks: bool = True) -> list[Attempt]:
    """A client's requests: chains of two to six refusals, an hour and a half apart, each ended by an answer."""
    rng, found = random.Random(f"{seed} {client}"), []
    for chain in range(chains):
        at = float(chain * 5_400)
        for number in range(1, rng.randint(3, 7)):
            asked = rng.choice([5, 10, 40]) if asks else None
            start = round(at * SECOND)
            found.append(
                Attempt(client, "/v1", start, start + 30_000, True, asked * SECOND if asked is not None else None)
            )
            at += 0.03 + wait(rng, number, asked or 0)
        found.append(Attempt(client, "/v1", round(at * SECOND), round(at * SECOND) + 30_000, False, None, True))
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_a_simulated_client_is_told_by_its_waits(client: str) -> None:
    kind, wait = CLIENTS[client]
    asks = kind == "retry_after"
    found = [behaviours(chains(client, wait, seed, asks=asks))[0] for seed in range(20)]
    assert [b.kind for b in found] == [kind] * 20
    for behaviour in found:
        assert behaviour.retries == behaviour.refusals == behaviour.refused_again + 40
        assert behaviour.billed == 40
        assert behaviour.obeyed == (1 if asks else None)


def test_who_never_waits_as_asked_is_not_said_to() -> None:
    wait: Wait = lambda rng, n, asked: asked / 2  # noqa: E731
    [found] = behaviours(chains("c", wait, 1))
    assert (found.kind, found.obeyed) == ("irregular", 0)


def test_clients_and_endpoints_have_chains_of_their_own() -> None:
    attempts = [
        Attempt("a", "/x", 0, 10, True, 1_000),
        Attempt("b", "/x", 100, 110, False),
        Attempt("a", "/y", 200, 210, False),
        Attempt("a", "/x", 1_010, 1_020, True),
        Attempt("a", "/x", 1_500, 1_600, False),
        Attempt("a", "/x", 1_700, 1_800, False),
    ]
    assert retries_of(attempts) == [Retry(attempts[3], 1, 1_000, 1_000), Retry(attempts[4], 2, 480, None)]


def test_what_comes_an_hour_later_is_no_retry() -> None:
    hour = 3_600 * SECOND
    refused = Attempt("a", "/x", 0, 10, True)
    assert retries_of([refused, Attempt("a", "/x", hour + 11, hour + 12, False)]) == []
    assert len(retries_of([refused, Attempt("a", "/x", hour + 10, hour + 12, False)])) == 1


def test_a_request_sent_before_the_refusal_came_has_not_waited() -> None:
    [retry] = retries_of([Attempt("a", "/x", 0, 500, True), Attempt("a", "/x", 400, 900, False)])
    assert retry.wait_us == 0


def test_of_a_client_with_few_refusals_nothing_is_said() -> None:
    [found] = behaviours(chains("c", CLIENTS["every 5 s"][1], 1, chains=1, asks=False)[:4])
    assert found.kind == "too_few"
    assert found.retries == 3


def test_a_storm_is_a_minute_of_mostly_retries() -> None:
    """40 clients refused at 0:00, all of them back a second later and again each second; then an hour of quiet use."""
    attempts = [
        Attempt(f"c{client:02}", "/v1", (step * SECOND) + client, step * SECOND + client + 10, step < 4)
        for step in range(5)
        for client in range(40)
    ]
    quiet = [Attempt("q", "/v1", (60 + n) * SECOND, (60 + n) * SECOND + 10, False) for n in range(100)]
    [storm] = storms(attempts + quiet)
    assert storm[:6] == ("/v1", 0, 200, 160, 40, 0)
    assert len(storm.places) == 160
    assert storms(attempts + quiet, least=161) == []
    assert storms(attempts + quiet, share=0.81) == []
