"""The labelled series, the scoring of detectors on them, and the simple detectors that stand beside ours.

Score of a set of alarms (docs/monitoring.md): a labelled window that holds an alarm gives up to 1, less the later its
first alarm; one without takes 1; an alarm outside all windows takes up to 0.11. 0 is no alarm at all, 100 is perfect.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from orchestration.monitoring import deviation
from orchestration.monitoring.series import hour_of_day

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Alarming = Callable[[Floats, float, int, int], Whole]


@dataclass(frozen=True)
class Labelled:
    """One series: seconds, values, windows as first and last row, and the first row that is scored."""

    name: str
    moments: Whole
    values: Floats
    windows: list[tuple[int, int]]
    first: int


def load(folder: Path) -> list[Labelled]:
    out = []
    for name, spans in sorted(json.loads((folder / "windows.json").read_text()).items()):
        with (folder / name).open(newline="") as file:
            rows = list(csv.reader(file))[1:]
        moments = np.array([row[0] for row in rows], dtype="datetime64[s]").astype(np.int64)
        edges = [np.array(span, dtype="datetime64[s]").astype(np.int64) for span in spans]
        windows = [(int(np.searchsorted(moments, a)), int(np.searchsorted(moments, b, "right")) - 1) for a, b in edges]
        values = np.array([float(row[1]) for row in rows])
        out.append(Labelled(name, moments, values, windows, min(len(rows) * 15 // 100, 750)))
    return out


def fixed(scores: Floats, threshold: float, first: int, hold: int) -> Whole:
    """An alarm, then none for `hold` rows."""
    beyond = np.flatnonzero(scores[first:] >= threshold) + first
    out, at = [], 0
    while at < len(beyond):
        out.append(beyond[at])
        at = int(np.searchsorted(beyond, beyond[at] + max(hold, 1)))
    return np.array(out, dtype=np.int64)


def quiet(scores: Floats, threshold: float, first: int, hold: int) -> Whole:
    """An alarm lasts until `hold` rows in a row were below the threshold; only its first row counts."""
    beyond = np.flatnonzero(scores[first:] >= threshold) + first
    return beyond[np.diff(beyond, prepend=-hold - 2) > hold]


def credit(x: Floats) -> Floats:
    return 2 / (1 + np.exp(5 * x)) - 1


def points(alarms: Whole, windows: list[tuple[int, int]]) -> tuple[float, int, int, int]:
    """Points, windows found, windows, alarms outside all windows."""
    total, found, inside = 0.0, 0, np.zeros(len(alarms), dtype=bool)
    cost = np.full(len(alarms), -1.0)
    for begin, end in windows:
        within = (alarms >= begin) & (alarms <= end)
        inside |= within
        if within.any():
            late = -(end - alarms[within][0] + 1) / (end - begin + 1)
            total += float(credit(np.array(late)) / credit(np.array(-1.0)))
            found += 1
        else:
            total -= 1
        after = (alarms - end) / max(1, end - begin)
        cost = np.where(after > 0, np.where(after <= 3, credit(np.minimum(after, 3)), -1.0), cost)
    return total + 0.11 * float(cost[~inside].sum()), found, len(windows), int((~inside).sum())


@dataclass(frozen=True)
class Result:
    score: float
    precision: float
    recall: float
    threshold: float
    rule: str
    other_half: float
    """Mean score on the half of the series on which the threshold was not chosen, over seeded halvings."""


def _score(table: Floats) -> Floats:
    total, windows = table[..., 0].sum(-1), table[..., 2].sum(-1)
    return 100 * (total + windows) / (2 * windows)


def judge(data: list[Labelled], scores: list[Floats], alarming: Alarming, hold: int) -> Result:
    """The best single threshold for all series under one rule of suppression, of 36 up to 2% of rows."""
    every = np.concatenate([s[d.first :] for s, d in zip(scores, data, strict=True)])
    thresholds = np.unique(np.quantile(every, 1 - np.geomspace(2 / len(every), 0.02, 36)))
    table = np.array(
        [
            [points(alarming(s, at, d.first, hold), d.windows) for s, d in zip(scores, data, strict=True)]
            for at in thresholds
        ]
    )
    best = int(np.argmax(_score(table)))
    _, found, windows, false = table[best].sum(0)
    halves = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(data))
        one, other = order[: len(data) // 2], order[len(data) // 2 :]
        for a, b in ((one, other), (other, one)):
            halves.append(_score(table[:, b])[int(np.argmax(_score(table[:, a])))])
    return Result(
        float(_score(table)[best]),
        float(found / max(found + false, 1)),
        float(found / windows),
        float(thresholds[best]),
        f"{alarming.__name__} {hold}",
        float(np.mean(halves)),
    )


def floor(values: Floats) -> float:
    return float(1e-6 * (1 + np.median(np.abs(values[:100]))))


def rolling_gaussian(data: Labelled) -> Floats:
    """|z| against mean and deviation of the 200 rows before."""
    x = data.values - data.values[0]
    rows = np.arange(len(x))
    begin = np.maximum(0, rows - 200)
    count = np.maximum(rows - begin, 1)
    one, two = (np.concatenate([[0], np.cumsum(x**power)]) for power in (1, 2))
    mean = (one[rows] - one[begin]) / count
    spread = np.sqrt(np.maximum((two[rows] - two[begin]) / count - mean**2, 0))
    return np.where(rows < 20, 0, np.minimum(np.abs(x - mean) / (spread + floor(data.values)), 1000))


def shewhart(data: Labelled) -> Floats:
    """|z| against mean and deviation of the rows that are not scored."""
    past = data.values[: data.first]
    return np.minimum(np.abs(data.values - past.mean()) / (past.std() + floor(data.values)), 1000)


def cusum(data: Labelled) -> Floats:
    """The larger of two one-sided sums, slack half a deviation, that begin again after reaching 50."""
    past = data.values[: data.first]
    up = down = 0.0
    out = []
    for z in ((data.values - past.mean()) / (past.std() + floor(data.values))).tolist():
        up, down = max(0.0, up + z - 0.5), max(0.0, down - z - 0.5)
        out.append(min(max(up, down), 50.0))
        if out[-1] >= 50:
            up = down = 0.0
    return np.array(out)


def time_of_day(data: Labelled) -> Floats:
    """|z| against mean and deviation of all earlier values of the same hour of the day."""
    out = np.zeros(len(data.values))
    slots = hour_of_day(data.moments)
    for slot in range(24):
        rows = np.flatnonzero(slots == slot)
        x, count = data.values[rows], np.arange(1, len(rows) + 1)
        mean, square = np.cumsum(x) / count, np.cumsum(x * x) / count
        spread = np.sqrt(np.maximum(square - mean**2, 0)) + floor(data.values)
        out[rows[10:]] = (np.abs(x[1:] - mean[:-1]) / spread[:-1])[9:]
    return np.minimum(out, 1000)


def isolation_forest(data: Labelled) -> Floats:
    """Trained on the rows that are not scored: the value, the three before, the hour of the day."""
    lags = np.lib.stride_tricks.sliding_window_view(np.concatenate([[data.values[0]] * 3, data.values]), 4)
    rows = np.column_stack([lags, hour_of_day(data.moments)])
    forest = IsolationForest(n_estimators=50, random_state=0).fit(rows[: data.first])
    return -forest.score_samples(rows)


BASELINES = (rolling_gaussian, shewhart, cusum, time_of_day, isolation_forest)


def ours(data: list[Labelled]) -> list[Floats]:
    """All series in one matrix: shorter ones end in missing values."""
    rows = max(len(d.values) for d in data)
    values = np.full((rows, len(data)), np.nan)
    slots = np.zeros((rows, len(data)), dtype=np.int64)
    for column, d in enumerate(data):
        values[: len(d.values), column] = d.values
        slots[: len(d.values), column] = hour_of_day(d.moments)
    out = deviation.scores(values, slots)
    return [out[: len(d.values), column] for column, d in enumerate(data)]
