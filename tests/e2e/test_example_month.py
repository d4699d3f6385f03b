"""The example month from logs to invoices: every line, every figure, every cent; then again, late, rebuilt, damaged."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from forecasts import coverage
from independent import Billed, LineKey, bill, measure, read_inbox, table
from instances import DERIVED, content, documents, file_hashes, ledger_rows, rows, tables
from reperformed import reperform, stated

from orchestration.audit.prove import prove
from orchestration.audit.verify import verify
from orchestration.catalog import load_catalog
from orchestration.cli import main
from orchestration.closing.close import CloseResult
from orchestration.demo import demo
from orchestration.example import GeneratedSummary, generate_late
from orchestration.example.profiles import PROFILES
from orchestration.ledger.store import Ledger
from orchestration.pipeline.close import close
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import RunResult, run
from orchestration.pipeline.watchtables import TABLES
from orchestration.settings import parse_instant

GOLDEN = Path(__file__).with_name("golden_month.sha256")
"""The hash of each canonical document of the example month, and its number."""
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
BUCKETS = ("lines", "accepted", "duplicate", "conflict", "quarantined", "blank")
Show = Callable[[str], None]


def at(home: Path, now: str) -> Context:
    return Context(Instance(home), parse_instant(now, "test"))


def command(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


# -- lines --------------------------------------------------------------------------------------------------------


def generated_lines(summary: GeneratedSummary) -> dict[str, tuple[int, ...]]:
    return {
        f.path: (f.lines, f.accepted, f.duplicate, f.conflict, sum(f.quarantined.values()), f.blank)
        for f in summary.files
    }


def test_every_line_of_every_file_ends_in_the_bucket_it_was_made_for(month) -> None:
    expected = generated_lines(month.result.generated)
    found = rows(month.home, f"SELECT path, {', '.join(BUCKETS)} FROM marts.ingest_files")
    assert {f"inbox/{path}": tuple(counts) for path, *counts in found} == expected
    assert len(found) == len(expected)


def test_sources_and_the_whole_add_up_to_what_was_generated(month, show: Show) -> None:
    summary = month.result.generated
    expected = {}
    for source in sorted({f.source for f in summary.files}):
        part = summary.of(source)
        broken = sum(part.quarantined.values())
        expected[source] = (part.lines, part.accepted, part.duplicate, part.conflict, broken, part.blank)
    found = rows(
        month.home,
        f"SELECT source, {', '.join(BUCKETS)} FROM marts.ingest_balance WHERE level = 'source' ORDER BY source",
    )
    assert {source: tuple(counts) for source, *counts in found} == expected
    whole = tuple(map(sum, zip(*(counts for _, *counts in found), strict=True)))
    taken = month.result.ran.ingest
    assert whole == tuple(getattr(taken, bucket) for bucket in BUCKETS)
    assert whole[0] == sum(whole[1:]) == summary.lines
    show(f"lines: {dict(zip(BUCKETS, whole, strict=True))}")


def test_quarantine_keeps_reason_place_and_bytes_of_each_line(month) -> None:
    found = rows(month.home, "SELECT path, line, reason, raw_hex FROM marts.quarantine")
    by_file: dict[str, Counter[str]] = defaultdict(Counter)
    for path, line, reason, raw_hex in found:
        by_file[f"inbox/{path}"][reason] += 1
        if not path.endswith(".parquet"):
            data = (month.home / "inbox" / path).read_bytes()
            data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
            assert data.split(b"\n")[line - 1] == bytes.fromhex(raw_hex), (path, line)
    assert {p: dict(c) for p, c in by_file.items()} == {
        f.path: f.quarantined for f in month.result.generated.files if f.quarantined
    }
    assert Counter(reason for _, _, reason, _ in found) == Counter(month.result.generated.quarantined)


def test_events_of_unknown_credentials_are_kept_and_counted(month) -> None:
    [(events,)] = rows(month.home, "SELECT sum(events) FROM marts.unattributed_usage")
    assert events == month.result.generated.unattributed > 0
    found = rows(month.home, "SELECT source, sum(events) FROM marts.unattributed_usage GROUP BY 1")
    summary = month.result.generated
    by_source = {s: summary.of(s).unattributed for s in {f.source for f in summary.files}}
    assert dict(found) == {s: n for s, n in by_source.items() if n}


def test_attributed_and_unattributed_events_are_all_accepted_ones(month) -> None:
    [(attributed,)] = rows(month.home, "SELECT sum(events) FROM metering.metered_hours")
    assert attributed + month.result.generated.unattributed == month.result.generated.accepted


# -- usage --------------------------------------------------------------------------------------------------------


def test_months_hold_the_numbers_that_were_generated(month) -> None:
    expected = month.result.generated.expected
    for meter, figures in {
        "requests": expected.requests,
        "egress_bytes": expected.egress_bytes,
        "prompt_tokens": expected.prompt_tokens,
        "completion_tokens": expected.completion_tokens,
        "compute_units": expected.compute_units,
    }.items():
        found = rows(
            month.home,
            f"SELECT customer, sum(quantity) FROM marts.usage_monthly WHERE meter = '{meter}' "
            "AND month_start = DATE '2026-10-01' GROUP BY customer",
        )
        assert {customer: q for customer, q in found if q} == {c: Decimal(q) for c, q in figures.items() if q}, meter


def test_peaks_and_active_users_are_those_that_were_generated(month) -> None:
    expected = month.result.generated.expected
    peaks = rows(
        month.home,
        "SELECT customer, value FROM marts.high_watermarks WHERE meter = 'storage_gb' "
        "AND month_start = DATE '2026-10-01' AND window_length = '1h'",
    )
    assert dict(peaks) == expected.peak_storage
    for meter, figures in (("active_users", expected.active_users), ("api_users", expected.api_users)):
        found = rows(
            month.home,
            f"SELECT customer, active_users FROM marts.active_users_monthly WHERE meter = '{meter}' "
            "AND month_start = DATE '2026-10-01' AND application = '(all)'",
        )
        assert {customer: n for customer, n in found if n} == figures, meter


def test_users_of_each_application_are_those_of_its_sessions(month) -> None:
    october = {}
    for profile in PROFILES:
        days = [datetime.combine(day, time(), ZoneInfo(profile.zone)) for day in (OCTOBER, NOVEMBER)]
        october[profile.account] = (profile.customer, *days)
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in (month.home / "inbox" / "app").iterdir():
        for line in path.read_text().splitlines():
            if not line.endswith("}"):
                continue
            event = json.loads(line)
            customer, begin, end = october[event["data"]["tenant"]]
            if "user" in event["data"] and begin <= datetime.fromisoformat(event["time"]) < end:
                users[customer, json.dumps({"source": event["source"]}, separators=(",", ":"))].add(
                    event["data"]["user"]
                )
    found = rows(
        month.home,
        "SELECT customer, application, active_users FROM marts.active_users_monthly WHERE meter = 'active_users' "
        "AND month_start = DATE '2026-10-01' AND application <> '(all)' AND active_users > 0",
    )
    assert {(customer, application): n for customer, application, n in found} == {k: len(v) for k, v in users.items()}
    expected = month.result.generated.expected.active_users
    by_both = {customer: sum(n for name, _, n in found if name == customer) for customer in expected}
    assert all(expected[customer] <= n for customer, n in by_both.items())
    assert any(expected[customer] < n for customer, n in by_both.items()), "nobody uses both"


def test_days_weeks_and_months_hold_the_same_sums(month) -> None:
    sums = [
        rows(
            month.home,
            f"SELECT customer, meter, sum(quantity) FROM marts.{name} WHERE aggregation IN ('count', 'sum') "
            "GROUP BY ALL ORDER BY ALL",
        )
        for name in ("usage_daily", "usage_weekly", "usage_monthly")
    ]
    assert sums[0] == sums[1] == sums[2]
    assert len(sums[0]) > 50


def test_requests_by_status_and_endpoint_are_those_that_were_generated(month) -> None:
    summary = month.result.generated
    october = "local_day BETWEEN DATE '2026-10-01' AND DATE '2026-10-31'"
    for query in (
        "SELECT customer, sum(requests) FROM marts.status_usage WHERE status_class IN ('success', 'client_error') AND",
        "SELECT customer, sum(success + client_errors) FROM marts.endpoint_usage WHERE",
    ):
        found = rows(month.home, f"{query} {october} GROUP BY customer")
        assert {customer: n for customer, n in found if n} == {c: n for c, n in summary.expected.requests.items() if n}
    classes = dict(rows(month.home, "SELECT status_class, sum(requests) FROM marts.status_usage GROUP BY 1"))
    assert min(classes.values()) > 1_000
    assert set(classes) == {"success", "client_error", "throttled", "server_error"}
    partner = summary.of("partner-gateway")
    [(known,)] = rows(month.home, "SELECT sum(latency_events) FROM marts.endpoint_usage")
    assert known == partner.accepted - partner.unattributed > 1_000
    [(least, most)] = rows(month.home, "SELECT min(latency_p50_us), max(latency_p99_us) FROM marts.endpoint_usage")
    assert 2_000 <= least < most <= 102_000


# -- money --------------------------------------------------------------------------------------------------------


def key_of(line: dict[str, str]) -> LineKey:
    return LineKey(line["subscription"], line["charge"], line["period_start"], line["start"])


@pytest.fixture(scope="module")
def billed(month) -> dict[LineKey, Billed]:
    """All lines of October and November, computed without the project's code."""
    catalog = month.home / "catalog"
    return bill(catalog, measure(catalog, read_inbox(month.home / "inbox")), [OCTOBER, NOVEMBER])


