"""From logs to incidents of each kind: what is put into five weeks of three customers, and nothing else."""

from __future__ import annotations

from pathlib import Path

import incident_world as world
import pytest
from instances import rows

from orchestration.monitoring.kinds import KINDS
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant
from orchestration.zones import HOUR_US


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = world.make(tmp_path_factory.mktemp("kinds") / "home")
    run(Context(Instance(home), parse_instant(world.NOW, "test")))
    return home


def test_every_incident_that_the_logs_have_is_found_at_its_hour_and_no_other(built: Path) -> None:
    """A drop is said in its second hour, a ratio in the second of three; a price is a shock until it is the usual one,
    after 36 hours. Only requests that are refused and come again at once are of two kinds."""
    expected = [
        ("elm", "endpoint_probing", world.PROBED, 1, 25, False),
        ("elm", "quota_exhaustion", world.EXHAUSTED, 1, 25, False),
        ("elm", "retry_storm", world.STORMED, 1, 40, False),
        ("elm", "scraping", world.SCRAPED, 1, 75, True),
        ("fir", "drop_to_zero", world.SILENT[1], 3, 0, False),
        ("fir", "order_cancel_ratio", world.CANCELLED[1], 3, 0.667, True),
        ("fir", "price_shock", world.DEARER, 36, 1.6, False),
        ("oak", "new_country", world.ABROAD, 1, 15, False),
        ("oak", "off_hours", world.NIGHT, 1, 25, False),
        ("oak", "quota_exhaustion", world.HAMMERED, 1, 40, False),
        ("oak", "retry_storm", world.HAMMERED, 1, 39, False),
    ]
    found = rows(
        built,
        "SELECT customer, kind, first_us, last_us, alarms, round(observed, 3), holds FROM marts.incidents ORDER BY ALL",
    )
    assert [(*row[:2], *row[4:]) for row in found] == [(*each[:2], *each[3:]) for each in expected]
    first = [int(each[2].timestamp()) * 1_000_000 for each in expected]
    assert [row[2] for row in found] == first
    assert [row[3] for row in found] == [
        begin + (each[3] - 1) * HOUR_US for begin, each in zip(first, expected, strict=True)
    ]


def test_with_the_other_world_every_kind_of_incident_is_found_from_logs(built: Path) -> None:
    found = {kind for (kind,) in rows(built, "SELECT DISTINCT kind FROM marts.incidents")}
    elsewhere = {"credential_stuffing", "traffic_spike", "new_client"}
    assert not found & elsewhere
    assert found | elsewhere == {kind.name for kind in KINDS} | {"order_cancel_ratio"}


def test_the_country_is_what_the_source_says_and_not_the_network(built: Path) -> None:
    """No request has an address; a country is new for the day on which it is first seen."""
    hour = int(world.ABROAD.timestamp()) * 1_000_000
    assert rows(built, "FROM marts.new_requests") == [("oak", world.ABROAD.date(), hour, 15, 0)]


def test_different_items_are_those_of_the_property_and_not_paths(built: Path) -> None:
    """25 unknown paths carry no item."""
    query = (
        "SELECT items, unknown_paths FROM marts.request_series WHERE scope = 'customer' AND grain = 'hour' "
        "AND customer = 'elm' AND epoch_us(moment) = "
    )
    probed, scraped = (int(each.timestamp()) * 1_000_000 for each in (world.PROBED, world.SCRAPED))
    assert rows(built, f"{query}{probed}") == [(6, 25)]
    assert rows(built, f"{query}{scraped}") == [(75, 0)]
