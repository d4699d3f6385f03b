"""Hours, days, weeks and months of forty zones around their clock changes, against clocks read one by one.

One build: a customer in each zone, with events around every clock change of 2026, and around the ends of its days and
months. What they should be is worked out from the zones' clocks alone, not from the project's calendar.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from instances import rows
from places import FORTY

from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

NOW = "2027-03-05T12:00:00Z"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MICRO = timedelta(microseconds=1)
AROUND = (-90 * MINUTE, -31 * MINUTE, -MICRO, 0 * MINUTE, MICRO, 29 * MINUTE, 30 * MINUTE, 75 * MINUTE, 121 * MINUTE)
USERS = 5
ZONED = {f"z{n}": zone for n, zone in enumerate(FORTY)}
CATALOG = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: 1 Quay}\n",
    "sources.yaml": """
sources:
  - name: app
    path: "*.jsonl"
    format: cloudevents
    fields: {user: data.user}
    properties: {units: data.units}
""",
    "meters.yaml": """
meters:
  - {key: calls, name: Calls, event_type: use, aggregation: count}
  - {key: units, name: Units, event_type: use, aggregation: sum, value: units}
  - {key: peak, name: Peak, event_type: use, aggregation: max, value: units}
  - {key: users, name: Users, event_type: use, aggregation: unique_count, value: user}
""",
    "plans/basic.yaml": """
key: basic
name: Basic
currency: USD
versions:
  - effective: 2020-01-01
    charges:
      - {key: units, name: Units, model: per_unit, meter: units, price: "1"}
""",
    "customers.csv": "customer,name,address,country,zone,entity\n"
    + "".join(f"{key},{key},1 Road,XX,{zone},seller\n" for key, zone in ZONED.items()),
    "credentials.csv": "credential,customer\n" + "".join(f"key-{key},{key}\n" for key in ZONED),
    "subscriptions.csv": "subscription,customer,plan,start\n"
    + "".join(f"s-{key},{key},basic,2025-12-01\n" for key in ZONED),
}


class Event(NamedTuple):
    customer: str
    at: datetime
    units: int
    user: str


class Clock:
    """What a zone's clock shows, and which hour and day an instant belongs to, by looking at it."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.changes = list(self._changes())

    def shows(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)

    def _changes(self) -> Iterator[datetime]:
        """The instants of 2026 at which the offset changes: looked for by the minute, in the hours that have one."""
        at = datetime(2026, 1, 1, tzinfo=UTC)
        while at < datetime(2027, 1, 1, tzinfo=UTC):
            after = at + DAY
            if self.shows(at).utcoffset() != self.shows(after).utcoffset():
                yield next(
                    t
                    for t in (at + n * MINUTE for n in range(1, 1441))
                    if self.shows(t).utcoffset() == self.shows(after).utcoffset()
                )
            at = after

    def hour_of(self, at: datetime) -> datetime:
        """The last instant up to this one at which the clock showed a full hour."""
        minute = at.replace(second=0, microsecond=0)
        while self.shows(minute).minute:
            minute -= MINUTE
        return minute

    def day_of(self, at: datetime) -> date:
        """The latest date shown so far: a clock set back over midnight doesn't return to the day before."""
        shown = [self.shows(change - MICRO).date() for change in self.changes if change <= at]
        return max([self.shows(at).date(), *shown])


CLOCKS = {key: Clock(zone) for key, zone in ZONED.items()}


def moments(clock: Clock) -> set[datetime]:
    """Around each clock change, the ends of its day and of the days beside it, and of its month; and of New Year."""
    edges = [*clock.changes, datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 12, 31, 12, tzinfo=UTC)]
    found = set()
    for edge in edges:
        local = clock.shows(edge)
        midnights = [local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + n * DAY for n in (0, 1, 2)]
        midnights.append((local.replace(day=1, hour=0, minute=0, fold=0) + 32 * DAY).replace(day=1))
        for near in [edge, *(m.astimezone(UTC) for m in midnights)]:
            found |= {near + step for step in AROUND}
    return found


