"""Attempts of clients as they are read from the log: all that there is to a retry, whatever a stranger sent."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import duckdb

from orchestration.monitoring.backoff import Attempt, behaviours, storms
from orchestration.pipeline.requests import Client, read_attempts

CATALOG: Any = SimpleNamespace(meters={})


def log(seed: int) -> list[tuple[Any, ...]]:
    """Requests of a few clients, a quarter of them refused, some at the same time."""
    dice = random.Random(seed)
    time, found = 0, []
    for place in range(400):
        time += dice.choice([0, 100_000, 2_000_000, 4_000_000_000])
        who, agent = dice.choice("ab"), dice.choice([None, "curl/8", "x\x1fy"])
        status = dice.choice([200, 200, 200, 429 if place % 2 else 503])
        found.append((place, time, dice.randrange(50_000), status, who, f"ak_{who}", agent, dice.choice(["/x", None])))
    return found


def test_what_is_left_out_of_the_log_is_no_part_of_any_retry() -> None:
    for seed in range(20):
        rows = log(seed)
        with duckdb.connect() as con:
            con.execute(
                "CREATE TABLE requests (place BIGINT, time_us BIGINT, lasts_us BIGINT, status INTEGER, "
                "customer VARCHAR, credential VARCHAR, agent VARCHAR, endpoint VARCHAR, asked_us BIGINT)"
            )
            con.executemany("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", rows)
            read = list(read_attempts(con, CATALOG))
        every = [
            Attempt(
                f"{who}\x1f{key}\x1f{agent or ''}", path or "", at, at + lasts, status in (429, 503), None, False, place
            )
            for place, at, lasts, status, who, key, agent, path in rows
        ]
        assert 0 < len(read) < len(every)
        assert behaviours(read) == behaviours(every) != []
        told = {(attempt.endpoint, attempt.time_us // 60_000_000): 1 for attempt in every}
        assert storms(read, told, least=1) == storms(every, told, least=1) != []


def test_a_user_agent_with_a_separator_in_it_is_one() -> None:
    assert Client.of("acme\x1fak_1\x1fx\x1fy") == ("acme", "ak_1", "x\x1fy")
    assert Client.of("acme\x1fak_1\x1f") == ("acme", "ak_1", "")
