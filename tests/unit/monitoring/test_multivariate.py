"""The detector over all series of an hour together: it learns from the past alone, the same each time, and says why."""

from __future__ import annotations

import numpy as np
import pytest

from orchestration.errors import InputHeld
from orchestration.monitoring.multivariate import Model, judge, lessons, reasons, train

MOMENTS = 3600 * np.arange(200)
BEFORE = 3600 * 150


def _residuals() -> dict[str, np.ndarray]:
    random = np.random.default_rng(11)
    names = ("bytes", "denied", "endpoints", "latency", "requests")
    return {name: random.normal(0, 1, (200, 20)) for name in names}


def trained(residuals: dict[str, np.ndarray], before: int = BEFORE) -> Model:
    return train(tuple(sorted(residuals)), lessons(residuals, MOMENTS, before), before)


def test_an_hour_of_which_no_series_is_beyond_its_limit_is_found_by_all_of_them_together() -> None:
    residuals = _residuals()
    for values in residuals.values():
        values[170, 3] = 2.9
    model = trained(residuals)
    told = judge(model, residuals, MOMENTS)
    assert told.fired[170, 3]
    assert told.fired.sum() <= 5, "of 1,000 hours"
    assert np.isnan(told.score[:150]).all() and np.isfinite(told.score[150:]).all()


def test_what_fired_is_named() -> None:
    residuals = _residuals()
    model = trained(residuals)
    row = np.zeros(5)
    row[[1, 3]] = 8.0, -6.0
    assert [name for name, _ in reasons(model, row)][:2] in (["denied", "latency"], ["latency", "denied"])


def test_the_same_past_gives_the_same_model_whatever_the_future_is() -> None:
    one, two = _residuals(), _residuals()
    for values in two.values():
        values[150:] = 99.0
    first, second = (trained(residuals) for residuals in (one, two))
    assert (first.version, first.threshold) == (second.version, second.threshold)
    assert np.array_equal(judge(first, one, MOMENTS).score, judge(second, one, MOMENTS).score, equal_nan=True)
    one["bytes"][0, 0] += 1
    assert trained(one).version != first.version


def test_too_short_a_past_teaches_nothing() -> None:
    with pytest.raises(InputHeld, match="980 customer-hours before 176400 are too few"):
        trained(_residuals(), 49 * 3600)
