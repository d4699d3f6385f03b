"""What a time means: offsets, zones, leap seconds, the window; and what is no time."""

from __future__ import annotations

import json
from typing import Any

from orchestration.ingest.formats import FORMATS

DAY = 86_400_000_000
FIRST = 1790812800_000000  # 2026-10-01T00:00:00Z

GOOD = {
    "2026-10-01T00:00:00Z": FIRST,
    "2026-10-01t00:00:00z": FIRST,
    "2026-10-01 00:00:00Z": FIRST,
    "2026-10-01T14:00:00+14:00": FIRST,
    "2026-10-01T00:00:00-00:00": FIRST,
    "2026-09-30T18:30:00.5-05:30": FIRST + 500_000,
    "2026-10-01T00:00:00.123456Z": FIRST + 123_456,
    "2026-10-01T23:59:59.999999999Z": FIRST + DAY - 1,
    "2026-09-30T23:59:60Z": FIRST - 1,
    "2026-09-30T23:59:60.5Z": FIRST - 1,
    "2024-02-29T00:00:00Z": 1709164800_000000,
    "2000-01-01T00:00:00Z": 946684800_000000,
    "2026-11-01T00:05:00Z": 1793491500_000000,
}
BAD = {
    "": "no_time",
    "2026-10-01T00:00:00": "no_zone",
    "2026-02-30T00:00:00Z": "bad_time",
    "2025-02-29T00:00:00Z": "bad_time",
    "2026-10-01T24:00:00Z": "bad_time",
    "2026-10-01T00:00:61Z": "bad_time",
    "2026-10-01T00:00:00+25:00": "bad_time",
    "2026-10-01T00:00:00+0530": "bad_time",
    "2026-10-01": "bad_time",
    "2026-10-01T00:00Z": "bad_time",
    "infinity": "bad_time",
    "epoch": "bad_time",
    "now": "bad_time",
    "1790812800": "bad_time",
    "1790812800000": "bad_time",
    "2026-10-01T00:00:00 Europe/Berlin": "bad_time",
    " 2026-10-01T00:00:00Z": "bad_time",
    "2026-11-01T00:05:00.000001Z": "time_out_of_window",
    "2027-11-01T00:00:00Z": "time_out_of_window",
    "1999-12-31T23:59:59Z": "time_out_of_window",
    "1970-01-01T00:00:00Z": "time_out_of_window",
    "0001-01-01T00:00:00Z": "time_out_of_window",
    "9999-12-31T23:59:59Z": "time_out_of_window",
}


def test_F27_F28_times_are_read_exactly_or_quarantined_with_their_reason(instance: Any, make_source: Any) -> None:
    texts = [*GOOD, *BAD, None, 1790812800]
    events = [{"id": f"e{n}", "source": "s", "type": "t", "time": text} for n, text in enumerate(texts)]
    instance.put("a.jsonl", "".join(json.dumps(e) + "\n" for e in events))
    instance.run(make_source(format="cloudevents"))
    assert [row["time_us"] for row in instance.events()] == list(GOOD.values())
    # A number is the text that was written: no unit is guessed.
    expected = [*BAD.values(), "no_time", "bad_time"]
    assert [reason for _, reason, _ in instance.quarantine()] == expected


def test_F28_times_of_access_logs(instance: Any, make_source: Any) -> None:
    times = ["01/Oct/2026:05:30:00 +0530", "30/Sep/2026:23:59:60 +0000", "01/Oct/2026:00:00:00.25 +0000"]
    bad = [
        "01/Oct/2026:00:00:00",
        "31/Sep/2026:00:00:00 +0000",
        "01/Okt/2026:00:00:00 +0000",
        "1/Oct/2026:00:00:00 +0000",
    ]
    bad += ["01/Oct/2026:24:00:00 +0000", "01/Oct/2026:00:00:00 +2500", "-", "01/Oct/2027:00:00:00 +0000"]
    instance.put("a.log", "".join(f'1.1.1.1 - k [{t}] "GET / HTTP/1.1" 200 1 "-" "x"\n' for t in times + bad))
    instance.run(make_source())
    assert [row["time_us"] for row in instance.events()] == [FIRST, FIRST - 1, FIRST + 250_000]
    reasons = ["no_zone", *["bad_time"] * 6, "time_out_of_window"]
    assert [reason for _, reason, _ in instance.quarantine()] == reasons


def test_a_declared_zone_is_used_only_where_none_is_written(instance: Any, make_source: Any) -> None:
    rows = {
        "2026-07-01T02:00:00": 1782864000_000000,  # summer, +02:00
        "2026-01-01T01:00:00": 1767225600_000000,  # winter, +01:00
        "2026-10-25T02:30:00": 1792888200_000000,  # shown twice: the first, still +02:00
        "2026-03-29T02:30:00": 1774747800_000000,  # never shown: by the offset before the gap, +01:00
        "2026-10-25T03:00:00": 1792893600_000000,
        "2026-07-01T02:00:00Z": 1782871200_000000,
    }
    instance.put("a.csv", "id,t\n" + "".join(f"{n},{text}\n" for n, text in enumerate(rows)))
    instance.run(make_source(format="csv", zone="Europe/Berlin", fields={"id": "id", "time": "t"}))
    assert [row["time_us"] for row in instance.events()] == list(rows.values())


def test_the_batch_now_decides_the_window_and_not_the_clock(instance: Any, make_source: Any) -> None:
    instance.put("a.csv", "id,t\n1,2026-10-01T00:00:00Z\n2,2026-10-02T00:00:00Z\n")
    report = instance.run(make_source(format="csv", fields={"id": "id", "time": "t"}), now=FIRST - 300_000_000)
    assert (report.accepted, report.reasons) == (1, {"time_out_of_window": 1})


def test_every_format_is_registered_under_its_own_name() -> None:
    assert {name: form.name for name, form in FORMATS.items()} == {name: name for name in FORMATS}
