"""One pass over very many series: the baseline of each, and which hours of which series are discoveries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from orchestration.monitoring.alarms import discoveries, tails
from orchestration.monitoring.baseline import Unit, expect
from orchestration.monitoring.series import Flags, Whole

CHUNK = 4_096
"""Series that are stepped through time together: what a step needs stays in the processor's cache."""
LEAST_Z = 2.0

Singles = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class Screened(NamedTuple):
    """Moments x series: residuals (NaN while unknown), and the discoveries, controlled over all series of a moment."""

    z: Singles
    found: Flags


def screen(values: Singles, slots: Whole, unit: Unit, warm_up: int, rate: float) -> Screened:
    """Screen moments x series, both sides. Besides the values, about five bytes a value are kept."""
    z = np.empty(values.shape, dtype=np.float32)
    for begin in range(0, values.shape[1], CHUNK):
        part = slice(begin, begin + CHUNK)
        z[:, part] = expect(values[:, part].astype(np.float64), slots, unit, warm_up).z
    return Screened(z, discovered(z, rate))


def discovered(z: Singles, rate: float) -> Flags:
    """Which residuals are discoveries, controlled over all series of a moment, of whatever units."""
    found = np.zeros(z.shape, dtype=np.bool_)
    for moment, row in enumerate(z):
        far = np.abs(row) >= LEAST_Z
        p = np.ones(len(row))
        p[far] = 2 * tails(np.abs(row[far]).astype(np.float64))
        found[moment] = discoveries(p, rate)
    return found
