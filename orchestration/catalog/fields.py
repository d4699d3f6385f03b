"""The types of the catalog's fields: text that is checked as it is read.

Prices and amounts are decimal text, never YAML numbers: a float cannot hold 0.1. Dates are ISO 8601.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from orchestration.catalog.yamltext import UnquotedFloat
from orchestration.money import CURRENCIES
from orchestration.zones import zone_exists

_PRICE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,12})?")
NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _decimal_text(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or isinstance(value, UnquotedFloat):
        raise ValueError(f"write it as quoted text, not as a number: '{value}'")
    if not _PRICE.fullmatch(value):
        raise ValueError("not a plain decimal of at most 15 digits before and 12 after the point")
    return Decimal(value)


def _day(value: Any) -> Any:
    if isinstance(value, str) and not _DATE.fullmatch(value):
        raise ValueError("a date is written as YYYY-MM-DD")
    return value


def _instant(value: Any) -> Any:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(moment, datetime) and moment.tzinfo is None:
        raise ValueError("an instant is RFC 3339 with an offset, e.g. 2026-10-01T00:00:00Z")
    return moment


def _zone(value: str) -> str:
    if not zone_exists(value):
        raise ValueError(f"unknown IANA time zone '{value}'")
    return value


def _currency(value: str) -> str:
    if value not in CURRENCIES:
        raise ValueError(f"unknown currency '{value}' (ISO 4217, upper case)")
    return value


Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
"""Name of a catalog object; also used in file names and lineage, so it is kept plain."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""Name of a meter, property or field: a plain SQL identifier."""
AccountCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
"""An account of the general ledger, as accounting names it: 4000, 4000.10, revenue-api."""
ExternalKey = Annotated[str, Field(min_length=1, max_length=200)]
DecimalText = Annotated[
    Decimal,
    BeforeValidator(_decimal_text),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,15}(\.\d{1,12})?$"}),
]
Day = Annotated[date, BeforeValidator(_day)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Zone = Annotated[str, AfterValidator(_zone)]
CurrencyCode = Annotated[str, AfterValidator(_currency)]
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$")]
"""A length of time in real seconds, minutes, hours or days of 24 hours: 90s, 30m, 2h, 1d."""
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def duration_us(text: str) -> int:
    """Microseconds of a Duration."""
    return int(text[:-1]) * _SECONDS[text[-1]] * 1_000_000


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
