"""docs/conformance.md: how many cases of other systems follow from the semantics, and where and why others don't.

`python tests/conformance/conformance_page.py` writes it; a test holds it against the cases.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from conformance_cases import DISPUTED, OUTSTANDING, Case, digest, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
COMPUTED = (
    *("period", "aggregation", "proration", "commitment", "pricing", "rounding"),
    *("discount", "credit", "invoice", "tax"),
)
"""Kinds of which the `must` cases are computed by the tests, but for outstanding ones."""

HEAD = """# Conformance with other billing systems

Numeric cases read off the test suites of four open-source billing systems (Lago, OpenMeter, Flexprice, Kill Bill), in
one neutral schema. Each has a verdict: `must` follows from the definition of our numbers; `later` needs a feature that
it lacks as yet; `differs` is another number on purpose. `tests/conformance` computes the `must` cases of the kinds
{kinds} by the project's own code, to the digits given, but for those listed as not computed yet.

Written by `python tests/conformance/conformance_page.py` for the collection with SHA-256 `{digest}`.
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def counts(cases: list[Case]) -> str:
    by_model: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for case in cases:
        by_model[case.kind, case.model][case.verdict] += 1
    rows = []
    for kind, model in sorted(by_model, key=lambda key: (key[0] not in COMPUTED, key)):
        found = by_model[kind, model]
        tested = "yes" if kind in COMPUTED and found["must"] else ""
        tested = "no" if (kind, model) in OUTSTANDING else tested
        rows.append([kind, model, *(str(found[v]) for v in ("must", "later", "differs")), tested])
    total = Counter(case.verdict for case in cases)
    rows.append(["all", "", *(str(total[v]) for v in ("must", "later", "differs")), ""])
    return table(["kind", "model", "must", "later", "differs", "computed"], rows)


def reasons(cases: list[Case], verdict: str) -> str:
    by_note = Counter((case.kind, case.model, case.note) for case in cases if case.verdict == verdict)
    return table(["kind", "model", "why", "cases"], [[*key, str(number)] for key, number in sorted(by_note.items())])


def outstanding(cases: list[Case]) -> str:
    found = Counter((case.kind, case.model) for case in cases if case.verdict == "must")
    rows = [[*key, why, str(found[key])] for key, why in OUTSTANDING.items() if found[key]]
    return table(["kind", "model", "what is lacking", "cases"], rows) if rows else "None.\n"


def disputed(cases: list[Case]) -> str:
    rows = [[f"`{case.id}`", DISPUTED[case.id]] for case in cases if case.id in DISPUTED]
    return table(["case", "why"], rows) if rows else "None.\n"


def page(cases: list[Case], collection: str) -> str:
    kinds = " and ".join(f"`{kind}`" for kind in COMPUTED)
    return "\n".join(
        [
            HEAD.format(kinds=kinds, digest=collection),
            "## Counts\n",
            counts(cases),
            "## Marked `must`, not computed yet\n",
            outstanding(cases),
            "## Later\n",
            reasons(cases, "later"),
            "## Different on purpose\n",
            reasons(cases, "differs"),
            "## Marked `must`, but not what the definition gives\n",
            disputed(cases),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(load(), digest()), encoding="utf-8")
