"""Reviewed retractions (`retractions.yaml`): events that count no more, and those that count again.

Rows are read in their order, and the last one that names an event decides about it, also for copies that come later.
So a retraction ends by a further row with `restore: true`, and by nothing else. What a filter names is written down
once, as a list of events beside the rows (`retractions/<name>.jsonl`): what comes later is not on it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, model_validator

from orchestration.canonical import sha256_hex
from orchestration.catalog.fields import Instant, Key
from orchestration.catalog.meters import Filter, filter_fields
from orchestration.catalog.places import Places
from orchestration.catalog.reviews import Reviewed, Said, Sha256
from orchestration.catalog.yamltext import parse_yaml
from orchestration.errors import Problem

FILE, KEY = "retractions.yaml", "retractions"
FOLDER = "retractions"
"""Folder of the lists, below that of the catalog."""

EventId = tuple[str, str]
"""Source and id of an event."""

_BY_EVENT = frozenset({"source", "id"})
_BY_LINE = frozenset({"sha256", "path", "line", "feed"})
_CHOOSES = frozenset({"filter", "since", "until", "credential", "feed"})
_SELECTS = _BY_EVENT | _BY_LINE | _CHOOSES | {"name"}


class Retraction(Reviewed):
    """Events that don't count (or with `restore: true` count again), with who, when and why.

    They are named in one of four ways: by `source` and `id` of the event; by a `line` of the file that came as `path`
    or has the hash `sha256`; by a `filter` (the filter of meters), a time range from `from` (inclusive) to `to`
    (exclusive), a `credential` or a `feed` (a source of the catalog), all of which have to hold, together with a
    `name` for the list that `tallystick retract <name>` writes; or by the `name` of such a row, for its whole list.
    """

    source: str | None = None
    id: str | None = None
    sha256: Sha256 | None = None
    path: str | None = None
    line: int | None = Field(default=None, ge=1)
    name: Key | None = None
    filter: Filter | None = None
    since: Instant | None = Field(default=None, alias="from")
    until: Instant | None = Field(default=None, alias="to")
    credential: str | None = None
    feed: Key | None = None
    restore: bool = False
    by: Said
    reason: Said

    @model_validator(mode="after")
    def _one_way(self) -> Retraction:
        given = {field for field in _SELECTS if getattr(self, field) is not None}
        by_line = "line" in given and bool(given & {"sha256", "path"}) and given <= _BY_LINE
        by_name = "name" in given and given <= _CHOOSES | {"name"}
        if not (given == _BY_EVENT or by_line or by_name):
            raise ValueError(
                "a row names an event by 'source' and 'id', a 'line' of the file of a 'path' or 'sha256', events by "
                "'filter', 'from', 'to', 'credential' or 'feed' with a 'name', or the list of such a row by its 'name'"
            )
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("'to' lies after 'from'")
        return self

    @property
    def chooses(self) -> bool:
        """Whether the row chooses events by what they hold, and so makes a list."""
        return self.line is None and any(getattr(self, field) is not None for field in _CHOOSES)

    @property
    def selection(self) -> str:
        """Hex SHA-256 over what the row chooses by: a list belongs to this, and to no later edit of it."""
        chosen = self.model_dump(mode="json", by_alias=True, include=set(_CHOOSES))
        return sha256_hex(json.dumps(chosen, sort_keys=True).encode())

    @property
    def restricted(self) -> set[str]:
        """Names of the fields and properties that the row's filter compares."""
        return filter_fields(self.filter)


@dataclass(frozen=True, slots=True)
class Retractions:
    """The rows in their order, and by name the events on each list."""

    rows: tuple[Retraction, ...] = ()
    lists: Mapping[str, tuple[EventId, ...]] | None = None

    def events_of(self, row: Retraction) -> tuple[EventId, ...]:
        """The events that a row names by themselves: its own one, or those on its list; none for a line of a file."""
        if row.source is not None and row.id is not None:
            return ((row.source, row.id),)
        return (self.lists or {}).get(row.name, ()) if row.name is not None else ()

    def continues(self, earlier: Retractions) -> bool:
        """Whether all that stood in `earlier` still stands here, in its place and with its lists."""
        if self.rows[: len(earlier.rows)] != earlier.rows:
            return False
        return all(self.events_of(row) == earlier.events_of(row) for row in earlier.rows)


