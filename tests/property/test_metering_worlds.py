"""Random worlds, metered twice: every mart of the warehouse equals that of an oracle in plain Python, row by row.

A build is dear, so a world is a whole one: a dozen customers in a dozen zones, some fifteen meters, late and repeated
events, and half of them at the edges of hours, days, clock changes and credentials. CAMPAIGN_WORLDS says how many
worlds are tried, CAMPAIGN_WORLD names the seed of the only one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from instances import rows
from meter_home import Home
from meter_worlds import SPANS, ZONES, Maker, World
from oracle_readings import Event
from oracle_time import DAY, HOUR, Calendar, instant

from orchestration.zones import bucket_start, local_date

WORLDS = int(os.environ.get("CAMPAIGN_WORLDS", "1"))
ONE = os.environ.get("CAMPAIGN_WORLD")
SEEDS = st.integers(0, 2**32 - 1) if ONE is None else st.just(int(ONE))
# Smaller numbers are no smaller worlds: there is nothing to shrink.
SOME = settings(
    max_examples=WORLDS if ONE is None else 1,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ADDITIVE = "aggregation IN ('count', 'weighted_sum') OR (aggregation = 'sum' AND meter NOT IN ({}))"


@SOME
@given(SEEDS)
def test_every_mart_of_a_random_world_is_that_of_the_oracle(show: Callable[[str], None], seed: int) -> None:
    show(f" CAMPAIGN_WORLD={seed}")
    world = Maker(seed).world(events=2000, meters=16, batches=2)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home", world)
        for batch in world.batches:
            home.deliver(batch)
            assert home.run()
        assert home.differences() == []
        assert not home.run()
        assert sums(home, "usage_hourly") == sums(home, "usage_daily") == sums(home, "usage_monthly")
        assert sums(home, "usage_daily") == sums(home, "usage_weekly") != []


def sums(home: Home, mart: str) -> list[tuple[object, ...]]:
    """What adds up from hours to months, by customer and meter."""
    carried = ", ".join(f"'{m['key']}'" for m in home.world.meters if m.get("carry")) or "NULL"
    query = f"SELECT customer, meter, sum(quantity) FROM marts.{mart} WHERE {ADDITIVE.format(carried)} GROUP BY ALL"
    return rows(home.folder, f"{query} ORDER BY ALL")


def test_a_late_event_of_another_meter_leaves_no_gap_in_a_state(tmp_path: Path) -> None:
    def event(name: str, kind: str, day: int) -> Event:
        at = instant(f"2024-03-{day:02d}T10:00:00+00:00")
        return Event("app", "s", name, kind, at, "k", properties={"amount": "5"})

    base = {"event_type": "reading", "aggregation": "sum", "value": "amount"}
    meters = [
        {"key": "held", "name": "Held", **base, "carry": True},
        {"key": "counted", "name": "Counted", "event_type": "request", "aggregation": "count"},
    ]
    customer = {"customer": "c", "name": "C", "address": "A", "country": "DE", "zone": "UTC", "entity": "seller"}
    now = instant("2024-03-09T12:00:00+00:00")
    home = Home(tmp_path / "home", World(now, meters, [], [customer], [{"credential": "k", "customer": "c"}], []))
    for events in ([event("first", "reading", 1)], [event("late", "request", 4), event("more", "reading", 7)]):
        home.deliver(events)
        assert home.run()
        assert home.differences() == []


@pytest.mark.parametrize("zone", ZONES)
def test_the_oracles_clock_is_the_projects_although_neither_knows_the_other(zone: str) -> None:
    for first_day, days in SPANS:
        first = instant(f"{first_day}T00:00:00+00:00")
        clock = Calendar(zone, first, first + days * DAY)
        for at in {*range(first, first + days * DAY, 5 * HOUR // 3), *clock.shifts(), *clock.starts("1d")[2:]}:
            for us in (at - 1, at, at + 1, at + HOUR - 1):
                assert (clock.begin(us, "1h"), clock.day(us)) == (bucket_start(zone, us), local_date(zone, us))
