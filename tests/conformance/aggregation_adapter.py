"""Cases of kind `aggregation` in this project's words: what each asks of the world, and which of its numbers answer.

Numbers are those of lines, marts and the metering tables. The adapter makes none: where a case counts events, it has a
counting meter beside its own; where it groups, or gives a number for each event, a buyer for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from aggregation_world import Buyer, World
from conformance_cases import Case, UnknownCase
from instances import rows
from pricing_terms import fields_of

from orchestration.audit.states import Reading, series_of
from orchestration.billing.charges import Slice
from orchestration.billing.conversion import divided
from orchestration.catalog.meters import Meter
from orchestration.money import Money
from orchestration.periods import window_starts
from orchestration.settings import parse_instant
from orchestration.zones import local_date, midnight_us

Answer = Callable[["Results"], dict[str, Any]]
SIGNED = {"allow_negative": True}
UNITS = {"sum": {**SIGNED, "value": "value"}, "max": {**SIGNED, "value": "value"}, "count": {}}
UNITS |= {"latest": {**SIGNED, "value": "value"}, "weighted_sum": {"value": "value"}}
ITEMS = {
    "aggregation": "level",
    "start": {"field": "op", "op": "eq", "value": "add"},
    "stop": {"field": "op", "op": "eq", "value": "remove"},
    "session": "item",
}
ADDED = {
    "aggregation": "unique_count",
    "value": "item",
    "start": {"field": "op", "op": "eq", "value": "add"},
    "stop": {"field": "op", "op": "eq", "value": "remove"},
}
PLAIN = {"aggregation", "filter", "carry_over", "result_rounding", "tolerance", "dedup_key", "timezone"}
PRORATED = PLAIN | {"period_days", "persisted_days", "prorate", "group_by"}
TELLS = {"t", "value", "props", "item", "op", "id", "source"}
MODES = {"half_up": ROUND_HALF_UP, "ceil": ROUND_CEILING}


def instant(text: str) -> int:
    return parse_instant(text, "case")


def text(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


class Results:
    """The numbers of a built world, read once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lines: dict[tuple[str, str, str], Decimal] = {}
        self.amounts: dict[tuple[str, str, str], Decimal] = {}
        drafts = "SELECT customer, charge, service_start::VARCHAR, quantity, amount FROM marts.invoice_draft_lines"
        for customer, charge, start, quantity, amount in rows(home, drafts):
            self.lines[customer, charge, start] = quantity
            self.amounts[customer, charge, start] = amount
        self.days: dict[tuple[str, str], list[tuple[date, Decimal]]] = defaultdict(list)
        daily = "SELECT customer, meter, local_day, sum(quantity) FROM marts.usage_daily GROUP BY ALL ORDER BY ALL"
        for customer, meter, day, quantity in rows(home, daily):
            self.days[customer, meter].append((day, quantity))


