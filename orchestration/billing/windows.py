"""Windows that are priced each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter

from orchestration.billing.charges import ZERO, Priced, PriceDetail, Slice
from orchestration.billing.models import MODELS
from orchestration.billing.segments import ChargeTerms
from orchestration.errors import Problem
from orchestration.money import EXACT

_ORDER = attrgetter("tier", "version", "contract", "cell", "part", "price")


def each_window(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """The model applied to each window by itself, and added up: tiers begin anew in every window."""
    model = MODELS[terms.charge.model]
    found: dict[PriceDetail, Decimal] = {}
    problems: dict[str, Problem] = {}
    for piece in slices:
        priced = model(terms, [piece])
        for detail in priced.details:
            alike = detail._replace(quantity=ZERO)
            times = EXACT.multiply(detail.quantity, piece.windows)
            found[alike] = EXACT.add(found.get(alike, ZERO), times)
        problems |= {problem.message: problem for problem in priced.problems}
    details = [alike._replace(quantity=quantity) for alike, quantity in found.items()]
    return Priced(tuple(sorted(details, key=_ORDER)), tuple(problems[m] for m in sorted(problems)))
