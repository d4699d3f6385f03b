"""Every format: its ordinary line is read as what it says, and the engine reads no line otherwise than Python."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import formatkit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingest.formats import FORMATS

LINES = formatkit.LINES
REQUESTS = sorted(LINES.keys() - {"cloudevents", "cloudevents_binary"})
FEW = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
FUZZ = int(os.environ.get("CAMPAIGN_FUZZ") or 400)
"""Mutated lines for each format; the full campaign has 100,000 in all, or more."""
PIECES = [
    *"\"\\[]{}-,:/ \t\r0a'\u00e9\u2028",
    "\\u0041",
    '\\"',
    '"a":',
    " - ",
    '""',
    "http://h:1",
    "1e5",
    "NaN",
    " 12.5",
]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    made = formatkit.connection()
    yield made
    made.close()


@pytest.mark.parametrize("form", REQUESTS)
def test_an_ordinary_line_is_read_as_the_request_that_it_tells_of(con: Any, form: str) -> None:
    (row,) = formatkit.canonical_rows(con, formatkit.source(form), [LINES[form]])
    assert (row["reason"], row["method"], row["path"]) == (None, "GET", "/a/b")
    assert (row["status"], row["bytes"]) == ((200, None) if form == "zoraxy" else (200, 512))
    assert formatkit.NOON_US <= row["time_us"] < formatkit.NOON_US + 1_000_000
    assert row["address_key"] is not None
    agentless = ("api_gateway", "common", "haproxy", "haproxy_clf", "squid", "tomcat")
    assert row["agent"] == (None if form in agentless else "Mozilla/5.0")
    assert row["credential"] == ("c-1" if form == "kong" else "key_1" if "key_1" in LINES[form] else None)


@pytest.mark.parametrize("form", sorted(LINES))
def test_the_engine_reads_ordinary_lines_by_itself(con: Any, form: str) -> None:
    (found,) = formatkit.engine_lane(con, formatkit.every_field(form), [LINES[form]])
    # Kong's names repeat within an entry, and headers of records have many layouts: Python reads them all.
    assert (found is None) == (form == "cloudevents_binary")


def compare(con: Any, form: str, lines: list[str]) -> None:
    """Every line comes out of the engine's lane once, and where it judged one, Python's lane says the same."""
    source = formatkit.every_field(form)
    engine = formatkit.engine_lane(con, source, lines)
    assert len(engine) == len(lines)
    for line, ours, final in zip(lines, engine, formatkit.python_lane(source, lines), strict=True):
        assert final[0] is None or not any(final[1])
        blank = not line.strip(" \t\r") or (form == "cloudfront" and line.startswith("#"))
        assert ours is None or blank or (line, ours) == (line, final)


def mutated(line: str, random: random.Random) -> str:
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(line) + 1)
        kind = random.randrange(4)
        if kind == 0:
            line = line[:at] + random.choice(PIECES) + line[at:]
        elif kind == 1:
            line = line[:at] + line[at + random.choice((1, 1, 5, 40)) :]
        elif kind == 2:
            line = line[:at] + random.choice(PIECES) + line[at + 1 :]
        else:
            words = line.split(" ")
            words[random.randrange(len(words))] = random.choice(["-", '"-"', "", "0", "x y"])
            line = " ".join(words)
    return line


@pytest.mark.parametrize("form", sorted(LINES))
def test_no_damage_makes_the_engine_read_a_line_otherwise_than_python(con: Any, form: str) -> None:
    chance = random.Random(form)
    compare(con, form, [mutated(LINES[form], chance) for _ in range(FUZZ)])


@pytest.mark.parametrize("form", sorted(LINES))
def test_no_foreign_line_makes_the_lanes_differ(con: Any, form: str) -> None:
    compare(con, form, [*LINES.values(), *formatkit.NO_REQUESTS, "", " ", "\r", "{}", "[]", "#", "-", '"', "\ufeff{}"])


@FEW
@given(st.lists(st.text(max_size=40).filter(lambda t: "\n" not in t and "\0" not in t), min_size=20, max_size=60))
@pytest.mark.parametrize("form", sorted(LINES))
def test_no_text_makes_a_format_fail(form: str, con: Any, lines: list[str]) -> None:
    encodable = [line for line in lines if line.isprintable() or line.isascii()]
    compare(con, form, encodable + [LINES[form] + line for line in encodable])


@pytest.mark.parametrize("line", formatkit.NO_REQUESTS)
@pytest.mark.parametrize("form", ["combined", "haproxy", "envoy", "elb", "kong", "error_log"])
def test_error_logs_and_bare_connections_are_set_aside_as_no_requests(form: str, line: str) -> None:
    ((reason, _),) = formatkit.python_lane(formatkit.source(form), [line])
    assert reason == "not_a_request"


@pytest.mark.parametrize("form", sorted(LINES))
def test_a_request_is_never_taken_for_none(form: str) -> None:
    for name in ("combined", "haproxy", "error_log"):
        ((reason, _),) = formatkit.python_lane(formatkit.source(name), [LINES[form][:-1] + "\x7f"])
        assert reason != "not_a_request" or form in ("cloudfront",)


LENGTH, SECONDS = 10_000, 0.25
"""Of what is put into a line, and of processor time to read it: a time that grows with the square takes more."""
RUBBISH = ["a", "a ", "a, ", " : a", '"', '" "', "[", "] [", "{a} ", " -", "1/", "a[1]: ", "\\", "http://", ":", " - ["]


@pytest.mark.parametrize("form", sorted(LINES))
def test_a_long_line_of_rubbish_takes_no_more_time_than_its_length_asks_for(form: str) -> None:
    reader = FORMATS[form].reader(formatkit.every_field(form), "")
    line = LINES[form]
    for rubbish in RUBBISH:
        long = (rubbish * (LENGTH // len(rubbish) + 1))[:LENGTH]
        for cut in {0, len(line), *(n for n, sign in enumerate(line) if sign in ' "[{,')}:
            longest = line[:cut] + long + line[cut:] + " \x01"
            # Once may be another's doing: memory is collected in the meantime.
            assert any(_cost(reader.slow, longest) < SECONDS for _ in range(3)), (rubbish, line[:cut])


def _cost(read: Callable[[str], object], line: str) -> float:
    started = time.process_time()
    read(line)
    return time.process_time() - started


def test_each_format_offers_its_common_fields_by_the_same_names() -> None:
    for form in REQUESTS:
        assert {"time", "method", "path", "status", "remote_addr"} <= set(FORMATS[form].fields) | (
            {"path"} if form in ("alb", "elb", "varnish") else set()
        )
