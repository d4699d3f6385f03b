"""Schema drift and missing input through runs and closes: what a person is told, and what a close refuses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
import tiny
from instances import documents, ledger_rows, rows

from orchestration.console import print_overview
from orchestration.errors import InputHeld
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.overview import overview
from orchestration.pipeline.run import RunResult, run
from orchestration.settings import parse_instant

OCTOBER_HOLE = "gateway?node=node-2: no event from 2024-10-20T03:00Z to 2024-10-20T05:00Z"
NOVEMBER_HOLE = "gateway?node=node-2: no event from 2024-11-02T10:00Z to 2024-11-02T11:00Z"
NODE_2_ENDED = "gateway?node=node-2: no event since 2024-12-03T00:00Z"
HOLES = {date(2024, 10, 20): (3, 4), date(2024, 11, 2): (10,)}


def hourly_log(home: Path, first: date, last: date, garbage: int = 0) -> None:
    """A log of node-2 with a request of alder in each hour from one day to another, but for those of HOLES."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    lines = [
        f'198.51.100.7 - ak_alder [{day:%d/%b/%Y}:{hour:02d}:30:00 +0000] "GET /v1/items/1 HTTP/1.1" 200 1 "-" "x"\n'
        for day in days
        for hour in range(24)
        if hour not in HOLES.get(day, ())
    ]
    folder = home / "inbox" / "logs" / "node-2"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"access-{first}.log").write_text("".join(lines) + "garbage\n" * garbage)


