"""The example month read and billed a second time, by hand: the standard library, PyYAML and exact fractions.

Nothing of the project is used. It knows what the example needs and no more: calendar months, versions that change
prices alone, hours that begin with those of UTC where a plan asks for the busiest hour.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import yaml

ACCESS = re.compile(
    r"\S+ - (\S+) \[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    r'"[^"\\]*(?:\\.[^"\\]*)*" (\d{3}) (\d+|-)(?: "-" "[^"]*" "([^"]*)")?'
)
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
QUANTITY = re.compile(r"\d{1,15}(\.\d{1,9})?")
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


class Event(NamedTuple):
    """One event as this module reads it; `values` by meter's field."""

    kind: str
    at: datetime
    credential: str
    user: str = ""
    status: int = 0
    size: int = 0
    values: Mapping[str, Decimal] = MappingProxyType({})


# -- reading ------------------------------------------------------------------------------------------------------


def read_inbox(inbox: Path) -> Iterator[Event]:
    """Every good event once. A log of a node with the lines of another of its logs is that log again."""
    seen: set[tuple[str, str]] = set()
    logs: set[tuple[str, str]] = set()
    for path in sorted(p for p in inbox.rglob("*") if p.is_file()):
        kind = path.relative_to(inbox).parts[0]
        if kind == "partner":
            yield from _partner(path, seen)
            continue
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        key = (str(path.parent), hashlib.sha256(data).hexdigest())
        if kind == "gateways" and key in logs:
            continue
        logs.add(key)
        read = {"gateways": _access, "storage": _reading}.get(kind)
        for raw in data.split(b"\n"):
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                continue
            event = read(text) if read else _cloudevent(text, seen)
            if event is not None and event.at.year >= 2000:
                yield event


def _access(text: str) -> Event | None:
    match = ACCESS.fullmatch(text)
    if match is None:
        return None
    key, day, month, year, hour, minute, second, sign, off_h, off_m, status, size, user = match.groups()
    offset = timedelta(hours=int(off_h), minutes=int(off_m)) * (-1 if sign == "-" else 1)
    try:
        at = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=timezone(offset))
    except (ValueError, KeyError):
        return None
    named = "" if user in (None, "-") else user
    return Event("request", at, key, named, int(status), 0 if size == "-" else int(size))


def _reading(text: str) -> Event | None:
    row = next(csv.reader([text]), [])
    if len(row) != 5 or not QUANTITY.fullmatch(row[4]):
        return None
    try:
        at = datetime.strptime(row[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Event("storage.sample", at, row[2], values={"gigabytes": Decimal(row[4])})


def _cloudevent(text: str, seen: set[tuple[str, str]]) -> Event | None:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except ValueError:
        return None
    body = dict(pairs)
    if len(pairs) != len(body) or "id" not in body or "time" not in body:
        return None
    data = dict(body["data"])
    numbers = {name: str(data[name]) for name in ("prompt_tokens", "completion_tokens") if name in data}
    try:
        at = datetime.fromisoformat(body["time"])
    except ValueError:
        return None
    if at.tzinfo is None or at.year < 2000 or not all(map(QUANTITY.fullmatch, numbers.values())):
        return None
    if (body["source"], body["id"]) in seen:
        return None
    seen.add((body["source"], body["id"]))
    values = {name: Decimal(text) for name, text in numbers.items()}
    return Event(body["type"], at, body.get("subject") or data["tenant"], data.get("user", ""), values=values)


def _partner(path: Path, seen: set[tuple[str, str]]) -> Iterator[Event]:
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT request_id, occurred_at, api_key, status, bytes_sent, compute_units FROM read_parquet(?)",
            [str(path)],
        ).fetchall()
    for key, when, credential, status, size, units in found:
        try:
            at = datetime.fromisoformat(when)
        except ValueError:
            continue
        if QUANTITY.fullmatch(units) and ("partner", key) not in seen:
            seen.add(("partner", key))
            yield Event("request", at, credential, "", status, size, {"units": Decimal(units)})


# -- measuring ----------------------------------------------------------------------------------------------------


@dataclass
class Used:
    """One customer's usage by local day; hours are counted from 1970."""

    days: dict[str, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))
    hours: Counter[tuple[date, int]] = field(default_factory=Counter)
    peaks: dict[date, Decimal] = field(default_factory=dict)
    people: dict[str, set[date]] = field(default_factory=lambda: defaultdict(set))


def measure(catalog: Path, events: Iterable[Event]) -> dict[str, Used]:
    """Usage by customer; events of an unknown credential are left out."""
    zones = {row["customer"]: ZoneInfo(row["zone"]) for row in table(catalog / "customers.csv")}
    owners: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    always, never = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for row in table(catalog / "credentials.csv"):
        start = datetime.fromisoformat(row["valid_from"]) if row["valid_from"] else always
        end = datetime.fromisoformat(row["valid_to"]) if row["valid_to"] else never
        owners[row["credential"]].append((start, end, row["customer"]))
    used: dict[str, Used] = defaultdict(Used)
    for event in events:
        owner = next((c for start, end, c in owners[event.credential] if start <= event.at < end), None)
        if owner is not None:
            _add(used[owner], event, event.at.astimezone(zones[owner]).date())
    return used


