"""The example: the same bytes each time, and expected numbers that hold against what was written.

The files are read again here with the standard library and DuckDB's Parquet reader, not with the project's readers.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import pytest

from orchestration.catalog import Catalog, load_catalog
from orchestration.example import GeneratedSummary, generate, generate_late
from orchestration.example.profiles import MOVED_AT, MOVED_FROM, MOVED_KEY, MOVED_TO, PROFILES

CATALOG = Path(__file__).parents[2] / "data" / "catalog"
SCALE = 4
ACCESS = re.compile(r'\S+ - (\S+) \[([^\]]+)\] "\S+ (\S+) HTTP/1\.1" (\d{3}) (\d+|-)(?: "-" "[^"]*" "([^"]*)")?')


class Event(NamedTuple):
    """An event as this test reads it."""

    kind: str
    at: datetime
    credential: str
    user: str = ""
    status: int = 0
    size: int = 0
    numbers: tuple[Decimal, ...] = ()


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GeneratedSummary]:
    home = tmp_path_factory.mktemp("example")
    return home, generate(home, scale=SCALE, report=quiet)


@pytest.fixture(scope="module")
def events(example: tuple[Path, GeneratedSummary]) -> dict[str, list[Event]]:
    return taken(example[0])


@pytest.fixture(scope="module")
def month(events: dict[str, list[Event]], catalog: Catalog) -> dict[str, dict[str, Decimal | int]]:
    return recomputed(catalog, (event for group in events.values() for event in group))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(CATALOG)


def hashes(home: Path) -> dict[str, str]:
    files = sorted(path for path in home.rglob("*") if path.is_file())
    return {path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def raw_lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    assert data.endswith(b"\n"), path
    return data.split(b"\n")[:-1]


def parquet_rows(path: Path) -> list[tuple[str, str, str, str, str, int, int, str]]:
    with duckdb.connect() as con:
        return con.execute("select * exclude (took_ms) from read_parquet(?)", [str(path)]).fetchall()


def taken(home: Path) -> dict[str, list[Event]]:
    """The good events of every file, duplicates left out, by file in the order of names."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, list[Event]] = {}
    for path in sorted(p for p in (home / "inbox").rglob("*") if p.is_file()):
        name = path.relative_to(home).as_posix()
        # The one rotated copy is known by its name.
        events = [] if name.endswith(".log.1.gz") else list(events_of(path, name, seen))
        found[name] = events
    return found


def events_of(path: Path, name: str, seen: set[tuple[str, str]]) -> Iterator[Event]:
    part = name.split("/")[1]
    if part == "partner":
        for key, at, api_key, _, _, status, size, units in parquet_rows(path):
            event = parsed_partner(at, api_key, status, size, units)
            if event and ("partner", key) not in seen:
                seen.add(("partner", key))
                yield event
        return
    for raw in raw_lines(path):
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            continue
        if part == "gateways":
            event = parsed_access(text)
        elif part == "storage":
            event = parsed_csv(text)
        else:
            event = parsed_json(text, seen)
        if event and event.at.year >= 2000:
            yield event


