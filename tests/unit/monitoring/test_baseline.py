"""Baselines and charts: what one bad hour, a gap, a new level or a busy series must not do to the limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.monitoring.baseline import COUNT, PLAIN, PRICE, RATIO, SHIFT, expect
from orchestration.monitoring.charts import cusum, ewma, shewhart
from orchestration.monitoring.series import day_type, hour_of_day, hour_of_week

HOURS = 3600 * np.arange(24 * 28)
SLOTS = day_type(HOURS)
DAILY = 50 + 40 * np.sin(2 * np.pi * (HOURS // 3600 % 24) / 24)


def _counts(seed: int, series: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(DAILY[:, None], (len(HOURS), series)).astype(float)


def test_slots_begin_on_monday_and_know_weekends() -> None:
    thursday, friday_23, saturday, monday = 0, 47 * 3600, 48 * 3600, 96 * 3600
    at = np.array([thursday, friday_23, saturday, monday])
    assert hour_of_day(at).tolist() == [0, 23, 0, 0]
    assert hour_of_week(at).tolist() == [72, 119, 120, 0]
    assert day_type(at).tolist() == [0, 23, 24, 0]


def test_residuals_of_even_traffic_are_standard_and_rarely_beyond_three() -> None:
    z = expect(_counts(1, 200), SLOTS, COUNT, 24 * 14).z
    assert np.isnan(z[: 24 * 14]).all() and np.isfinite(z[24 * 14 :]).all()
    known = z[24 * 14 :]
    assert abs(known.mean()) < 0.05
    assert 0.9 < known.std() < 1.15
    assert (np.abs(known) > 5).sum() == 0


def test_counts_that_scatter_more_than_by_chance_get_wider_limits_by_day_than_by_night() -> None:
    random = np.random.default_rng(2)
    mean = 20 * DAILY[:, None] * np.ones(50)
    expected = expect(random.poisson(mean * random.gamma(25, 1 / 25, mean.shape)).astype(float), SLOTS, COUNT, 24 * 14)
    last = expected.scale[-24:].mean(axis=1)
    # On the scale of counts the deviation is sqrt(1 + mean / 25): 8.5 where 1,800 are expected, 3 where 200 are.
    assert last.max() == pytest.approx(np.sqrt(1 + 1800 / 25), rel=0.15)
    assert last.min() == pytest.approx(np.sqrt(1 + 200 / 25), rel=0.25)


def test_one_wild_hour_moves_the_centre_of_the_next_day_hardly() -> None:
    quiet = _counts(3, 1)
    wild = quiet.copy()
    wild[24 * 20 + 12] = 1e6
    (calm, *_), (after, *_) = (expect(v, SLOTS, COUNT, 24 * 14).limits(COUNT, 3) for v in (quiet, wild))
    assert np.abs(after - calm)[24 * 20 + 13 :].max() < 8


def test_a_lasting_new_level_is_unusual_for_a_day_and_a_half_and_then_is_the_level() -> None:
    values = _counts(4, 20)
    at = 24 * 20
    values[at:] *= 4
    z = expect(values, SLOTS, COUNT, 24 * 14).z
    assert np.median(z[at : at + 12]) > 5 and np.median(z[at : at + SHIFT]) > 3
    assert np.abs(np.median(z[at + SHIFT + 24 :])) < 2


def test_missing_hours_are_no_signal_and_change_nothing() -> None:
    values = _counts(5, 3)
    values[300:310, 1] = np.nan
    one = expect(values, SLOTS, COUNT, 240)
    assert np.isnan(one.z[300:310, 1]).all() and np.isfinite(one.z[300:310, [0, 2]]).all()
    assert np.array_equal(one.z[:, [0, 2]], expect(values[:, [0, 2]], SLOTS, COUNT, 240).z, equal_nan=True)


def test_limits_are_in_the_unit_of_the_values() -> None:
    prices = np.full((len(HOURS), 1), 2.0)
    centre, lower, upper = expect(prices, SLOTS, PRICE, 48).limits(PRICE, 3)
    assert (centre[-1, 0], lower[-1, 0]) == (pytest.approx(2.0), pytest.approx(2 * np.exp(-0.015), rel=1e-3))
    assert upper[-1, 0] == pytest.approx(2 * np.exp(0.015), rel=1e-3)
    for unit in (COUNT, PRICE, RATIO, PLAIN):
        assert unit.back(unit.forth(np.array([0.25, 0.5]))) == pytest.approx([0.25, 0.5])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(30, 118), st.floats(-1e6, 1e6))
def test_what_is_said_of_an_hour_knows_nothing_of_later_ones(seed: int, cut: int, other: float) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(10, 3, (120, 4))
    values[random.random(values.shape) < 0.1] = np.nan
    altered = values.copy()
    altered[cut:] = other
    one, two = (expect(v, np.arange(120) % 24, PLAIN, 30) for v in (values, altered))
    for before, after in zip(one, two, strict=True):
        assert np.array_equal(before[:cut], after[:cut], equal_nan=True)


def test_charts_by_hand() -> None:
    z = np.array([[1.0], [np.nan], [4.0], [4.0], [4.0]])
    assert shewhart(z).outside()[:, 0].tolist() == [False, False, True, True, True]
    mean = ewma(z, weight=0.5, width=3)
    # 0.5, unknown, 0.5 + 0.5 x 3.5 = 2.25, 3.125, 3.5625; limits 3 sqrt(1/3 (1 - 0.25^n)) = 1.5, 1.677, 1.718, 1.729.
    assert mean.statistic[[0, 2, 3, 4], 0].tolist() == [0.5, 2.25, 3.125, 3.5625]
    assert mean.upper[[0, 2, 3], 0] == pytest.approx([1.5, 1.67705, 1.71847], abs=1e-5)
    assert mean.outside()[:, 0].tolist() == [False, False, True, True, True]
    sums = cusum(z, slack=0.5, decision=5)
    # 0.5, unknown, 0.5 + 3.5 = 4, 7.5 (a signal), begins again at 0 + 3.5.
    assert sums.statistic[[0, 2, 3, 4], 0].tolist() == [0.5, 4.0, 7.5, 3.5]
    assert sums.outside()[:, 0].tolist() == [False, False, False, True, False]
    assert cusum(-z, slack=0.5, decision=5).statistic[3, 0] == -7.5