def sessions(home: Path, day: date, count: int, **data: object) -> None:
    events = [
        {
            "specversion": "1.0",
            "id": f"{day}-{n}",
            "source": "app",
            "type": "session",
            "subject": "ak_birch",
            "time": f"{day}T{n // 60:02d}:{n % 60:02d}:00Z",
            "data": {key: f"{value}{n % 5}" if isinstance(value, str) else value for key, value in data.items()},
        }
        for n in range(count)
    ]
    (home / "inbox" / "events" / f"{day}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


@dataclass
class Told:
    """An instance over two months, and what each step said."""

    home: Path
    first: RunResult
    refused: str
    second: RunResult
    refused_next: str


def refused(context: Context, month: str) -> str:
    with pytest.raises(InputHeld) as caught:
        close(context, parse_cut_off(month))
    return str(caught.value)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = tiny.make(tmp_path_factory.mktemp("drift") / "home")
    hourly_log(home, date(2024, 10, 1), date(2024, 11, 4))
    for day in (10, 11, 12):
        sessions(home, date(2024, 10, day), 60, user="user-", level="1")
    november = Context(Instance(home), parse_instant(tiny.NOW, "test"))
    first = run(november)
    refusal = refused(november, tiny.MONTH)
    close(november, parse_cut_off(tiny.MONTH), waive="node-2 was down")

    hourly_log(home, date(2024, 11, 5), date(2024, 12, 2), garbage=20)
    sessions(home, date(2024, 11, 10), 60, usr="user-", level=1)
    december = Context(Instance(home), parse_instant("2024-12-05T09:00:00Z", "test"))
    second = run(december)
    return Told(home, first, refusal, second, refused(december, "2024-11"))


def test_f24_a_hole_in_an_hourly_stream_is_told_by_run_and_status_and_stands_in_the_warehouse(told: Told) -> None:
    assert list(told.first.notices) == [OCTOBER_HOLE, NOVEMBER_HOLE]
    assert told.first.problems == []
    found = rows(told.home, "SELECT stream, kind, from_time::VARCHAR, to_time::VARCHAR, what FROM marts.missing_input")
    assert found == [
        ("gateway?node=node-2", "silence", "2024-10-20 03:00:00", "2024-10-20 05:00:00", OCTOBER_HOLE),
        ("gateway?node=node-2", "silence", "2024-11-02 10:00:00", "2024-11-02 11:00:00", NOVEMBER_HOLE),
        ("gateway?node=node-2", "silence", "2024-12-03 00:00:00", None, NODE_2_ENDED),
    ]


def test_f24_status_shows_what_a_run_told(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    view = overview(Instance(told.home))
    assert list(view.notices) == list(told.second.notices)
    print_overview(view)
    shown = capsys.readouterr().out
    assert [notice for notice in view.notices if f"look at: {notice}\n" not in shown] == []


def test_f24_a_close_names_the_holes_of_its_own_periods_and_no_others(told: Told) -> None:
    assert OCTOBER_HOLE in told.refused
    assert NOVEMBER_HOLE not in told.refused
    assert NOVEMBER_HOLE in told.refused_next
    assert OCTOBER_HOLE not in told.refused_next
    assert "1 input(s) were not counted" in told.refused
    assert "1 input(s) were not counted" in told.refused_next


def test_f24_a_waiver_issues_and_stands_in_the_journal_with_what_was_missing(told: Told) -> None:
    [(body,)] = ledger_rows(told.home, "SELECT body FROM journal WHERE kind = 'close'")
    assert json.loads(body)["waived"] == {"reason": "node-2 was down", "held": [OCTOBER_HOLE]}
    assert {d["cut_off"] for d in documents(told.home)} == {"2024-11-01"}


def test_f42_what_changed_with_the_newest_files_is_told_and_first_of_all_what_the_mapping_reads(told: Told) -> None:
    assert told.second.notices == (
        "app: field 'data.user', which its mapping reads, has vanished; last seen in events/2024-10-12.jsonl",
        "app: field 'data.level' has another type since events/2024-11-10.jsonl (string, number)",
        "app: new field 'data.usr' (string) since events/2024-11-10.jsonl",
        "gateway: 2.89 % of the lines of 2024-12-02 are quarantined, usually 0.11 %",
        OCTOBER_HOLE,
        NOVEMBER_HOLE,
        NODE_2_ENDED,
    )


def test_f42_each_field_has_its_first_and_last_file_and_its_share_before_and_now(told: Told) -> None:
    found = rows(
        told.home,
        "SELECT field, mapped, status, recent, types, first_file, last_day::VARCHAR, files_with, files_without, "
        "percent_before::VARCHAR, percent_latest::VARCHAR FROM marts.schema_drift "
        "WHERE source = 'app' AND field LIKE 'data._%' ORDER BY field",
    )
    day, early, late = "events/day.jsonl", "events/2024-10-10.jsonl", "events/2024-11-10.jsonl"
    assert found == [
        ("data.gb", True, "steady", False, "string", day, "2024-10-03", 1, 4, "4.00", "0.00"),
        ("data.level", False, "type_changed", True, "string, number", early, "2024-11-10", 4, 1, "90.00", "100.00"),
        ("data.user", True, "vanished", True, "string", day, "2024-10-12", 4, 1, "95.50", "0.00"),
        ("data.usr", False, "new", True, "string", late, "2024-11-10", 1, 4, "0.00", "100.00"),
    ]


def test_f42_the_share_of_quarantined_lines_is_held_against_all_days_before(told: Told) -> None:
    found = rows(
        told.home,
        "SELECT utc_day::VARCHAR, lines, quarantined, quarantined_percent::VARCHAR, usual_percent::VARCHAR, unusual "
        "FROM marts.quarantine_shares WHERE source = 'gateway' ORDER BY utc_day",
    )
    hours, later = 35 * 24 - 3, 28 * 24
    assert found == [
        ("2024-10-03", 39, 1, "2.56", None, False),
        ("2024-11-04", hours, 0, "0.00", "2.56", False),
        ("2024-12-02", later + 20, 20, "2.89", "0.11", True),
    ]
    [(lines, quarantined)] = rows(
        told.home, "SELECT sum(lines), sum(quarantined) FROM marts.quarantine_shares WHERE source = 'gateway'"
    )
    assert (lines, quarantined) == (39 + hours + later + 20, 21)
