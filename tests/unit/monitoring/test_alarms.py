"""From residuals to alarms: false discoveries, one alarm for one event, and what people said of earlier ones."""

from __future__ import annotations

import numpy as np
import pytest

from orchestration.monitoring.alarms import Label, discoveries, onsets, persistent, tails, tolerances

MOMENTS = np.array([0])


def test_false_discoveries_are_those_of_the_published_procedure() -> None:
    # Fifteen p values of Benjamini and Hochberg (1995), section 4: at 0.05 the first four are rejected.
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1,
    ]
    assert discoveries(np.array(p[::-1]), 0.05).tolist() == [False] * 11 + [True] * 4
    assert not discoveries(np.array([0.9, 0.04]), 0.05).any(), "0.04 is more than 0.05 / 2"
    assert discoveries(np.array([0.05, 0.05]), 0.05).all(), "the largest that holds takes the smaller ones along"
    assert discoveries(np.array([]), 0.05).shape == (0,)


def test_among_series_that_are_well_false_discoveries_are_as_rare_as_stated() -> None:
    p = np.random.default_rng(7).random((2_000, 500))
    runs = sum(discoveries(run, 0.05).any() for run in p)
    assert 60 < runs < 140, "of 2,000 runs a twentieth, 100, has any"


def test_an_unknown_residual_is_never_a_discovery() -> None:
    assert tails(np.array([np.nan, 0.0, -9.0])).tolist()[:2] == [1.0, 0.5]
    assert tails(np.array([6.0]))[0] == pytest.approx(7.1e-7, rel=0.2), "thirty degrees of freedom, not the normal 1e-9"


def test_a_signal_has_to_last_and_an_alarm_is_told_once() -> None:
    signals = np.array([[1, 0, 1, 1, 0, 0, 0, 1, 1, 1]], dtype=bool).T
    assert persistent(signals, 2, 3)[:, 0].astype(int).tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1]
    assert onsets(signals, 2)[:, 0].astype(int).tolist() == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert onsets(signals, 4)[:, 0].astype(int).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]


def test_labels_change_the_thresholds_of_their_customer_and_kind_alone() -> None:
    false = [Label("a", "scraping", False)] * 2 + [Label("b", "scraping", True)]
    assert tolerances(("a", "b", "c"), MOMENTS, "scraping", {}, false)[0] == pytest.approx([1.3225, 1 / 1.15, 1])
    assert tolerances(("a", "b", "c"), MOMENTS, "retry_storm", {}, false).tolist() == [[1, 1, 1]]
    many = [Label("a", "scraping", False)] * 99
    assert tolerances(("a", "b"), MOMENTS, "scraping", {"": 0.5, "b": 2.0}, many).tolist() == [[4.0, 0.5]]


def test_a_label_changes_no_threshold_of_hours_before_it_was_said() -> None:
    said = [Label("a", "scraping", False, 7200)]
    found = tolerances(("a", "b"), np.array([0, 3600, 7200, 10_800]), "scraping", {}, said)
    assert found == pytest.approx(np.array([[1, 1], [1, 1], [1.15, 1], [1.15, 1]]))
