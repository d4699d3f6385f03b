"""Alarms of a run by kind, and the incidents they make up.

A run judges the hours that it is asked about, each by what was known at that hour: run for one new hour, or again for
a month, the same alarms come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from orchestration.monitoring.alarms import Label, persistent, tails, tolerances
from orchestration.monitoring.baseline import Expected, Unit, expect
from orchestration.monitoring.kinds import DROP_TO_ZERO, OFF_HOURS, TRAFFIC_SPIKE, Kind
from orchestration.monitoring.series import Alarm, Flags, Floats, Incident, Whole

RATE = 0.005
"""Share of false discoveries that is allowed among all series of one hour."""
QUIET = 6
WIDTH = 6.0
OFF_SHARE = 0.1
WEEK = 168


class Usage(NamedTuple):
    """Hourly series of customers, by name of the series: each hours x keys; NaN where nothing was delivered.

    `slots` has one number an hour, or hours x keys where customers have clocks of their own.
    """

    keys: tuple[str, ...]
    moments: Whole
    slots: Whole
    series: Mapping[str, Floats]


class Judged(NamedTuple):
    """One kind over all hours and keys: the chart in the unit of the values, and what is beyond it."""

    kind: Kind
    values: Floats
    centre: Floats
    lower: Floats
    upper: Floats
    z: Floats
    p: Floats
    matters: Flags
    expected: Expected


def watched(kind: Kind, series: Mapping[str, Floats]) -> Floats:
    """The values that a kind looks at. Raises KeyError where its series is not there."""
    values = series[kind.series]
    if not kind.per:
        return values
    per = series[kind.per]
    enough = per >= kind.least_per
    return np.where(enough, values / np.where(enough, per, 1.0), np.nan)


def _matters(kind: Kind, values: Floats, centre: Floats) -> Flags:
    """Whether the effect is large enough for a person, however sure it is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if kind.side:
            large = (kind.side * (values - centre) >= kind.least) & ((kind.side < 0) | (values >= kind.factor * centre))
        else:
            large = np.maximum(values / centre, centre / values) >= kind.factor
        if kind.name == DROP_TO_ZERO:
            large &= values <= 0.02 * centre
        if kind.name in (OFF_HOURS, TRAFFIC_SPIKE):
            large &= _off_hours(centre) == (kind.name == OFF_HOURS)
    return np.asarray(large, dtype=np.bool_)


