"""CloudEvents as JSON lines: calls of the language model, and sessions in the app."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from orchestration.example.files import blanks, scatter, write_lines
from orchestration.example.profiles import PROFILES, WINDOW_END, WINDOW_START
from orchestration.example.summary import Expected, Line, Written, broken
from orchestration.example.traffic import edges, instants, moment, seconds, share, spread, stream, zone

MODELS = ("tide-small", "tide-large", "tide-embed")
_RESENT, _RESENT_LINES = date(2026, 10, 6), 200
_RESENT_ON = "2026-10-09"

Day = dict[date, list[tuple[int, int, Line]]]


def event(kind: str, source: str, key: str, at: int, data: dict[str, Any], subject: str = "") -> dict[str, Any]:
    """A CloudEvent. The millisecond is taken from the key, so that events of one second differ."""
    milli = int(key.rsplit("-", 1)[1]) % 1000
    head = {"specversion": "1.0", "type": kind, "source": source, "id": key}
    head["time"] = f"{moment(at).isoformat()[:19]}.{milli:03d}Z"
    return head | ({"subject": subject} if subject else {}) | {"data": data}


def encoded(body: dict[str, Any]) -> bytes:
    """The event as one line without spaces."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def write_completions(home: Path, seed: int, scale: int, expected: Expected) -> list[Written]:
    """One compressed file a day, and one that sends a part of an earlier file again."""
    days: Day = defaultdict(list)
    number = 0
    for profile in PROFILES:
        volume = share(profile.llm, scale)
        dice = stream(seed, f"llm-usage/{profile.customer}")
        for at in [*edges(profile), *instants(dice, profile, volume)] if volume else ():
            number += 1
            prompt, completion = 20 + dice.below(60) * (1 + dice.below(50)), 1 + dice.below(700)
            data = {"model": MODELS[dice.skewed(3)], "prompt_tokens": prompt, "completion_tokens": completion}
            body = event("llm.completion", "/tidestone/llm", f"run-{number:07d}", at, data, profile.account)
            days[moment(at).date()].append((at, number, Line(encoded(body))))
            expected.completion(profile.customer, at, prompt, completion)
    dice = stream(seed, "llm-usage/strangers")
    for at in spread(dice, "UTC", seconds(WINDOW_START), seconds(WINDOW_END), 12):
        number += 1
        data = {"model": MODELS[0], "prompt_tokens": 100, "completion_tokens": 10}
        body = event("llm.completion", "/tidestone/llm", f"run-{number:07d}", at, data, "acct-former")
        days[moment(at).date()].append((at, number, Line(encoded(body), attributed=False)))
    files = _sorted(days)
    resent = _sent_again(files[_RESENT][:_RESENT_LINES])
    scatter(stream(seed, "llm-usage/defects"), list(files.values()), _defects() + blanks(8))
    written = [write_lines(home, "llm-usage", f"llm/usage-{day}.jsonl.gz", lines) for day, lines in files.items()]
    return [*written, write_lines(home, "llm-usage", f"llm/usage-{_RESENT_ON}-resent.jsonl.gz", resent)]


def _sorted(days: Day) -> dict[date, list[Line]]:
    return {day: [line for _, _, line in sorted(days[day])] for day in sorted(days)}


def _sent_again(lines: list[Line]) -> list[Line]:
    """The same events; every other one by a client that writes JSON with spaces and the time with an offset."""
    again = []
    for number, line in enumerate(lines):
        data = line.data
        if number % 2:
            body = json.loads(data)
            clock = datetime.fromisoformat(body["time"]).astimezone(zone("Europe/Berlin"))
            body["time"] = clock.isoformat(timespec="milliseconds")
            data = json.dumps(dict(reversed(body.items())), ensure_ascii=False).encode()
        again.append(Line(data, "duplicate"))
    return again


def _defects() -> list[Line]:
    """Lines that are no event, or one that nobody could bill."""
    data = {"model": MODELS[0], "prompt_tokens": 100, "completion_tokens": 10}
    good = event("llm.completion", "/tidestone/llm", "broken-1", seconds(WINDOW_START) + 90_000, data, "acct-aurora")
    whole = encoded(good)

    def changed(**fields: Any) -> bytes:
        return encoded({name: value for name, value in (good | fields).items() if value is not None})

    return [
        *(broken(whole[:length], "not_json") for length in (12, 40, 120)),
        broken(b"upstream timed out, retrying", "not_json"),
        *(broken(changed(id=None), "missing_id") for _ in range(3)),
        *(broken(changed(time=None), "no_time") for _ in range(2)),
        broken(changed(time="2026-10-05T10:00:00"), "no_zone"),
        broken(changed(time="2026-02-30T10:00:00Z"), "bad_time"),
        broken(changed(time="1970-01-01T00:00:07Z"), "time_out_of_window"),
        *(broken(changed(data=data | {"prompt_tokens": text}), "bad_quantity") for text in ("n/a", "1e3", "")),
        broken(whole.replace(b'"id":"broken-1"', b'"id":"broken-1","id":"broken-2"'), "duplicate_key"),
        broken(whole.replace(b"tide-small", b"tide-\xff"), "invalid_utf8"),
    ]


def write_sessions(home: Path, seed: int, scale: int, expected: Expected) -> list[Written]:
    """One plain file a day. The two clients of the app number their events apart: ids repeat, (source, id) does not."""
    days: Day = defaultdict(list)
    numbers: Counter[str] = Counter()
    for profile in PROFILES:
        volume = share(profile.sessions, scale)
        dice = stream(seed, f"app-events/{profile.customer}")
        for at in [*edges(profile), *instants(dice, profile, volume)] if volume else ():
            source = ("/tidestone/app/web", "/tidestone/app/mobile")[dice.below(2)]
            numbers[source] += 1
            user = f"u-{dice.skewed(profile.users):05d}" if dice.below(400) else ""
            data = {"tenant": profile.account} | ({"user": user} if user else {})
            body = event("app.session", source, f"s-{numbers[source]:06d}", at, data)
            days[moment(at).date()].append((at, numbers.total(), Line(encoded(body))))
            expected.session(profile.customer, at, user)
    files = _sorted(days)
    cut = [broken(line.data[: len(line.data) // 2], "not_json") for line in next(iter(files.values()))[:3]]
    scatter(stream(seed, "app-events/defects"), list(files.values()), cut + blanks(4))
    return [write_lines(home, "app-events", f"app/events-{day}.jsonl", lines) for day, lines in files.items()]