def test_every_invoice_is_what_an_independent_computation_says(month, billed, show: Show) -> None:
    due = {key: line for key, line in billed.items() if line.due <= NOVEMBER}
    issued = documents(month.home)
    found = {key_of(line): Decimal(line["amount"]) for body in issued for line in body["lines"]}
    assert found == {key: line.amount for key, line in due.items()}
    assert sum(len(body["lines"]) for body in issued) == len(found)
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in due.values():
        totals[line.customer, line.currency] += line.amount
    assert {(b["buyer"]["customer"], b["currency"]): Decimal(b["total"]) for b in issued} == totals
    assert {customer for customer, _ in totals} == {r["customer"] for r in table(month.home / "catalog/customers.csv")}
    by_currency: Counter[str] = Counter()
    for body in issued:
        by_currency[body["currency"]] += Decimal(body["total"])
    show(f"issued: {len(issued)} documents, {dict(by_currency)}")


def test_every_document_of_the_month_is_made_again_from_its_bundle_alone(copied: Path, tmp_path: Path) -> None:
    with Ledger.open(copied) as ledger:
        numbers = [row.number for row in ledger.documents()]
        for number in numbers:
            prove(ledger, number, tmp_path / number, tmp_path / "scratch")
    assert len(numbers) == 24
    for number in numbers:
        assert reperform(tmp_path / number) == stated(tmp_path / number), number


