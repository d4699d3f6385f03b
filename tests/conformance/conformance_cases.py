"""The numeric cases of other billing systems, read in place, and what an adapter may do with them.

An adapter translates names: a case's words to this project's, and its numbers back. It refuses, by name, a model, a
switch or a field that it doesn't know, so that nothing is left out quietly.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
FOLDER = SHARED / "conformance"
OWN = Path(__file__).parent / "own"
"""Cases of ours in the same schema, worked out by hand: no collection is needed to see that adapters are right."""

DISPUTED = {
    "flexprice.period.next_billing_date.032": "fortnights anchored to 11 March 2024 begin on 26 February, 11 March and "
    "25 March; 18 March, which the case expects, is no boundary of them: the verdict should be `differs`",
}
"""Cases marked `must` whose number doesn't follow from the semantics, with the reason; a test holds that it doesn't."""


OUTSTANDING: dict[tuple[str, str], str] = {}
"""Models with `must` cases that no code computes yet, with what is lacking; a test holds that none has an adapter."""


class UnknownCase(AssertionError):
    """A case says something that its adapter can't translate."""


@dataclass(frozen=True)
class Case:
    id: str
    peer: str
    kind: str
    model: str
    params: dict[str, Any]
    input: dict[str, Any]
    expected: dict[str, Any]
    verdict: str
    currency: str = "NONE"
    note: str = field(default="", compare=False)

    def known(self, params: Collection[str] = (), inputs: Collection[str] = ()) -> None:
        """Raises UnknownCase for a switch or an input field that is not among those named."""
        for where, given, names in (("params", self.params, params), ("input", self.input, inputs)):
            for name in given.keys() - set(names):
                raise UnknownCase(f"{self.id}: unknown {where} '{name}' of {self.kind} {self.model}")

    def choice(self, name: str, of: Mapping[str, Any]) -> Any:
        """What a switch's value is called here."""
        if self.params.get(name) not in of:
            raise UnknownCase(f"{self.id}: unknown value {self.params.get(name)!r} of switch '{name}'")
        return of[self.params[name]]


def load(folder: Path = FOLDER) -> list[Case]:
    """Every case of a folder with its verdict, in the order of ids. Raises UnknownCase for one without a verdict."""
    if not folder.is_dir():
        return []
    with (folder / "verdicts.csv").open(newline="", encoding="utf-8") as handle:
        verdicts = {row["id"]: (row["verdict"], row["note"]) for row in csv.DictReader(handle)}
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            body = json.loads(line)
            if body["id"] not in verdicts:
                raise UnknownCase(f"{body['id']}: no verdict")
            names = ("id", "peer", "kind", "model", "currency", "params", "input", "expected")
            verdict, note = verdicts[body["id"]]
            known = {name: body[name] for name in names}
            found.append(Case(**known, verdict=verdict, note=note))
    return sorted(found, key=lambda case: case.id)


def must(cases: list[Case], kind: str) -> list[Case]:
    """Those that have to match: `must`, but for disputed and outstanding ones, which the page names."""
    wanted = [c for c in cases if c.kind == kind and c.verdict == "must" and c.id not in DISPUTED]
    return [c for c in wanted if (c.kind, c.model) not in OUTSTANDING]


def digest(folder: Path = FOLDER) -> str:
    """SHA-256 over the collection: which cases a page speaks of."""
    total = hashlib.sha256()
    for path in sorted([*folder.glob("*.jsonl"), folder / "verdicts.csv"]):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def differences(case: Case, found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields in which a result isn't what the case expects: (expected, found). Fields that a case lacks don't count."""
    missing = case.expected.keys() - found.keys()
    if missing:
        raise UnknownCase(f"{case.id}: unknown expected field {sorted(missing)} of {case.kind} {case.model}")
    return {name: (value, found[name]) for name, value in case.expected.items() if found[name] != value}
