"""From a reader's text fields to typed columns of the lake and one reason of quarantine, in SQL that all formats share.

What a line becomes depends on its bytes, the source's mapping and the batch's `now` alone: no clock, no session zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from orchestration.catalog.sources import Source
from orchestration.ingest.engine import keyed_hash
from orchestration.ingest.formats.base import LATENCY, PROPERTY, Reader
from orchestration.sqltext import identifier, literal
from orchestration.zones import DAY_US, offset_intervals

MAX_ID_BYTES = 1024
COLUMNS = (
    ("file_id", "INTEGER"),
    ("line", "BIGINT"),
    ("source", "VARCHAR"),
    ("event_id", "VARCHAR"),
    ("time_us", "BIGINT"),
    ("event_type", "VARCHAR"),
    ("feed", "VARCHAR"),
    ("credential", "VARCHAR"),
    ("user_key", "VARCHAR"),
    ("method", "VARCHAR"),
    ("path", "VARCHAR"),
    ("status", "INTEGER"),
    ("bytes", "BIGINT"),
    ("latency_us", "BIGINT"),
    ("address_key", "VARCHAR"),
    ("network", "VARCHAR"),
    ("agent", "VARCHAR"),
    ("agent_key", "VARCHAR"),
    ("extra", "VARCHAR"),
)
"""Columns of every lake file, in order; then one VARCHAR column `p_<property>` for each property, by name."""

_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?"
_AND_59 = " || '59'"


@dataclass(frozen=True, slots=True)
class Context:
    """What a line's meaning depends on beside its bytes and the mapping."""

    positional: bool
    """Whether events are known by their place and carry no id."""
    now_us: int
    skew_us: int


def property_columns(source: Source) -> list[str]:
    """The lake columns of a source's properties, sorted by name."""
    return [PROPERTY + name for name in sorted(source.properties)]


def lake_columns(source: Source) -> list[str]:
    """Names of the columns of this source's lake files, in order."""
    return [*(name for name, _ in COLUMNS), *property_columns(source)]


def parsed_columns(source: Source) -> list[tuple[str, str]]:
    """Names and types of what `canonical` selects; user, address and agent still stand as they were written."""
    kinds = dict(COLUMNS)
    lake = [(name, kinds.get(name, "VARCHAR")) for name in lake_columns(source)]
    flags = [(name, "BOOLEAN") for name in ("blank", "slow", "rounded")]
    return [*lake, ("reason", "VARCHAR"), *flags, ("text", "VARCHAR")]


def canonical(reader: Reader, read: str, source: Source, context: Context) -> str:
    """SQL: the lake's columns, then `reason, blank, slow, rounded, text`, for what `read` selects.

    `file_id`, and the id of an event without one, are added as the lake files are written. `text` is NULL for the lines
    that are accepted. `disguise` makes keyed hashes of what is in the columns *_key.

    Args:
        reader: which targets `read` offers, and how its times are written.
        read: SQL that selects `line, text, slow, grammar, f_<target>...`.
    """
    return f"""
        SELECT {_columns(reader, source, context)},
            CASE WHEN slow OR blank THEN NULL ELSE {_reason(reader, source, context)} END AS reason,
            blank, slow, {_was_rounded(source)} AS rounded,
            CASE WHEN slow OR reason IS NOT NULL THEN text END AS text
        FROM (SELECT *, {_instant(source, context)} AS us FROM (SELECT *, {_clock(reader)} FROM ({read})))"""


def _field(reader: Reader, source: Source, target: str) -> str:
    if target in source.drop:
        return "CAST(NULL AS VARCHAR)"
    if target in source.constants:
        return literal(source.constants[target])
    return f"f_{target}" if target in reader.targets else "CAST(NULL AS VARCHAR)"


