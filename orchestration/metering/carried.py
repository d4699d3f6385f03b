"""Meters whose state lasts from one event to the next: what an event does to the state, as SQL over a row of the lake.

Names and values of the catalog reach SQL through `identifier` and `literal` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestration.catalog import Catalog
from orchestration.catalog.fields import duration_us
from orchestration.catalog.meters import CARRIED, Meter
from orchestration.metering.compile import as_number, as_text, filter_sql, matches_sql
from orchestration.sqltext import identifier, literal

CARRIED_METERS = {
    "meter": "VARCHAR",
    "aggregation": "VARCHAR",
    "additive": "BOOLEAN",
    "session": "BOOLEAN",
    "expires_us": "BIGINT",
}


def is_additive(meter: Meter) -> bool:
    """Whether events are changes that add up to the state, or readings that replace it."""
    return meter.aggregation in CARRIED or meter.aggregation == "sum"


def carried_meters(catalog: Catalog) -> list[Meter]:
    """The meters whose state lasts, by key."""
    return [meter for _, meter in sorted(catalog.meters.items()) if meter.carried]


def carried_meter_rows(catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Rows of `control.carried_meters`. `expires_us` is NULL where nothing but a stop ends a session."""
    for meter in carried_meters(catalog):
        yield {
            "meter": meter.key,
            "aggregation": meter.aggregation,
            "additive": is_additive(meter),
            "session": meter.paired_by is not None,
            "expires_us": None if meter.expires_after is None else duration_us(meter.expires_after),
        }


def carried_columns(meters: Sequence[Meter]) -> list[str]:
    """Select items per meter, all of them NULL where the meter doesn't take the event.

    `m_<key>` DECIMAL(38,9): the change or the reading, +1 and -1 for start and stop; `u_<key>`: 1 where the event can't
    be measured; `k_<key>`: the meter's dimensions as canonical JSON; `s_<key>`: the session, or the item that is
    added or removed.
    """
    items = []
    for meter in meters:
        match, value = _taken(meter), _measured(meter)
        items += [
            f"case when {match} then {value} end as {identifier('m_' + meter.key)}",
            f"case when {match} and ({value}) is null then 1 end as {identifier('u_' + meter.key)}",
            f"case when {match} then {dimensions_sql(meter)} end as {identifier('k_' + meter.key)}",
        ]
        if meter.paired_by is not None:
            items.append(f"case when {match} then {_session(meter)} end as {identifier('s_' + meter.key)}")
    return items


def dimensions_sql(meter: Meter) -> str:
    """The meter's dimensions as a JSON object of texts, names sorted, null where one is missing; `{}` without any."""
    parts: list[str] = []
    for name in sorted(meter.dimensions):
        before = literal(f'{"," if parts else "{"}"{name}":')
        parts.append(f"{before} || {_json_text(as_text(name))}")
    return f"({' || '.join(parts)} || '}}')" if parts else "'{}'"


_ESCAPED = {"\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r"}


def _json_text(text: str) -> str:
    """A text as JSON, in the bytes of the models' macro `json_text`; the engine's own writes hexadecimals otherwise."""
    escaped = f"replace(replace({text}, chr(92), chr(92) || chr(92)), '\"', chr(92) || '\"')"
    for code in range(32):
        name = _ESCAPED.get(chr(code), f"u{code:04x}")
        escaped = f"replace({escaped}, chr({code}), chr(92) || '{name}')"
    plain = f"not regexp_matches({text}, '[\\x00-\\x1f\"\\\\]')"
    quoted = f"'\"' || case when {plain} then {text} else {escaped} end || '\"'"
    return f"case when {text} is null then 'null' else {quoted} end"


def _taken(meter: Meter) -> str:
    if meter.start is None:
        return matches_sql(meter)
    return f"({matches_sql(meter)} and ({filter_sql(meter.start)} or {filter_sql(meter.stop)}))"


def _measured(meter: Meter) -> str:
    """What a taken event does to the state; NULL where that can't be told."""
    if meter.start is None:
        assert meter.value is not None
        number = as_number(meter.value)
        if meter.allow_negative or meter.aggregation in CARRIED:
            return f"({number})"
        return f"(case when {number} >= 0 then {number} end)"
    known = "true" if meter.paired_by is None else f"{_session(meter)} is not null"
    start, stop = filter_sql(meter.start), filter_sql(meter.stop)
    # An event that is both says neither.
    return (
        f"cast(case when not {known} then null when {start} and {stop} then null when {start} then 1 else -1 end "
        "as decimal(38, 9))"
    )


def _session(meter: Meter) -> str:
    assert meter.paired_by is not None
    return f"nullif({as_text(meter.paired_by)}, '')"
