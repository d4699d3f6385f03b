"""From the catalog's typed trees to SQL expressions over a row of the lake.

A meter is data: its names come from the list of the lake's columns, its values pass through one literal function. No
text of the catalog reaches SQL by any other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestration.catalog.meters import All, AnyOf, Condition, Filter, Meter, Not, meter_fields
from orchestration.sqltext import identifier, literal

TEXT_FIELDS = {
    "source": "source",
    "feed": "feed",
    "event_type": "event_type",
    "credential": "credential",
    "user": "user_key",
    "method": "method",
    "path": "path",
    "endpoint": "endpoint",
    "address": "address_key",
    "agent": "agent",
}
NUMBER_FIELDS = {"status": "status", "bytes": "bytes"}

_GRAMMAR = r"-?\d{1,15}(\.\d{1,9})?"
_COMPARE = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def property_column(name: str) -> str:
    """Lake column of a property that a source declares."""
    return identifier(f"p_{name}")


def names_read(meters: Iterable[Meter]) -> set[str]:
    """Names of the fields and properties that meters read, in filters or as value."""
    return set().union(*map(meter_fields, meters))


def fields_read(meters: Iterable[Meter]) -> set[str]:
    """Names of the properties that meters read, in filters or as value."""
    return {n for n in names_read(meters) if n not in TEXT_FIELDS and n not in NUMBER_FIELDS}


def as_text(field: str) -> str:
    """The field as VARCHAR."""
    if field in NUMBER_FIELDS:
        return f"cast({NUMBER_FIELDS[field]} as varchar)"
    return TEXT_FIELDS.get(field) or property_column(field)


def as_number(field: str) -> str:
    """The field as DECIMAL(38,9), NULL where it is not written in the grammar of quantities."""
    if field in NUMBER_FIELDS:
        return f"cast({NUMBER_FIELDS[field]} as decimal(38, 9))"
    text = as_text(field)
    return f"case when regexp_full_match({text}, '{_GRAMMAR}') then cast({text} as decimal(38, 9)) end"


def filter_sql(node: Filter | None) -> str:
    """A boolean expression that is never NULL: a comparison with a missing field is false."""
    if node is None:
        return "true"
    if isinstance(node, All):
        return "(" + (" and ".join(map(filter_sql, node.all)) or "true") + ")"
    if isinstance(node, AnyOf):
        return "(" + (" or ".join(map(filter_sql, node.any)) or "false") + ")"
    if isinstance(node, Not):
        return f"(not {filter_sql(node.not_)})"
    return _condition_sql(node)


def _condition_sql(node: Condition) -> str:
    if node.op == "exists":
        return f"({as_text(node.field)} is not null)"
    if isinstance(node.value, tuple):
        equal = [_condition_sql(Condition(field=node.field, op="eq", value=v)) for v in node.value]
        among = "(" + (" or ".join(equal) or "false") + ")"
        return among if node.op == "in" else f"({as_text(node.field)} is not null and not {among})"
    value = node.value
    numeric = isinstance(value, int) or node.op in ("lt", "le", "gt", "ge")
    left = as_number(node.field) if numeric else as_text(node.field)
    right = f"cast({literal(str(value))} as decimal(38, 9))" if numeric else literal(str(value))
    return f"coalesce({left} {_COMPARE[node.op]} {right}, false)"


def matches_sql(meter: Meter) -> str:
    """True where the meter takes the event."""
    return f"(event_type = {literal(meter.event_type)} and {filter_sql(meter.filter)})"


def value_sql(meter: Meter) -> str:
    """What one event contributes, NULL where the meter doesn't take it or can't measure it.

    INTEGER 1 for count, VARCHAR for unique_count, DECIMAL(38,9) for all others.
    """
    match = matches_sql(meter)
    if meter.value is None:
        return f"case when {match} then 1 end"
    if meter.aggregation == "unique_count":
        return f"case when {match} then nullif({as_text(meter.value)}, '') end"
    number = as_number(meter.value)
    if not meter.allow_negative:
        number = f"(case when {number} >= 0 then {number} end)"
    return f"case when {match} then {number} end"


def event_columns(meters: Sequence[Meter]) -> list[str]:
    """Select items of meters that carry nothing, and of their dimensions.

    Per meter `m_<key>`, its value, and `u_<key>`, 1 where it takes the event but can't measure it: both NULL where it
    doesn't take the event. Per dimension `d_<name>`, the field as text, whatever meter takes the event.
    """
    items = []
    for meter in meters:
        value = value_sql(meter)
        items.append(f"{value} as {identifier('m_' + meter.key)}")
        unmeasured = f"case when {matches_sql(meter)} and ({value}) is null then 1 end"
        items.append(f"{unmeasured} as {identifier('u_' + meter.key)}")
    dimensions = sorted({name for meter in meters for name in meter.dimensions})
    return [*items, *(f"{as_text(name)} as {identifier('d_' + name)}" for name in dimensions)]
