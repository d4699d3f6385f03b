"""What watching finds in the real access logs, with the lines behind it: the figures of docs/findings.md."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from real_requests import LINE, Finding, Row, failing, of_an_hour, requests

from orchestration.monitoring.backoff import Attempt, behaviours, storms
from orchestration.monitoring.kinds import KINDS
from orchestration.monitoring.limiters import Limit
from orchestration.monitoring.throttling import Policy, Request, episodes, replay

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
LOGS = SHARED / "data" / "logs"
pytestmark = pytest.mark.skipif(
    len(list(LOGS.glob("tomcat-access.log.[1-9]"))) != 9 or not (LOGS / "apache_logs.log").exists(),
    reason=f"the ten known logs are not in {LOGS}",
)
LEAST = {kind.name: kind.least for kind in KINDS}
MINUTE = 60_000_000
HOUR = 60 * MINUTE


@pytest.fixture(scope="module")
def api() -> list[Row]:
    """Nine days of a public data API."""
    return requests(LOGS, "tomcat-access.log.*")


@pytest.fixture(scope="module")
def site() -> list[Row]:
    """Four days of a web site."""
    return requests(LOGS, "apache_logs.log")


def unknown(row: Row) -> bool:
    return row.status in (400, 404, 405)


def served(row: Row) -> bool:
    return row.status < 400


def short(name: str) -> str:
    return name.removeprefix("tomcat-access.log.")


def seconds(found: Finding, lines: dict[tuple[str, int], Row]) -> int:
    """How long it took."""
    return (lines[found.last].time_us - lines[found.first].time_us) // 1_000_000


def test_the_logs_are_those_that_the_findings_are_of(api: list[Row], site: list[Row]) -> None:
    assert (len(api), len({row.address for row in api}), len(site)) == (10_479, 917, 9_999)
    texts = [path.read_text("utf-8", "replace").split("\n") for path in LOGS.glob("tomcat-access.log.[1-9]")]
    assert sum(bool(line) and LINE.match(line) is None for text in texts for line in text) == 5_796
    assert {row.line for row in site} == set(range(1, 10_001)) - {8_899}


def test_nine_scans_for_unknown_paths_are_found_and_all_of_them_are(api: list[Row], site: list[Row]) -> None:
    found = of_an_hour(api, unknown, LEAST["endpoint_probing"])
    assert [(short(f.first[0]), f.first[1], f.last[1], f.requests, f.paths) for f in found] == [
        ("1", 237, 261, 25, 25),
        ("1", 291, 316, 26, 26),
        ("1", 592, 616, 25, 25),
        ("3", 427, 451, 25, 25),
        ("3", 1134, 1148, 15, 15),
        ("4", 276, 301, 25, 25),
        ("4", 487, 511, 25, 25),
        ("5", 1301, 1730, 428, 428),
        ("5", 2189, 2267, 23, 23),
    ]
    lines = {(row.file, row.line): row for row in api}
    for scan in found:
        asked = [lines[scan.first[0], n] for n in range(scan.first[1], scan.last[1] + 1) if (scan.first[0], n) in lines]
        sought = [row.path for row in asked if unknown(row) and ("php" in row.path or "." in row.path)]
        assert len(sought) >= scan.requests * 0.9, "what is sought has no place in this API"
    assert [seconds(scan, lines) for scan in found] == [15, 37, 15, 38, 58, 199, 65, 341, 110]
    # Counted by requests, as the kind does, there is one scan more: of two paths, again and again.
    hours: dict[tuple[str, int], list[Row]] = {}
    for row in filter(unknown, api):
        hours.setdefault((row.address, row.time_us // HOUR), []).append(row)
    many = {(asked[0].file, asked[0].line) for asked in hours.values() if len(asked) >= LEAST["endpoint_probing"]}
    assert many == {scan.first for scan in found} | {("tomcat-access.log.5", 1212)}
    # The site sees them one request at a time: too few in an hour for an alarm.
    assert of_an_hour(site, unknown, LEAST["endpoint_probing"]) == []
    for_wordpress = [row.line for row in site if unknown(row) and "wp-" in row.path]
    assert (len(for_wordpress), {379, 893, 2170} <= set(for_wordpress)) == (35, True)
    assert lines["tomcat-access.log.7", 844].path == "/.git/config"


def test_what_looks_like_scraping_is_three_harvesters_a_crawler_and_two_readers(
    api: list[Row], site: list[Row]
) -> None:
    lines = {(row.file, row.line): row for row in (*api, *site)}
    found = of_an_hour(api, served, LEAST["scraping"])
    by_client = Counter(lines[f.first].agent for f in found)
    assert by_client == {"curl/7.54.0": 20, "Python-urllib/2.7": 9, "'Mozilla/5.0": 3}
    by_address = Counter((lines[f.first].agent, lines[f.first].address) for f in found)
    assert sorted(by_address.values()) == [3, 7, 9, 13], "two of them call themselves curl"
    assert len({f.first[0] for f in found if lines[f.first].agent == "Python-urllib/2.7"}) == 9, "one a day"
    told = {(short(f.first[0]), f.first[1], f.last[1]) for f in found}
    assert told >= {("9", 416, 732), ("7", 1063, 1592), ("6", 435, 993), ("5", 1732, 2056)}
    assert told >= {("9", 69, 149), ("8", 68, 149), ("7", 346, 430)}
    assert told >= {("5", 611, 738), ("5", 743, 834), ("5", 836, 955)}
    readers = of_an_hour(site, served, LEAST["scraping"])
    assert [(f.first[1], f.last[1], f.requests, f.paths) for f in readers] == [
        (2715, 2784, 84, 51),
        (7327, 7335, 51, 51),
        (7588, 7601, 75, 75),
    ]


def test_one_harvester_makes_most_requests_and_another_takes_most_bytes(api: list[Row]) -> None:
    total = sum(row.size for row in api)
    made = Counter(row.address for row in api)
    busiest = [row for row in api if row.address == made.most_common(1)[0][0]]
    assert ({row.agent for row in busiest}, len(busiest)) == ({"curl/7.54.0"}, 4_650)
    assert sum("subscriptions/add.html" in row.path for row in busiest) == 1_346
    copying = [row for row in api if row.agent == "Python-urllib/2.7"]
    shares = [round(100 * n / whole) for n, whole in ((4_650, len(api)), (sum(r.size for r in busiest), total))]
    assert [*shares, round(100 * sum(row.size for row in copying) / total)] == [44, 1, 65]


def test_a_limit_of_sixty_a_minute_would_have_met_two_harvesters_one_scan_and_two_readers(
    api: list[Row], site: list[Row]
) -> None:
    policy = Policy("minute", Limit("sliding_window", 60, MINUTE), per="address")
    found: list[tuple[str, int, int, int]] = []
    harvesters: set[str] = set()
    for rows in (api, site):
        log = [Request(row.time_us, address=row.address) for row in rows]
        over = list(replay([policy], log, "policy"))
        for each in episodes(over, 5 * MINUTE):
            of = [rows[v.place] for v in over if v.client == each.client and each.from_us <= v.time_us <= each.to_us]
            found.append((short(of[0].file), of[0].line, of[-1].line, each.over))
            harvesters |= {of[0].address} if of[0].agent == "curl/7.54.0" else set()
        assert sum(v.refused for v in over) == 0, "no gateway refused anything here"
    assert found == [
        ("8", 1395, 1527, 115),
        ("8", 1999, 2061, 57),
        ("5", 1360, 1696, 80),
        ("1", 390, 429, 40),
        ("apache_logs.log", 2609, 2667, 48),
        ("apache_logs.log", 2712, 2784, 24),
        ("apache_logs.log", 7576, 7601, 15),
    ]
    assert len(harvesters) == 2


def test_nobody_was_refused_so_nobody_backs_off_and_no_storm_is_seen(api: list[Row], site: list[Row]) -> None:
    for rows in (api, site):
        tries = [Attempt(f"{r.address} {r.agent}", r.path, r.time_us, r.time_us, r.status in (429, 503)) for r in rows]
        assert behaviours(tries) == [] and storms(tries) == []
    assert [row for row in api if row.status in (401, 403)] == []
    assert [(row.line, row.status) for row in site if row.status in (401, 403)] == [(3029, 403), (8686, 403)]
    hours = Counter(row.time_us // HOUR for row in api)
    assert len(hours) == 9 * 24, "no hour without a request: nothing dropped to zero"


def test_integrations_that_fail_are_the_scans_and_a_client_that_asks_for_what_is_gone(
    api: list[Row], site: list[Row]
) -> None:
    found = [(library, short(f.first[0]), f.first[1], f.requests, errors) for library, f, errors in failing(api)]
    assert found == [
        ("xpublish-erddap", "1", 237, 25, 25),
        ("Friendly_Crawler", "1", 291, 26, 26),
        ("python-httpx", "1", 592, 25, 25),
        ("Friendly_Crawler", "3", 427, 25, 25),
        ("Wget", "4", 276, 25, 25),
        ("python-requests", "4", 487, 25, 25),
        ("python-requests", "5", 1212, 32, 23),
        ("Python-urllib", "5", 1300, 429, 428),
        ("python-httpx", "5", 2189, 23, 23),
    ]
    assert [(library, f.first[1], f.last[1], f.requests, errors) for library, f, errors in failing(site)] == [
        ("Chef", 1674, 4302, 22, 22),
        ("Mozilla", 8585, 8617, 25, 14),
    ]
    gone = [row for row in site if row.agent.startswith("Chef Client/")]
    assert ({row.path for row in gone}, {row.status for row in gone}, len(gone)) == (
        {"/files/logstash/logstash-1.3.2-monolithic.jar"},
        {404},
        61,
    )
    assert (min(row.line for row in gone), max(row.line for row in gone)) == (178, 9956)
    days = Counter(row.time_us // (24 * HOUR) for row in gone)
    assert [days[day] for day in sorted(days)] == [9, 22, 15, 15]
    left = [row for row in api if row.agent.startswith("libwww-perl") and row.status == 499]
    assert (len(left), left[0].line, left[-1].line, {row.file for row in left}) == (
        51,
        868,
        1805,
        {"tomcat-access.log.7"},
    )
    assert len({row.address for row in left}) == 1
    made = [row for row in api if (row.file, row.address) == (left[0].file, left[0].address)]
    assert (len(made), made[0].line, made[-1].line) == (195, 863, 1832)
