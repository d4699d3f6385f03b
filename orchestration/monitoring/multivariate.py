"""Hours that are unusual as a whole, though no single series of them is: an isolation forest on residuals.

A model learns once, from hours before a moment, and judges hours from that moment on. Its features are the residuals
of the baseline (`baseline.expect`), so that customers of every size share one model and the hour of the week is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest

from orchestration.errors import InputHeld
from orchestration.monitoring.series import Floats, Whole

TREES = 100
SAMPLE = 512
SEED = 20_260_101
BOUND = 12.0
REASONS = 3
LEAST_ROWS = 1_000


class Model(NamedTuple):
    """A trained detector. `version` names what it learned from and how: the same rows give the same version and scores.

    `threshold` is the score that a stated share of the training hours exceeds.
    """

    forest: IsolationForest
    features: tuple[str, ...]
    middle: Floats
    threshold: float
    trained_before: int
    version: str


class Unusual(NamedTuple):
    """What a model says of hours x keys: the score, whether it is beyond the threshold."""

    score: Floats
    fired: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def vectors(residuals: Mapping[str, Floats], features: tuple[str, ...]) -> Floats:
    """Hours x keys x features, between -12 and 12; an unknown residual is 0, as expected."""
    stacked = np.stack([np.nan_to_num(residuals[name]) for name in features], axis=-1)
    return np.clip(stacked, -BOUND, BOUND)


def train(residuals: Mapping[str, Floats], moments: Whole, before: int, share: float = 0.0005) -> Model:
    """Learn from the hours before a moment (seconds of UTC) alone; `share` of them are beyond the threshold.

    Hours at which nothing is known teach nothing. Raises InputHeld where fewer than 1,000 are left.
    """
    features = tuple(sorted(residuals))
    past = {name: residuals[name][moments < before] for name in features}
    rows = vectors(past, features)
    rows = rows[np.any([np.isfinite(past[name]) for name in features], axis=0)]
    if len(rows) < LEAST_ROWS:
        raise InputHeld(
            f"{len(rows)} customer-hours before {before} are too few to learn from: {LEAST_ROWS} are needed",
            not_done="no detector was trained",
            next_step="wait for more usage, or leave the detector out",
        )
    rows = np.ascontiguousarray(rows.astype(np.float32).astype(np.float64))
    said = json.dumps([TREES, SAMPLE, SEED, share, before, features, sklearn.__version__, np.__version__])
    version = hashlib.sha256(said.encode() + rows.tobytes()).hexdigest()[:16]
    forest = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLE, len(rows)), random_state=SEED).fit(rows)
    threshold = float(np.quantile(-forest.score_samples(rows), 1 - share))
    return Model(forest, features, np.median(rows, axis=0), threshold, before, version)


def judge(model: Model, residuals: Mapping[str, Floats], moments: Whole) -> Unusual:
    """Scores of the hours from the model's moment on; hours that it learned from are NaN and never fire."""
    later = moments >= model.trained_before
    rows = vectors({name: residuals[name][later] for name in model.features}, model.features)
    score = np.full(residuals[model.features[0]].shape, np.nan)
    flat = rows.reshape(-1, rows.shape[-1])
    score[later] = -model.forest.score_samples(flat).reshape(rows.shape[:-1]) if len(flat) else 0.0
    return Unusual(score, score > model.threshold)


def reasons(model: Model, row: Floats) -> list[tuple[str, float]]:
    """The three features without which a row of residuals would score least, and by how much each lowers the score."""
    bounded = np.clip(np.nan_to_num(row), -BOUND, BOUND)
    trials = np.tile(bounded, (len(row) + 1, 1))
    for place in range(len(row)):
        trials[place + 1, place] = model.middle[place]
    scores = -model.forest.score_samples(trials)
    drops = scores[0] - scores[1:]
    order = np.argsort(-drops, kind="stable")[:REASONS]
    return [(model.features[place], float(drops[place])) for place in order.tolist() if drops[place] > 0]
