"""What adds up, asked of the record alone: lines of files, formulas of lines, sums of documents.

It needs neither raw files nor a catalog, so it is also said of a record whose inputs are damaged.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from orchestration.audit.pricing.numbers import minor_units, of_minor
from orchestration.errors import Problem
from orchestration.ledger.rows import USE_LISTS, DocumentRow, FileRow
from orchestration.money import decimal_text

Shown = Mapping[str, Any]
_Claim = tuple[str, Fraction, Fraction]
"""What is claimed, the claim, and what it should be."""


def wrong_counts(files: Iterable[FileRow]) -> Iterator[Problem]:
    """Every line of a file is accepted, duplicate, conflict, quarantined or blank, and what a retry moved was there."""
    quarantined: dict[int, int] = defaultdict(int)
    names: dict[int, str] = {}
    for file in files:
        where = f"ledger.sqlite, file {file.file_id} ('{file.path}')"
        found = file.accepted + file.duplicate + file.conflict + file.quarantined + file.blank
        if file.lines != found:
            yield Problem("lines_lost", f"{file.lines} lines, of which {found} are accounted for", where)
        origin = file.retry_of or file.file_id
        names.setdefault(origin, where)
        quarantined[origin] += file.quarantined
    for origin, left in quarantined.items():
        if left < 0:
            yield Problem("lines_lost", f"retries took {-left} line(s) more than were quarantined", names[origin])


def wrong_sums(documents: Iterable[DocumentRow]) -> Iterator[Problem]:
    """Every amount of a document that is not what its own lines, formulas and taxes come to."""
    for row in documents:
        try:
            body = json.loads(row.body)
            claims = list(_claims(body))
        except (ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError) as error:
            message = f"its sums can't be read: {type(error).__name__}: {error}"
            yield Problem("document_sums", message, f"document {row.number}")
            continue
        for name, claimed, found in claims:
            if claimed != found:
                message = f"{name} is {decimal_text(claimed)}, and what it is made of comes to {decimal_text(found)}"
                yield Problem("document_sums", message, f"document {row.number}")


def _claims(body: Shown) -> Iterator[_Claim]:
    lines = body["lines"]
    number = {name: Fraction(body[name]) for name in body if name in _TOTALS}
    yield "subtotal", number["subtotal"], _sum(lines)
    yield "tax", number["tax"], _sum(body.get("taxes", ()))
    yield "tax", number["tax"], _sum(tax for line in lines for tax in line.get("taxes", ()))
    for kind, name in USE_LISTS.items():
        yield f"{kind}_total", number[f"{kind}_total"], _sum(body.get(name, ()))
        if kind in ("coupon", "promotional"):
            yield f"{kind}_total", number[f"{kind}_total"], _sum(use for line in lines for use in line.get(name, ()))
    taken = number["coupon_total"] + number["promotional_total"]
    yield "total", number["total"], number["subtotal"] - taken + number["tax"]
    paid = number["credit_note_total"] + number["prepaid_total"]
    yield "amount_due", number["amount_due"], number["total"] - paid
    for line in lines:
        for name, claimed, found in _of_line(line):
            yield f"line {line['position']}, {name}", claimed, found


_TOTALS = frozenset({"subtotal", "tax", "total", "amount_due", *(f"{kind}_total" for kind in USE_LISTS)})


def _sum(parts: Iterable[Shown]) -> Fraction:
    return sum((Fraction(part["amount"]) for part in parts), Fraction(0))


def _of_line(line: Shown) -> Iterator[_Claim]:
    """A line is its gross, less discount and excess, plus top-up; a correction what is now, less what was."""
    gross, discount, excess, top_up = (Fraction(line[name]) for name in ("gross", "discount", "excess", "top_up"))
    yield "amount", Fraction(line["amount"]), gross - discount - excess + top_up
    formula, correction = line["formula"], line.get("correction")
    yield from _of_formula(formula, line["currency"])
    if correction is not None:
        before, after = (Fraction(correction[name]["amount"]) for name in ("before", "after"))
        yield "amount", Fraction(line["amount"]), after - before
    elif "gross" in formula:
        yield "gross", gross, Fraction(formula["gross"])
    if "amount" in formula:
        now = Fraction(line["amount"] if correction is None else correction["after"]["amount"])
        yield "amount", now, Fraction(formula["amount"])


def _of_formula(formula: Shown, currency: str) -> Iterator[_Claim]:
    """The parts, the proration, and the rounding of a formula, evaluated again."""
    for place, part in enumerate(formula["details"], 1):
        product = Fraction(part["quantity"]) * Fraction(part["price"])
        yield f"part {place} of the formula", Fraction(part["amount"]), product
    if "gross" in formula:
        exact = Fraction(formula["exact"])
        yield "exact amount", exact, _sum(formula["details"]) * Fraction(formula["proration"])
        rounded = of_minor(minor_units(exact, currency, formula["rounding"] == "half_even"), currency)
        yield "rounded amount", Fraction(formula["gross"]), rounded
    if formula["model"] == "cap":
        yield "exact amount", Fraction(formula["exact"]), Fraction(formula["cap"]) - Fraction(formula["lines"])
    if formula["model"] == "commitment":
        lacking = Fraction(formula["commitment"]) * Fraction(formula["proration"]) - Fraction(formula["lines"])
        yield "exact amount", Fraction(formula["exact"]), lacking
