"""Lines as rows of `record.rated_lines`, and back, field by field: a new field of `Line` is a new column.

Money is a decimal beside the line's currency; what is no plain value (the formula, problems) is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from operator import attrgetter
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from orchestration.billing.conversion import QUANTITY_DECIMALS, is_quantity
from orchestration.billing.rating import Line
from orchestration.errors import Problem
from orchestration.money import CURRENCIES, EXACT, Money

_TYPES: dict[Any, str] = {
    str: "VARCHAR",
    bool: "BOOLEAN",
    date: "DATE",
    Decimal: f"DECIMAL(38, {QUANTITY_DECIMALS})",
    Money: "DECIMAL(38, 4)",
}
JSON = "VARCHAR"
MONEY_DECIMALS = 4


def _plain(hint: Any) -> Any:
    """The type of a field without None; `str` for one of some texts, `dict` and `tuple` for what is JSON."""
    parts = [part for part in get_args(hint) if part is not NoneType]
    if NoneType in get_args(hint):
        [hint] = parts
    origin = get_origin(hint)
    return str if origin is Literal else origin or hint


FIELDS: dict[str, Any] = {name: _plain(hint) for name, hint in get_type_hints(Line).items()}
"""By name of a field of `Line` its type, as far as it decides how it is stored."""
LINE_FIELDS: dict[str, str] = {name: _TYPES.get(kind, JSON) for name, kind in FIELDS.items()}
"""The columns of a stored line."""


def line_row(line: Line) -> dict[str, Any]:
    """The stored columns of a line, as `load_rows` takes them."""
    return {
        name: value if write is None else write(value)
        for name, write, value in zip(FIELDS, _WRITERS, _VALUES(line), strict=True)
    }


def line_of(row: Sequence[Any]) -> Line:
    """The line of a row that has the columns `LINE_FIELDS`, in their order."""
    stored = dict(zip(FIELDS, row, strict=True))
    return Line(**{name: _read(kind, stored[name], stored["currency"]) for name, kind in FIELDS.items()})


def _written(kind: Any) -> Callable[[Any], Any] | None:
    """How values of a field are stored; None for those that are stored as they are."""
    if kind is Money:
        return lambda money: None if money is None else money.text
    if kind is Decimal:
        return _quantity
    if kind is date:
        return lambda day: None if day is None else day.isoformat()
    if kind in (str, bool):
        return None
    if kind is tuple:
        return _problems
    return json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def _problems(problems: Sequence[Problem]) -> str:
    return json.dumps([asdict(problem) for problem in problems], ensure_ascii=False) if problems else "[]"


def _quantity(value: Decimal | None) -> str | None:
    """Raises ValueError for more decimals than the column has, which the engine would round."""
    if value is None:
        return None
    if not is_quantity(value):
        value = value.normalize(EXACT)
        if not is_quantity(value):
            raise ValueError(f"{value} is not a quantity of at most {QUANTITY_DECIMALS} decimals")
    return f"{value:f}"


_WRITERS = [_written(kind) for kind in FIELDS.values()]
_VALUES = attrgetter(*FIELDS)


def _read(kind: Any, value: Any, currency: str) -> Any:
    if value is None or kind in (str, bool, date, Decimal):
        return value
    if kind is Money:
        return money_of(value, currency)
    found = json.loads(value)
    return tuple(Problem(**problem) for problem in found) if kind is tuple else found


def money_of(value: Decimal, currency: str) -> Money:
    """Stored at four decimals, it is at those of its currency again. Raises ValueError where that would round it."""
    decimals = CURRENCIES[currency]
    minor, rest = divmod(int(EXACT.scaleb(value, MONEY_DECIMALS)), 10 ** (MONEY_DECIMALS - decimals))
    if rest:
        raise ValueError(f"{value} is no amount of {currency}")
    return Money(EXACT.scaleb(Decimal(minor), -decimals), currency)


def line_days(lines: str) -> str:
    """SQL: rows of `record.rated_lines` by each of their local days (`local_day`), with what they earn then
    (`earned`, DECIMAL(38, 4)). `lines` is the table, or a query of it in brackets."""
    amounts = "CAST(daily AS DECIMAL(38, 4)[])"
    return (
        f"SELECT * EXCLUDE (daily), unnest({amounts}) AS earned, "
        f'"start" + CAST(generate_subscripts({amounts}, 1) - 1 AS INTEGER) AS local_day FROM {lines}'
    )
