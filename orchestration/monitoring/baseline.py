"""A robust seasonal baseline: what each moment of a series should be, from its past alone, and how far off it may be.

A value is first put on a scale on which its noise is about even: counts as 2 sqrt(x + 3/8), where a Poisson count has
a deviation of 1; prices as logarithms; shares as arcsin sqrt(x); the rest
as they are. On that scale

    centre(t) = season[slot(t)] + level(t)     what is expected, before the value is seen
    z(t)      = (x(t) - centre(t)) / scale(t)  how far off it is, in robust deviations
    scale(t)^2 = least^2 + f g(centre(t))      g = the expected count for counts, 1 for the rest

The factor f is learned: counts of real traffic vary more than by chance, the more so the larger they are.

Then season, level and scale learn from the value, clipped to 3 deviations: an incident hardly moves them. The level
follows a trend slowly; after `SHIFT` known values in a row on one side of the centre, on average 3 deviations off, it
jumps to where the values now are: a new level is an alarm once, not for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from orchestration.monitoring.series import Flags, Floats, Whole

CLIP = 3.0
LEAST_KNOWN = 24
SHIFT = 36
LEVEL_GAIN = 0.02
SEASON_GAIN = 0.1
SCALE_GAIN = 0.01
# The mean square of a normal residual that was clipped at 3 is this share of its variance.
CLIPPED_SHARE = 0.9973 - 2 * 3 * 0.00443185 + 9 * 0.0027


Slot = int | tuple[Whole, Whole]
"""Where the season of a moment stands: in one row for all series, or in a row for each."""


class Unit(NamedTuple):
    """A scale of values: how to go to it and back, the smallest deviation that is believed on it, and what the variance
    beyond that is proportional to, given the centre."""

    forth: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    least: float
    grows: Callable[[Floats], Floats] = np.ones_like


def _mean(y: Floats) -> Floats:
    return np.asarray((np.maximum(y, 0) / 2) ** 2)


COUNT = Unit(lambda x: 2 * np.sqrt(x + 0.375), lambda y: np.maximum(_mean(y) - 0.375, 0), 1.0, _mean)
PRICE = Unit(lambda x: np.log(np.maximum(x, 1e-12)), np.exp, 0.005)
RATIO = Unit(lambda x: np.arcsin(np.sqrt(np.clip(x, 0, 1))), lambda y: np.sin(np.clip(y, 0, np.pi / 2)) ** 2, 0.02)
PLAIN = Unit(lambda x: x, lambda y: y, 1e-9)


class Expected(NamedTuple):
    """Moments x series. `z` is NaN where a value is missing or the series is still warming up."""

    z: Floats
    centre: Floats
    scale: Floats

    def limits(self, unit: Unit, width: Floats | float) -> tuple[Floats, Floats, Floats]:
        """Centre, lower and upper limit at `width` deviations, in the unit of the values."""
        reach = width * self.scale
        return unit.back(self.centre), unit.back(self.centre - reach), unit.back(self.centre + reach)


class _State:
    """What one series has learned, for all series at once."""

    def __init__(self, slots: int, series: int) -> None:
        self.season = np.zeros((slots, series))
        self.visits = np.zeros((slots, series))
        self.level = np.zeros(series)
        self.typical = np.zeros(series)
        self.excess = np.zeros(series)
        self.growth = np.zeros(series)
        self.known = np.zeros(series)
        self.age = np.zeros(series)
        self.side = np.zeros(series)
        self.run = np.zeros(series)
        self.drift = np.zeros(series)

    def reach(self, slot: Slot) -> Floats:
        """How much of the level a slot of counts takes: a busy hour grows by more requests than a quiet one."""
        return np.asarray(np.clip(self.season[slot] / np.maximum(self.typical, 1e-9), 0.0, 4.0))

    def scale(self, least: float, grows: Floats) -> Floats:
        """The robust deviation where the variance grows like that."""
        factor = np.maximum(self.excess, 0) / np.maximum(self.growth, 1e-12)
        return np.sqrt(least**2 + factor * grows)


def expect(values: Floats, slots: Whole, unit: Unit, warm_up: int, noise: Floats | None = None) -> Expected:
    """The baseline of moments x series; `slots` has one number a moment, or moments x series where these have clocks of
    their own. `warm_up` is in moments since a series' first known value, of which at least 24 have to be known.

    `noise`, like `values`, says what the variance is proportional to where the unit can't know: 1 / count for shares.
    What is said of a moment depends on moments up to it alone (`z`) or before it (`centre`, `scale`).
    """
    moments, count = values.shape
    on_scale = unit.forth(values)
    state = _State(int(slots.max(initial=0)) + 1, count)
    one, columns = np.ones(count), np.arange(count)
    z, centres, scales = (np.full((moments, count), np.nan) for _ in range(3))
    for moment in range(moments):
        slot: Slot = int(slots[moment]) if slots.ndim == 1 else (slots[moment], columns)
        visits = state.visits[slot]
        reach = state.reach(slot) if unit.grows is _mean else one
        centre = state.season[slot] + reach * state.level
        grows = unit.grows(centre) if noise is None else noise[moment]
        scale = state.scale(unit.least, grows)
        residual = on_scale[moment] - centre
        ready = (state.age >= warm_up) & (state.known >= LEAST_KNOWN)
        centres[moment], scales[moment] = centre, scale
        z[moment] = np.where(ready & (visits > 0), residual / scale, np.nan)
        _learn(state, unit.least, slot, reach, residual, grows, scale, ready)
    return Expected(z, centres, scales)


def _learn(
    state: _State, least: float, slot: Slot, reach: Floats, residual: Floats, grows: Floats, scale: Floats, ready: Flags
) -> None:
    """Level, season and scale move by the residual, clipped where a scale is known; a lasting shift moves the level."""
    known = np.isfinite(residual)
    again = known & (state.visits[slot] > 0)
    # What is first seen in a slot is all that is known of it: only later values can be far off.
    bound = np.where(ready & again, CLIP * scale, np.inf)
    clipped = np.where(known, np.clip(residual, -bound, bound), 0.0)
    step = np.where(again, LEVEL_GAIN * np.minimum(reach, 1.0) * clipped, 0.0)
    state.level += step
    season_gain = np.where(known, np.maximum(1 / (state.visits[slot] + 1), SEASON_GAIN), 0.0)
    state.season[slot] += season_gain * (clipped - reach * step)
    state.typical += np.where(known, np.maximum(1 / (state.known + 1), SCALE_GAIN), 0.0) * (
        state.season[slot] - state.typical
    )
    # Where next to nothing is expected, next to nothing is learned about how counts scatter.
    gain = np.where(again, np.maximum(1 / (state.known + 1), SCALE_GAIN) * np.minimum(grows / least**2, 1.0), 0.0)
    state.excess += gain * (clipped * clipped / CLIPPED_SHARE - least**2 - state.excess)
    state.growth += gain * (np.where(known, grows, 0.0) - state.growth)
    state.visits[slot] += known
    state.known += known
    state.age += state.known > 0
    _jump(state, residual, again, scale, ready)


def _jump(state: _State, residual: Floats, known: Flags, scale: Floats, ready: Flags) -> None:
    """A run of values on one side, far off on average, is a new level: the baseline goes there at once."""
    side = np.sign(residual)
    same = known & (side == state.side)
    state.run = np.where(known, np.where(same, state.run + 1, 1.0), state.run)
    state.drift = np.where(known, np.where(same, state.drift, 0.0) + np.where(known, residual, 0.0), state.drift)
    state.side = np.where(known, side, state.side)
    mean = state.drift / np.maximum(state.run, 1)
    jump = ready & (state.run >= SHIFT) & (np.abs(mean) >= CLIP * scale)
    state.level += np.where(jump, mean, 0.0)
    state.run = np.where(jump, 0.0, state.run)
