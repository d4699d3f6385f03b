"""Cases of kind `period` in this project's words. Nothing is computed here: all numbers are of periods and zones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from conformance_cases import Case, UnknownCase

from orchestration.periods import (
    Interval,
    active_parts,
    anchor_of,
    boundaries,
    boundary,
    calendar_anchor,
    fixed_days_between,
    is_boundary,
    period_containing,
    whole_intervals,
    window_starts,
)
from orchestration.settings import parse_instant
from orchestration.zones import advance_days, days_between, local_date, midnight_us

NAMED = {
    "daily": Interval("day"),
    "weekly": Interval("week"),
    "monthly": Interval("month"),
    "quarter": Interval("quarter"),
    "quarterly": Interval("quarter"),
    "half_year": Interval("month", 6),
    "half_yearly": Interval("month", 6),
    "annual": Interval("year"),
    "yearly": Interval("year"),
}
ALIGNMENT = {"anniversary": "subscription", "calendar": "calendar"}
LENGTH = ("unit", "count")


def instant(text: str) -> int:
    return parse_instant(text, "case")


def text(us: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return moment.isoformat().replace("+00:00", "Z")


def zone_of(case: Case) -> str:
    return case.params.get("timezone", "UTC")


def day_of(case: Case, name: str) -> date:
    """The local day of an instant of the input."""
    return local_date(zone_of(case), instant(case.input[name]))


def start_of(case: Case, day: date) -> str:
    return text(midnight_us(zone_of(case), day))


def interval_of(case: Case) -> Interval:
    return Interval(case.params["unit"], int(case.params["count"]) * int(case.params.get("interval", "1")))


def anchor_by_alignment(case: Case, start: date) -> date:
    return anchor_of(case.choice("alignment", ALIGNMENT), interval_of(case), start)


def billing_dates(case: Case) -> dict[str, Any]:
    case.known({*LENGTH, "anchor", "timezone", "alignment"}, {"from", "to"})
    anchor = anchor_by_alignment(case, date.fromisoformat(case.params["anchor"]))
    first, last = date.fromisoformat(case.input["from"]), date.fromisoformat(case.input["to"])
    return {"dates": [day.isoformat() for day in boundaries(anchor, interval_of(case), first, last)]}


def period_boundaries(case: Case) -> dict[str, Any]:
    case.known({*LENGTH, "anchor", "timezone", "alignment"}, {"periods"})
    start, wanted = date.fromisoformat(case.params["anchor"]), int(case.input["periods"])
    interval = interval_of(case)
    far = boundary(start, interval, wanted + 1)
    parts = active_parts(anchor_by_alignment(case, start), interval, start, far)[:wanted]
    return {"periods": [{"from": a.isoformat(), "to": b.isoformat()} for a, b in parts]}


def billing_day_in_timezone(case: Case) -> dict[str, Any]:
    case.known({*LENGTH, "alignment", "timezone"}, {"subscription_start", "instants"})
    anchor = anchor_by_alignment(case, day_of(case, "subscription_start"))
    days = [local_date(zone_of(case), instant(moment)) for moment in case.input["instants"]]
    return {"due": [is_boundary(anchor, interval_of(case), day) for day in days]}


def next_billing_date(case: Case) -> dict[str, Any]:
    case.known({*LENGTH, "interval", "period", "timezone"}, {"period_start", "anchor"})
    case.choice("period", NAMED)
    _, end = period_containing(day_of(case, "anchor"), interval_of(case), day_of(case, "period_start"))
    return {"next": start_of(case, end)}


def calendar_anchors(case: Case) -> dict[str, Any]:
    case.known({"period", "timezone"}, {"start"})
    interval = case.choice("period", NAMED)
    _, end = period_containing(calendar_anchor(interval), interval, day_of(case, "start"))
    return {"anchor": start_of(case, end)}


def billing_periods(case: Case) -> dict[str, Any]:
    case.known({*LENGTH, "timezone"}, {"start", "end", "anchor"})
    start, end = day_of(case, "start"), day_of(case, "end")
    parts = active_parts(day_of(case, "anchor"), interval_of(case), start, end)
    ends = [start_of(case, after) for _, after in parts]
    named = dict(zip(("first_end", "second_end", "third_end"), ends, strict=False))
    return {**named, "periods": str(len(parts))}


def period_at(case: Case) -> dict[str, Any]:
    case.known({*LENGTH, "anchor", "timezone"}, {"at"})
    anchor = local_date(zone_of(case), instant(case.params["anchor"]))
    start, end = period_containing(anchor, interval_of(case), day_of(case, "at"))
    return {"from": start_of(case, start), "to": start_of(case, end)}


WINDOWS = {name: name for name in ("minute", "hour", "day", "week", "month", "quarter", "year")}


def floor_to(case: Case) -> dict[str, Any]:
    case.known({"to", "timezone"}, {"t"})
    at = instant(case.input["t"])
    (start,) = window_starts(zone_of(case), case.choice("to", WINDOWS), at, at + 1)
    return {"t": text(start)}


def windows(case: Case) -> dict[str, Any]:
    case.known({"window", "anchor", "timezone"}, {"from", "to"})
    window, anchor = case.choice("window", WINDOWS), case.params["anchor"]
    if anchor is None and window in ("month", "quarter", "year"):
        anchor = case.input["from"]
    counted_from = anchor and local_date(zone_of(case), instant(anchor))
    starts = window_starts(zone_of(case), window, instant(case.input["from"]), instant(case.input["to"]), counted_from)
    return {"starts": [text(start) for start in starts]}


def advanced_days(case: Case) -> dict[str, Any]:
    case.known({"timezone"}, {"t", "days"})
    return {"t": text(advance_days(zone_of(case), instant(case.input["t"]), int(case.input["days"])))}


def whole_days_between(case: Case) -> dict[str, Any]:
    """The peer takes dates from the UTC fields; here a day is the customer's, in its zone."""
    case.known({"timezone", "dates_from"}, {"from", "to"})
    case.choice("dates_from", {"utc_fields": "UTC", "zone": "its zone"})
    return {"days": str(days_between(zone_of(case), instant(case.input["from"]), instant(case.input["to"])))}


