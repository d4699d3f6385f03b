"""The watching step of a build: from series to charts, alarms and incidents, as tables of the warehouse.

Everything follows from the series, the catalog, the labels and the run's now: the same for any number of threads, and
whether the build was made at once or bit by bit. Nothing is billed by it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import duckdb
import numpy as np

from orchestration.canonical import sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.monitoring import Monitoring
from orchestration.ledger import findings
from orchestration.ledger.findings import Finding
from orchestration.ledger.rows import JournalRow
from orchestration.monitoring.alarms import Label
from orchestration.monitoring.charts import cusum, ewma, shewhart
from orchestration.monitoring.incidents import RATE, Far, Judged, far_off, incidents, judgements, raised
from orchestration.monitoring.kinds import KINDS, Kind, ratio
from orchestration.monitoring.series import Alarm, Chart, Flags, Floats, Incident, Whole
from orchestration.pipeline.single import unusual_five_minutes
from orchestration.pipeline.unusual import LESSONS, Crowd, crowd_of, unusual_hours, unusual_series
from orchestration.pipeline.watched import HOUR, Hours, customers_of, hours_of, quantity_of
from orchestration.pipeline.watchtables import Found, append, write, write_none, write_rows
from orchestration.zones import HOUR_US, SECOND_US

WARM_UP = 21 * 24
CHART_HOURS = 14 * 24
LOUD_HOURS = 45 * 24
"""An incident of the last month is looked at when that is closed."""
CHUNK = 500
"""Customers that are judged together: about a gigabyte over three months of hours."""
_CHARTS: dict[str, Callable[[Floats], Chart]] = {"shewhart": shewhart, "ewma": ewma, "cusum": cusum}


def watch(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    row: Monitoring,
    now_us: int,
    journal: Sequence[JournalRow] = (),
) -> Found:
    """Write the tables of `watchtables.TABLES` into a build whose lines are priced; empty while there are no requests.

    The journal has what people said of incidents.
    """
    customers = customers_of(con, now_us)
    if not customers:
        return write_none(con)
    kinds, keys, month = kinds_of(row), list(customers), _month(now_us)
    labels = [Label(who, kind, real, at // SECOND_US) for who, kind, real, at in findings.labels(journal)]
    sensitivity = {"": float(row.sensitivity), **{key: float(each) for key, each in row.customers.items()}}
    begun = np.sort([first_us // HOUR_US * HOUR for first_us in customers.values()])
    # Of very many customer-hours before the month, every second teaches, or one in more.
    every = -(-int(np.maximum(month - begun, 0).sum()) // HOUR // LESSONS) or 1
    write(con, "control_charts", {})
    far: list[Far] = []
    begins: list[Whole] = []
    crowds: list[Crowd] = []
    for first in range(0, len(keys), CHUNK):
        # What is judged of a customer takes megabytes: few are judged together, and what is far off is kept of them.
        hours = hours_of(con, catalog, row, now_us, customers, keys[first : first + CHUNK])
        judged = judgements(hours.usage, kinds, WARM_UP, sensitivity=sensitivity, labels=labels)
        for part in _charts(judged, hours):
            append(con, "control_charts", part)
        far += far_off(judged, first)
        begins.append((hours.begins - hours.usage.moments[:, None]).astype(np.int16))
        crowds.append(crowd_of(judged, hours, month, WARM_UP, every))
    clocks = Clocks(keys, hours.usage.moments, np.concatenate(begins, axis=1))
    tests = np.searchsorted(begun, clocks.moments, side="right") * len(kinds)
    found = raised(keys, clocks.moments, far, tests) if kinds else []
    grouped = [(incident_id(each, clocks), each) for each in incidents(found)]
    write_rows(con, "alarms", _alarm_rows(grouped, clocks))
    rows = list(_incident_rows(grouped, clocks, row, findings.labelled(journal)))
    write_rows(con, "incidents", rows)
    write_rows(con, "unusual_hours", unusual_hours(crowds, clocks.moments, month))
    others, more = unusual_series(con, clocks.moments, now_us, WARM_UP)
    single, soon = unusual_five_minutes(con, now_us)
    write_rows(con, "unusual_series", more + soon)
    series = len({(kind.series, kind.per) for kind in kinds}) * len(keys) + others + single
    unlabelled = sum(each["label"] is None for each in rows)
    return Found(len(keys), series, len(clocks.moments), len(found), len(rows), unlabelled, len(more + soon))


class Clocks(NamedTuple):
    """When the hours of customers begin: `shift`, hours x customers, is by how many seconds after the hour of UTC."""

    keys: list[str]
    moments: Whole
    shift: np.ndarray[tuple[int, ...], np.dtype[np.int16]]

    def begin_us(self, alarm: Alarm) -> int:
        """When the hour of an alarm begins."""
        row = (alarm.moment - int(self.moments[0])) // HOUR
        # The keys are in order.
        return (alarm.moment + int(self.shift[row, bisect_left(self.keys, alarm.key)])) * SECOND_US


def _month(now_us: int) -> int:
    """When the calendar month of a run's now begins, in seconds of UTC."""
    now = datetime.fromtimestamp(now_us // SECOND_US, UTC)
    return int(datetime(now.year, now.month, 1, tzinfo=UTC).timestamp())


def kinds_of(row: Monitoring) -> list[Kind]:
    """The kinds of incident that are looked for: those of every instance and the ratios, without those that are off."""
    ratios = (
        ratio(each.name, quantity_of(each.meter), quantity_of(each.per), each.least_percent / 100)
        for each in row.ratios
    )
    return [kind for kind in (*KINDS, *ratios) if kind.name not in row.off]


def incident_id(incident: Incident, clocks: Clocks) -> str:
    """A name that stays as long as the incident has this customer, kind and first hour."""
    first_us = clocks.begin_us(incident.alarms[0])
    return sha256_hex(f"{incident.key}|{incident.kind}|{first_us}".encode())[:12]


def _figures(alarm: Alarm) -> dict[str, float]:
    return {name: getattr(alarm, name) for name in ("observed", "centre", "lower", "upper", "z", "p")}


def _alarm_rows(found: Sequence[tuple[str, Incident]], clocks: Clocks) -> Iterator[dict[str, Any]]:
    for name, incident in found:
        for alarm in incident.alarms:
            hour_us = clocks.begin_us(alarm)
            yield {"customer": alarm.key, "kind": alarm.kind, "hour_us": hour_us, "incident": name, **_figures(alarm)}


def _incident_rows(
    found: Sequence[tuple[str, Incident]], clocks: Clocks, row: Monitoring, labelled: Mapping[str, Finding]
) -> Iterator[dict[str, Any]]:
    for name, incident in found:
        yield {
            "incident": name,
            "customer": incident.key,
            "kind": incident.kind,
            "first_us": clocks.begin_us(incident.alarms[0]),
            "last_us": clocks.begin_us(incident.alarms[-1]),
            "alarms": len(incident.alarms),
            **_figures(incident.peak),
            "label": labelled[name].says if name in labelled else None,
            "holds": incident.kind in row.holds,
        }


def _charts(judged: Sequence[Judged], hours: Hours) -> Iterator[dict[str, Any]]:
    """The columns of `control_charts`, in parts: each series of each customer once, with the limits of the first kind
    that looks at it. Customers of whom something may be alarming have the hours since before the last month."""
    first: dict[str, Judged] = {}
    for one in judged:
        first.setdefault(one.kind.name if one.kind.per else one.kind.series, one)
    loud = np.zeros(len(hours.usage.keys), dtype=np.bool_)
    for one in judged:
        loud |= ((one.p <= RATE) & one.matters)[-LOUD_HOURS:].any(axis=0)
    yield from _charts_of(first, hours, ~loud, slice(-CHART_HOURS, None))
    yield from _charts_of(first, hours, loud, slice(-LOUD_HOURS, None))


def _charts_of(first: Mapping[str, Judged], hours: Hours, chosen: Flags, tail: slice) -> Iterator[dict[str, Any]]:
    """The last hours of chosen customers. A series that has been 0 all the time has no chart."""
    shown = {what: np.flatnonzero(np.nan_to_num(one.values[tail]).any(axis=0) & chosen) for what, one in first.items()}
    if not any(columns.size for columns in shown.values()):
        return
    z = np.concatenate([one.expected.z[:, shown[what]] for what, one in first.items()], axis=1)
    charts = {name: chart(z) for name, chart in _CHARTS.items()}
    begin = 0
    for what, one in first.items():
        columns, place = shown[what], slice(begin, begin + shown[what].size)
        begin = place.stop
        keys, begins = np.array(hours.usage.keys, dtype=object)[columns], hours.begins[tail][:, columns]
        own = [each[tail, columns] for each in (one.values, one.centre, one.lower, one.upper)]
        yield _part("baseline", what, [*own, z[tail, place]], keys, begins)
        for name, chart in charts.items():
            yield _part(name, what, [each[tail, place] for each in (*chart, z)], keys, begins)


def _part(chart: str, series: str, figures: Sequence[Any], keys: Any, begins: Whole) -> dict[str, Any]:
    """One chart of one series, customer by customer, hour by hour."""
    values = {
        name: np.ascontiguousarray(each.T).reshape(-1)
        for name, each in zip(("value", "centre", "lower", "upper", "z"), figures, strict=True)
    }
    return {
        "customer": np.repeat(keys, len(begins)),
        "series": np.full(begins.size, series, dtype=object),
        "chart": np.full(begins.size, chart, dtype=object),
        "hour_us": (begins * SECOND_US).T.reshape(-1),
        **values,
        # While a series warms up, its limits tell nothing.
        "outside": np.isfinite(values["z"])
        & ((values["value"] > values["upper"]) | (values["value"] < values["lower"])),
    }
