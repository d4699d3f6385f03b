"""What holds for every document, whatever the lines, the terms and the corrections that follow."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from books import Book, adjustment, agreed, buyer, coupon, grant, line, off
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orchestration.billing.credits import Account, used_in
from orchestration.billing.rating import Line
from orchestration.canonical import canonical_bytes
from orchestration.money import CURRENCIES, Money

CHARGES = ("a", "b", "c")
PHASES = (Phase.explicit, Phase.generate)
MONTHS = ("2026-08-01", "2026-09-01", "2026-10-01")
RATES = [
    {"category": "standard", "name": "VAT", "percent": "19.6"},
    {"category": "reduced", "name": "state", "percent": "7"},
    {"category": "reduced", "name": "city", "percent": "0.125"},
]
scopes = st.lists(st.sampled_from(CHARGES), max_size=2, unique=True)


def text(minor: int, currency: str) -> str:
    return Money.of_minor(minor, currency).text


@st.composite
def worlds(draw: st.DrawFn) -> tuple[str, dict[str, Any], list[dict[tuple[str, str], int]]]:
    """A currency, terms, and for each close what every (month, charge) is worth by then, in minor units."""
    currency = draw(st.sampled_from(["JPY", "EUR", "KWD", "CLF"]))
    amounts = st.integers(1, 3000)
    percents = st.sampled_from(["0.01", "10", "33.333", "50", "100"])
    lasting = st.sampled_from(["once", "forever", 2])
    terms: list[Any] = []
    for n in range(draw(st.integers(0, 3))):
        fields = {"lasts": draw(lasting), "applies_to": draw(scopes), "issued": f"2026-01-0{draw(st.integers(1, 3))}"}
        if draw(st.booleans()):
            terms.append(coupon(f"c{n}", percent=draw(percents), **fields))
        else:
            terms.append(off(text(draw(amounts), currency), f"c{n}", currency=currency, **fields))
    for n in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["promotional", "prepaid"]))
        amount = text(draw(amounts), currency)
        terms.append(grant(amount, f"g{n}", kind, currency=currency, applies_to=draw(scopes)))
    adjusted = [
        adjustment(text(minor, currency), f"a{n}", f"{MONTHS[n]}", currency=currency, tax_category="reduced")
        for n, minor in enumerate(draw(st.lists(st.integers(-2000, 500), max_size=2)))
    ]
    keys = [(month, charge) for month in MONTHS for charge in CHARGES]
    worth = st.dictionaries(st.sampled_from(keys), st.integers(-300, 2000), min_size=2)
    closes = draw(st.lists(worth, min_size=2, max_size=5))
    taxes = buyer(
        rates=RATES,
        exemptions=draw(st.sampled_from([[], [{"customer": "acme", "category": "reduced", "reason": "x"}]])),
    )
    taxed = draw(st.booleans())
    world = {"agreed": agreed(*terms, **({"buyer": taxes} if taxed else {})), "adjustments": adjusted}
    return currency, world, closes


def lines_of(currency: str, worth: dict[tuple[str, str], int]) -> list[Line]:
    return [
        line(
            text(minor, currency),
            charge,
            period=month,
            currency=currency,
            tax_category="reduced" if charge == "c" else "standard",
        )
        for (month, charge), minor in worth.items()
    ]


def bound(book: Book, currency: str) -> None:
    """No coupon above its base, no credit above its grant, no credit note pays more than it owes."""
    used = used_in(book.documents)
    for one in book.agreed.grants:
        assert 0 <= used.amount(one.kind, one.id) <= one.amount
    for one in book.agreed.coupons:
        assert used.amount("coupon", one.id) >= 0
        if one.amount is not None and one.lasts == "once":
            assert used.amount("coupon", one.id) <= one.amount
        if isinstance(one.lasts, int):
            assert used.documents(one.id) <= one.lasts
    for body in book.documents:
        for use in [
            use for name in ("coupons", "promotional", "credit_notes", "prepaid") for use in body.get(name, ())
        ]:
            assert "document" in use or 0 <= Decimal(use["amount"]) <= Decimal(use["base"]), (use, body)
        total, due = Decimal(body["total"]), Decimal(body["amount_due"])
        assert (body["kind"] == "credit_note") == (total < 0)
        assert due == total if total < 0 else 0 <= due <= total
        if total < 0:
            assert used.amount("credit_note", body["number"]) <= -total
    owed = used.notes(Account("main", "acme", currency))
    assert all(note.minor > 0 for note in owed.values())


@settings(max_examples=150, deadline=None, phases=PHASES)
@given(worlds())
def test_C1_D4_every_sequence_of_documents_adds_up_and_uses_nothing_twice(
    world: tuple[str, dict[str, Any], list[dict[tuple[str, str], int]]],
) -> None:
    currency, terms, closes = world
    book, now = Book(**terms), dict[tuple[str, str], int]()
    for n, worth in enumerate(closes):
        now |= worth
        lines, day = lines_of(currency, now), f"2026-{9 + min(n, 2):02}-0{1 + n}"
        shuffled = list(lines)
        random.Random(n).shuffle(shuffled)
        other = Book(book.agreed, book.adjustments, list(book.documents))
        assert [canonical_bytes(body) for body in other.issue(shuffled, day)] == [
            canonical_bytes(body) for body in book.issue(lines, day)
        ]
        assert book.issue(lines, day) == []
        bound(book, currency)
    book.issue(lines_of(currency, now), "2027-01-01")
    shown = [shown for body in book.documents for shown in body["lines"]]
    by_line: dict[tuple[str, str], Decimal] = {}
    for one in shown:
        if one["meter"]:
            key = one["period_start"], one["charge"]
            by_line[key] = by_line.get(key, Decimal(0)) + Decimal(one["amount"])
    assert by_line == {key: Money.of_minor(minor, currency).amount for key, minor in now.items()}
    adjusted = sum((Decimal(one["amount"]) for one in shown if not one["meter"]), Decimal(0))
    assert adjusted == sum(Decimal(row.amount) for row in book.adjustments)


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(worlds())
def test_whatever_is_taken_back_whole_leaves_no_coupon_no_credit_and_no_tax(
    world: tuple[str, dict[str, Any], list[dict[tuple[str, str], int]]],
) -> None:
    """Every line to nothing: what was used is free again, what was taxed on credit notes is given back."""
    currency, terms, closes = world
    book = Book(**{**terms, "adjustments": ()})
    worth = {key: abs(minor) for key, minor in closes[0].items()}
    book.issue(lines_of(currency, worth), "2027-01-01")
    book.issue(lines_of(currency, dict.fromkeys(worth, 0)), "2027-02-01")
    used = used_in(book.documents)
    assert {used.amount("coupon", one.id) for one in book.agreed.coupons} <= {0}
    assert {used.amount("promotional", one.id) for one in book.agreed.grants} <= {0}
    assert sum(Decimal(body["total"]) for body in book.documents) == 0
    assert sum(Decimal(body["tax"]) for body in book.documents) == 0
    assert CURRENCIES[currency] in (0, 2, 3, 4)
