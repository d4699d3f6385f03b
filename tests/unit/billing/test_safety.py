"""Bounds: an invoice that is too odd waits for a person, and nobody else waits for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import tiny
from books import Book, line

from orchestration.billing.due import Group, due_lines, grouped, issued_lines
from orchestration.billing.rating import Line
from orchestration.billing.safety import outside, totals_of
from orchestration.catalog.load import parse_catalog
from orchestration.catalog.models import Safety
from orchestration.errors import CatalogInvalid, Problem

ACME, BETA = "acme", "beta"


def groups(*lines: Line) -> list[Group]:
    due = due_lines(lines, {}, lines[0].period_end)
    return grouped(due, lambda *_: "main")


def invoice(total: str, customer: str = ACME, kind: str = "invoice", currency: str = "EUR") -> dict[str, Any]:
    return {
        "kind": kind,
        "seller": {"entity": "main"},
        "buyer": {"customer": customer},
        "currency": currency,
        "subtotal": total,
    }


def found(safety: dict[str, Any], lines: list[Line], *documents: dict[str, Any], released: tuple[str, ...] = ()) -> Any:
    return outside(Safety.model_validate(safety), groups(*lines), totals_of(documents), released)


def test_a_line_over_the_limit_of_its_currency_parks_its_customer_and_nobody_else() -> None:
    limits = {"line_limits": {"EUR": "100.00"}}
    beside = line("100.00", customer=BETA, subscription="sub-2")
    reasons = found(limits, [line("100.01"), beside])
    assert list(reasons) == [ACME]
    assert "100.01 EUR is over the limit of 100.00 (sub-1, charge 'usage', from 2026-10-01)" in reasons[ACME]
    assert found(limits, [line("-100.01"), beside]).keys() == {ACME}
    assert found(limits, [line("100.00"), beside]) == {}
    assert found({"line_limits": {"USD": "1"}}, [line("100.01")]) == {}


def test_a_quantity_below_0_that_is_priced_as_0_waits_for_a_person() -> None:
    odd = Problem("negative_quantity", "quantity -5 is below 0 and is priced as 0", "here")
    reasons = found({}, [replace(line("0.00"), problems=(odd,))])
    assert "quantity -5 is below 0" in reasons[ACME]


def test_a_correction_of_such_a_line_was_asked_about_before_and_other_reports_are_no_reason() -> None:
    odd = Problem("negative_quantity", "quantity -5 is below 0 and is priced as 0", "here")
    book = Book()
    book.issue([line("9.00"), line("9.00", "other")])
    now = [replace(line("0.00"), problems=(odd,)), line("0.00", "other")]
    corrections = grouped(due_lines(now, issued_lines(book.documents), now[0].period_end), lambda *_: "main")
    assert outside(Safety(), corrections, {}, ()) == {}
    assert found({}, [replace(line("0.00"), problems=(replace(odd, code="another"),))]) == {}


def test_every_reason_is_named() -> None:
    limits = {"line_limits": {"EUR": "100.00"}}
    reasons = found(limits, [line("100.01"), line("100.02", "other")])
    assert reasons[ACME] == (
        "a line of 100.02 EUR is over the limit of 100.00 (sub-1, charge 'other', from 2026-10-01); "
        "a line of 100.01 EUR is over the limit of 100.00 (sub-1, charge 'usage', from 2026-10-01)"
    )
    one = found({"times_the_usual": "3", "invoices": 1}, [line("3.01")], invoice("1.00"))
    assert one == {ACME: "3.01 EUR is above 3 times the greatest of the last 1 invoices, 1.00"}


@pytest.mark.parametrize(("now", "waits"), [("300.00", False), ("300.01", True)])
def test_an_invoice_far_above_the_last_ones_waits(now: str, waits: bool) -> None:
    bounds = {"times_the_usual": "3", "invoices": 2}
    last = [invoice("900.00"), invoice("80.00"), invoice("100.00")]
    assert bool(found(bounds, [line(now)], *last)) == waits
    # Two are too few of three; others' invoices, credit notes and other currencies say nothing.
    assert found(bounds | {"invoices": 4}, [line(now)], *last) == {}
    others = [invoice("1.00", BETA), invoice("-1.00", kind="credit_note"), invoice("1.00", currency="USD")]
    assert found(bounds, [line("300.00")], *last, *others) == {}
    assert found(bounds | {"invoices": 1}, [line("100.00")], invoice("0.00")) == {}


def test_what_an_operator_released_waits_no_longer() -> None:
    limits = {"line_limits": {"EUR": "100.00"}}
    assert found(limits, [line("5000.00")], released=(ACME,)) == {}
    assert found(limits, [line("5000.00")], released=(BETA,)).keys() == {ACME}


def test_a_release_names_a_customer_once_for_a_cut_off() -> None:
    row = "  - {customer: %s, cut_off: 2024-11-01, reason: checked, by: ana, on: 2024-11-05}\n"
    good = tiny.CATALOG | {"releases.yaml": "releases:\n" + row % "alder"}
    assert [release.customer for release in parse_catalog(good).releases] == ["alder"]
    with pytest.raises(CatalogInvalid) as refusal:
        parse_catalog(good | {"releases.yaml": "releases:\n" + row % "alder" + row % "alder" + row % "nobody"})
    said = [str(problem) for problem in refusal.value.problems]
    assert "releases.yaml:3" in said[0] and "also released at releases.yaml:2" in said[0]
    assert "unknown customer 'nobody'" in said[1]
