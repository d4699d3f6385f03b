"""Hourly traffic of customers as gateways see it, with incidents of every kind put in at known hours and sizes.

Traffic: hours of the day and days of the week, customers of every size, growth, counts that vary more than by chance
(gamma-Poisson, shape 25), a holiday at 40%, hours that were not delivered, a lawful new level for one customer in ten,
rare requests from a new country or client. Each customer gets at most one incident a week, from the fourth week on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestration.monitoring.incidents import Usage, incidents
from orchestration.monitoring.kinds import DROP_TO_ZERO, KINDS, OFF_HOURS, ORDER_CANCEL
from orchestration.monitoring.series import Alarm, day_type

WATCHED = (*KINDS, ORDER_CANCEL)
START = 1_767_571_200  # 2026-01-05, a Monday
WARM_DAYS = 21
DAYS = 42
HOLIDAY = 31
HOURS = np.array([4, 3, 2, 2, 2, 4, 7, 14, 26, 38, 42, 40, 34, 36, 42, 41, 36, 28, 20, 15, 12, 10, 8, 6]) / 42
OFFICE = np.array([0.0] * 7 + [0.5] + [1.0] * 9 + [0.5] + [0.0] * 6)
WEEK = np.array([1, 1.05, 1.1, 1.05, 0.9, 0.4, 0.3])


@dataclass(frozen=True)
class Injected:
    column: int
    kind: str
    first: int
    hours: int


def _expected(random: np.random.Generator, customers: int, moments: NDArray[np.int64]) -> NDArray[np.float64]:
    hour, day = moments // 3600 % 24, (moments - START) // 86_400
    office = np.arange(customers) % 3 == 0
    shape = np.where(office, OFFICE[hour][:, None] * (day % 7 < 5)[:, None], (HOURS[hour] * WEEK[day % 7])[:, None])
    size = np.exp(random.uniform(np.log(60), np.log(3000), customers))
    growth = 1 + np.outer(day, random.uniform(-0.003, 0.01, customers))
    shifted = np.where(random.random(customers) < 0.1, 1.35, 1.0)
    shift = np.where(day[:, None] >= random.integers(22, 40, customers), shifted, 1.0)
    holiday = np.where(day == HOLIDAY, 0.4, 1.0)[:, None]
    return shape * size * growth * shift * holiday


def traffic(seed: int, customers: int) -> tuple[Usage, list[Injected]]:
    """Six weeks of hours, and the incidents in them."""
    random = np.random.default_rng(seed)
    moments = START + 3600 * np.arange(DAYS * 24)
    expected = _expected(random, customers, moments)
    requests = random.poisson(expected * random.gamma(25, 1 / 25, expected.shape))
    shares = {"denied": 0.005, "refused": 0.002, "retries": 0.006, "unknown_paths": 0.002}
    series = {name: random.binomial(requests, share).astype(float) for name, share in shares.items()}
    series["distinct_ids"] = random.binomial(requests, 0.55).astype(float)
    rare = random.random((2, *requests.shape)) < 0.002
    for name, here in zip(("new_country_requests", "new_client_requests"), rare, strict=True):
        series[name] = np.where(here, np.minimum(requests, random.integers(1, 4, requests.shape)), 0).astype(float)
    orders = random.binomial(requests, 0.2)
    series |= {"orders": orders.astype(float), "cancels": random.binomial(orders, 0.08).astype(float)}
    price = random.uniform(0.2, 20, customers) * np.exp(random.normal(0, 0.02, requests.shape))
    series |= {"requests": requests.astype(float), "unit_price": np.where(requests > 0, price, np.nan)}
    injected = _inject(random, series, expected)
    for hour in random.integers(0, len(moments), 12):
        for values in series.values():
            values[hour] = np.nan
    keys = tuple(f"c{number:04d}" for number in range(customers))
    return Usage(keys, moments, day_type(moments), series), injected


def _inject(
    random: np.random.Generator, series: dict[str, NDArray[np.float64]], expected: NDArray[np.float64]
) -> list[Injected]:
    out = []
    kinds = [kind.name for kind in WATCHED]
    for column in range(expected.shape[1]):
        for week in range(WARM_DAYS // 7, DAYS // 7):
            kind = kinds[int(random.integers(len(kinds)))]
            hours = 6 if kind in (DROP_TO_ZERO, ORDER_CANCEL.name) else 3
            usual = expected[:, column]
            # Sizes are stated against a usual day with traffic; a spike by night would be off-hours use.
            fits = [
                hour
                for hour in range(week * 168, week * 168 + 150)
                if not HOLIDAY - 1 <= hour // 24 <= HOLIDAY
                and (usual[hour : hour + hours] <= 0).all() == (kind == OFF_HOURS)
                and (kind == OFF_HOURS or (usual[hour : hour + hours] >= max(100, 0.25 * usual.max())).all())
            ]
            if fits:
                first = int(random.choice(fits))
                _put(kind, random, series, column, slice(first, first + hours))
                out.append(Injected(column, kind, first, hours))
    return out


def _put(
    kind: str, random: np.random.Generator, series: dict[str, NDArray[np.float64]], column: int, hours: slice
) -> None:
    """The stated sizes (docs/monitoring.md)."""

    def more(name: str, mean: float) -> None:
        extra = random.poisson(mean, hours.stop - hours.start)
        series[name][hours, column] += extra
        if name != "requests":
            series["requests"][hours, column] += extra

    usual = series["requests"][hours, column].mean()
    if kind == DROP_TO_ZERO:
        for name in series:
            series[name][hours, column] = np.nan if name == "unit_price" else 0
    elif kind == "traffic_spike":
        series["requests"][hours, column] *= 4
    elif kind == "quota_exhaustion":
        series["refused"][hours, column] = np.round(series["requests"][hours, column] / 2)
    elif kind == "scraping":
        more("distinct_ids", 3 * usual)
    elif kind == "order_cancel_ratio":
        series["cancels"][hours, column] = random.binomial(series["orders"][hours, column].astype(int), 0.5)
    elif kind == "price_shock":
        series["unit_price"][hours, column] *= random.choice([1 / 1.5, 1.5])
    else:
        name, mean = {
            OFF_HOURS: ("requests", 60),
            "credential_stuffing": ("denied", 150),
            "retry_storm": ("retries", 200),
            "endpoint_probing": ("unknown_paths", 80),
            "new_country": ("new_country_requests", 40),
            "new_client": ("new_client_requests", 40),
        }[kind]
        more(name, mean)


@dataclass(frozen=True)
class Outcome:
    """By kind: hours until the first alarm, and how many were missed; false alarms touch no incident put in."""

    delays: dict[str, list[int]]
    missed: dict[str, int]
    false: list[tuple[str, str, int]]
    customer_days: int


def outcome(usage: Usage, injected: list[Injected], alarmed: list[Alarm]) -> Outcome:
    """What the room finds: an incident of another kind at the same hours is not false, but finds nothing either."""
    found = incidents(alarmed)
    delays: dict[str, list[int]] = {kind.name: [] for kind in WATCHED}
    missed = dict.fromkeys(delays, 0)
    excused = set()
    for one in injected:
        hits = [
            (place, (each.first - START) // 3600)
            for place, each in enumerate(found)
            if each.key == usage.keys[one.column]
            and (each.first - START) // 3600 < one.first + one.hours
            and (each.last - START) // 3600 >= one.first
        ]
        excused |= {place for place, _ in hits}
        right = [max(hour - one.first, 0) for place, hour in hits if found[place].kind == one.kind]
        if right:
            delays[one.kind].append(min(right))
        else:
            missed[one.kind] += 1
    false = [(i.key, i.kind, (i.first - START) // 3600) for place, i in enumerate(found) if place not in excused]
    return Outcome(delays, missed, false, len(usage.keys) * (DAYS - WARM_DAYS))
