"""Control charts on standardised residuals: Shewhart for jumps, EWMA for small lasting shifts, CUSUM for slow ones.

`z` is moments x series, 0 in the middle and of deviation 1 while all is well; NaN while a series warms up or a value is
missing. A missing value is never a signal and leaves what a chart carries as it was.
"""

from __future__ import annotations

import numpy as np

from orchestration.monitoring.series import Chart, Floats

WIDTH = 3.0
LAMBDA = 0.2
SLACK = 0.5
DECISION = 5.0


def shewhart(z: Floats, width: float = WIDTH) -> Chart:
    """Each value by itself, within `width` deviations."""
    flat = np.full_like(z, width)
    return Chart(z, np.zeros_like(z), -flat, flat)


def ewma(z: Floats, weight: float = LAMBDA, width: float = WIDTH) -> Chart:
    """The exponentially weighted mean. Its limits begin narrow and widen to width x sqrt(weight / (2 - weight))."""
    mean, seen = np.zeros(z.shape[1]), np.zeros(z.shape[1])
    statistic, upper = np.full_like(z, np.nan), np.zeros_like(z)
    for moment, row in enumerate(z):
        known = np.isfinite(row)
        mean = np.where(known, mean + weight * (np.where(known, row, 0.0) - mean), mean)
        seen += known
        statistic[moment] = np.where(known, mean, np.nan)
        upper[moment] = width * np.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * seen)))
    return Chart(statistic, np.zeros_like(z), -upper, upper)


def cusum(z: Floats, slack: float = SLACK, decision: float = DECISION) -> Chart:
    """Both one-sided sums of what exceeds `slack`; the statistic is the larger, negative where it is the lower one.

    A sum that passed `decision` begins again at 0 with the next known value.
    """
    high, low = np.zeros(z.shape[1]), np.zeros(z.shape[1])
    statistic = np.full_like(z, np.nan)
    for moment, row in enumerate(z):
        known = np.isfinite(row)
        value = np.where(known, row, 0.0)
        high = np.where(known, np.maximum(np.where(high > decision, 0.0, high) + value - slack, 0.0), high)
        low = np.where(known, np.maximum(np.where(low > decision, 0.0, low) - value - slack, 0.0), low)
        statistic[moment] = np.where(known, np.where(high >= low, high, -low), np.nan)
    flat = np.full_like(z, decision)
    return Chart(statistic, np.zeros_like(z), -flat, flat)
