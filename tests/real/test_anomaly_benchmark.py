"""The detector of single series on labelled ones of other people, beside simple detectors under the same rules."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nab import BASELINES, Labelled, Result, fixed, judge, load, ours, points, quiet

from orchestration.monitoring import deviation
from orchestration.monitoring.series import hour_of_day

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
RULES = [(fixed, 0), (fixed, 100), (fixed, 400), (quiet, 50), (quiet, 100)]
"""Every row an alarm, or one in so many rows, or one until so many were quiet: each detector takes its best."""


@pytest.fixture(scope="module")
def data() -> list[Labelled]:
    return load(SHARED / "data" / "anomaly" / "nab")


def test_our_detector_leads_every_simple_one_by_five_points(data: list[Labelled], show: Callable[[str], None]) -> None:
    every = {"deviation": ours(data)} | {simple.__name__: [simple(d) for d in data] for simple in BASELINES}
    best: dict[str, Result] = {}
    plain: dict[str, Result] = {}
    for name, scores in every.items():
        results = [judge(data, scores, *rule) for rule in RULES]
        best[name], plain[name] = max(results, key=lambda result: result.score), results[0]
    show("\n| detector | score | other half | precision | recall | threshold | rule | score, every row an alarm |\n")
    for name, r in best.items():
        figures = f"{r.score:.1f} | {r.other_half:.1f} | {r.precision:.2f} | {r.recall:.2f} | {r.threshold:.3g}"
        show(f"| {name} | {figures} | {r.rule} | {plain[name].score:.1f} |\n")
    mine, plainly = best.pop("deviation"), plain.pop("deviation")
    assert mine.score >= max(r.score for r in best.values()) + 5
    assert mine.other_half >= max(r.other_half for r in best.values()) + 5
    assert plainly.score >= max(r.score for r in plain.values()) + 5
    assert mine.precision >= max(r.precision for r in best.values()) + 0.05
    assert mine.recall >= max(r.recall for r in best.values())
    assert mine.threshold == pytest.approx(deviation.THRESHOLD, abs=0.1), "the published threshold is another one"


def test_the_score_of_a_row_knows_nothing_of_later_ones(data: list[Labelled]) -> None:
    for cut in (700, 1_100):
        values = np.stack([d.values[:1_200] for d in data], axis=1)
        slots = np.stack([hour_of_day(d.moments[:1_200]) for d in data], axis=1)
        whole = deviation.scores(values, slots)
        altered = values.copy()
        altered[cut:] = altered[cut:] * -7 + 1e6
        assert np.array_equal(deviation.scores(altered, slots)[:cut], whole[:cut])
        assert np.array_equal(deviation.scores(values[:cut], slots[:cut]), whole[:cut])
        assert (deviation.scores(altered, slots)[cut:] != whole[cut:]).any()


def test_an_alarm_of_the_detector_is_an_alarm_of_the_benchmark() -> None:
    scores = np.random.default_rng(3).choice([0.0, deviation.THRESHOLD], (5_000, 4), p=[0.97, 0.03])
    told = deviation.alarms(scores)
    for column in range(4):
        rows = quiet(scores[:, column], deviation.THRESHOLD, 0, deviation.QUIET)
        assert np.flatnonzero(told[:, column]).tolist() == rows.tolist() != []


def test_points_of_a_benchmark_by_hand() -> None:
    windows = [(100, 199), (500, 599)]
    assert points(np.array([], dtype=np.int64), windows) == (-2.0, 0, 2, 0)
    assert points(np.array([100, 500]), windows) == (pytest.approx(2.0), 2, 2, 0)
    # The middle of the window: (2 / (1 + e^-2.5) - 1) / (2 / (1 + e^-5) - 1) = 0.848284 / 0.986614.
    assert points(np.array([150, 160, 500]), windows)[0] == pytest.approx(1 + 0.848284 / 0.986614, abs=1e-6)
    # Before all windows a false alarm costs 0.11; half a window's length after one, 0.11 x 0.848284 (49.5 of 99 rows).
    assert points(np.array([20, 100, 500]), windows) == (pytest.approx(1.89), 2, 2, 1)
    assert points(np.array([100, 298, 500]), windows)[0] == pytest.approx(2 - 0.11 * 0.986614, abs=1e-6)
    assert fixed(np.array([0.0, 9, 9, 9, 9]), 9, 1, 2).tolist() == [1, 3]
    assert quiet(np.array([9.0, 9, 0, 9, 0, 0, 9]), 9, 0, 2).tolist() == [0, 6]