def fixed_days(case: Case) -> dict[str, Any]:
    case.known({"fixed_days"}, {"from", "to"})
    start, end = date.fromisoformat(case.input["from"]), date.fromisoformat(case.input["to"])
    return {"days": str(fixed_days_between(start, end, int(case.params["fixed_days"])))}


def whole_periods(case: Case) -> dict[str, Any]:
    case.known(LENGTH, {"from", "to"})
    start, end = date.fromisoformat(case.input["from"]), date.fromisoformat(case.input["to"])
    return {"periods": str(whole_intervals(start, interval_of(case), end))}


def advance(case: Case) -> dict[str, Any]:
    case.known(LENGTH, {"from", "steps"})
    moved = boundary(date.fromisoformat(case.input["from"]), interval_of(case), int(case.input["steps"]))
    return {"date": moved.isoformat()}


MODELS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "advance": advance,
    "advance_days": advanced_days,
    "billing_dates": billing_dates,
    "billing_day_in_timezone": billing_day_in_timezone,
    "billing_periods_timezone": billing_periods,
    "boundaries": period_boundaries,
    "calendar_anchor": calendar_anchors,
    "days_between": whole_days_between,
    "fixed_days_between": fixed_days,
    "floor_to": floor_to,
    "next_billing_date": next_billing_date,
    "period_at": period_at,
    "whole_periods": whole_periods,
    "window_starts": windows,
}


def compute(case: Case) -> dict[str, Any]:
    """What this project says to a case, under the case's names. Raises UnknownCase for what it can't translate."""
    if case.model not in MODELS:
        raise UnknownCase(f"{case.id}: unknown model '{case.model}' of kind {case.kind}")
    return MODELS[case.model](case)