class Translation:
    """A case on its way into a world: its buyers, and how its answer is put together from the results."""

    def __init__(self, case: Case, world: World) -> None:
        self.case = case
        self.world = world
        self.zone = case.params.get("timezone", "UTC")
        self.answer = MODELS[case.model](self)

    # -- buyers ----------------------------------------------------------------------------------------------------

    def days_of(self, period: dict[str, str]) -> tuple[date, date]:
        """The local days that a period touches. Raises UnknownCase where one of them has an event outside it."""
        start_us, end_us = instant(period["from"]), instant(period["to"])
        start, end = local_date(self.zone, start_us), local_date(self.zone, end_us - 1) + timedelta(days=1)
        for event in self.case.input["events"]:
            at = instant(event["t"])
            inside = midnight_us(self.zone, start) <= at < midnight_us(self.zone, end)
            if inside and not start_us <= at < end_us:
                raise UnknownCase(
                    f"{self.case.id}: an event on a day that the period cuts, which no period of ours does"
                )
        return start, end

    def buyer(self, start: date, end: date, suffix: str = "", period_days: int | None = None) -> Buyer:
        key = "-".join(filter(None, [self.case.id.replace(".", "-").replace("_", "-"), suffix]))
        days = period_days or (end - start).days
        made = Buyer(key=key, zone=self.zone, start=start, end=end, period_days=days)
        made.events = [self.event(made, number, given) for number, given in enumerate(self.case.input["events"])]
        return made

    def event(self, buyer: Buyer, number: int, given: dict[str, Any]) -> dict[str, Any]:
        groups = set(self.case.params.get("group_by", ()))
        for name in given.keys() - TELLS - groups:
            raise UnknownCase(f"{self.case.id}: unknown event field '{name}'")
        data = {name: given[name] for name in ("value", "item", "op") if name in given}
        data |= {f"p_{name}": value for name, value in given.get("props", {}).items()}
        data |= {f"p_{name}": given[name] for name in groups & given.keys()}
        by_key = sorted(self.case.params.get("dedup_key", [])) == ["id", "source"]
        identity = given["id"] if by_key else f"event-{number}"
        source = f"{buyer.key}/{given['source'] if by_key else ''}"
        return {"id": identity, "source": source, "time": given["t"], "data": data}

    # -- meters ----------------------------------------------------------------------------------------------------

    def filter(self, *more: dict[str, Any]) -> dict[str, Any]:
        """The case's filter as a meter's: a null value means that the key is absent."""
        given = self.case.params.get("filter", {"match": {}, "exclude_any": []})
        for name in given.keys() - {"match", "exclude_any"}:
            raise UnknownCase(f"{self.case.id}: unknown part of filter '{name}'")
        parts = [one_of(key, values) for key, values in given["match"].items()]
        out = [{"all": [one_of(key, values) for key, values in one.items()]} for one in given["exclude_any"]]
        parts += [{"not": one} for one in out] + list(more)
        return {"filter": {"all": parts}} if parts else {}

    def meter(self, aggregation: str, *more: dict[str, Any]) -> dict[str, Any]:
        if aggregation not in UNITS:
            raise UnknownCase(f"{self.case.id}: unknown value '{aggregation}' of switch 'aggregation'")
        carried = {"carry": True} if self.case.params.get("carry_over") or self.seats else {}
        return {"aggregation": aggregation, **UNITS[aggregation], **carried, **self.filter(*more)}

    @property
    def seats(self) -> bool:
        return self.case.model.startswith("prorated_")

    def counter(self, *more: dict[str, Any]) -> dict[str, Any]:
        """A meter of the events that have what the case's own meter reads."""
        needs = [] if self.case.params["aggregation"] in ("count", "filter") else [{"field": "value", "op": "exists"}]
        return {"aggregation": "count", **self.filter(*needs, *more)}

    def events_in(self, results: Results, buyer: Buyer) -> str:
        """Events of the period; with what is carried in, all up to its end."""
        first = date.min if self.case.params.get("carry_over") else buyer.start
        meter = self.world.meter(buyer.meters["events"])
        found = results.days[buyer.key, meter]
        return str(int(sum(quantity for day, quantity in found if first <= day < buyer.end)))

    def quantity(self, results: Results, buyer: Buyer, charge: str = "units") -> Decimal:
        return results.lines[buyer.key, charge, buyer.start.isoformat()]

    def cents(self, results: Results, buyer: Buyer) -> str:
        amount = results.amounts[buyer.key, "units", buyer.start.isoformat()]
        return str(Money.of(amount, self.case.currency).minor)


