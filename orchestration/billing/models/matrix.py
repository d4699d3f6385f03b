"""The model that has a price for each combination of dimension values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal

from orchestration.billing.charges import Priced, PriceDetail, Slice, below_zero, by_day, detail_of
from orchestration.billing.models.positions import positions, units
from orchestration.billing.segments import ChargeTerms, PriceFrom
from orchestration.errors import Problem

DEFAULT = ""
"""What a detail calls all combinations that the default prices."""


def cell_text(values: Mapping[str, str]) -> str:
    """A combination of dimension values as one text, the same however they are ordered."""
    return json.dumps(dict(values), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def matrix(terms: ChargeTerms, slices: Sequence[Slice]) -> Priced:
    """Each unit at the price of its cell, in the version of its day.

    Combinations without a cell of their own are one cell, at the default price. A cell whose total is below 0 is priced
    as 0 and reported. Raises ValueError for a combination that has no price: no event that falls in it is measured.
    """
    cells: dict[str, list[Slice]] = defaultdict(list)
    prices = {price.from_day: _prices(price) for price in terms.prices}
    stated = prices[terms.prices[0].from_day].keys() - {DEFAULT}
    for piece in slices:
        cells[_cell_of(piece.cell, stated)].append(piece)
    details: list[PriceDetail] = []
    problems: list[Problem] = []
    for cell in sorted(cells):
        runs, reached = positions(terms, by_day(cells[cell]))
        found = [detail_of(at, None, quantity, _price(at, prices[at.from_day], cell)) for at, quantity in units(runs)]
        details += [detail._replace(cell=cell) for detail in found]
        problems += below_zero(terms, reached, f"quantity of cell {cell or 'default'}")
    return Priced(tuple(details), tuple(problems))


def _cell_of(text: str, stated: Set[str]) -> str:
    """The cell that prices a combination, in whatever way its JSON is spaced."""
    if text == DEFAULT or text in stated:
        return text
    written = cell_text(json.loads(text))
    return written if written in stated else DEFAULT


def _prices(price: PriceFrom) -> dict[str, Decimal]:
    """By cell what a unit costs in a version; of the default, if there is one."""
    default = {} if price.charge.default is None else {DEFAULT: price.charge.default}
    return {**default, **{cell_text(cell.match): cell.price for cell in price.charge.cells}}


def _price(price: PriceFrom, prices: Mapping[str, Decimal], cell: str) -> Decimal:
    if cell not in prices:
        raise ValueError(f"charge '{price.charge.key}' has no price for a cell that it doesn't name")
    return prices[cell]