def _columns(reader: Reader, source: Source, context: Context) -> str:
    def field(target: str) -> str:
        return _field(reader, source, target)

    named_source = "source" in reader.targets or "source" in source.constants
    typed = "event_type" in reader.targets or "event_type" in source.constants
    values = {
        "file_id": "NULL",
        "line": "line",
        "source": field("source") if named_source else literal(source.name),
        "event_id": "NULL" if context.positional else field("id"),
        "time_us": "us",
        "event_type": field("event_type") if typed else literal(source.event_type),
        "feed": literal(source.name),
        "credential": f"nullif({field('credential')}, '')",
        "user_key": f"nullif({field('user')}, '')",
        "method": field("method"),
        "path": _path(field("path")),
        "status": _whole(field("status"), 9),
        "bytes": _whole(field("bytes"), 18),
        "latency_us": _latency(reader),
        "address_key": f"nullif({field('address')}, '')",
        "network": "NULL",
        "agent": "NULL",
        "agent_key": f"nullif({field('agent')}, '')",
        "extra": _extra(field("extra")),
    }
    columns = [f"CAST({values[name]} AS {kind}) AS {name}" for name, kind in COLUMNS]
    columns += [f"{_property(name, source)} AS {identifier(name)}" for name in property_columns(source)]
    return ", ".join(columns)


def _path(value: str) -> str:
    """Target without query; of an absolute target the path, "/" where it has none."""
    bare = f"split_part({value}, '?', 1)"
    relative = f"regexp_replace({bare}, '^[A-Za-z][A-Za-z0-9+.-]*://[^/]*', '')"
    return (
        f"CASE WHEN starts_with({value}, '/') THEN {bare} "
        f"WHEN contains({bare}, '://') THEN coalesce(nullif({relative}, ''), '/') ELSE {bare} END"
    )


def _whole(value: str, digits: int) -> str:
    return f"CASE WHEN regexp_full_match({value}, '[0-9]{{1,{digits}}}') THEN {value} END"


def _latency(reader: Reader) -> str:
    """Microseconds that the request took, of several parts their sum; finer ones are cut off from each part.

    NULL where a part is missing or no number: formats write -1 for what did not happen, and `+` before what went on.
    """
    parts = [target for target in reader.targets if target.startswith(LATENCY)]
    return " + ".join(_microseconds(f"f_{target}", target.split("_")[1]) for target in parts) or "NULL"


def _microseconds(value: str, unit: str) -> str:
    style = f"epoch_{unit}"
    small = "[0-9]([.][0-9]+)?[eE]-0?[1-9][0-9]?"
    zeros = f"repeat('0', CAST(regexp_extract({value}, '[1-9][0-9]?$') AS INTEGER) - 1)"
    written_out = f"'0.' || {zeros} || replace(regexp_extract({value}, '^[0-9.]+'), '.', '')"
    return (
        f"CASE WHEN regexp_full_match({value}, '[0-9]{{1,18}}([.][0-9]+)?') THEN {_epoch(value, style)} "
        f"WHEN regexp_full_match({value}, '{small}') THEN {_epoch(f'({written_out})', style)} END"
    )


def _extra(value: str) -> str:
    """Further quoted fields as written; addresses (as X-Forwarded-For gives them) only as keyed hash."""
    addresses = f"regexp_full_match({value}, '[\"0-9a-fA-F:., ]*') AND regexp_matches({value}, '[0-9a-fA-F][.:]')"
    return f"CASE WHEN {addresses} THEN {keyed_hash(value)} ELSE {value} END"


# -- time ---------------------------------------------------------------------------------------------------------


def _clock(reader: Reader) -> str:
    """`blank`, the time's text, and its parts: wall clock in microseconds, and offset text ('' for none)."""
    time = "f_time" if "time" in reader.targets else "CAST(NULL AS VARCHAR)"
    if reader.time_style == "iso":
        wall, zone = _iso(time)
    else:
        (iso, iso_zone), (clf, clf_zone) = _iso(time), _clf(time)
        # A server can be told to write the other kind in its brackets.
        wall = f"CASE WHEN contains({time}, '/') THEN {clf} ELSE {iso} END"
        zone = f"CASE WHEN contains({time}, '/') THEN {clf_zone} ELSE {iso_zone} END"
    if reader.time_style not in ("iso", "clf"):
        number = f"regexp_full_match({time}, '[0-9]{{1,19}}([.][0-9]+)?')"
        wall = f"CASE WHEN {number} THEN {_epoch(time, reader.time_style)} ELSE {wall} END"
        zone = f"CASE WHEN {number} THEN 'Z' ELSE {zone} END"
    return f"{is_blank(reader)} AS blank, nullif({time}, '') AS time_text, {wall} AS wall, {zone} AS zone"


