"""Mutation testing of orchestration/billing: `python -m tests.mutation [module ...]`.

Every mutant is a child of this process, which has all that is needed in memory: it changes one function, then compares
cases with the second computation of prices and runs unit tests of billing until one notices. A mutant that nobody
notices survives, and is listed. A change that Python compiles to the same program isn't counted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "unit" / "billing")]

from hypothesis import Phase, settings  # noqa: E402
from planting import NotPlanted, planted, source_of  # noqa: E402

from tests.mutation.checks import Check, Reach, checks_of_sample, reaches, silent, with_unit_tests  # noqa: E402
from tests.mutation.mutants import Mutant, mutants  # noqa: E402

CASES = int(os.environ.get("MUTANTS_CASES") or 250)
PROCESSES = int(os.environ.get("MUTANTS_PROCESSES") or 2)
SECONDS = int(os.environ.get("MUTANTS_SECONDS") or 10)
"""How many cases are compared, how many mutants live at a time, and how much CPU one may take beyond twice what its
checks took, before it counts as noticed."""
MEMORY = 1 << 30
"""Bytes that a mutant may take more than this process has."""
SURVIVED, UNCHANGED, TIMED_OUT = "survived", "no function changed", "killed by time"
KILLED = ("killed by the sample", "killed by unit tests")
FATES = dict(enumerate((SURVIVED, *KILLED, UNCHANGED)))
Fates = dict[str, list[tuple[Mutant, str]]]
"""By module, what became of each of its mutants."""


def _life(mutant: Mutant, text: str, checks: Sequence[Check]) -> int:
    """What happens to a mutant, as an exit code."""
    with planted(mutant.module, mutant.tree(text)):
        for check in checks:
            noticed = True
            with contextlib.suppress(Exception):
                noticed = check.noticed()
            if noticed:
                return 1 + KILLED.index(f"killed by {check.kind}")
    return 0


def _born(mutant: Mutant, text: str, checks: Sequence[Check], seconds: int) -> int:
    child = os.fork()
    if child == 0:
        silent()
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        signal.alarm(10 * seconds)
        fate = 1
        try:
            fate = _life(mutant, text, checks)
        except NotPlanted:
            fate = 3
        except BaseException:
            fate = 1
        os._exit(fate)
    return child


def run(texts: dict[str, str], checks: list[Check]) -> Fates:
    """The fate of each mutant of each module, by its text."""
    reached = reaches(checks)
    slow = len(checks) - len(reached)
    _say(f"{len(reached)} checks take {sum(reach.seconds for _, reach in reached):.0f} s, traced; {slow} are slow")
    gc.freeze()
    waiting = [mutant for module, text in texts.items() for mutant in mutants(module, text)]
    found: Fates = {module: [] for module in texts}
    living: dict[int, Mutant] = {}
    while waiting or living:
        while waiting and len(living) < PROCESSES:
            mutant = waiting.pop(0)
            mine = _reaching(mutant, reached)
            seconds = SECONDS + int(2 * sum(reach.seconds for _, reach in mine))
            living[_born(mutant, texts[mutant.module], [check for check, _ in mine], seconds)] = mutant
        child, status = os.wait()
        mutant = living.pop(child)
        fate = TIMED_OUT if os.WIFSIGNALED(status) else FATES[os.WEXITSTATUS(status)]
        found[mutant.module].append((mutant, fate))
        if fate in (SURVIVED, TIMED_OUT):
            _say(f"{fate}: {_place(mutant)}")
    gc.unfreeze()
    return found


def _reaching(mutant: Mutant, reached: list[tuple[Check, Reach]]) -> list[tuple[Check, Reach]]:
    """The checks that run a mutant's statement, the shortest first."""
    file = sys.modules[mutant.module].__file__ or ""
    lines = {(file, line) for line in mutant.lines}
    mine = [pair for pair in reached if lines & pair[1].lines]
    return sorted(mine, key=lambda pair: pair[1].seconds)


def _modules(names: list[str]) -> list[str]:
    billing = ROOT / "orchestration" / "billing"
    every = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(billing.rglob("*.py"))
        if path.name != "__init__.py" or path.read_text().count("def ")
    ]
    every = [name.removesuffix(".__init__") for name in every]
    return [name for name in every if not names or name.rsplit(".", 1)[-1] in names]


def _place(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.line}: {mutant.what}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report(found: Fates) -> list[str]:
    """Killed of all, by module and in all, how, and every survivor."""
    rows: list[str] = []
    whole: Counter[str] = Counter()
    for module, fates in found.items():
        counted = Counter(fate for _, fate in fates)
        whole += counted
        rows.append(_row(module, counted))
    survivors = [f"  {_place(mutant)}" for fates in found.values() for mutant, fate in fates if fate == SURVIVED]
    return [*rows, _row("in all", whole), "survivors:", *(survivors or ["  none"])]


def _row(name: str, counted: Counter[str]) -> str:
    number = sum(counted.values()) - counted[UNCHANGED]
    killed = number - counted[SURVIVED]
    how = ", ".join(f"{n} {fate}" for fate, n in sorted(counted.items()))
    return f"{name}: {killed} of {number} killed, {100 * killed / max(number, 1):.1f}% ({how})"


def main(names: list[str]) -> None:
    begun = time.monotonic()
    settings.register_profile("mutation", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutation")
    texts = {module: source_of(module) for module in _modules(names)}
    cases = checks_of_sample(CASES)
    with_unit_tests(lambda tests: _say("\n".join(report(run(texts, [*cases, *tests])))))
    _say(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
