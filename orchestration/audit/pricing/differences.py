"""What is due at a cut-off: lines that were never issued, and the differences of those that were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

from orchestration.audit.pricing.causes import Later, causes
from orchestration.audit.pricing.lines import Bounds, Key, Line
from orchestration.audit.pricing.numbers import amount_text, minor_units
from orchestration.audit.pricing.plans import MADE_BY_PLANS
from orchestration.audit.pricing.record import Body, Standing
from orchestration.catalog.terms import Adjustment


@dataclass(frozen=True, slots=True)
class Due:
    """A line on a document. With `before` it is a correction of what stands, for the reason in `cause`; `original` is
    all that stands of the document that it corrects. It may be on a note of its `own`; with `void`, "final" or
    "reissue", the whole of it is taken back."""

    line: Line
    before: Standing | None = None
    cause: str = ""
    original: Mapping[Key, Standing] | None = None
    own: bool = False
    void: str = ""

    @property
    def kind(self) -> str:
        return self.line.kind if self.before is None else "correction"

    @property
    def differs(self) -> bool:
        """Whether it says something else of a line that goes on to stand."""
        return self.before is not None and not self.void

    @property
    def bounds(self) -> Bounds:
        return self.line.bounds if self.before is None else self.line.bounds.less(self.before.bounds)

    @property
    def amount(self) -> int:
        return self.bounds.amount

    @property
    def order(self) -> tuple[bool, str, date, date, str, str]:
        """By subscription, period and charge; adjustments last."""
        key = self.line.key
        return self.line.kind == "adjustment", key.subscription, key.period_start, key.start, key.charge, key.value


class Group(NamedTuple):
    """The due lines of one customer, seller and currency."""

    customer: str
    entity: str
    currency: str
    lines: list[Due]

    def part(self, wanted: Callable[[Due], bool]) -> Group:
        """Those of its lines that are wanted."""
        return self._replace(lines=[due for due in self.lines if wanted(due)])


def adjustment(row: Adjustment) -> Line:
    """A reviewed amount as a line: due at the first cut-off on or after its day."""
    amount = minor_units(Fraction(row.amount), row.currency)
    text = amount_text(amount, row.currency)
    formula = {"model": "adjustment", "details": [], "proration": "1", "exact": text}
    return Line(
        key=Key("", row.id, row.day, row.day, ""),
        kind="adjustment",
        customer=row.customer,
        plan="",
        name=row.reason,
        meter=None,
        due="advance",
        currency=row.currency,
        period_end=row.day + timedelta(days=1),
        end=row.day + timedelta(days=1),
        measured=Fraction(1),
        quantity=Fraction(1),
        unit="adjustment",
        bounds=Bounds(amount),
        tax_category=row.tax_category,
        formula=formula | {"reference": row.reference, "reason": row.reason},
    )


def due_lines(
    now: Iterable[Line], issued: Mapping[Key, Standing], cut_off: date, later: Later, voids: Mapping[str, bool]
) -> list[Due]:
    """`now` are all lines, priced from what is known. One that was issued and is not among them is worth 0.

    `voids` are documents to take back, and whether their lines are billed anew, which is as if they had never been.
    """
    known = {line.key: line for line in now}
    taken_back = {key: before for key, before in issued.items() if before.document in voids and not before.void}
    stands = {key: before for key, before in issued.items() if not before.void and key not in taken_back}
    found = _taken_back(taken_back, voids)
    never = {due.line.key for due in found if due.void == "final"}
    never |= {key for key, before in issued.items() if before.void == "final"}
    found += [
        Due(line) for key, line in known.items() if key not in stands and key not in never and line.is_due(cut_off)
    ]
    changed: list[tuple[Line, Standing]] = []
    for key, before in stands.items():
        line = known.get(key) or gone(key, before.shown)
        if line.currency != before.shown["currency"]:
            raise ValueError(f"{key} was issued in {before.shown['currency']}, and is in {line.currency} now")
        if line.amount != before.amount:
            changed.append((line, before))
    originals, why = _originals(stands), causes(changed, known, later)
    return found + [Due(line, before, why[line.key], originals[before.original]) for line, before in changed]


def _taken_back(lines: Mapping[Key, Standing], voids: Mapping[str, bool]) -> list[Due]:
    """All that stands of them, on the days that they were billed for."""
    originals = _originals(lines)
    return [
        Due(
            replace(gone(key, before.shown), end=date.fromisoformat(before.shown["end"])),
            before,
            "void",
            originals[before.original],
            own=True,
            void="reissue" if voids[before.document] else "final",
        )
        for key, before in lines.items()
    ]


def _originals(issued: Mapping[Key, Standing]) -> dict[tuple[str, str, str], dict[Key, Standing]]:
    """By document what stands of the lines that it was the first to show."""
    found: dict[tuple[str, str, str], dict[Key, Standing]] = defaultdict(dict)
    for key, before in issued.items():
        found[before.original][key] = before
    return found


def gone(key: Key, shown: Body) -> Line:
    """An issued line of which nothing is left: its span is empty, or there is nothing to cap or to top up."""
    end = date.fromisoformat(shown["end"])
    by_plan = key.charge in MADE_BY_PLANS
    kind = key.charge if by_plan else "usage" if shown["meter"] else "fee"
    return Line(
        key=key,
        kind=kind,
        customer=shown["customer"],
        plan=shown["plan"],
        name=shown["name"],
        meter=shown["meter"],
        due=shown["due"],
        currency=shown["currency"],
        period_end=date.fromisoformat(shown["period_end"]),
        end=end if by_plan else key.start,
        measured=Fraction(0),
        quantity=Fraction(0),
        unit=shown["unit"],
        bounds=Bounds(0),
        tax_category=shown["tax_category"],
        formula={"model": "none", "details": [], "proration": "0", "exact": "0"},
    )


def groups_of(found: Iterable[Due], seller: Callable[[str, date], str]) -> list[Group]:
    """Due lines by customer, seller and currency, in the order in which documents are numbered."""
    groups: dict[tuple[str, str, str], list[Due]] = defaultdict(list)
    for due in found:
        line = due.line
        groups[line.customer, seller(line.customer, line.key.period_start), line.currency].append(due)
    return [Group(*account, sorted(groups[account], key=lambda due: due.order)) for account in sorted(groups)]