EVENTS = [
    Event(customer, at, 1 + n % 97, f"user{n % USERS}")
    for customer, clock in CLOCKS.items()
    for n, at in enumerate(sorted(moments(clock)))
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once; nobody writes to it."""
    made = tmp_path_factory.mktemp("zones") / "home"
    for name, text in CATALOG.items():
        path = made / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())
    (made / "inbox").mkdir()
    with (made / "inbox" / "all.jsonl").open("w") as lines:
        for n, event in enumerate(EVENTS):
            head = {
                "specversion": "1.0",
                "id": str(n),
                "source": "s",
                "type": "use",
                "subject": f"key-{event.customer}",
            }
            time = event.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
            data = {"units": event.units, "user": event.user}
            lines.write(json.dumps({**head, "time": time, "data": data}) + "\n")
    assert run(Context(Instance(made), parse_instant(NOW, "test"))).built
    return made


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


GRAINS: dict[str, tuple[str, Any]] = {
    "usage_daily": ("local_day", lambda day: day),
    "usage_weekly": ("week_start", monday),
    "usage_monthly": ("month_start", lambda day: day.replace(day=1)),
}


def measured(events: list[Event]) -> dict[str, int]:
    """Every meter over some events."""
    units = [event.units for event in events]
    return {"calls": len(units), "units": sum(units), "peak": max(units), "users": len({e.user for e in events})}


def expected(key: Any) -> dict[tuple[Any, ...], int]:
    """(what `key` makes of an event, meter): quantity."""
    groups: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for event in EVENTS:
        groups[key(event)].append(event)
    return {(*group, meter): n for group, events in groups.items() for meter, n in measured(events).items()}


def found(home: Path, mart: str, columns: str) -> dict[tuple[Any, ...], int]:
    """The same from a mart. A month that two billing periods share has a row for each: there is none here."""
    listed = rows(home, f"SELECT {columns}, meter, quantity FROM marts.{mart}")
    made = {tuple(row[:-1]): int(row[-1]) for row in listed}
    assert len(made) == len(listed)
    return made


def test_the_places_are_of_every_sort() -> None:
    offsets = {clock.shows(datetime(2026, 1, 1, tzinfo=UTC)).utcoffset() for clock in CLOCKS.values()}
    minutes = {int(offset.total_seconds()) // 60 % 60 for offset in offsets if offset is not None}
    assert (len(FORTY), minutes) == (40, {0, 30, 45})
    assert {14 * HOUR, -11 * HOUR} <= offsets
    lord_howe = CLOCKS[f"z{FORTY.index('Australia/Lord_Howe')}"]
    assert len(lord_howe.changes) == 2
    assert sum(len(clock.changes) for clock in CLOCKS.values()) >= 30


def test_B4_hours_are_those_of_each_clock(home: Path) -> None:
    def key(event: Event) -> tuple[Any, ...]:
        clock = CLOCKS[event.customer]
        return event.customer, clock.hour_of(event.at).replace(tzinfo=None), clock.day_of(event.at)

    assert found(home, "usage_hourly", "customer, hour_start, local_day") == expected(key)


@pytest.mark.parametrize("mart", GRAINS)
def test_B7_longer_grains_are_those_of_each_clock(mart: str, home: Path) -> None:
    column, start_of = GRAINS[mart]

    def key(event: Event) -> tuple[Any, ...]:
        return event.customer, start_of(CLOCKS[event.customer].day_of(event.at))

    mine = expected(key)
    there = weeks_of_one_period(home) if mart == "usage_weekly" else found(home, mart, f"customer, {column}")
    if mart == "usage_weekly":
        mine = {k: n for k, n in mine.items() if k[:2] in {t[:2] for t in there}}
    assert there == mine


def weeks_of_one_period(home: Path) -> dict[tuple[Any, ...], int]:
    """Weeks that lie in one billing period: of the others each has its part."""
    split = "SELECT customer, week_start FROM marts.usage_weekly GROUP BY 1, 2 HAVING count(DISTINCT period_start) > 1"
    whole = f"(SELECT * FROM marts.usage_weekly WHERE (customer, week_start) NOT IN ({split}))"
    return {
        tuple(row[:-1]): int(row[-1])
        for row in rows(home, f"SELECT customer, week_start, meter, quantity FROM {whole}")
    }


@pytest.mark.parametrize(
    ("finer", "coarser", "column"),
    [
        ("usage_hourly", "usage_daily", "local_day"),
        ("usage_daily", "usage_monthly", "date_trunc('month', local_day)::DATE"),
        ("usage_daily", "usage_weekly", "date_trunc('week', local_day)::DATE"),
    ],
)
def test_sums_of_the_finer_grain_are_the_coarser_one(finer: str, coarser: str, column: str, home: Path) -> None:
    named, _ = GRAINS[coarser]
    where = "WHERE meter IN ('calls', 'units') GROUP BY ALL ORDER BY ALL"
    parts = rows(home, f"SELECT customer, meter, {column}, sum(quantity) FROM marts.{finer} {where}")
    whole = rows(home, f"SELECT customer, meter, {named}, sum(quantity) FROM marts.{coarser} {where}")
    assert parts == whole
    assert sum(quantity for *_, meter, _, quantity in whole if meter == "calls") == len(EVENTS)


def test_distinct_users_are_counted_anew_in_each_grain_and_never_summed(home: Path) -> None:
    for grain, (column, start_of) in {
        "daily": ("local_day", lambda day: day),
        "weekly": ("week_start", monday),
        "monthly": ("month_start", lambda day: day.replace(day=1)),
    }.items():
        users: dict[tuple[str, date], set[str]] = defaultdict(set)
        for event in EVENTS:
            users[event.customer, start_of(CLOCKS[event.customer].day_of(event.at))].add(event.user)
        listed = rows(home, f"SELECT customer, {column}, active_users FROM marts.active_users_{grain} "
                            "WHERE application = '(all)' AND meter = 'users'")  # fmt: skip
        assert {(customer, start): n for customer, start, n in listed} == {k: len(v) for k, v in users.items()}
    [(of_days, of_months)] = rows(
        home,
        "SELECT (SELECT sum(quantity) FROM marts.usage_daily WHERE meter = 'users'), "
        "(SELECT sum(quantity) FROM marts.usage_monthly WHERE meter = 'users')",
    )
    assert of_days > of_months > 0
