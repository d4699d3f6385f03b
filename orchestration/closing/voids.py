"""Documents that reviewed rows take back: which of them there are."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.catalog import Catalog
from orchestration.errors import PeriodClosed, Problem
from orchestration.ledger.store import Ledger


def check_voids(catalog: Catalog, ledger: Ledger) -> None:
    """Raise PeriodClosed for a row that takes back what is no invoice of the ledger."""
    problems = list(_problems(catalog, ledger)) if catalog.reviews.voids else []
    if problems:
        raise PeriodClosed(
            "\n".join([f"{len(problems)} document(s) can't be taken back:", *(f"    {p}" for p in problems)]),
            not_done="nothing was priced, issued or published",
            next_step="name invoices as they were issued; a note of a document falls with the document itself",
        )


def _problems(catalog: Catalog, ledger: Ledger) -> Iterator[Problem]:
    kinds = {row.number: row.kind for row in ledger.documents()}
    for row in catalog.reviews.voids:
        kind = kinds.get(row.document)
        if kind is None:
            yield Problem("unknown_document", f"'{row.document}' was not issued", "voids.yaml")
        elif kind != "invoice":
            message = f"'{row.document}' is a {kind.replace('_', ' ')}: what it says ends with the document it is for"
            yield Problem("no_invoice", message, "voids.yaml")
