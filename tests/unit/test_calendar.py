"""The calendar's rows, and what carried meters compile to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import duckdb
import pytest

from orchestration.catalog.meters import Meter
from orchestration.metering.calendar import (
    count_windows,
    window_count_rows,
    zone_day_rows,
    zone_hour_rows,
)
from orchestration.metering.carried import carried_columns, dimensions_sql
from orchestration.zones import bucket_start, local_date, midnight_us

YEARS = {
    "America/New_York": 2026,
    "America/St_Johns": 2010,
    "America/Sao_Paulo": 2018,
    "Asia/Gaza": 2012,
    "Asia/Kathmandu": 2026,
    "Asia/Pyongyang": 2015,
    "Australia/Lord_Howe": 2026,
    "Pacific/Apia": 2011,
    "Pacific/Kiritimati": 2026,
    "Pacific/Niue": 2026,
}


@pytest.mark.parametrize("zone", sorted(YEARS))
def test_B4_hours_cover_each_day_and_begin_where_events_find_their_bucket(zone: str) -> None:
    span = {zone: (date(YEARS[zone], 1, 1), date(YEARS[zone] + 1, 1, 1))}
    days, hours = list(zone_day_rows(span)), list(zone_hour_rows(span))
    assert hours[0]["bucket_us"] == days[0]["start_us"]
    assert all(a["end_us"] == b["bucket_us"] for a, b in pairwise(hours))
    assert {d["local_day"] for d in days} == {h["local_day"] for h in hours}
    assert hours[-1]["end_us"] == days[-1]["end_us"] == midnight_us(zone, date(YEARS[zone] + 1, 1, 1))
    for hour in hours:
        for us in (hour["bucket_us"], hour["end_us"] - 1):
            assert bucket_start(zone, us) == hour["bucket_us"]
            assert local_date(zone, us).isoformat() == hour["local_day"]
    assert count_windows(zone, *span[zone], "1h") == len(hours)
    assert count_windows(zone, *span[zone], "1d") == len(days)
    assert count_windows(zone, *span[zone], "5m") == (hours[-1]["end_us"] - hours[0]["bucket_us"]) // 300_000_000


def test_since_1980_every_offset_is_a_whole_number_of_quarter_hours() -> None:
    moments = [datetime(1980, 1, 1, tzinfo=UTC) + timedelta(days=60 * n) for n in range(340)]
    offsets = {at.astimezone(ZoneInfo(name)).utcoffset() for name in available_timezones() for at in moments}
    assert len(offsets) > 40
    assert {offset for offset in offsets if offset is None or offset % timedelta(minutes=15)} == set()


def test_the_running_month_counts_to_the_known_day_and_no_further() -> None:
    months = [("Europe/Berlin", date(2026, 10, 1)), ("Europe/Berlin", date(2026, 11, 1))]
    found = window_count_rows(months, {"Europe/Berlin": date(2026, 10, 26)}, ["1h", "1d"])
    assert [(r["month_start"], r["window_length"], r["windows"]) for r in found] == [
        ("2026-10-01", "1d", 25),
        ("2026-10-01", "1h", 25 * 24 + 1),
    ]


def meter(**options: object) -> Meter:
    return Meter.model_validate({"key": "m", "name": "M", "event_type": "e", "aggregation": "level", **options})


def test_dimensions_are_one_text_whatever_they_hold() -> None:
    sql = dimensions_sql(meter(value="x", dimensions=["region", "model"]))
    query = f"SELECT {sql} FROM (VALUES ('a\"\\', NULL), ('é', '')) AS t (p_model, p_region)"
    assert duckdb.sql(query).fetchall() == [
        ('{"model":"a\\"\\\\","region":null}',),
        ('{"model":"é","region":""}',),
    ]


def compiled(chosen: Meter, *events: tuple[str | None, str | None, str | None]) -> list[tuple[object, ...]]:
    """(m_, u_, s_) of events of (kind, session, amount)."""
    columns = ", ".join(carried_columns([chosen]))
    con = duckdb.connect()
    con.execute("CREATE TABLE e (event_type VARCHAR, p_kind VARCHAR, p_session VARCHAR, p_amount VARCHAR, n INTEGER)")
    con.executemany("INSERT INTO e VALUES ('e', ?, ?, ?, ?)", [(*event, n) for n, event in enumerate(events)])
    session = "s_m" if chosen.session else "NULL"
    return con.execute(f"SELECT m_m, u_m, {session} FROM (SELECT {columns}, n FROM e) ORDER BY n").fetchall()


def test_starts_and_stops_count_one_and_what_can_not_be_told_is_unmeasured() -> None:
    kinds = {"start": {"field": "kind", "op": "in", "value": ["on", "both"]}}
    kinds["stop"] = {"field": "kind", "op": "in", "value": ["off", "both"]}
    events = [("on", "s", None), ("off", "s", None), ("both", "s", None), ("other", "s", None), ("on", None, None)]
    assert compiled(meter(**kinds, session="session"), *events, ("on", "", None)) == [
        (1, None, "s"),
        (-1, None, "s"),
        (None, 1, "s"),
        (None, None, None),
        (None, 1, None),
        (None, 1, None),
    ]
    assert [row[:2] for row in compiled(meter(**kinds), *events)] == [
        (1, None),
        (-1, None),
        (None, 1),
        (None, None),
        (1, None),
    ]


def test_changes_of_a_level_may_be_negative_and_others_only_where_allowed() -> None:
    events = [(None, None, "-1.5"), (None, None, "x"), (None, None, None)]
    assert [row[:2] for row in compiled(meter(value="amount"), *events)] == [(-1.5, None), (None, 1), (None, 1)]
    seats = {"aggregation": "sum", "carry": True, "value": "amount"}
    assert [row[:2] for row in compiled(meter(**seats), *events)] == [(None, 1)] * 3
    assert [row[0] for row in compiled(meter(**seats, allow_negative=True), *events)] == [-1.5, None, None]
