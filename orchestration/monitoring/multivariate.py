"""Hours that are unusual as a whole, though no single series of them may be: a distance over all residuals.

A model learns once, from hours before a moment, and judges hours from that moment on. Its features are the residuals of
the baseline (`baseline.expect`), so that customers of every size share one model and the hour of the week is gone. Its
distance is that of Mahalanobis with a shrunk covariance: what usually goes together and doesn't now counts for more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import sklearn
from sklearn.covariance import ShrunkCovariance

from orchestration.errors import InputHeld
from orchestration.monitoring.series import Floats, Whole

BOUND = 20.0
USUAL = 5.0
"""Hours with a residual beyond this teach nothing: an incident is no example of what is usual."""
SHARE = 0.001
SHRINKAGE = 0.5
"""Large customers' series go together more closely than small ones': what both share is trusted by half."""
MARGIN = 1.3
REASONS = 3
LEAST_ROWS = 1_000


class Model(NamedTuple):
    """A trained detector. `version` names what it learned from and how: the same rows give the same version and scores.

    `threshold` is 1.3 times the distance that 1 in 1,000 of the hours that it learned from exceeds.
    """

    features: tuple[str, ...]
    middle: Floats
    precision: Floats
    threshold: float
    trained_before: int
    version: str


class Unusual(NamedTuple):
    """What a model says of hours x keys: the distance, and whether it is beyond the threshold."""

    score: Floats
    fired: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def vectors(residuals: Mapping[str, Floats], features: tuple[str, ...]) -> Floats:
    """Hours x keys x features, between -20 and 20; an unknown residual is 0, as expected."""
    stacked = np.stack([np.nan_to_num(residuals[name]) for name in features], axis=-1)
    return np.clip(stacked, -BOUND, BOUND)


def lessons(residuals: Mapping[str, Floats], moments: Whole, before: int) -> Floats:
    """The hours before a moment (seconds of UTC) that teach what is usual, as rows x features, these in order.

    Hours at which nothing is known, or something is far off, teach nothing.
    """
    features = tuple(sorted(residuals))
    past = {name: residuals[name][moments < before] for name in features}
    rows = vectors(past, features)
    rows = rows[np.any([np.isfinite(past[name]) for name in features], axis=0)]
    return np.ascontiguousarray(rows[np.max(np.abs(rows), axis=1) <= USUAL])


def train(features: tuple[str, ...], rows: Floats, before: int) -> Model:
    """Learn from `lessons`. Raises InputHeld where they are fewer than 1,000."""
    if len(rows) < LEAST_ROWS:
        raise InputHeld(
            f"{len(rows)} customer-hours before {before} are too few to learn from: {LEAST_ROWS} are needed",
            not_done="no detector was trained",
            next_step="wait for more usage, or leave the detector out",
        )
    said = json.dumps([USUAL, SHRINKAGE, SHARE, MARGIN, before, features, sklearn.__version__, np.__version__])
    version = hashlib.sha256(said.encode() + rows.tobytes()).hexdigest()[:16]
    learned = ShrunkCovariance(shrinkage=SHRINKAGE).fit(rows)
    model = Model(features, learned.location_, learned.precision_, 0.0, before, version)
    return model._replace(threshold=MARGIN * float(np.quantile(_distances(model, rows), 1 - SHARE)))


def _shares(model: Model, rows: Floats) -> Floats:
    """What each feature adds to the square of the distance; their sum is that square."""
    away = rows - model.middle
    return np.asarray(away * (away @ model.precision))


def _distances(model: Model, rows: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(_shares(model, rows).sum(axis=-1), 0)))


def judge(model: Model, residuals: Mapping[str, Floats], moments: Whole) -> Unusual:
    """Scores of the hours from the model's moment on; hours that it learned from are NaN and never fire."""
    later = moments >= model.trained_before
    rows = vectors({name: residuals[name][later] for name in model.features}, model.features)
    score = np.full(residuals[model.features[0]].shape, np.nan)
    score[later] = _distances(model, rows)
    return Unusual(score, score > model.threshold)


def reasons(model: Model, row: Floats) -> list[tuple[str, float]]:
    """The three features that add most to the square of a row's distance, each with its share of it."""
    shares = _shares(model, np.clip(np.nan_to_num(row), -BOUND, BOUND))
    parts = shares / max(float(shares.sum()), 1e-12)
    order = np.argsort(-parts, kind="stable")[:REASONS]
    return [(model.features[place], float(parts[place])) for place in order.tolist() if parts[place] > 0]
