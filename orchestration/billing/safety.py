"""Bounds of what is issued without a second look: invoices that may be right, and are too odd not to be asked about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from orchestration.billing.credits import Account
from orchestration.billing.due import DueLine, Group
from orchestration.catalog.models import Safety
from orchestration.money import EXACT, Money

Totals = Mapping[Account, Sequence[Decimal]]
"""By account the totals of its invoices, oldest first."""


def totals_of(documents: Iterable[Mapping[str, Any]]) -> Totals:
    """The subtotals of issued invoices; credit notes say nothing of what is usual."""
    found: dict[Account, list[Decimal]] = defaultdict(list)
    for body in documents:
        if body["kind"] == "invoice":
            account = Account(body["seller"]["entity"], body["buyer"]["customer"], body["currency"])
            found[account].append(Decimal(body["subtotal"]))
    return found


def outside(safety: Safety, groups: Iterable[Group], history: Totals, released: Collection[str]) -> dict[str, str]:
    """By customer, why its documents wait for a release; those of `released` customers don't."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        if group.customer not in released:
            reasons[group.customer] += _line_faults(safety, group)
            reasons[group.customer] += _unusual(safety, group, history)
    return {customer: "; ".join(found) for customer, found in sorted(reasons.items()) if found}


def _line_faults(safety: Safety, group: Group) -> list[str]:
    limit = safety.line_limits.get(group.currency)
    found = []
    for due in group.lines:
        place = f"{due.line.subscription}, charge '{due.line.charge}', from {due.line.start}"
        if limit is not None and abs(due.amount.amount) > limit:
            found.append(f"a line of {due.amount} is over the limit of {limit} ({place})")
        found += [f"{problem.message} ({place})" for problem in due.line.problems if _is_negative(due, problem.code)]
    return found


def _is_negative(due: DueLine, code: str) -> bool:
    return code == "negative_quantity" and due.kind != "correction"


def _unusual(safety: Safety, group: Group, history: Totals) -> list[str]:
    """Above so many times the greatest of the last invoices, where there are enough of them to tell."""
    last = history.get(Account(group.entity, group.customer, group.currency), ())[-safety.invoices :]
    if len(last) < safety.invoices or max(last) <= 0:
        return []
    now = sum((due.amount for due in group.lines), Money.zero(group.currency))
    most = EXACT.multiply(max(last), safety.times_the_usual)
    if now.amount <= most:
        return []
    return [f"{now} is above {safety.times_the_usual} times the greatest of the last {len(last)} invoices, {max(last)}"]
