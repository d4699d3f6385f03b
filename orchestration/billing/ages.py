"""Ages of what waits, in days, as finance sorts them."""

from __future__ import annotations

_MOST = {"0-7": 7, "8-30": 30, "31-90": 90}
OLDER = "over 90"
AGES = (*_MOST, OLDER)
"""All buckets, the youngest first."""


def age_of(days: int) -> str:
    """The bucket of an age in days; what lies ahead is as young as it can be."""
    return next((name for name, most in _MOST.items() if days <= most), OLDER)
