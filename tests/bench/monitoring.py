"""How long a screening of hourly series takes, and how much memory: `python -m tests.bench.monitoring`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from orchestration.monitoring.baseline import COUNT
from orchestration.monitoring.screen import screen
from orchestration.monitoring.series import day_type
from tests.bench.measure import machine, measured

START = 1_767_571_200  # a Monday
PUT_IN = 50


def run(series: int, hours: int) -> dict[str, Any]:
    """Poisson counts with a daily shape; 50 series have one hour with five times as much. Returns counts."""
    random = np.random.default_rng(1)
    moments = START + 3600 * np.arange(hours)
    shape = 1.1 + np.sin(2 * np.pi * (moments // 3600 % 24) / 24)
    values = np.empty((hours, series), dtype=np.float32)
    size = random.uniform(20, 200, series)
    for hour in range(hours):
        values[hour] = random.poisson(shape[hour] * size)
    spiked = random.choice(series, min(PUT_IN, series), replace=False)
    noon = hours // 24 * 24 - 12 - 6
    values[noon, spiked] += 5 * size[spiked]
    found = screen(values, day_type(moments), COUNT, hours // 2, 0.005).found
    true = int(found[noon, spiked].sum())
    return {"put_in": len(spiked), "found": true, "others": int(found.sum()) - true}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--hours", type=int, default=720)
    options = parser.parse_args()
    cost = measured("tests.bench.monitoring:run", options.series, options.hours)
    said = cost.result
    size = f"{options.series:,} series x {options.hours} hours"
    print(f"{size}: {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU, {cost.memory:.0f} MB, with making them; {machine()}")
    print(f"{said['found']} of {said['put_in']} spikes found, {said['others']} other hours")


if __name__ == "__main__":
    main()
