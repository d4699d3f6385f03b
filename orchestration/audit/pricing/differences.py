"""What is due at a cut-off: lines that were never issued, and the differences of those that were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

from orchestration.audit.pricing.lines import Bounds, Key, Line
from orchestration.audit.pricing.numbers import amount_text, minor_units
from orchestration.audit.pricing.plans import MADE_BY_PLANS
from orchestration.audit.pricing.record import Body, Standing
from orchestration.catalog.terms import Adjustment


@dataclass(frozen=True, slots=True)
class Due:
    """A line on a document. With `before` it is a correction of what stands, for the reason in `cause`; `original` is
    all that stands of the document that it corrects."""

    line: Line
    before: Standing | None = None
    cause: str = ""
    original: Mapping[Key, Standing] | None = None

    @property
    def kind(self) -> str:
        return self.line.kind if self.before is None else "correction"

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
    now: Iterable[Line], issued: Mapping[Key, Standing], cut_off: date, retracted: Collection[Key]
) -> list[Due]:
    """`now` are all lines, priced from what is known. One that was issued and is not among them is worth 0."""
    known = {line.key: line for line in now}
    begins = {(key.subscription, key.start) for key in known}
    found = [Due(line) for key, line in known.items() if key not in issued and line.is_due(cut_off)]
    originals: dict[tuple[str, str, str], dict[Key, Standing]] = defaultdict(dict)
    for key, before in issued.items():
        originals[before.original][key] = before
    for key, before in issued.items():
        line = known.get(key) or gone(key, before.shown)
        if line.currency != before.shown["currency"]:
            raise ValueError(f"{key} was issued in {before.shown['currency']}, and is in {line.currency} now")
        if line.amount != before.amount:
            cause = _cause(line, before.shown, begins, key in retracted)
            found.append(Due(line, before, cause, originals[before.original]))
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


def _cause(line: Line, shown: Body, begins: Collection[tuple[str, date]], retracted: bool) -> str:
    """As far as the two evaluations tell why they differ."""
    ended = date.fromisoformat(shown["end"])
    if line.end < ended:
        return "plan change" if (line.key.subscription, line.end) in begins else "ended"
    if line.plan != shown["plan"]:
        return "plan change"
    if line.end > ended:
        return "catalog"
    if line.measured == Fraction(shown["measured"]) and line.key.charge not in MADE_BY_PLANS:
        return "price"
    return "retraction" if retracted else "late usage"


def groups_of(found: Iterable[Due], seller: Callable[[str, date], str]) -> list[Group]:
    """Due lines by customer, seller and currency, in the order in which documents are numbered."""
    groups: dict[tuple[str, str, str], list[Due]] = defaultdict(list)
    for due in found:
        line = due.line
        groups[line.customer, seller(line.customer, line.key.period_start), line.currency].append(due)
    return [Group(*account, sorted(groups[account], key=lambda due: due.order)) for account in sorted(groups)]
