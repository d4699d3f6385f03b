"""Files that arrive in November with events of October: after the close they become late usage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestration.example.accesslogs import EU, Log
from orchestration.example.events import MODELS, encoded, event
from orchestration.example.files import write_lines
from orchestration.example.profiles import MONTH_END, PROFILES, Profile
from orchestration.example.requests import request
from orchestration.example.storage import HEADER, reading
from orchestration.example.summary import Expected, GeneratedSummary, Line, Written
from orchestration.example.traffic import midnight, moment, spread, stream

_REQUESTS = {"aurora-analytics": 240, "quarry-insurance": 120, "ganges-pay": 60}
_COMPLETIONS = {"aurora-analytics": 60, "cobalt-robotics": 90}
_SESSIONS = {"umbra-studio": 25}
_PEAKS = {"fjord-mapping": 3_999_500}
_DAY = 86_400


def generate_late(home: Path, *, seed: int = 7, report: Callable[[str], None] = print) -> GeneratedSummary:
    """Write the late files below `home/inbox`; none repeats an event of `generate`, and all users in them are new."""
    expected = Expected()
    files = [
        _requests(home, seed, expected),
        _completions(home, seed, expected),
        _sessions(home, seed, expected),
        _readings(home, expected),
    ]
    summary = GeneratedSummary(tuple(files), expected)
    report(f"late files: {len(files)} with {summary.lines} lines of October")
    return summary


def _profile(customer: str) -> Profile:
    return next(p for p in PROFILES if p.customer == customer)


def _last_days(customer: str) -> tuple[int, int]:
    """The last three days of the customer's October, half-open."""
    end = midnight(MONTH_END, _profile(customer).zone)
    return end - 3 * _DAY, end


def _requests(home: Path, seed: int, expected: Expected) -> Written:
    log = Log(EU)
    for customer, count in _REQUESTS.items():
        profile, dice = _profile(customer), stream(seed, f"late/requests/{customer}")
        for at in spread(dice, profile.zone, *_last_days(customer), count):
            sent = request(dice, profile, f"ak_{profile.short}_1")
            user = f"late-{sent.user}" if sent.user else ""
            log.put(0, at, sent._replace(user=user))
            expected.request(customer, at, sent.status, sent.size, user)
    # A node that was cut off and sends all of its log in one file.
    lines = [line for day in log.days().values() for line in day]
    return write_lines(home, EU.source, f"{EU.folder}/node-3/access-late.log", lines)


def _completions(home: Path, seed: int, expected: Expected) -> Written:
    lines: list[Line] = []
    for customer, count in _COMPLETIONS.items():
        profile, dice = _profile(customer), stream(seed, f"late/llm/{customer}")
        for at in spread(dice, profile.zone, *_last_days(customer), count):
            prompt, completion = 200 + dice.below(2_000), 1 + dice.below(700)
            data = {"model": MODELS[0], "prompt_tokens": prompt, "completion_tokens": completion}
            key = f"late-{len(lines):06d}"
            lines.append(Line(encoded(event("llm.completion", "/tidestone/llm", key, at, data, profile.account))))
            expected.completion(customer, at, prompt, completion)
    return write_lines(home, "llm-usage", "llm/usage-late.jsonl.gz", lines)


def _sessions(home: Path, seed: int, expected: Expected) -> Written:
    lines: list[Line] = []
    for customer, count in _SESSIONS.items():
        profile, dice = _profile(customer), stream(seed, f"late/app/{customer}")
        for at in spread(dice, profile.zone, *_last_days(customer), count):
            user = f"late-u-{dice.below(12):05d}"
            data = {"tenant": profile.account, "user": user}
            lines.append(Line(encoded(event("app.session", "/tidestone/app/web", f"late-{len(lines):06d}", at, data))))
            expected.session(customer, at, user)
    return write_lines(home, "app-events", "app/events-late.jsonl", lines)


def _readings(home: Path, expected: Expected) -> Written:
    lines = [HEADER]
    for customer, milli in _PEAKS.items():
        profile = _profile(customer)
        at = _last_days(customer)[0]
        lines.append(Line(reading(f"{profile.short}-late-{moment(at):%Y%m%d%H}", at, profile.account, milli)))
        expected.stored(customer, at, milli)
    return write_lines(home, "storage", "storage/usage-late.csv", lines)
