"""The worked examples of the definition (semantics.md, section 8), all twelve, with its literals, in its order.

Those of measured quantities begin with events, which are measured as the audit does; that the warehouse measures the
same is said by test_line_quantities and test_watermarks_by_hand, and of a real log by test_real_logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from billing_make import METERS, TIERS, D, charge, phase, plan, rated, segment, terms, used
from books import VAT, Book, agreed, grant, line
from inbox import Instance, source

from orchestration.audit.clock import Clock
from orchestration.audit.measuring import Part, measured
from orchestration.audit.taken import Taken, load_days, load_windows
from orchestration.billing.charges import Slice
from orchestration.billing.commitments import plan_lines
from orchestration.billing.rating import Line, rate
from orchestration.billing.segments import charge_prices, segments
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Subscription
from orchestration.catalog.plans import Plan
from orchestration.closing.rated import slices_of
from orchestration.engine import connect
from orchestration.metering.control import ChargedSegment
from orchestration.metering.measures import divisor_of

NEXT = ("2026-11-01", "2026-11-15", "2026-12-01")


def amounts(documents: Iterable[dict]) -> list[str]:  # type: ignore[type-arg]
    return [shown["amount"] for body in documents for shown in body["lines"]]


def test_01_a_closed_month_of_100_and_10_late_found_by_two_later_runs_and_closes() -> None:
    book, priced = Book(), [plan(("2026-01-01", [charge()]))]
    known = rated(priced, [phase("2026-10-01")], "2026-10-31", {"calls": used(("2026-10-05", 100))})
    late = rated(priced, [phase("2026-10-01")], "2026-10-31", {"calls": used(("2026-10-05", 100), ("2026-10-31", 10))})
    found = [amounts(book.issue(lines, day)) for lines, day in zip((known, late, late), NEXT, strict=True)]
    assert found == [["100.00"], ["10.00"], []]


def test_02_tiers_of_1000_at_10_cents_950_billed_and_100_late() -> None:
    book, priced = Book(), [plan(("2026-01-01", [charge("graduated", tiers=TIERS)]))]
    for days, day in ((950, "2026-11-01"), (1050, "2026-11-02")):
        lines = rated(priced, [phase("2026-10-01")], "2026-10-31", {"calls": used(("2026-10-05", days))})
        found = amounts(book.issue(lines, day))
    assert found == ["7.50"]


def test_03_volume_of_15_at_10_else_5_15_billed_as_150_and_one_more_unit() -> None:
    book = Book()
    priced = [plan(("2026-01-01", [charge("volume", tiers=({"up_to": "15", "price": "10"}, {"price": "5"}))]))]
    found = []
    for units, day in ((15, "2026-11-01"), (16, "2026-11-02")):
        lines = rated(priced, [phase("2026-10-01")], "2026-10-31", {"calls": used(("2026-10-05", units))})
        found += amounts(book.issue(lines, day))
    assert found == ["150.00", "-70.00"]


def test_04_a_minimum_of_1000_usage_of_700_a_true_up_of_300_and_150_late() -> None:
    version = {"effective": "2026-01-01", "charges": [charge()], "commitment": {"amount": "1000"}}
    sold = Plan.model_validate({"key": "pro", "name": "Pro", "currency": "EUR", "versions": [version]})
    book, found = Book(), []
    for calls, day in ((700, "2026-11-01"), (850, "2026-11-02")):
        lines = rated([sold], [phase("2026-10-01")], "2026-10-31", {"calls": used(("2026-10-07", calls))})
        extra = plan_lines({"pro": sold}, segments([phase("2026-10-01")], {"pro": sold}, D("2026-10-31")), lines, None)
        found.append(book.issue([*lines, *extra], day))
    assert [amounts(documents) for documents in found] == [["300.00", "700.00"], ["-150.00", "150.00"]]
    assert [body["total"] for body in found[1]] == ["0.00"]
    # The same as the minimum of a charge: nothing differs.
    one = [rate(terms(charge(minimum="1000")), segment(), used(("2026-10-07", n)), METERS["calls"]) for n in (700, 850)]
    assert (one[0].top_up and one[0].top_up.text, (one[1].amount - one[0].amount).text) == ("300.00", "0.00")


def test_05_a_fee_of_31_for_october_in_advance_ended_on_25_october() -> None:
    fee = [plan(("2026-01-01", [charge("flat", key="base", amount="31.00", due="advance")]))]
    book = Book()
    assert amounts(book.issue(rated(fee, [phase("2026-10-01")], "2026-10-01"), "2026-10-01")) == ["31.00"]
    ended = rated(fee, [phase("2026-10-01", "2026-10-25")], "2026-12-01")
    assert [amounts(book.issue(ended, day)) for day in ("2026-11-01", "2026-12-01")] == [["-7.00"], []]


# -- from events -----------------------------------------------------------------------------------------------------

MONTH = (D("2026-11-01"), D("2026-12-01"))
STORED = Meter(key="stored", name="Stored", event_type="e", aggregation="weighted_sum", value="status")
USERS = Meter(key="users", name="Users", event_type="e", aggregation="unique_count", value="user")
GAUGE = Meter(key="gauge", name="Gauge", event_type="e", aggregation="max", value="status", carry=True)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def from_events(
    plans: Sequence[Plan],
    phases: Sequence[Subscription],
    meter: Meter,
    events: Iterable[tuple[datetime, str, int]],
    scratch: Path,
) -> list[Line]:
    """Lines of November, from events (time, user, number) of the customer."""
    with connect(None, folders=[scratch], temp=scratch / "temp") as con:
        return _measured_lines(con, plans, phases, meter, events, scratch)


def _measured_lines(
    con: duckdb.DuckDBPyConnection,
    plans: Sequence[Plan],
    phases: Sequence[Subscription],
    meter: Meter,
    events: Iterable[tuple[datetime, str, int]],
    scratch: Path,
) -> list[Line]:
    con.execute(
        "CREATE TABLE attributed (customer VARCHAR, time_us BIGINT, source VARCHAR, event_id VARCHAR, "
        "event_type VARCHAR, user_key VARCHAR, status INTEGER)"
    )
    rows = [("acme", int(t.timestamp()) * 1_000_000, "s", f"{n}", "e", u, v) for n, (t, u, v) in enumerate(events)]
    con.executemany("INSERT INTO attributed VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    clock = Clock("UTC", *MONTH)
    load_days(con, {"acme": clock}, scratch)
    load_windows(con, {"acme": clock}, [("acme", "5m")], scratch)
    taken, by_key = Taken(con, meter), {p.key: p for p in plans}
    items = [
        ChargedSegment(part, priced, divisor_of(priced.charge, meter, part, "UTC", MONTH[1]), known=MONTH[1])
        for part in segments(phases, by_key, D("2026-11-30"))
        for priced in charge_prices(by_key[part.plan], part)
    ]
    return [
        rate(i.terms, i.segment, slices_of(measured(Part(i, taken, clock, items))), meter, divisor=i.divisor)
        for i in items
    ]


def changed(meter: str, *prices: str, **fields: object) -> tuple[list[Plan], list[Subscription]]:
    """A plan until the 16th, and another one from then on."""
    priced = [charge(meter=meter, price=price, **fields) for price in prices]
    plans = [plan(("2026-01-01", [one]), key=key) for one, key in zip(priced, ("a", "b"), strict=True)]
    return plans, [phase("2026-11-01", "2026-11-16", "a"), phase("2026-11-16", None, "b")]


@pytest.mark.parametrize("meter", [STORED, GAUGE], ids=["level over time", "watermark"])
def test_06_100_gb_all_month_at_1_00_and_a_change_of_plan_on_the_16th_of_30_days(meter: Meter, tmp_path: Path) -> None:
    mark = {"watermark": {"of": "max", "window": "1h"}} if meter is GAUGE else {}
    held = [(at("2026-10-01"), "", 100)]
    lines = from_events(*changed(meter.key, "1.00", "1.00", **mark), meter, held, tmp_path)
    assert [x.amount.text for x in lines] == ["50.00", "50.00"]


def test_07_v1_0_to_1000_at_10_cents_v2_from_the_16th_at_12_800_units_before_and_800_after() -> None:
    later = charge("graduated", tiers=({"up_to": "1000", "price": "0.12"}, {"price": "0.06"}))
    priced = plan(("2026-01-01", [charge("graduated", tiers=TIERS)]), ("2026-11-16", [later]))
    usage = {"calls": used(("2026-11-10", 800), ("2026-11-20", 800))}
    assert [x.amount.text for x in rated([priced], [phase("2026-11-01")], "2026-11-30", usage)] == ["140.00"]


def test_08_100_users_in_both_halves_plan_a_at_1_00_a_mau_and_b_at_2_00_from_the_16th(tmp_path: Path) -> None:
    seen = [(at(day), f"u{n}", 0) for day in ("2026-11-03", "2026-11-20") for n in range(100)]
    lines = from_events(*changed("users", "1.00", "2.00"), USERS, seen, tmp_path)
    assert [(x.quantity, x.amount.text) for x in lines] == [(100, "100.00"), (0, "0.00")]


def test_09_500_cells_of_0_004_on_one_charge() -> None:
    match = [{"match": {"m": str(n)}, "price": "0.004"} for n in range(500)]
    slices = [Slice(D("2026-10-01"), Decimal(1), cell=f'{{"m":"{n}"}}') for n in range(500)]
    one = rate(terms(charge("matrix", cells=match)), segment(), slices, METERS["calls"])
    assert (one.amount.text, len(one.formula["details"])) == ("2.00", 500)


@pytest.mark.parametrize(("hours", "quantity"), [(18, 300), (17, 100)], ids=["5 % and a window", "an hour less"])
def test_10_and_how_many_hours_of_300_it_takes(hours: int, quantity: int, tmp_path: Path) -> None:
    """15 days are 4,320 windows, of which 216 (18 hours) are left out: the mark is 300 from one window more on."""
    start = at("2026-11-20")
    until = start + timedelta(hours=hours, minutes=5)
    readings = [(at("2026-11-16"), "", 100), (start, "", 300), (until, "", 100)]
    part = [plan(("2026-01-01", [charge(meter="gauge", watermark=MARK)]))]
    (found,) = from_events(part, [phase("2026-11-16")], GAUGE, readings, tmp_path)
    assert (found.quantity, found.start) == (quantity, D("2026-11-16"))


MARK = {"of": "max", "window": "5m", "percentile": 95}


def test_10_steady_100_from_the_16th_in_5_minute_windows_and_30_hours_of_300(tmp_path: Path) -> None:
    readings = [(at("2026-11-16"), "", 100), (at("2026-11-20"), "", 300), (at("2026-11-21T06:00"), "", 100)]
    part = [plan(("2026-01-01", [charge(meter="gauge", watermark=MARK)]))]
    (found,) = from_events(part, [phase("2026-11-16")], GAUGE, readings, tmp_path)
    assert (found.quantity, found.amount.text) == (300, "150.00")


def test_11_a_promotional_credit_of_100_usage_of_100_and_a_tax_of_20_percent() -> None:
    (body,) = Book(agreed(grant("100"), buyer=VAT)).issue([line("100.00")])
    assert (body["tax"], body["total"], body["amount_due"]) == ("0.00", "0.00", "0.00")


def test_12_5796_broken_lines_and_10479_good_ones(tmp_path: Path) -> None:
    """As in the nine real logs, the broken lines are the second halves of lines that were cut."""
    good = '192.0.2.1 - - [01/Oct/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 {} "-" "curl"'
    lines = [good.format(n) for n in range(10_479)]
    for n in range(5_796):
        lines.insert(n * 2, f'{n} "-" "curl"')
    made = Instance(tmp_path / "home")
    made.put("access.log", "\n".join(lines) + "\n")
    report = made.run(source())
    made.ledger.close()
    assert (report.lines, report.accepted, report.quarantined) == (16_275, 10_479, 5_796)
    assert (report.duplicate, report.conflict, report.blank) == (0, 0, 0)