def list_file(name: str) -> str:
    """Relative name of the file that holds a row's list."""
    return f"{FOLDER}/{name}.jsonl"


def list_text(row: Retraction, events: Collection[EventId]) -> str:
    """A list as its file holds it: a head that says what it belongs to, then an event on each line, sorted."""
    head = json.dumps({"selection": row.selection, "events": len(events)})
    return "".join(f"{text}\n" for text in [head, *(json.dumps(list(event)) for event in sorted(events))])


def check_retractions(
    rows: Sequence[Retraction], texts: Mapping[str, str], prefix: str, places: Places, unlisted: Collection[str]
) -> tuple[Retractions, list[Problem]]:
    """Rows with the lists that `texts` holds for them, and what is wrong with them.

    A row that chooses events has to have its list, but for those of the names in `unlisted`.
    """
    problems = list(_names(rows, places))
    lists: dict[str, tuple[EventId, ...]] = {}
    for row in rows:
        if row.name is None or not row.chooses:
            continue
        text = texts.get(list_file(row.name))
        if text is not None:
            found = _read_list(row, text, f"{prefix}{list_file(row.name)}")
            problems += [found] if isinstance(found, Problem) else []
            lists[row.name] = () if isinstance(found, Problem) else found
        elif row.name not in unlisted:
            message = f"its events are not listed yet: run `tallystick retract {row.name}`"
            problems.append(Problem("no_list", message, places.of(row)))
    made = {list_file(row.name) for row in rows if row.name is not None and row.chooses}
    for name in sorted(name for name in texts if name.startswith(f"{FOLDER}/") and name not in made):
        problems.append(Problem("stray_list", f"no row of {FILE} makes this list", f"{prefix}{name}"))
    return Retractions(tuple(rows), lists), problems


def _names(rows: Sequence[Retraction], places: Places) -> Iterator[Problem]:
    makers: dict[str, Retraction] = {}
    for row in rows:
        if row.name is None:
            continue
        if row.chooses and row.name in makers:
            message = f"list '{row.name}' is also made at {places.of(makers[row.name])}"
            yield Problem("duplicate", message, places.of(row))
        elif row.chooses:
            makers[row.name] = row
        elif row.name not in makers:
            yield Problem("unknown_list", f"no row before this one makes a list '{row.name}'", places.of(row))


def _read_list(row: Retraction, text: str, where: str) -> tuple[EventId, ...] | Problem:
    head, *lines = text.split("\n")
    try:
        said = json.loads(head)
        events = tuple(_event(line) for line in lines[:-1])
        if said["selection"] != row.selection:
            message = f"its row chooses otherwise now: remove the list and run `tallystick retract {row.name}`"
            return Problem("other_list", message, where)
        if lines[-1:] != [""] or len(events) != said["events"] or len(set(events)) != len(events):
            raise ValueError("not as many events as it says")
    except (ValueError, KeyError, TypeError) as error:
        return Problem("bad_list", f"not a list as `tallystick retract` writes it: {error}", where)
    return events


def _event(line: str) -> EventId:
    source, event_id = json.loads(line)
    if not (isinstance(source, str) and isinstance(event_id, str)):
        raise ValueError("an event is its source and its id")
    return source, event_id


def row_places(text: str) -> list[str]:
    """`file:line` of every row of a file of retractions that has been found valid."""
    data, lines, _ = parse_yaml(text, FILE)
    return [f"{FILE}:{lines[KEY, index]}" for index in range(len(data[KEY]))]


def makers(rows: Iterable[Retraction]) -> dict[str, Retraction]:
    """By name the row that makes the list."""
    return {row.name: row for row in rows if row.name is not None and row.chooses}