def _off_hours(centre: Floats) -> Flags:
    """Hours in which a key does next to nothing: a tenth or less of the busiest hour of the week before."""
    busiest = maximum_filter1d(centre, WEEK, axis=0, mode="nearest", origin=(WEEK - 1) // 2)
    return np.asarray(centre <= OFF_SHARE * busiest, dtype=np.bool_)


def together(z: Floats, within: int) -> Floats:
    """Residuals of the last `within` hours as one: their sum over the root of how many are known (Stouffer)."""
    known = np.isfinite(z)
    sums, counts = (
        np.cumsum(np.pad(part, ((within, 0), (0, 0))), axis=0)
        for part in (np.where(known, z, 0.0), known.astype(float))
    )
    total, count = sums[within:] - sums[:-within], counts[within:] - counts[:-within]
    return np.where(known, total / np.sqrt(np.maximum(count, 1)), np.nan)


def judge(kind: Kind, usage: Usage, expected: Expected, tolerance: Floats) -> Judged:
    """What one kind makes of the baseline of its values."""
    values = watched(kind, usage.series)
    centre, lower, upper = expected.limits(kind.unit, WIDTH * tolerance)
    z = together(expected.z, kind.within) / tolerance
    p = np.minimum(2 * tails(np.abs(z)), 1.0) if kind.side == 0 else tails(kind.side * z)
    return Judged(kind, values, centre, lower, upper, z, p, _matters(kind, values, centre), expected)


def judgements(
    usage: Usage,
    kinds: Sequence[Kind],
    warm_up: int,
    *,
    sensitivity: Mapping[str, float] | None = None,
    labels: Sequence[Label] = (),
) -> list[Judged]:
    """What each kind makes of all hours.

    `warm_up`: hours since a series began; `sensitivity`: by key, "" for others.
    """
    baselines = _baselines(usage, kinds, warm_up)
    return [
        judge(
            kind,
            usage,
            baselines[kind.series, kind.per],
            tolerances(usage.keys, usage.moments, kind.name, sensitivity or {}, labels),
        )
        for kind in kinds
    ]


def _baselines(usage: Usage, kinds: Sequence[Kind], warm_up: int) -> dict[tuple[str, str], Expected]:
    """By what kinds look at. Series of one unit go through time side by side: a step costs about the same for many."""
    together: dict[Unit, dict[str, None]] = {}
    out: dict[tuple[str, str], Expected] = {}
    for kind in kinds:
        if not kind.per:
            together.setdefault(kind.unit, {})[kind.series] = None
        elif (kind.series, kind.per) not in out:
            noise = 1 / np.maximum(usage.series[kind.per], 1)
            out[kind.series, kind.per] = expect(watched(kind, usage.series), usage.slots, kind.unit, warm_up, noise)
    for unit, names in together.items():
        out |= {(name, ""): each for name, each in side_by_side(usage, list(names), unit, warm_up).items()}
    return out


def side_by_side(usage: Usage, names: Sequence[str], unit: Unit, warm_up: int) -> dict[str, Expected]:
    """The baselines of series of one unit, by name."""
    values = np.concatenate([usage.series[name] for name in names], axis=1)
    slots = usage.slots if usage.slots.ndim == 1 else np.tile(usage.slots, (1, len(names)))
    whole = expect(values, slots, unit, warm_up)
    parts = zip(*(np.split(each, len(names), axis=1) for each in whole), strict=True)
    return {name: Expected(*part) for name, part in zip(names, parts, strict=True)}


class Far(NamedTuple):
    """Where a kind's p is low enough for a discovery: rows of moments, places of keys, whether it would be an alarm,
    and the figures of one, the last of them p. Of very many series it is all that need be kept."""

    kind: str
    moments: Whole
    places: Whole
    signals: Flags
    figures: Floats


def far_off(judged: Iterable[Judged], first: int = 0, rate: float = RATE) -> list[Far]:
    """Of each kind. `first` is the place of the first key among all."""
    out = []
    for one in judged:
        low = one.p <= rate
        moments, places = np.nonzero(low)
        signals = persistent(one.matters, one.kind.need, one.kind.within)[low]
        figures = [part[low] for part in (one.values, one.centre, one.lower, one.upper, one.z, one.p)]
        out.append(Far(one.kind.name, moments, places + first, signals, np.stack(figures, axis=1)))
    return out


def raised(keys: Sequence[str], moments: Whole, far: Sequence[Far], tests: Whole, rate: float = RATE) -> list[Alarm]:
    """All alarms, by key, kind, moment: false discoveries are controlled hour by hour over all keys and kinds of it.

    `tests` is how many these are at each moment: keys that begin later change nothing about earlier ones.
    """
    at = np.concatenate([each.moments for each in far])
    p = np.concatenate([each.figures[:, -1] for each in far])
    order = np.lexsort((p, at))
    at, p = at[order], p[order]
    rank = np.arange(1, len(at) + 1) - np.searchsorted(at, at)
    holds = p <= rate * rank / np.maximum(tests[at], 1)
    largest = np.full(len(moments), -1.0)
    np.maximum.at(largest, at[holds], p[holds])
    out = []
    for each in far:
        kept = each.signals & (each.figures[:, -1] <= largest[each.moments])
        for moment, place, figures in zip(
            each.moments[kept].tolist(), each.places[kept].tolist(), each.figures[kept].tolist(), strict=True
        ):
            out.append(Alarm(keys[place], each.kind, int(moments[moment]), *figures))
    return sorted(out, key=lambda alarm: (alarm.key, alarm.kind, alarm.moment))


def alarms(
    usage: Usage,
    kinds: Sequence[Kind],
    warm_up: int,
    *,
    sensitivity: Mapping[str, float] | None = None,
    labels: Sequence[Label] = (),
    rate: float = RATE,
) -> list[Alarm]:
    """`judgements`, and what is `raised` of them."""
    judged = judgements(usage, kinds, warm_up, sensitivity=sensitivity, labels=labels)
    tests = np.full(len(usage.moments), len(usage.keys) * len(kinds))
    return raised(usage.keys, usage.moments, far_off(judged, rate=rate), tests, rate)


def incidents(found: Iterable[Alarm], quiet: int = QUIET * 3600) -> list[Incident]:
    """Alarms of one key and kind with at most `quiet` seconds between them are one incident."""
    out: list[Incident] = []
    for alarm in sorted(found, key=lambda alarm: (alarm.key, alarm.kind, alarm.moment)):
        last = out[-1] if out else None
        if last and (last.key, last.kind) == (alarm.key, alarm.kind) and alarm.moment - last.last <= quiet:
            out[-1] = last._replace(last=alarm.moment, alarms=(*last.alarms, alarm))
        else:
            out.append(Incident(alarm.key, alarm.kind, alarm.moment, alarm.moment, (alarm,)))
    return out
