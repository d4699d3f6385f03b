"""Kills by the hundred: `python -m tests.faults.campaign --kills 500 [--seed N]`, or `--points`. Ends with 1 at a
difference.

Without `--points`, kills of the whole process group at random moments, and where fewer than five fell into a step,
aimed at it: some ten a life. With it, a life for each registered point, killed before it, and one killed
after it. Each life must end in the state of one that nobody disturbed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

from faultkit import Box, ForkServer, differences
from kills import MOMENTS, PAUSE
from lives import PHASES, SECRET, Phase, go, newborn, state

from orchestration.durable import Point

KILLS_PER_LIFE = 10
AT_LEAST = 5
AIMED = 0.8
KILLED = -9


class Campaign:
    """A life that nobody disturbed, and those that are killed; `fell` counts kills by the step that they fell into."""

    def __init__(self, server: ForkServer, folder: Path, seed: int) -> None:
        self.fell: Counter[str] = Counter()
        self.wrong = 0
        self._server = server
        self._folder = folder
        self._chance = random.Random(seed)
        self._calm: dict[str, Box] = {}
        self._seconds: dict[str, float] = {}
        box = newborn(server, folder / "calm")
        for phase in PHASES:
            phase.prepare(box)
            self._calm[phase.name] = box.copy(folder / "before" / phase.name)
            started = time.monotonic()
            go(box, phase)
            self._seconds[phase.name] = time.monotonic() - started
            # What the phase alone changes is compared after it, and so is all that it rests on.
            self._calm[f"after {phase.name}"] = box.copy(folder / "after" / phase.name)
        self._wanted = state(box)

    def points(self) -> None:
        """A life for each moment that is registered: killed there once, run again, compared."""
        for phase in PHASES:
            wanted = state(self._calm[f"after {phase.name}"])
            for moment in (f"{point}.{side}" for point in phase.points for side in ("before", "after")):
                box = self._calm[phase.name].copy(self._folder / "life")
                at, argv = phase.command(box)
                at.do(*argv, code=KILLED, SECRET=SECRET, KILL_AT=moment)
                go(box, phase)
                self._compare(moment, box, wanted)
        print(f"{len(MOMENTS)} lives, {self.wrong} of them wrong")

    def random_kills(self, kills: int) -> None:
        """So many kills, and more until each step has had enough: at random, and aimed at those that have had too few.
        Then how many fell into each."""
        life = done = 0
        while done < kills or any(self._few(point) for point in Point):
            life += 1
            box = newborn(self._server, self._folder / "life")
            for phase in PHASES:
                phase.prepare(box)
                for _ in range(self._share(phase)):
                    step = self._kill(box, phase)
                    print(f"life {life}: {phase.name}: {step or 'ended before the kill'}", flush=True)
                    done += bool(step)
                go(box, phase)
            self._compare(f"life {life}", box, self._wanted)
        for point in Point:
            before, after = self.fell[f"{point}.before"], self.fell[f"{point}.after"]
            print(f"{before + after:6} {point}: {before} before it, {after} after it")
        print(f"{self.fell['start']:6} before the first step of a command")
        print(f"{sum(self.fell.values())} kills, {life} lives, {self.wrong} of them wrong")

    def _few(self, point: Point) -> bool:
        return self.fell[f"{point}.before"] + self.fell[f"{point}.after"] < AT_LEAST

    def _share(self, phase: Phase) -> int:
        """So many kills of a life fall into a phase as it takes of its time, or has steps that are to be hit yet."""
        of_time = KILLS_PER_LIFE * self._seconds[phase.name] / sum(self._seconds.values())
        return max(1, round(of_time), sum(map(self._few, phase.points)) // 2)

    def _kill(self, box: Box, phase: Phase) -> str:
        """One kill of the whole group, at random or aimed. Returns the step that it fell into; none if it came late."""
        steps = self._folder / "steps"
        steps.unlink(missing_ok=True)
        at, argv = phase.command(box)
        moments = [f"{point}.{side}" for point in phase.points if self._few(point) for side in ("before", "after")]
        fewest = min((self.fell[moment] for moment in moments), default=AT_LEAST)
        rare = [moment for moment in moments if self.fell[moment] == fewest]
        # Most of them are aimed: the process waits at the step for as long as it takes to hit it.
        aim = self._chance.choice(rare) if rare and self._chance.random() < AIMED else ""
        running = at.start(*argv, SECRET=SECRET, STEPS_TO=str(steps), PAUSE_AT=aim)
        if aim:
            deadline = time.monotonic() + 60
            while not _seen(steps, aim) and not running.ended() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(self._chance.uniform(0, PAUSE * 0.8))
        else:
            time.sleep(self._chance.uniform(0, self._seconds[phase.name]))
        if running.kill().code != KILLED:
            return ""
        passed = steps.read_text().split() if steps.exists() else []
        step = passed[-1] if passed else "start"
        self.fell[step] += 1
        return step

    def _compare(self, name: str, box: Box, wanted: dict[str, object]) -> None:
        found = differences(wanted, state(box))
        box.do("verify")
        shutil.rmtree(box.home)
        self.wrong += bool(found)
        print(f"{name}: {len(found)} differences {found[:3]}", flush=True)


def _seen(steps: Path, moment: str) -> bool:
    return steps.exists() and moment in steps.read_text().split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--points", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name, ForkServer(Path(name)) as server:
        campaign = Campaign(server, Path(name), options.seed)
        campaign.points() if options.points else campaign.random_kills(options.kills)
    return 1 if campaign.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
