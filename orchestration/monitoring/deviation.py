"""The detector for a single series of any sort: how unusual is the smoothed residual, beside all the residuals before?

For each series, with slots (hours of a day) and rows in the order of time:

    r(t)   = x(t) - mean of the earlier values in the slot of t;     0 while the slot has fewer than 10 of them
    e_a(t) = e_a(t-1) + a (r(t) - e_a(t-1)),                          a = 0.2, 0.3, 0.5
    z_a(t) = |e_a(t)| / (root mean square of e_a before t + floor)
    score  = mean of the three z_a

The past's mean square keeps its outliers: a series that often jumps has to jump higher, so that one threshold
serves all. Three rates of smoothing, and not the best one, so that nothing hangs on a rate.
"""

from __future__ import annotations

import numpy as np

from orchestration.monitoring.alarms import onsets
from orchestration.monitoring.series import Flags, Floats, Whole

RATES = np.array([0.2, 0.3, 0.5])
WARM_UP = 10
FLOOR = 1e-6
CAP = 1000.0
THRESHOLD = 6.3
QUIET = 50


def scores(values: Floats, slots: Whole) -> Floats:
    """Scores of moments x series, 0 to 1000; `slots` likewise. A missing value scores 0 and changes nothing.

    The score of a row depends on rows up to it alone.
    """
    moments, count = values.shape
    columns = np.arange(count)
    seen = np.zeros((int(slots.max(initial=0)) + 1, count))
    total = np.zeros_like(seen)
    smooth = np.zeros((len(RATES), count))
    squares = np.zeros_like(smooth)
    rows = np.zeros(count)
    size = np.zeros(count)
    out = np.zeros((moments, count))
    rates = RATES[:, np.newaxis]
    for moment in range(moments):
        value = values[moment]
        known = np.isfinite(value)
        value = np.where(known, value, 0.0)
        slot = slots[moment]
        visits = seen[slot, columns]
        mean = total[slot, columns] / np.maximum(visits, 1)
        residual = np.where(visits >= WARM_UP, value - mean, 0.0)
        smooth = np.where(known, smooth + rates * (residual - smooth), smooth)
        floor = FLOOR * (1 + size / np.maximum(rows, 1))
        z = np.abs(smooth) / (np.sqrt(squares / np.maximum(rows, 1)) + floor)
        out[moment] = np.where(known, np.minimum(z, CAP).mean(axis=0), 0.0)
        squares += np.where(known, smooth * smooth, 0.0)
        seen[slot, columns] += known
        total[slot, columns] += value
        size += np.abs(value)
        rows += known
    return out


def alarms(found: Floats) -> Flags:
    """Of scores of moments x series, the first row of each alarm: it lasts until `QUIET` rows in a row were below."""
    return onsets(found >= THRESHOLD, QUIET)