def test_F59_every_document_of_the_example_month_is_byte_for_byte_what_it_has_always_been(month) -> None:
    """An upgrade of the engine, or a change of this program, that alters a byte of what is issued is seen here. Where
    it is meant, the rules have another version, and what this test found is written to the file."""
    found = ledger_rows(month.home, "SELECT sha256 || '  ' || number FROM documents ORDER BY number")
    assert "".join(f"{line}\n" for (line,) in found) == GOLDEN.read_text()


def test_lines_sum_to_totals_and_numbers_have_no_gap(month) -> None:
    for body in documents(month.home):
        assert sum(Decimal(line["amount"]) for line in body["lines"]) == Decimal(body["subtotal"])
        assert Decimal(body["subtotal"]) + Decimal(body["tax"]) == Decimal(body["total"])
        assert [line["position"] for line in body["lines"]] == [str(n + 1) for n in range(len(body["lines"]))]
    series: dict[str, list[int]] = defaultdict(list)
    for number, name, sequence in ledger_rows(month.home, "SELECT number, series, sequence FROM documents"):
        assert number == f"{name}-{sequence:06d}"
        series[name].append(sequence)
    assert {name: sorted(found) for name, found in series.items()} == {
        name: list(range(1, len(found) + 1)) for name, found in series.items()
    }
    assert set(series) == {"TSE-2026", "TSU-2026"}


def test_exports_and_warehouse_say_what_the_ledger_says(month) -> None:
    folder = month.home / "exports" / "2026-11-01"
    bodies = {body["number"]: body for body in documents(month.home)}
    invoices, lines = table(folder / "invoices.csv"), table(folder / "invoice_lines.csv")
    assert {r["number"]: (r["currency"], r["customer"], r["total"]) for r in invoices} == {
        n: (b["currency"], b["buyer"]["customer"], b["total"]) for n, b in bodies.items()
    }
    assert len(invoices) == len(bodies)
    wanted = [
        (number, line["position"], line["charge"], line["quantity"], line["amount"])
        for number, body in bodies.items()
        for line in body["lines"]
    ]
    exported = [(r["number"], r["position"], r["charge"], r["quantity"], r["amount"]) for r in lines]
    assert sorted(exported) == sorted(wanted)
    assert {p.stem: json.loads(p.read_bytes()) for p in (folder / "documents").iterdir()} == bodies
    stored = rows(
        month.home, "SELECT number, CAST(position AS VARCHAR), charge, quantity, amount FROM marts.invoice_lines"
    )
    assert sorted(stored) == sorted((n, p, c, Decimal(q), Decimal(a)) for n, p, c, q, a in wanted)
    totals = rows(month.home, "SELECT number, total FROM marts.invoices")
    assert dict(totals) == {n: Decimal(b["total"]) for n, b in bodies.items()}


