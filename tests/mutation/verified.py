"""Which mutants of billing `verify` finds: `python -m tests.mutation.verified [module ...]`, or `make verify-mutants`.

A month of random cases is issued by the mutant. Where its documents aren't those of the whole program, the second
pricer makes them again, in the same process, with the mutant in place, as `verify` would: they must differ.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from planting import NotPlanted, planted, source_of  # noqa: E402
from price_cases import case_of  # noqa: E402
from price_sample import half_of_a_maximum  # noqa: E402
from second_pricer import Close, Made, closes_of, program_bodies, second_bodies, unlike  # noqa: E402

from tests.mutation.checks import silent  # noqa: E402
from tests.mutation.mutants import Mutant, mutants  # noqa: E402

CASES = int(os.environ.get("MUTANTS_CASES") or 40)
EVERY = int(os.environ.get("MUTANTS_EVERY") or 1)
"""How many cases are issued, and of how many mutants one is tried."""
SECONDS = 20
"""CPU that a mutant may take; one that takes more issues nothing."""
NOT_ISSUED, SAME, FOUND, UNSEEN, UNCHANGED = (
    "issued nothing", "the same documents", "found", "NOT FOUND", "no function changed",
)  # fmt: skip
FATES = (NOT_ISSUED, SAME, FOUND, UNSEEN, UNCHANGED)
Month = Sequence[tuple[list[Close], Made]]


def month(cases: int) -> Month:
    """Closes of cases, with the documents that the program as it stands issues; the second pricer's are the same."""
    found = []
    for seed, case in enumerate(chain([half_of_a_maximum()], map(case_of, range(cases)))):
        closes = closes_of(case, seed)
        found.append((closes, program_bodies(closes)))
        if unlike(found[-1][1], second_bodies(closes)):
            raise SystemExit(f"case {seed} differs without any mutant: nothing was measured")
    return found


def fate(mutant: Mutant, text: str, issued: Month) -> str:
    """What becomes of the month when a mutant issues it. Run it where an endless loop is ended by somebody."""
    seen = NOT_ISSUED
    try:
        with planted(mutant.module, mutant.tree(text)):
            for closes, whole in issued:
                with contextlib.suppress(Exception):
                    made = program_bodies(closes)
                    if unlike(made, whole):
                        return FOUND if unlike(made, second_bodies(closes)) else UNSEEN
                    seen = SAME
    except NotPlanted:
        return UNCHANGED
    return seen


def _in_child(mutant: Mutant, text: str, issued: Month) -> str:
    child = os.fork()
    if child == 0:
        silent()
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.alarm(10 * SECONDS)
        code = 0
        with contextlib.suppress(BaseException):
            code = FATES.index(fate(mutant, text, issued))
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return NOT_ISSUED if os.WIFSIGNALED(status) else FATES[os.WEXITSTATUS(status)]


def main(names: list[str]) -> None:
    from tests.mutation.__main__ import _modules

    issued = month(CASES)
    whole: Counter[str] = Counter()
    for module in _modules(names):
        text = source_of(module)
        counted: Counter[str] = Counter()
        for mutant in mutants(module, text)[::EVERY]:
            became = _in_child(mutant, text, issued)
            counted[became] += 1
            if became == UNSEEN:
                sys.stdout.write(f"NOT FOUND: {module}:{mutant.line}: {mutant.what}\n")
        whole += counted
        _say(module, counted)
    _say("in all", whole)
    sys.exit(bool(whole[UNSEEN]))


def _say(name: str, counted: Counter[str]) -> None:
    changed = counted[FOUND] + counted[UNSEEN]
    how = ", ".join(f"{number} {became}" for became, number in sorted(counted.items()))
    sys.stdout.write(f"{name}: {counted[FOUND]} of {changed} that change an invoice are found ({how})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