def one_of(key: str, values: list[str | None]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    parts: list[dict[str, Any]] = [{"field": f"p_{key}", "op": "in", "value": present}] if present else []
    if len(present) < len(values):
        parts.append({"not": {"field": f"p_{key}", "op": "exists"}})
    return parts[0] if len(parts) == 1 else {"any": parts}


# -- one model each --------------------------------------------------------------------------------------------------


def total(t: Translation, *more: dict[str, Any], suffix: str = "", days: tuple[date, date] | None = None) -> Buyer:
    """A buyer whose line has the case's number, with a meter of events beside it."""
    start, end = days or t.days_of(t.case.input["period"])
    stated = t.case.params.get("period_days")
    buyer = t.buyer(start, end, suffix, int(stated) if stated else None)
    buyer.meters = {"units": t.meter(t.case.params["aggregation"], *more), "events": t.counter(*more)}
    buyer.charges = {"units": {"meter": "units"}}
    if t.seats:
        prorated = t.case.params.get("prorate", True)
        buyer.charges = {"units": {"meter": "units", **({"prorate": "days"} if prorated else {})}}
        buyer.charges["full"] = {"meter": "units"}
    return buyer


def period_total(t: Translation) -> Answer:
    t.case.known(PLAIN, {"events", "period"})
    buyer = total(t)
    t.world.add(buyer)
    return lambda r: {"value": t.quantity(r, buyer), "events": t.events_in(r, buyer)}


def filtered(t: Translation) -> Answer:
    """Which values are left: a row of the hourly mart for each, by its value as dimension."""
    t.case.known(PLAIN, {"events", "period"})
    start, end = t.days_of(t.case.input["period"])
    buyer = t.buyer(start, end)
    counted = t.counter()
    buyer.meters = {"events": counted, "values": {**counted, "dimensions": ["value"]}}
    buyer.charges = {"units": {"meter": "events"}}
    t.world.add(buyer)
    meter = t.world.meter(buyer.meters["values"])
    query = (
        "SELECT json_extract_string(dimensions, '$.value'), quantity::INTEGER FROM marts.usage_hourly "
        f"WHERE customer = '{buyer.key}' AND meter = '{meter}' ORDER BY hour_start, 1"
    )

    def answer(r: Results) -> dict[str, Any]:
        values = [value for value, times in rows(r.home, query) for _ in range(times)]
        return {"values": values, "events": t.events_in(r, buyer)}

    return answer


def opening(t: Translation, buyer: Buyer) -> None:
    """The level that the case begins with: a change on the day before."""
    if Decimal(t.case.params["initial_value"]):
        before = text(midnight_us(t.zone, buyer.start - timedelta(days=1)))
        buyer.events.append(t.event(buyer, -1, {"t": before, "value": t.case.params["initial_value"]}))


def weighted(t: Translation) -> Answer:
    t.case.known(PLAIN | {"initial_value"}, {"events", "period"})
    buyer = total(t)
    opening(t, buyer)
    t.world.add(buyer)
    return lambda r: {"value": t.quantity(r, buyer), "events": t.events_in(r, buyer)}


def groups_of(t: Translation) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """(suffix, filters, names) of each group that the case's events are in."""
    names = t.case.params["group_by"]
    found = {tuple(e.get("props", {}).get(n, e.get(n)) for n in names) for e in t.case.input["events"]}
    for number, values in enumerate(sorted(found, key=lambda v: tuple((x is not None, x or "") for x in v))):
        pairs = dict(zip(names, values, strict=True))
        yield f"group-{number}", [one_of(name, [value]) for name, value in pairs.items()], pairs


def grouped(t: Translation) -> Answer:
    t.case.known(PRORATED | {"initial_value"}, {"events", "period"})
    buyers = []
    for suffix, filters, names in groups_of(t):
        buyer = total(t, *filters, suffix=suffix)
        if t.case.params["aggregation"] == "weighted_sum" and Decimal(t.case.params["initial_value"]):
            raise UnknownCase(f"{t.case.id}: an 'initial_value' of which group?")
        t.world.add(buyer)
        buyers.append((names, buyer))

    def answer(r: Results) -> dict[str, Any]:
        return {"groups": [{**names, **numbers(t, r, buyer)} for names, buyer in buyers]}

    return answer


def numbers(t: Translation, r: Results, buyer: Buyer) -> dict[str, Any]:
    found = {"value": t.quantity(r, buyer), "events": t.events_in(r, buyer)}
    return {**found, "full_units": t.quantity(r, buyer, "full")} if t.seats else found


def prorated(t: Translation) -> Answer:
    """With `persisted_days` the case's units are carried into a segment of so many days."""
    t.case.known(PRORATED, {"events", "period"})
    start, end = t.days_of(t.case.input["period"])
    persisted = t.case.params.get("persisted_days")
    counted_in = total(t, days=(start, end))
    if persisted is not None:
        start, end = end, end + timedelta(days=int(persisted))
    buyer = total(t, suffix="carried" if persisted else "", days=(start, end))
    t.world.add(buyer)
    if persisted is not None:
        t.world.add(counted_in)
        return lambda r: {**numbers(t, r, buyer), "events": t.events_in(r, counted_in)}
    return lambda r: numbers(t, r, buyer)


def prorated_items(t: Translation) -> Answer:
    """Items weighed by the days on which they are there."""
    t.case.known(PRORATED, {"events", "period"})
    if t.case.params["aggregation"] != "unique_count":
        raise UnknownCase(f"{t.case.id}: items of aggregation '{t.case.params['aggregation']}'")
    buyer = t.buyer(*t.days_of(t.case.input["period"]), period_days=int(t.case.params["period_days"]))
    buyer.meters = {"units": {**ADDED, **t.filter()}}
    buyer.charges = {"units": {"meter": "units", "prorate": "days"}}
    t.world.add(buyer)
    return lambda r: {"value": t.quantity(r, buyer)}


def prorated_values(t: Translation) -> Answer:
    """A number for each event: a buyer for each."""
    t.case.known(PRORATED, {"events", "period"})
    buyers = []
    for number in range(len(t.case.input["events"])):
        buyer = total(t, suffix=f"event-{number}")
        buyer.events = buyer.events[number : number + 1]
        t.world.add(buyer)
        buyers.append(buyer)
    return lambda r: {"values": [t.quantity(r, buyer) for buyer in buyers]}


WINDOWS = {"minute": "1m", "hour": "1h", "day": "1d"}


def windowed(t: Translation) -> Answer:
    """A row for each window that has events, of the range widened to whole windows."""
    t.case.known(PLAIN | {"window"}, {"events", "period"})
    window = t.case.params["window"]
    length = t.case.choice("window", WINDOWS)
    start_us, end_us = instant(t.case.input["period"]["from"]), instant(t.case.input["period"]["to"])
    buyer = t.buyer(local_date(t.zone, start_us), local_date(t.zone, end_us - 1) + timedelta(days=1))
    aggregation = t.case.params["aggregation"]
    buyer.meters = {"units": t.meter(aggregation)}
    buyer.charges = {"units": {"meter": "units", "watermark": {"of": aggregation, "window": length}}}
    t.world.add(buyer)
    meter = t.world.meter(buyer.meters["units"])
    starts = window_starts(t.zone, window, start_us, end_us)

    def answer(r: Results) -> dict[str, Any]:
        query = (
            f"SELECT window_us, value FROM metering.windows WHERE customer = '{buyer.key}' AND meter = '{meter}' "
            f"AND window_length = '{length}' ORDER BY window_us"
        )
        found = [(us, value) for us, value in rows(r.home, query) if us in starts]
        ends = {us: window_starts(t.zone, window, us, us + 2 * 86_400_000_000)[1] for us, _ in found}
        return {"rows": [{"from": text(us), "to": text(ends[us]), "value": value} for us, value in found]}

    return answer


def by_month(t: Translation) -> Answer:
    t.case.known(PLAIN, {"events", "months"})
    months = [date.fromisoformat(f"{month}-01") for month in t.case.input["months"]]
    buyer = t.buyer(months[0], (months[-1] + timedelta(days=31)).replace(day=1))
    buyer.calendar = True
    buyer.meters = {"units": t.meter(t.case.params["aggregation"])}
    buyer.charges = {"units": {"meter": "units"}}
    t.world.add(buyer)
    return lambda r: {"values": [r.lines[buyer.key, "units", month.isoformat()] for month in months]}


def by_period(t: Translation) -> Answer:
    t.case.known(PLAIN, {"events", "periods"})
    buyers = [total(t, suffix=f"period-{n}", days=t.days_of(p)) for n, p in enumerate(t.case.input["periods"])]
    for buyer in buyers:
        t.world.add(buyer)
    return lambda r: {"values": [t.quantity(r, buyer) for buyer in buyers]}


def items(t: Translation) -> Answer:
    """Items that are added and removed are sessions of a level; how many there are is the state at the period's end."""
    t.case.known(PLAIN, {"events", "period"})
    start, end = t.days_of(t.case.input["period"])
    buyer = t.buyer(start, end)
    buyer.meters = {"units": {**ITEMS, **t.filter()}}
    buyer.charges = {"units": {"meter": "units"}}
    t.world.add(buyer)
    query = (
        "SELECT closing FROM metering.carried_hourly "
        f"WHERE customer = '{buyer.key}' AND meter = '{t.world.meter(buyer.meters['units'])}' "
        f"AND end_us = {midnight_us(t.zone, end)}"
    )

    def answer(r: Results) -> dict[str, Any]:
        [(left,)] = rows(r.home, query)
        return {"value": left}

    return answer


def metered(t: Translation) -> Answer:
    t.case.known(PLAIN | {"unit_price", "rounding"}, {"events", "period"})
    buyer = total(t)
    buyer.charges["units"] |= fields_of(t.case, "per_unit", {"unit_price": t.case.params["unit_price"]})
    buyer.charges["units"]["meter"] = "units"
    t.world.add(buyer)

    def answer(r: Results) -> dict[str, Any]:
        stated = t.case.expected.get("units") is not None
        return {"units": t.quantity(r, buyer) if stated else None, "amount_cents": t.cents(r, buyer)}

    return answer


def breakdown(t: Translation) -> Answer:
    """From change to change, as the second way of measuring sees it: no warehouse keeps these rows."""
    t.case.known(PLAIN | {"initial_value"}, {"events", "period"})
    start_us, end_us = (instant(t.case.input["period"][name]) for name in ("from", "to"))
    buyer = t.buyer(*t.days_of(t.case.input["period"]))
    opening(t, buyer)
    events = [
        Reading(instant(e["time"]), e["source"], e["id"], Decimal(e["data"]["value"]), "{}", None) for e in buyer.events
    ]
    meter = Meter(key="level", name="Level", event_type="use", aggregation="weighted_sum", value="value")
    (series,) = series_of(meter, [event for event in events if event.time_us < end_us])
    edges = [start_us, *(us for us in series.times if start_us < us), end_us]

    def row(at: int, until: int) -> dict[str, Any]:
        running, before = series.at(at) or Decimal(0), series.before(at) or Decimal(0)
        (share,) = divided([Slice(buyer.start, series.integral(at, until))], end_us - start_us)
        told = {"t": text(at), "delta": running - before, "running": running}
        return {**told, "seconds": str((until - at) // 1_000_000), "weighted": share.quantity}

    return lambda r: {"rows": [row(a, b) for a, b in pairwise([*edges, end_us])]}


MODELS: dict[str, Callable[[Translation], Answer]] = {
    "count": period_total,
    "filter": filtered,
    "latest": period_total,
    "max": period_total,
    "metered_per_unit": metered,
    "prorated_recurring_sum": prorated,
    "prorated_sum": prorated,
    "prorated_sum_grouped": grouped,
    "prorated_unique_count": prorated_items,
    "prorated_values": prorated_values,
    "roll_up": by_period,
    "roll_up_timezone": by_month,
    "sum": period_total,
    "unique_count": items,
    "weighted_sum": weighted,
    "weighted_sum_breakdown": breakdown,
    "weighted_sum_grouped": grouped,
    "windowed": windowed,
}


def translate(case: Case, world: World) -> Answer:
    """Add a case to a world that is not built yet; the answer is asked of the results. Raises UnknownCase."""
    if case.model not in MODELS:
        raise UnknownCase(f"{case.id}: unknown model '{case.model}' of kind {case.kind}")
    if sorted(case.params.get("dedup_key", ["id", "source"])) != ["id", "source"]:
        raise UnknownCase(f"{case.id}: unknown value {case.params['dedup_key']} of switch 'dedup_key'")
    return Translation(case, world).answer


def shown(case: Case, found: Any, expected: Any) -> Any:
    """A number as the case writes it: rounded as it says, and to no more digits than it gives."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return {name: shown(case, found.get(name), value) for name, value in expected.items()}
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [shown(case, a, b) for a, b in zip(found, expected, strict=True)]
    if not isinstance(found, Decimal):
        return found
    rounding = case.params.get("result_rounding")
    if rounding is not None:
        found = found.quantize(Decimal(1).scaleb(-int(rounding["scale"])), MODES[rounding["mode"]])
    near = abs(found - Decimal(expected)) <= Decimal(case.params.get("tolerance", 0))
    return expected if near else str(found)
