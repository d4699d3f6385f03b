"""Windows that are priced each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from orchestration.billing.charges import ZERO, Priced, PriceDetail, Slice
from orchestration.billing.models import MODELS
from orchestration.billing.segments import ChargeTerms
from orchestration.errors import Problem
from orchestration.money import EXACT


def each_window(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """The model applied to each window by itself, and added up: tiers begin anew in every window."""
    model = MODELS[terms.charge.model]
    found: dict[tuple[int, date, str, str, str, Decimal], PriceDetail] = {}
    problems: dict[str, Problem] = {}
    for piece in slices:
        priced = model(terms, [piece._replace(windows=1)])
        for detail in priced.details:
            key = (detail.tier or 0, detail.version, detail.contract, detail.cell or "", detail.part, detail.price)
            before = found[key].quantity if key in found else ZERO
            times = EXACT.multiply(detail.quantity, Decimal(piece.windows))
            found[key] = detail._replace(quantity=EXACT.add(before, times))
        problems |= {problem.message: problem for problem in priced.problems}
    return Priced(tuple(found[key] for key in sorted(found)), tuple(problems[m] for m in sorted(problems)))