# -- again --------------------------------------------------------------------------------------------------------


def test_a_second_demo_and_a_second_run_add_nothing(copied: Path, capsys) -> None:
    before, link = file_hashes(copied), (copied / "warehouse" / "current").readlink()
    again = demo(Instance(copied), lambda _: None, scale=100)
    assert not again.ran.built
    assert (again.ran.ingest.batches, again.ran.ingest.files, again.closed.documents) == ([], 0, ())
    assert command("run", "--home", str(copied), "--now", "2026-11-05T09:00:00Z") == 0
    assert command("close", "2026-10", "--home", str(copied), "--now", "2026-11-05T09:00:00Z") == 0
    after = file_hashes(copied)
    assert {p for p in {*before, *after} if before.get(p) != after.get(p)} - {".lock"} == set()
    assert (copied / "warehouse" / "current").readlink() == link


@pytest.mark.parametrize("kind", ["gateways/eu", "llm", "storage", "partner"])
def test_one_flipped_byte_of_a_raw_file_is_named(copied: Path, kind: str, capsys) -> None:
    paths = ledger_rows(copied, f"SELECT path, sha256, size FROM files WHERE path LIKE '{kind}/%' ORDER BY file_id")
    path, sha256, size = paths[len(paths) // 2]
    raw = copied / "raw" / sha256[:2] / sha256
    data = bytearray(raw.read_bytes())
    assert len(data) == size
    data[size // 2] ^= 1
    raw.chmod(0o600)
    raw.write_bytes(data)
    assert command("verify", "--home", str(copied)) == 5
    said = "".join(capsys.readouterr().err.split())
    assert sha256 in said
    assert path in said


# -- late, and from nothing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late:
    """The month after late files, and its November closed. `*_by_then` are hashes and numbers of before."""

    home: Path
    summary: GeneratedSummary
    ran: RunResult
    issued_by_then: dict[str, bytes]
    exports_by_then: dict[str, str]
    draft_corrections: list[tuple[str, str, Decimal]]
    closed: CloseResult
    closed_again: CloseResult


@pytest.fixture(scope="module")
def late(month, tmp_path_factory: pytest.TempPathFactory) -> Late:
    home = tmp_path_factory.mktemp("late") / "home"
    shutil.copytree(month.home, home, symlinks=True)
    issued, exports = issued_bytes(home), file_hashes(home / "exports")
    summary = generate_late(home, report=lambda _: None)
    ran = run(at(home, "2026-11-10T09:00:00Z"))
    assert issued_bytes(home) == issued
    # October is closed: a close of it again issues nothing, whatever came late.
    assert close(at(home, "2026-11-10T10:00:00Z"), NOVEMBER).documents == ()
    drafts = rows(
        home,
        "SELECT customer, charge, amount FROM marts.invoice_draft_lines WHERE kind = 'correction' ORDER BY ALL",
    )
    # The example ends with October, so in November every gateway is silent.
    closed = close(at(home, "2026-12-05T09:00:00Z"), date(2026, 12, 1), waive="the example has no November")
    again = close(at(home, "2026-12-06T09:00:00Z"), date(2026, 12, 1))
    return Late(home, summary, ran, issued, exports, drafts, closed, again)


def issued_bytes(home: Path) -> dict[str, bytes]:
    return dict(ledger_rows(home, "SELECT number, body FROM documents WHERE cut_off = '2026-11-01'"))


def test_late_files_are_counted_as_they_were_generated(late: Late) -> None:
    taken = late.ran.ingest
    assert (taken.lines, taken.accepted, taken.blank) == (late.summary.lines, late.summary.accepted, late.summary.blank)
    assert taken.lines == taken.accepted + taken.blank
    assert taken.files == len(late.summary.files)


def test_late_usage_changes_no_issued_document(late: Late) -> None:
    assert issued_bytes(late.home) == late.issued_by_then
    exports = file_hashes(late.home / "exports")
    assert {p: h for p, h in exports.items() if p.startswith("2026-11-01/")} == late.exports_by_then


def test_the_next_close_bills_late_usage_once_and_no_later_one_finds_more(
    month, late: Late, billed, show: Show
) -> None:
    known = bill(
        month.home / "catalog",
        measure(month.home / "catalog", read_inbox(late.home / "inbox")),
        [OCTOBER, NOVEMBER, date(2026, 12, 1)],
    )
    december = date(2026, 12, 1)
    expected: dict[LineKey, Decimal] = {}
    for key, line in known.items():
        if key in billed and billed[key].due <= NOVEMBER:
            if line.amount != billed[key].amount:
                expected[key] = line.amount - billed[key].amount
        elif line.due <= december:
            expected[key] = line.amount
    issued = documents(late.home, "2026-12-01")
    found = {key_of(line): Decimal(line["amount"]) for body in issued for line in body["lines"]}
    assert found == expected
    corrections = sorted(
        (line["customer"], line["charge"], Decimal(line["amount"]))
        for body in issued
        for line in body["lines"]
        if line["kind"] == "correction"
    )
    assert corrections == late.draft_corrections
    assert {customer for customer, _, _ in corrections} >= {"aurora-analytics", "cobalt-robotics", "ganges-pay"}
    assert late.closed_again.documents == ()
    left = rows(late.home, "SELECT count(*) FROM marts.invoice_draft_lines WHERE kind = 'correction'")
    assert left == [(0,)]
    show(f"late: {late.summary.lines} lines, {len(corrections)} corrections, {sum(c[2] for c in corrections)} in all")


def test_everything_derived_comes_back_the_same_from_raw_files_and_ledger(
    late: Late, tmp_path: Path, show: Show
) -> None:
    home = tmp_path / "home"
    shutil.copytree(late.home, home, symlinks=True)
    lake, exports = file_hashes(home / "lake"), file_hashes(home / "exports")
    names = tables(home, "marts", "metering", "record")
    assert len(names) > 25
    marts = content(home, names)
    for folder in DERIVED:
        shutil.rmtree(home / folder, ignore_errors=True)
    assert close(at(home, "2026-12-06T09:00:00Z"), date(2026, 12, 1)).documents == ()
    assert file_hashes(home / "lake") == lake
    assert file_hashes(home / "exports") == exports
    again = content(home, names)
    # The ages of what leaks are those at the run's now, which is a day later.
    of_now = {"record.books", "record.leaks"}
    assert {n: again[n] for n in names if again[n] != marts[n] and n not in of_now} == {}
    checked = verify(home, home / "exports", home / "scratch" / "verify")
    assert checked.problems == ()
    show(f"rebuilt: {len(lake)} lake files, {len(names)} tables, {len(exports)} exports the same; {checked.summary}")


def test_exported_text_is_plain_csv(month) -> None:
    """A spreadsheet and a parser must see the same columns, whatever quotes and signs a name holds."""
    path = month.home / "exports" / "2026-11-01" / "invoices.csv"
    with path.open(newline="", encoding="utf-8") as handle:
        found = list(csv.reader(handle, strict=True))
    assert {len(row) for row in found} == {len(found[0])}
    names = {row["customer"]: row["name"] for row in table(month.home / "catalog" / "customers.csv")}
    assert {row["customer"]: row["customer_name"] for row in table(path)} == names


def test_what_came_lay_in_nine_of_ten_intervals_that_drafts_would_have_shown(month, show: Show) -> None:
    database = (month.home / "warehouse" / "current").resolve() / "tallystick.duckdb"
    with duckdb.connect(str(database), read_only=True) as con:
        inside, forecasts = coverage(con, load_catalog(month.home / "catalog"), OCTOBER, NOVEMBER)
    show(f"forecasts of drafts: {inside} of {forecasts} totals lay in their 90 % interval ({inside / forecasts:.1%})")
    assert forecasts > 400
    assert 0.85 <= inside / forecasts <= 0.95


def test_the_days_of_revenue_are_those_of_the_lines_and_no_money_is_inexact(month) -> None:
    lines = rows(month.home, "SELECT currency, sum(amount), sum(issued) FROM marts.rated_usage GROUP BY 1 ORDER BY 1")
    days = rows(month.home, "SELECT currency, sum(amount), sum(billed) FROM marts.revenue_daily GROUP BY 1 ORDER BY 1")
    assert lines == days
    inexact = "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
    inexact += "WHERE NOT internal AND data_type IN ('FLOAT', 'DOUBLE')"
    # What is watched is no money.
    assert [row for row in rows(month.home, inexact) if row[0] != "marts" or row[1] not in TABLES] == []