def _add(used: Used, event: Event, day: date) -> None:
    if event.kind == "request":
        used.days["egress_bytes"][day] += event.size
        if event.status != 429 and event.status < 500:
            used.days["requests"][day] += 1
            used.hours[day, int(event.at.timestamp()) // 3600] += 1
        if "units" in event.values:
            used.days["compute_units"][day] += event.values["units"]
    elif event.kind == "storage.sample":
        used.peaks[day] = max(event.values["gigabytes"], used.peaks.get(day, Decimal(0)))
    elif event.kind == "app.session" and event.user:
        used.people[event.user].add(day)
    for name, value in event.values.items():
        if event.kind == "llm.completion":
            used.days[name][day] += value


# -- pricing ------------------------------------------------------------------------------------------------------


class LineKey(NamedTuple):
    subscription: str
    charge: str
    period_start: str
    start: str


class Billed(NamedTuple):
    """A line: what it costs, on whose document it stands, and from which cut-off on it is due."""

    amount: Decimal
    customer: str
    currency: str
    due: date


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def half_away(value: Fraction, decimals: int) -> Decimal:
    """Rounded half away from zero, to so many decimals."""
    units = int(abs(value) * 10**decimals + Fraction(1, 2))
    return Decimal(units if value >= 0 else -units).scaleb(-decimals)


def bill(catalog: Path, used: dict[str, Used], months: Iterable[date]) -> dict[LineKey, Billed]:
    """Every line of the given calendar months."""
    found: dict[LineKey, Billed] = {}
    plans = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((catalog / "plans").glob("*.yaml"))}
    for month in months:
        after = (month + timedelta(days=31)).replace(day=1)
        for row in table(catalog / "subscriptions.csv"):
            start = max(month, date.fromisoformat(row["start"]))
            end = min(after, date.fromisoformat(row["end"])) if row["end"] else after
            if start < end:
                plan = plans[row["plan"]]
                for key, amount, advance in _segment(plan, used[row["customer"]], start, end, (after - month).days):
                    name = LineKey(row["subscription"], key, month.isoformat(), start.isoformat())
                    due = start if advance else after
                    found[name] = Billed(amount, row["customer"], plan["currency"], due)
    return found


def _segment(plan: Any, used: Used, start: date, end: date, length: int) -> Iterator[tuple[str, Decimal, bool]]:
    def version(day: date) -> Any:
        return max((v for v in plan["versions"] if v["effective"] <= day), key=lambda v: v["effective"])

    for charge in version(start)["charges"]:

        def on(day: date, key: str = charge["key"]) -> Any:
            return next(c for c in version(day)["charges"] if c["key"] == key)

        share = Fraction((end - start).days, length)
        if charge["model"] == "flat":
            exact = Fraction(charge["amount"]) * share
        elif "watermark" in charge:
            exact = _mark(charge, used, on, start, end) * share
        else:
            days = _days(charge, used, start, end)
            exact = _graduated(days, on) if charge["model"] == "graduated" else _per_unit(charge, days, on)
        yield charge["key"], half_away(exact, DECIMALS[plan["currency"]]), charge.get("due") == "advance"


def _days(charge: Any, used: Used, start: date, end: date) -> list[tuple[date, Fraction]]:
    if charge["meter"] == "active_users":
        firsts = (min((d for d in days if start <= d < end), default=None) for days in used.people.values())
        counted: Any = Counter(day for day in firsts if day is not None)
    else:
        counted = used.days[charge["meter"]]
    return [(day, Fraction(counted[day])) for day in sorted(counted) if start <= day < end]


def _mark(charge: Any, used: Used, on: Callable[[date], Any], start: date, end: date) -> Fraction:
    values: dict[tuple[date, int], Any] = (
        {(day, 0): value for day, value in used.peaks.items()} if charge["meter"] == "storage_gb" else dict(used.hours)
    )
    inside = {place: value for place, value in values.items() if start <= place[0] < end}
    if not inside:
        return Fraction(0)
    place = min(inside, key=lambda p: (-inside[p], p))
    return Fraction(inside[place]) * Fraction(on(place[0])["price"])


def _per_unit(charge: Any, days: list[tuple[date, Fraction]], on: Callable[[date], Any]) -> Fraction:
    if "convert" in charge:
        total = sum((q for _, q in days), Fraction(0)) / Fraction(charge["convert"]["divide_by"])
        return Fraction(half_away(total, 9)) * Fraction(charge["price"])
    return sum((q * Fraction(on(day)["price"]) for day, q in days), Fraction(0))


def _graduated(days: list[tuple[date, Fraction]], on: Callable[[date], Any]) -> Fraction:
    total = reached = Fraction(0)
    entered: dict[int, Fraction] = {}
    for day, quantity in days:
        low = Fraction(0)
        for number, tier in enumerate(on(day)["tiers"]):
            high = Fraction(tier["up_to"]) if "up_to" in tier else reached + quantity + low
            part = min(reached + quantity, high) - max(reached, low)
            if part > 0:
                total += part * Fraction(tier["price"])
                entered[number] = Fraction(tier.get("flat_fee", "0"))
            low = high
        reached += quantity
    return total + sum(entered.values(), Fraction(0))
