"""The act of issuing, without an engine: numbers, dates, zero invoices, refusals, and closes that repeat."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from faultkit import CATALOG

from orchestration.audit.verify import verify
from orchestration.canonical import canonical_bytes
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.close import CloseResult, Knowledge, check_may_close, due_groups, issue, missing_input
from orchestration.closing.rated import Quantity, rate_all
from orchestration.closing.voids import check_voids
from orchestration.durable import Point
from orchestration.errors import InputHeld, IntegrityFailure, PeriodClosed, TallystickError
from orchestration.exports.csvfiles import expected_exports
from orchestration.ledger.merkle import leaf_hash, root_hash, salt
from orchestration.ledger.rows import DeliveryRow
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant

FEE = '      - {key: fee, name: Fee, model: flat, amount: "10.00", due: advance}\n'


def a_catalog(zero: str = "issue", *, fee: bool = False) -> Catalog:
    texts = dict(CATALOG)
    texts["instance.yaml"] = texts["instance.yaml"].replace("series: SEL", f"series: SEL, zero_invoices: {zero}")
    if not fee:
        texts["plans/basic.yaml"] = texts["plans/basic.yaml"].replace(FEE, "")
    return parse_catalog(texts)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home") as opened:
        yield opened


def close(
    ledger: Ledger, catalog: Catalog, cut_off: str, now: str, parked: dict[str, str] | None = None, **tokens: int
) -> CloseResult:
    """A close of what `tokens` says that customers have used on the 15th of the month before the cut-off."""
    end, now_us = date.fromisoformat(cut_off), parse_instant(now, "test")
    check_may_close(catalog, ledger, end, now_us, None)
    charged = charged_segments(catalog, now_us)
    quantities: dict[str, Any] = {}
    for item in charged:
        if item.terms.charge.key == "tokens":
            used = tokens.get(f"{item.segment.customer}_{item.segment.start.month}", 0)
            if used:
                quantities[item.line_id] = [Quantity(item.segment.start.replace(day=15), Decimal(used))]
    groups = due_groups(catalog, ledger, rate_all(catalog, charged, quantities), end)
    return issue(catalog, ledger, groups, end, parked or {}, Knowledge(now_us, 0, "code"))


def numbers(ledger: Ledger) -> list[tuple[str, str, str]]:
    return [(d.number, d.customer, d.cut_off) for d in ledger.documents()]


def test_D5_numbers_run_without_gap_over_closes_years_and_parked_customers(ledger: Ledger) -> None:
    catalog = a_catalog()
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", {"hudson": "waits"})
    close(ledger, catalog, "2026-11-01", "2026-11-06T09:00:00Z")
    close(ledger, catalog, "2026-12-01", "2026-12-05T09:00:00Z")
    close(ledger, catalog, "2027-01-01", "2027-01-05T09:00:00Z")
    assert numbers(ledger) == [
        ("SEL-2026-000001", "bengal", "2026-11-01"),
        ("SEL-2026-000002", "line", "2026-11-01"),
        ("SEL-2026-000003", "hudson", "2026-11-01"),
        ("SEL-2026-000004", "bengal", "2026-12-01"),
        ("SEL-2026-000005", "hudson", "2026-12-01"),
        ("SEL-2026-000006", "line", "2026-12-01"),
        ("SEL-2027-000001", "bengal", "2027-01-01"),
        ("SEL-2027-000002", "hudson", "2027-01-01"),
        ("SEL-2027-000003", "line", "2027-01-01"),
    ]


def test_D2_a_repeated_close_writes_no_document_and_no_journal_entry(ledger: Ledger) -> None:
    for _ in range(3):
        again = close(ledger, a_catalog(), "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=5000)
    assert again.documents == () and set(again.already) <= {"bengal", "hudson", "line"}
    assert len(ledger.journal()) == 1
    assert len(numbers(ledger)) == 3


def test_D7_what_is_handed_out_twice_bears_the_number_by_which_it_is_paid_once(ledger: Ledger) -> None:
    catalog = a_catalog()
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=5000)
    first = expected_exports(ledger.documents())
    close(ledger, catalog, "2026-11-01", "2026-11-06T09:00:00Z", bengal_10=9000)
    assert expected_exports(ledger.documents()) == first
    rows = list(csv.DictReader(first[PurePosixPath("2026-11-01/invoices.csv")].decode().splitlines()))
    assert [(row["number"], len(row["sha256"]), row["amount_due"]) for row in rows] == [
        ("SEL-2026-000001", 64, "5.00"),
        ("SEL-2026-000002", 64, "0.00"),
        ("SEL-2026-000003", 64, "0.00"),
    ]


def test_D8_two_closes_in_one_instant_are_two(ledger: Ledger) -> None:
    """What was issued is known by its cut-off and customer, and never by the time at which it was."""
    for cut_off in ("2026-11-01", "2026-12-01"):
        close(ledger, a_catalog(), cut_off, "2026-12-05T09:00:00Z", bengal_10=5000, bengal_11=7000)
    totals = [(d.cut_off, json.loads(d.body)["total"]) for d in ledger.documents() if d.customer == "bengal"]
    assert totals == [("2026-11-01", "5.00"), ("2026-12-01", "7.00")]


def test_D10_a_thousand_times_the_usage_takes_no_more_rows_of_the_ledger(tmp_path: Path) -> None:
    """Which events a document bills follows from its period and cut-off; none of them is marked."""
    rows = []
    for tokens in (5, 5000):
        with Ledger.open(tmp_path / str(tokens)) as ledger:
            close(ledger, a_catalog(), "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=tokens)
            tables = [name for (name,) in ledger._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows.append({t: ledger._db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables})
            columns = {c for t in tables for (_, c, *_) in ledger._db.execute(f"PRAGMA table_info({t})")}
            assert not columns & {"event_id", "line"}
    assert rows[0] == rows[1] and rows[0]["documents"] == 3


def test_usage_that_comes_between_two_closes_of_one_cut_off_waits_for_the_next_and_comes_once(ledger: Ledger) -> None:
    catalog = a_catalog()
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=5000)
    again = close(ledger, catalog, "2026-11-01", "2026-11-06T09:00:00Z", bengal_10=15000)
    assert (again.documents, again.already) == ((), ("bengal",))
    for day in ("05", "06"):
        close(ledger, catalog, "2026-12-01", f"2026-12-{day}T09:00:00Z", bengal_10=15000)
    close(ledger, catalog, "2027-01-01", "2027-01-05T09:00:00Z", bengal_10=15000)
    corrections = [
        (body["number"], line["amount"], line["correction"]["document"], line["correction"]["cause"])
        for body in (json.loads(d.body) for d in ledger.documents())
        for line in body["lines"]
        if line["kind"] == "correction"
    ]
    assert corrections == [("SEL-2026-000004", "10.00", "SEL-2026-000001", "late usage")]


def test_usage_that_is_taken_back_gives_money_back_once_as_a_credit_note(ledger: Ledger) -> None:
    catalog = a_catalog()
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=15000)
    close(ledger, catalog, "2026-12-01", "2026-12-05T09:00:00Z", bengal_10=5000)
    close(ledger, catalog, "2027-01-01", "2027-01-05T09:00:00Z", bengal_10=5000)
    credits = [(d.number, json.loads(d.body)["total"]) for d in ledger.documents() if d.kind == "credit_note"]
    assert credits == [("SEL-CN-2026-000001", "-10.00")]


def test_F15_an_issue_date_that_goes_back_is_refused_and_consumes_no_number(ledger: Ledger) -> None:
    close(ledger, a_catalog(), "2026-11-01", "2026-12-06T09:00:00Z")
    with pytest.raises(IntegrityFailure, match="a clock is wrong") as caught:
        close(ledger, a_catalog(), "2026-12-01", "2026-12-05T09:00:00Z")
    assert caught.value.exit_code == 5
    assert len(numbers(ledger)) == 3 and len(ledger.journal()) == 1
    close(ledger, a_catalog(), "2026-12-01", "2026-12-06T09:00:00Z")
    assert numbers(ledger)[3][0] == "SEL-2026-000004"


def test_F15_a_clock_that_goes_a_day_forward_and_back_moves_no_number_and_the_journal_keeps_the_order(
    ledger: Ledger,
) -> None:
    """Within a day an hour back is no harm: what came first is told by the journal and never by the clock."""
    nows = ["2026-12-06T09:00:00Z", "2026-12-06T08:00:00Z"]
    for cut_off, now in zip(("2026-11-01", "2026-12-01"), nows, strict=True):
        close(ledger, a_catalog(), cut_off, now)
    assert [number[-6:] for number, _, _ in numbers(ledger)] == [f"{n:06d}" for n in range(1, 7)]
    assert [int(json.loads(e.body)["now_us"]) for e in ledger.journal()] == [parse_instant(now, "") for now in nows]
    assert [d.cut_off for d in ledger.documents()] == ["2026-11-01"] * 3 + ["2026-12-01"] * 3
    # The clock is right again, a day behind what was issued: nothing is, until that day has come.
    with pytest.raises(IntegrityFailure, match="a clock is wrong"):
        close(ledger, a_catalog(), "2026-12-02", "2026-12-05T09:00:00Z", bengal_12=5000)
    assert len(numbers(ledger)) == 6 and len(ledger.journal()) == 2


def test_skipped_zero_invoices_take_no_number_are_journalled_and_never_come_back(ledger: Ledger) -> None:
    catalog = a_catalog("skip")
    first = close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", hudson_10=1000)
    assert first.skipped == ("bengal", "line")
    assert numbers(ledger) == [("SEL-2026-000001", "hudson", "2026-11-01")]
    (entry,) = ledger.journal()
    skipped = json.loads(entry.body)["skipped"]
    assert [(b["buyer"]["customer"], b["total"], b["number"]) for b in skipped] == [
        ("bengal", "0.00", "journal-1"),
        ("line", "0.00", "journal-1"),
    ]
    again = close(ledger, catalog, "2026-11-01", "2026-11-06T09:00:00Z", hudson_10=1000)
    assert (again.documents, again.skipped, len(ledger.journal())) == ((), (), 1)
    close(ledger, catalog, "2026-12-01", "2026-12-05T09:00:00Z", hudson_10=1000, line_11=1000, bengal_10=2000)
    shown = {
        d.customer: [
            (x["period_start"], x["kind"], x["amount"]) for x in json.loads(d.body)["lines"] if x["amount"] != "0.00"
        ]
        for d in ledger.documents()
        if d.cut_off == "2026-12-01"
    }
    assert shown == {"bengal": [("2026-10-01", "correction", "2.00")], "line": [("2026-11-01", "usage", "1.00")]}
    october = [x for d in ledger.documents() if d.cut_off == "2026-12-01" for x in json.loads(d.body)["lines"]]
    assert {x["kind"] for x in october if x["period_start"] == "2026-10-01"} == {"correction"}


def test_zero_invoices_are_issued_where_the_seller_says_so(ledger: Ledger) -> None:
    result = close(ledger, a_catalog("issue"), "2026-11-01", "2026-11-05T09:00:00Z")
    assert (len(result.documents), result.skipped) == (3, ())
    assert {json.loads(d.body)["total"] for d in ledger.documents()} == {"0.00"}


def test_a_close_with_nothing_due_changes_nothing(ledger: Ledger) -> None:
    result = close(ledger, a_catalog(), "2026-09-01", "2026-11-05T09:00:00Z")
    assert (result.documents, result.skipped, ledger.journal(), numbers(ledger)) == ((), (), [], [])


@pytest.mark.parametrize(
    ("cut_off", "now", "kind"),
    [
        # The last to reach 1 November is New York, at 04:00 UTC; three days of grace follow.
        ("2026-11-01", "2026-11-04T03:59:59.999999Z", InputHeld),
        ("2026-11-01", "2026-11-04T04:00:00Z", None),
        ("2026-10-01", "2026-12-05T09:00:00Z", PeriodClosed),
    ],
)
def test_a_close_comes_neither_too_early_nor_before_another(
    cut_off: str, now: str, kind: type[TallystickError] | None, ledger: Ledger
) -> None:
    if kind is PeriodClosed:
        close(ledger, a_catalog("skip"), "2026-11-01", "2026-11-05T09:00:00Z")
    before = ledger.journal()
    if kind is None:
        assert len(close(ledger, a_catalog(), cut_off, now).documents) == 3
        return
    with pytest.raises(kind, match=cut_off):
        close(ledger, a_catalog(), cut_off, now)
    assert ledger.journal() == before


def test_held_input_blocks_a_close_until_a_reason_is_given(ledger: Ledger) -> None:
    ledger.record_deliveries([DeliveryRow("gateway", "gw/a/x.log.gz", 1, 1, "", "held", "bad_gzip: truncated", 1)])
    now_us = parse_instant("2026-11-05T09:00:00Z", "")
    for waive in (None, "", "   "):
        with pytest.raises(InputHeld, match=r"gw/a/x\.log\.gz: bad_gzip: truncated") as caught:
            check_may_close(a_catalog(), ledger, date(2026, 11, 1), now_us, waive)
        assert caught.value.exit_code == 3
    check_may_close(a_catalog(), ledger, date(2026, 11, 1), now_us, "the file is known to be empty")


def test_the_journal_entry_commits_to_each_document_in_order(ledger: Ledger) -> None:
    result = close(ledger, a_catalog(fee=True), "2026-11-01", "2026-11-05T09:00:00Z")
    entry = json.loads(ledger.journal()[0].body)
    assert entry["documents"] == [{"number": d.number, "sha256": d.sha256} for d in result.documents]
    assert entry["root"] == root_hash([leaf_hash(salt(ledger.key, d.number), d.body) for d in result.documents]).hex()
    assert ledger.catalog(entry["catalog"]) == a_catalog(fee=True).archive()


def test_B6_fee_and_usage_of_a_month_have_one_period_in_every_zone(ledger: Ledger) -> None:
    close(ledger, a_catalog(fee=True), "2026-11-01", "2026-11-05T09:00:00Z")
    for document in ledger.documents():
        periods = {(x["period_start"], x["period_end"]) for x in json.loads(document.body)["lines"]}
        assert periods == {("2026-09-01", "2026-10-01"), ("2026-10-01", "2026-11-01"), ("2026-11-01", "2026-12-01")}


def test_verify_finds_what_a_close_has_written_consistent(ledger: Ledger, tmp_path: Path) -> None:
    close(ledger, a_catalog("skip"), "2026-11-01", "2026-11-05T09:00:00Z")
    result = verify(tmp_path / "home", tmp_path / "exports", tmp_path / "scratch")
    assert result.problems == ()


def test_a_held_file_that_a_close_has_waived_does_not_block_the_next(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        held = DeliveryRow("gw", "a.gz", 1, 1, "00", "held", "bad_gzip: cut", 0)
        ledger.record_deliveries([held])
        assert missing_input(ledger) == ["gw: a.gz: bad_gzip: cut"]
        body = {"cut_off": "2026-10-01", "skipped": [], "waived": {"reason": "lost", "held": missing_input(ledger)}}
        with ledger.transaction(Point.CLOSE_COMMITTED):
            ledger.append_journal("close", canonical_bytes(body))
        assert missing_input(ledger) == []
        ledger.record_deliveries([replace(held, path="b.gz")])
        assert missing_input(ledger, ["gw: .: unreadable"]) == ["gw: b.gz: bad_gzip: cut", "gw: .: unreadable"]


def locked(day: str) -> Catalog:
    texts = dict(CATALOG)
    return parse_catalog({**texts, "instance.yaml": f"{texts['instance.yaml']}locked_through: {day}\n"})


@pytest.mark.parametrize(
    ("through", "cut_off", "now", "said"),
    [
        ("2026-10-31", "2026-11-01", "2026-11-05T09:00:00Z", None),
        ("2026-11-01", "2026-11-01", "2026-11-05T09:00:00Z", "cut-off 2026-11-01"),
        ("2026-11-04", "2026-11-10", "2026-11-14T09:00:00Z", None),
        ("2026-11-20", "2026-11-10", "2026-11-20T23:59:59Z", "cut-off 2026-11-10"),
    ],
)
def test_books_that_are_locked_take_no_document_and_no_close(
    ledger: Ledger, through: str, cut_off: str, now: str, said: str | None
) -> None:
    if said is None:
        assert close(ledger, locked(through), cut_off, now).documents
        return
    with pytest.raises(PeriodClosed, match=f"locked through {through}: {said}") as caught:
        close(ledger, locked(through), cut_off, now)
    assert caught.value.exit_code == 7 and numbers(ledger) == []


def test_no_document_is_dated_on_the_locked_day_or_before_it(ledger: Ledger) -> None:
    """A close of an open cut-off with a clock that stands in the locked days: only the act of issuing can tell."""
    catalog = locked("2026-11-04")
    now_us, end = parse_instant("2026-11-04T23:59:59Z", ""), date(2026, 11, 5)
    groups = due_groups(catalog, ledger, rate_all(catalog, charged_segments(catalog, now_us), {}), end)
    with pytest.raises(PeriodClosed, match="issue date of 'seller' 2026-11-04"):
        issue(catalog, ledger, groups, end, {}, Knowledge(now_us, 0, "code"))
    later = parse_instant("2026-11-05T00:00:00Z", "")
    assert issue(catalog, ledger, groups, end, {}, Knowledge(later, 0, "code")).documents


def test_D3_a_void_and_its_reissue_are_numbered_by_their_series_folded_in_turn_and_journalled(ledger: Ledger) -> None:
    catalog = a_catalog()
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=5000, line_10=5000)
    rows = [("SEL-2026-000001", "true"), ("SEL-2026-000003", "false")]
    text = "".join(
        f"  - {{document: {number}, reissue: {anew}, reason: r, by: ana, approved_by: ben, on: 2026-11-20}}\n"
        for number, anew in rows
    )
    voided = parse_catalog({**catalog.files, "voids.yaml": f"voids:\n{text}"})
    for day in ("05", "06"):
        close(ledger, voided, "2026-12-01", f"2026-12-{day}T09:00:00Z", bengal_10=7000, line_10=7000)
    shown = [(d.number, d.customer, d.corrects, json.loads(d.body)["total"]) for d in ledger.documents()][3:]
    assert shown == [
        ("SEL-2026-000004", "bengal", "", "7.00"),
        ("SEL-2026-000005", "hudson", "", "0.00"),
        ("SEL-2026-000006", "line", "", "0.00"),
        ("SEL-CN-2026-000001", "bengal", "SEL-2026-000001", "-5.00"),
        ("SEL-CN-2026-000002", "line", "SEL-2026-000003", "-5.00"),
    ]
    entry = json.loads(ledger.journal()[-1].body)
    assert [(row["document"], row["approved_by"]) for row in entry["voided"]] == [(n, "ben") for n, _ in rows]
    close(ledger, voided, "2027-01-01", "2027-01-05T09:00:00Z", bengal_10=8000, line_10=8000)
    (last,) = [json.loads(d.body) for d in ledger.documents() if d.cut_off == "2027-01-01" and d.customer == "bengal"]
    # The reissued invoice is the original from now on; what was voided for good stays void.
    assert [(x["amount"], x["correction"]["document"]) for x in last["lines"] if x["kind"] == "correction"] == [
        ("1.00", "SEL-2026-000004")
    ]
    assert not [x for d in ledger.documents() if d.cut_off == "2027-01-01" and d.customer == "line"
                for x in json.loads(d.body)["lines"] if x["kind"] == "correction"]  # fmt: skip


def test_rows_that_void_what_is_no_invoice_of_the_ledger_are_refused(ledger: Ledger) -> None:
    catalog = a_catalog()
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=15000)
    close(ledger, catalog, "2026-12-01", "2026-12-05T09:00:00Z", bengal_10=5000)
    row = "voids:\n  - {{document: {}, reason: r, by: ana, on: 2026-12-06}}\n"
    check_voids(parse_catalog({**catalog.files, "voids.yaml": row.format("SEL-2026-000001")}), ledger)
    for number, said in (("SEL-2026-000099", "was not issued"), ("SEL-CN-2026-000001", "is a credit note")):
        with pytest.raises(PeriodClosed, match=said):
            check_voids(parse_catalog({**catalog.files, "voids.yaml": row.format(number)}), ledger)


def test_debit_notes_have_a_series_of_their_own_and_the_ledger_takes_them(ledger: Ledger) -> None:
    texts = a_catalog().files
    plan = texts["plans/basic.yaml"].replace("currency: USD\n", "currency: USD\ncorrections: own_document\n")
    catalog = parse_catalog({**texts, "plans/basic.yaml": plan})
    close(ledger, catalog, "2026-11-01", "2026-11-05T09:00:00Z", bengal_10=5000)
    close(ledger, catalog, "2026-12-01", "2026-12-05T09:00:00Z", bengal_10=9000)
    found = [(d.number, d.kind, d.corrects) for d in ledger.documents() if d.corrects]
    assert found == [("SEL-DN-2026-000001", "debit_note", "SEL-2026-000001")]
