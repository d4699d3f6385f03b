"""Incidents put into realistic traffic: how many of each kind are found, how soon, and how many alarms are false.

`python -m tests.bench.incidents` prints the table of docs/monitoring.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from incident_traffic import WARM_DAYS, WATCHED, Outcome, outcome, traffic

from orchestration.monitoring.incidents import alarms

TEST_SEEDS = (101, 102, 103)
CUSTOMERS = 200


def tried(seed: int, customers: int) -> Outcome:
    """What was found in the traffic of one seed."""
    usage, injected = traffic(seed, customers)
    return outcome(usage, injected, alarms(usage, WATCHED, WARM_DAYS * 24))


def table(outcomes: list[Outcome]) -> str:
    """A row a kind over all outcomes, and one for all kinds. False alarms are of the kind that they say."""
    days = sum(each.customer_days for each in outcomes)
    lines = [
        "| kind | put in | found | recall | median delay, h | mean delay, h | false alarms in 1,000 customer-days |",
        "|---|---|---|---|---|---|---|",
    ]
    every: list[int] = []
    lost = wrong = 0
    for kind in (each.name for each in WATCHED):
        delays = [hours for each in outcomes for hours in each.delays[kind]]
        missed = sum(each.missed[kind] for each in outcomes)
        false = sum(told == kind for each in outcomes for _, told, _ in each.false)
        lines.append(_row(kind.replace("_", " "), delays, missed, false, days))
        every, lost, wrong = every + delays, lost + missed, wrong + false
    lines.append(_row("all", every, lost, wrong, days))
    return "\n".join(lines)


def _row(name: str, delays: list[int], missed: int, false: int, days: int) -> str:
    put_in = len(delays) + missed
    recall = f"{len(delays) / put_in:.3f}" if put_in else "-"
    middle, mean = (f"{median(delays):.0f}", f"{np.mean(delays):.2f}") if delays else ("-", "-")
    return f"| {name} | {put_in} | {len(delays)} | {recall} | {middle} | {mean} | {1000 * false / days:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(TEST_SEEDS))
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    options = parser.parse_args()
    outcomes = [tried(seed, options.customers) for seed in options.seeds]
    days = sum(each.customer_days for each in outcomes)
    false = sum(len(each.false) for each in outcomes)
    named = ", ".join(map(str, options.seeds))
    print(f"seeds {named}, {options.customers} customers each: {false} false alarms in {days:,} customer-days\n")
    print(table(outcomes))


if __name__ == "__main__":
    main()