def parsed_access(text: str) -> Event | None:
    match = ACCESS.fullmatch(text)
    if match is None:
        return None
    key, when, _, status, size, user = match.groups()
    try:
        at = datetime.strptime(when, "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        return None
    user = "" if user in (None, "-") else user
    return Event("request", at, key, user, int(status), 0 if size == "-" else int(size))


def parsed_csv(text: str) -> Event | None:
    row = next(csv.reader([text]), [])
    try:
        at = datetime.strptime(row[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        return Event("storage", at, row[2], numbers=(exact(row[4]),))
    except (ValueError, IndexError):
        return None


def parsed_partner(at: str, api_key: str, status: int, size: int, units: str) -> Event | None:
    try:
        return Event("request", datetime.fromisoformat(at), api_key, "", status, size, (exact(units),))
    except ValueError:
        return None


def parsed_json(text: str, seen: set[tuple[str, str]]) -> Event | None:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except ValueError:
        return None
    names = [name for name, _ in pairs]
    body, data = dict(pairs), dict(dict(pairs).get("data", []))
    if len(names) != len(set(names)) or "id" not in body or "time" not in body:
        return None
    try:
        at = datetime.fromisoformat(body["time"])
        numbers = tuple(exact(str(data[n])) for n in ("prompt_tokens", "completion_tokens") if n in data)
    except ValueError:
        return None
    if at.tzinfo is None or at.year < 2000 or (body["source"], body["id"]) in seen:
        return None
    seen.add((body["source"], body["id"]))
    return Event(body["type"], at, body.get("subject") or data["tenant"], data.get("user", ""), numbers=numbers)


def exact(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text):
        raise ValueError(text)
    return Decimal(text)


def owner(catalog: Catalog, credential: str, at: datetime) -> str | None:
    for row in catalog.credentials:
        # A source is given only where keys of two sources could be equal; in the example none are.
        after = row.valid_from is None or row.valid_from <= at
        if row.credential == credential and after and (row.valid_to is None or at < row.valid_to):
            return row.customer
    return None


def recomputed(catalog: Catalog, events: Iterator[Event]) -> dict[str, dict[str, Decimal | int]]:
    """The month of each customer, from the events and the catalog."""
    sums: dict[str, dict[str, Decimal | int]] = defaultdict(lambda: defaultdict(int))
    people: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in events:
        customer = owner(catalog, event.credential, event.at)
        if customer is None:
            continue
        local = event.at.astimezone(ZoneInfo(catalog.customers[customer].zone)).date()
        if (local.year, local.month) != (2026, 10):
            continue
        if event.kind == "request":
            sums["egress_bytes"][customer] += event.size
            if event.status != 429 and event.status < 500:
                sums["requests"][customer] += 1
            if event.numbers:
                sums["compute_units"][customer] += event.numbers[0]
        elif event.kind == "llm.completion":
            sums["prompt_tokens"][customer] += event.numbers[0]
            sums["completion_tokens"][customer] += event.numbers[1]
        elif event.kind == "storage":
            sums["peak_storage"][customer] = max(event.numbers[0], Decimal(sums["peak_storage"][customer]))
        if event.user:
            people[event.kind, customer].add(event.user)
    for (kind, customer), users in people.items():
        sums["api_users" if kind == "request" else "active_users"][customer] = len(users)
    return sums


MEASURES = (
    "requests",
    "egress_bytes",
    "prompt_tokens",
    "completion_tokens",
    "compute_units",
    "peak_storage",
    "active_users",
    "api_users",
)


def test_one_seed_gives_the_same_bytes(example: tuple[Path, GeneratedSummary], tmp_path: Path) -> None:
    home, summary = example
    again = generate(tmp_path, scale=SCALE, report=quiet)
    assert hashes(tmp_path) == hashes(home)
    assert again == summary


def test_another_seed_gives_other_bytes(example: tuple[Path, GeneratedSummary], tmp_path: Path) -> None:
    home, _ = example
    generate(tmp_path, seed=8, scale=SCALE, report=quiet)
    mine, other = hashes(home), hashes(tmp_path)
    assert mine.keys() == other.keys()
    assert not [name for name in mine if mine[name] == other[name]]


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    generate(tmp_path, scale=1, report=quiet)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    generate(tmp_path, scale=1, report=quiet)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_every_file_is_in_the_summary_with_its_lines(example: tuple[Path, GeneratedSummary]) -> None:
    home, summary = example
    counted = {}
    for name in hashes(home):
        path = home / name
        counted[name] = len(parquet_rows(path) if name.endswith(".parquet") else raw_lines(path))
    assert counted == {f.path: f.lines for f in summary.files}
    assert sum(counted.values()) == summary.lines


def test_buckets_add_up_to_the_lines_of_each_file(example: tuple[Path, GeneratedSummary]) -> None:
    _, summary = example
    for f in summary.files:
        assert f.lines == f.accepted + f.duplicate + f.conflict + f.blank + sum(f.quarantined.values()), f.path
    assert summary.conflict == 0
    assert min(summary.of(f.source).lines for f in summary.files) > 0


def test_accepted_lines_are_those_an_independent_reading_takes(
    example: tuple[Path, GeneratedSummary], events: dict[str, list[Event]]
) -> None:
    expected = {f.path: f.accepted for f in example[1].files}
    assert {name: len(group) for name, group in events.items()} == expected


def test_unattributed_lines_are_those_of_nobody(
    example: tuple[Path, GeneratedSummary], events: dict[str, list[Event]], catalog: Catalog
) -> None:
    _, summary = example
    nobody = {
        name: sum(owner(catalog, event.credential, event.at) is None for event in group)
        for name, group in events.items()
    }
    assert nobody == {f.path: f.unattributed for f in summary.files}
    assert summary.unattributed == 141


@pytest.mark.parametrize("measure", MEASURES)
def test_expected_numbers_of_the_local_month(
    example: tuple[Path, GeneratedSummary], month: dict[str, dict[str, Decimal | int]], measure: str
) -> None:
    _, summary = example
    expected = {customer: value for customer, value in getattr(summary.expected, measure).items() if value}
    assert expected
    assert {customer: value for customer, value in month[measure].items() if value} == expected


def test_late_files_add_to_the_month(tmp_path: Path, catalog: Catalog) -> None:
    first = generate(tmp_path, scale=1, report=quiet)
    late = generate_late(tmp_path, report=quiet)
    whole = first.merged(late)
    assert {f.path for f in first.files}.isdisjoint(f.path for f in late.files)
    assert set(hashes(tmp_path)) == {f.path for f in whole.files}
    events = taken(tmp_path)
    assert {name: len(found) for name, found in events.items()} == {f.path: f.accepted for f in whole.files}
    found = recomputed(catalog, (event for group in events.values() for event in group))
    for measure in MEASURES:
        assert found[measure] == dict(getattr(whole.expected, measure)), measure
    assert whole.expected.requests.total() > first.expected.requests.total()
    assert whole.expected.active_users["umbra-studio"] > first.expected.active_users["umbra-studio"]
    assert whole.expected.peak_storage["fjord-mapping"] == Decimal("3999.500")


def test_a_scale_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        generate(tmp_path, scale=0)
    assert not list(tmp_path.iterdir())


def test_profiles_and_catalog_name_the_same_customers_and_zones(catalog: Catalog) -> None:
    assert {p.customer: p.zone for p in PROFILES} == {c.customer: c.zone for c in catalog.customers.values()}


def test_the_key_that_moves_belongs_to_one_customer_at_each_instant(catalog: Catalog) -> None:
    assert owner(catalog, MOVED_KEY, MOVED_AT - timedelta(microseconds=1)) == MOVED_FROM
    assert owner(catalog, MOVED_KEY, MOVED_AT) == MOVED_TO


def test_every_source_finds_its_files(example: tuple[Path, GeneratedSummary], catalog: Catalog) -> None:
    home, summary = example
    for source in catalog.sources:
        pattern = re.sub(r"\{[a-z]+\}", "*", source.path)
        matched = {path.relative_to(home).as_posix() for path in (home / source.root).glob(pattern)}
        assert matched == {f.path for f in summary.of(source.name).files}, source.name


def test_the_catalog_shows_the_cases_it_promises(catalog: Catalog) -> None:
    rows = defaultdict(list)
    for row in catalog.subscriptions:
        rows[row.customer].append(row)
    assert [(r.plan, r.start, r.end) for r in rows["redwood-labs"]] == [
        ("starter", date(2026, 10, 1), date(2026, 10, 16)),
        ("scale", date(2026, 10, 16), None),
    ]
    assert rows["saffron-foods"][0].start == date(2026, 10, 12)
    assert rows["tundra-energy"][0].end == date(2026, 10, 21)
    assert [r.stacking for r in rows["quarry-insurance"]] == [False, True]
    assert {p.currency for p in catalog.plans.values()} == {"USD", "EUR", "JPY", "KWD"}
    assert [v.effective for v in catalog.plans["growth"].versions] == [date(2026, 10, 1), date(2026, 10, 16)]
    assert {e.series for e in catalog.settings.entities} == {"TSE", "TSU"}


def test_a_new_price_version_changes_prices_and_nothing_else(catalog: Catalog) -> None:
    before, after = catalog.plans["growth"].versions
    changed = {a.key for a, b in zip(before.charges, after.charges, strict=True) if a != b}
    assert changed == {"requests", "active-users"}
    shape = [(c.key, c.model, c.meter, c.amount, [t.up_to for t in c.tiers]) for c in before.charges]
    assert shape == [(c.key, c.model, c.meter, c.amount, [t.up_to for t in c.tiers]) for c in after.charges]
