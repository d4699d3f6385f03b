"""Mutation testing of orchestration/billing: `python -m tests.mutation [module ...]`.

Every mutant is a child of this process, which has all that is needed in memory: it changes one function, compares a
sample of cases with the second computation of prices, and runs the unit tests of billing until one fails. A mutant that
nobody notices survives, and is listed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "unit" / "billing")]

import pytest  # noqa: E402
from planting import NotPlanted, planted, source_of  # noqa: E402
from price_sample import sample, unlike  # noqa: E402

from tests.mutation.mutants import Mutant, mutants  # noqa: E402

CASES = int(os.environ.get("MUTANTS_CASES") or 250)
PROCESSES = int(os.environ.get("MUTANTS_PROCESSES") or 2)
SECONDS = int(os.environ.get("MUTANTS_SECONDS") or 60)
"""How many cases are compared, how many mutants live at a time, and after how much CPU one counts as noticed."""
FATES = {0: "survived", 1: "killed by the sample", 2: "killed by unit tests", 3: "no function changed"}
TIMED_OUT = "killed by time"


def _life(mutant: Mutant, text: str) -> int:
    """What happens to a mutant, as an exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(10 * SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    try:
        context = planted(mutant.module, mutant.tree(text))
        with context:
            try:
                if unlike(CASES) is not None:
                    return 1
            except Exception:
                return 1
            tests = [str(ROOT / "tests" / "unit" / "billing"), "-x", "-q", "-n0", "-p", "no:cacheprovider"]
            return 2 if pytest.main(tests) else 0
    except NotPlanted:
        return 3


def _born(mutant: Mutant, text: str) -> int:
    child = os.fork()
    if child == 0:
        fate = 1
        with contextlib.suppress(BaseException):
            fate = _life(mutant, text)
        os._exit(fate)
    return child


def run(modules: list[str]) -> dict[str, list[tuple[Mutant, str]]]:
    """The fate of each mutant of each module."""
    texts = {module: source_of(module) for module in modules}
    waiting = [mutant for module in modules for mutant in mutants(module, texts[module])]
    found: dict[str, list[tuple[Mutant, str]]] = {module: [] for module in modules}
    living: dict[int, Mutant] = {}
    while waiting or living:
        while waiting and len(living) < PROCESSES:
            mutant = waiting.pop(0)
            living[_born(mutant, texts[mutant.module])] = mutant
        child, status = os.wait()
        mutant = living.pop(child)
        fate = TIMED_OUT if os.WIFSIGNALED(status) else FATES[os.WEXITSTATUS(status)]
        found[mutant.module].append((mutant, fate))
        if fate == "survived":
            print(f"survived: {mutant.module}:{mutant.line}: {mutant.what}", flush=True)
    return found


def _modules(names: list[str]) -> list[str]:
    billing = ROOT / "orchestration" / "billing"
    every = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(billing.rglob("*.py"))
        if path.name != "__init__.py" or path.read_text().count("def ")
    ]
    every = [name.removesuffix(".__init__") for name in every]
    return [name for name in every if not names or name.rsplit(".", 1)[-1] in names]


def main(names: list[str]) -> None:
    sample(CASES)
    begun = time.monotonic()
    found = run(_modules(names))
    for module, fates in found.items():
        print(f"{module}: " + ", ".join(f"{n} {fate}" for fate, n in sorted(Counter(f for _, f in fates).items())))
    number = sum(map(len, found.values()))
    print(f"{number} mutants in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