def is_blank(reader: Reader) -> str:
    """SQL over `text`: whether a line holds nothing, or a comment."""
    comment = f"WHEN starts_with(text, {literal(reader.comment)}) THEN true " if reader.comment else ""
    # Trimming is dear, and a line that begins with a printed character needs none.
    return f"CASE {comment}WHEN ord(text) > 32 THEN false ELSE length(trim(text, E' \\t\\r')) = 0 END"


def _clf(time: str) -> tuple[str, str]:
    """SQL for wall clock and offset of `06/Feb/2009:12:14:14.655 +0100`; fraction and offset may be missing."""
    shape = f"[0-3][0-9]/[A-Z][a-z][a-z]/[0-9]{{4}}:{_CLOCK}( [+-][0-9]{{4}})?"
    zone = f"CASE WHEN {time}[-5] IN ('+', '-') THEN {time}[-5:-3] || ':' || right({time}, 2) ELSE '' END"
    parsed = "epoch_us(try_strptime({second}, '%d/%b/%Y:%H:%M:%S'))"
    fraction = f"CAST(rpad(regexp_extract({time}, '[.]([0-9]{{1,6}})', 1), 6, '0') AS BIGINT)"
    plain = parsed.format(second=f"left({time}, 20)")
    plain = f"CASE WHEN contains({time}, '.') THEN {plain} + {fraction} ELSE {plain} END"
    return _wall(time, shape, 20, plain, parsed), zone


def _iso(time: str) -> tuple[str, str]:
    """SQL for wall clock and offset of an RFC 3339 time, whose offset may be missing."""
    shape = f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})?"
    zone = (
        f"CASE WHEN suffix({time}, 'Z') OR suffix({time}, 'z') THEN 'Z' "
        f"WHEN {time}[-6] IN ('+', '-') THEN right({time}, 6) ELSE '' END"
    )
    parsed = "epoch_us(try_cast({second} AS TIMESTAMP))"
    # The engine cuts off what is finer than a microsecond.
    without_zone = (
        f"CASE WHEN suffix({time}, 'Z') THEN left({time}, length({time}) - 1) "
        f"WHEN suffix({time}, 'z') THEN upper(left({time}, length({time}) - 1)) "
        f"WHEN {time}[-6] IN ('+', '-') THEN upper(left({time}, length({time}) - 6)) ELSE upper({time}) END"
    )
    return _wall(time, shape, 19, parsed.format(second=without_zone), parsed), zone


def _wall(time: str, shape: str, length: int, plain: str, parsed: str) -> str:
    """SQL for microseconds of the wall clock: `plain`, but for a leap second, which is the end of the second before."""
    at_59 = parsed.format(second=f"upper(left({time}, {length - 2}))" + _AND_59)
    return (
        f"CASE WHEN NOT regexp_full_match({time}, '{shape}') THEN NULL "
        f"WHEN substr({time}, {length - 1}, 2) = '60' THEN {at_59} + 999999 ELSE {plain} END"
    )


