"""Drafts: what is known of a line and what stands beside it, and drafts by customer as all at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from orchestration.billing.due import DueLine
from orchestration.billing.rating import Line
from orchestration.money import Money
from orchestration.pipeline.price import known_lines

PERIOD = date(2026, 10, 1), date(2026, 11, 1)
GOES_ON, OVER = {"acme": date(2026, 10, 31)}, {"acme": date(2026, 11, 1)}


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def line(charge: str, amount: str, kind: str = "usage", **fields: object) -> DueLine:
    known = Line(
        subscription="s",
        customer="acme",
        plan="pro",
        charge=charge,
        name=charge,
        meter="calls" if kind == "usage" else None,
        due="arrears",
        currency="EUR",
        period_start=PERIOD[0],
        period_end=PERIOD[1],
        start=PERIOD[0],
        end=PERIOD[1],
        measured=Decimal(1),
        quantity=Decimal(1),
        unit="u",
        amount=euros(amount),
        formula={},
        kind=kind,  # type: ignore[arg-type]
    )
    return DueLine(changed := replace(known, **fields), changed.amount)  # type: ignore[arg-type]


def cap(amount: str, of: str, lines: str) -> DueLine:
    return line("cap", amount, "cap", formula={"cap": of, "lines": lines})


def known(lines: list[DueLine], today: dict[str, date]) -> list[str]:
    return [due.amount.text for due in known_lines(lines, today)]


def test_fees_in_arrears_top_ups_and_true_ups_are_expected_until_their_period_has_ended() -> None:
    lines = [
        line("fee", "10.00", "fee"),
        line("ahead", "31.00", "fee", due="advance"),
        line("calls", "5.00", top_up=euros("2.00")),
        line("true_up", "40.00", "true_up"),
    ]
    assert known(lines, GOES_ON) == ["0.00", "31.00", "3.00", "0.00"]
    assert known(lines, OVER) == ["10.00", "31.00", "5.00", "40.00"]


def test_a_cap_takes_what_is_expected_first_so_that_no_draft_owes_what_was_never_due() -> None:
    # 200 + 10 capped at 120: of what is known, 10, nothing is taken.
    lines = [line("fee", "200.00", "fee"), line("calls", "10.00"), cap("-90.00", "120", "210.00")]
    assert known(lines, GOES_ON) == ["0.00", "10.00", "0.00"]
    assert known(lines, OVER) == ["200.00", "10.00", "-90.00"]
    # 200 + 150: 30 of the usage are above the cap whatever the fee is.
    lines = [line("fee", "200.00", "fee"), line("calls", "150.00"), cap("-230.00", "120", "350.00")]
    assert known(lines, GOES_ON) == ["0.00", "150.00", "-30.00"]


def test_a_cap_knows_no_fee_of_another_plan_or_period() -> None:
    other = line("fee", "200.00", "fee", plan="other")
    later = line("fee", "200.00", "fee", period_start=PERIOD[1], start=PERIOD[1], period_end=date(2026, 12, 1))
    lines = [other, later, line("calls", "150.00"), cap("-30.00", "120", "150.00")]
    assert known(lines, GOES_ON) == ["0.00", "0.00", "150.00", "-30.00"]
