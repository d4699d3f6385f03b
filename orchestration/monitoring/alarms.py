"""From residuals to few alarms: tail probabilities, false discovery control, persistence, suppression, feedback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from orchestration.monitoring.series import Flags, Floats, Whole

FREEDOM = 30.0
"""Degrees of freedom of the tails: residuals of traffic have heavier ones than the normal law."""
LABEL_STEP = 1.15
LABEL_BOUNDS = (0.5, 2.0)


class Label(NamedTuple):
    """What a person said of an incident: real, or a false alarm; from when on it counts, in seconds of UTC."""

    key: str
    kind: str
    real: bool
    since: int = 0


def tails(z: Floats) -> Floats:
    """One-sided p of residuals by Student's t; NaN (unknown) is 1. For both sides, pass |z| and double."""
    return np.where(np.isfinite(z), stdtr(FREEDOM, -np.nan_to_num(z)), 1.0)


def discoveries(p: Floats, rate: float) -> Flags:
    """Benjamini and Hochberg: which p of a run are discoveries, so that at most `rate` of those are expected false.

    Any shape; p = 1 (unknown) is counted as a test: series that begin or stop change nothing for the others.
    """
    # Larger ones can't be discoveries, and most are: only the rest is sorted.
    ordered = np.sort(p[p <= rate])
    holds = np.flatnonzero(ordered <= rate * np.arange(1, ordered.size + 1) / max(p.size, 1))
    if not holds.size:
        return np.zeros(p.shape, dtype=np.bool_)
    return np.asarray(p <= ordered[holds[-1]], dtype=np.bool_)


def persistent(signals: Flags, need: int, within: int) -> Flags:
    """Where a signal stands and at least `need` of the last `within` moments, itself among them, had one."""
    sums = np.cumsum(np.pad(signals.astype(np.int64), ((within, 0), (0, 0))), axis=0)
    return np.asarray(signals & (sums[within:] - sums[:-within] >= need), dtype=np.bool_)


def onsets(signals: Flags, quiet: int) -> Flags:
    """The first moment of each alarm: it lasts until `quiet` moments in a row had no signal."""
    since = np.full(signals.shape[1], quiet)
    out = np.zeros_like(signals)
    for moment, row in enumerate(signals):
        out[moment] = row & (since >= quiet)
        since = np.where(row, 0, since + 1)
    return out


def tolerances(
    keys: Sequence[str], moments: Whole, kind: str, sensitivity: Mapping[str, float], labels: Iterable[Label]
) -> Floats:
    """By what the residuals of a kind are divided, moments x keys, or one row for all moments: 1 / a key's sensitivity,
    and 1.15 times that for each false alarm more than real ones that people had labelled by then (or less, for each
    real one more), between 0.5 and 2 times."""
    even = np.array([1 / sensitivity.get(key, sensitivity.get("", 1.0)) for key in keys])
    said = [label for label in labels if label.kind == kind and label.key in keys]
    if not said:
        return even[None, :]
    balance = np.zeros((len(moments), len(keys)))
    for label in said:
        balance[moments >= label.since, keys.index(label.key)] += -1 if label.real else 1
    return np.asarray(np.clip(LABEL_STEP**balance, *LABEL_BOUNDS) * even)