def _epoch(time: str, style: str) -> str:
    """SQL for microseconds out of a number of the style's unit; finer parts are cut off."""
    places = {"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0, "epoch_ns": -3}[style]
    whole = f"split_part({time}, '.', 1)"
    if places < 0:
        return f"TRY_CAST(CAST({whole} AS HUGEINT) // 1000 AS BIGINT)"
    fraction = f"rpad(left(split_part({time}, '.', 2), {places}), {places}, '0')"
    return f"TRY_CAST({whole} || {fraction} AS BIGINT)"


def _instant(source: Source, context: Context) -> str:
    hours, minutes = "TRY_CAST(zone[2:3] AS BIGINT)", "TRY_CAST(zone[5:6] AS BIGINT)"
    offset = (
        f"CASE WHEN {hours} <= 23 AND {minutes} <= 59 "
        f"THEN ({hours} * 60 + {minutes}) * 60000000 * CASE WHEN zone[1] = '-' THEN -1 ELSE 1 END END"
    )
    declared = _declared_offset(source, context)
    return f"CASE WHEN zone = 'Z' THEN wall WHEN zone = '' THEN wall - {declared} ELSE wall - {offset} END"


def _declared_offset(source: Source, context: Context) -> str:
    """Offset of the source's own zone at a wall-clock time; NULL where none is declared.

    An hour that the clock shows twice is its first showing; one that it skips is taken by the offset before the gap.
    """
    if source.zone is None:
        return "NULL"
    start = int(source.not_before.timestamp()) * 1_000_000 - 2 * DAY_US
    spans = offset_intervals(source.zone, start, context.now_us + context.skew_us + 2 * DAY_US)
    if len(spans) < 2:
        return str(spans[0].offset_us if spans else 0)
    pairs = list(pairwise(spans))
    bounds = ", ".join(str(a.end_us + max(a.offset_us, b.offset_us)) for a, b in pairs)
    offsets = ", ".join(str(span.offset_us) for span in spans)
    return f"([{offsets}])[1 + len(list_filter([{bounds}], lambda b: b <= wall))]"


# -- quantity and reasons -----------------------------------------------------------------------------------------

_QUANTITY = "-?[0-9]{1,15}([.][0-9]{1,9})?"
_TOO_FINE = "-?[0-9]{1,15}[.][0-9]{10,}"


def _property(name: str, source: Source) -> str:
    column = f"f_{name}"
    if source.more_decimals == "refuse" or source.quantity is None or name != PROPERTY + source.quantity:
        return column
    kept = f"CAST(regexp_extract({column}, '^-?[0-9]+[.][0-9]{{9}}') AS DECIMAL(38, 9))"
    up = f"CASE WHEN regexp_matches({column}, '^-?[0-9]+[.][0-9]{{9}}[5-9]') THEN 0.000000001 ELSE 0.000000000 END"
    sign = f"CASE WHEN starts_with({column}, '-') THEN -1 ELSE 1 END"
    rounded = f"CAST(CAST({kept} + {up} * {sign} AS DECIMAL(38, 9)) AS VARCHAR)"
    return f"CASE WHEN regexp_full_match({column}, '{_TOO_FINE}') THEN {rounded} ELSE {column} END"


def _was_rounded(source: Source) -> str:
    if source.more_decimals == "refuse" or source.quantity is None:
        return "false"
    return f"coalesce(regexp_full_match(f_{PROPERTY}{source.quantity}, '{_TOO_FINE}'), false)"


def _reason(reader: Reader, source: Source, context: Context) -> str:
    """SQL: why the line is quarantined, or NULL. The first that applies: grammar, identity, time, quantity."""
    checks = [("grammar IS NOT NULL", "grammar")]
    if not context.positional:
        identity = _field(reader, source, "id")
        checks.append((f"coalesce({identity}, '') = '' OR strlen({identity}) > {MAX_ID_BYTES}", "'missing_id'"))
    for target in ("source", "event_type"):
        if target in reader.targets:
            checks.append((f"coalesce(f_{target}, '') = ''", f"'missing_{target}'"))
    earliest = int(source.not_before.timestamp()) * 1_000_000
    checks += [
        ("time_text IS NULL", "'no_time'"),
        ("wall IS NULL", "'bad_time'"),
        *([("zone = ''", "'no_zone'")] if source.zone is None else []),
        ("us IS NULL", "'bad_time'"),
        (f"us > {context.now_us + context.skew_us} OR us < {earliest}", "'time_out_of_window'"),
    ]
    if source.quantity is not None:
        value = _property(PROPERTY + source.quantity, source)
        checks.append((f"NOT coalesce(regexp_full_match({value}, '{_QUANTITY}'), false)", "'bad_quantity'"))
    return "CASE " + " ".join(f"WHEN {test} THEN {reason}" for test, reason in checks) + " END"
