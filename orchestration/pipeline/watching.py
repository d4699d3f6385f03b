"""The watching step of a build: from series to charts, alarms and incidents, as tables of the warehouse.

Everything follows from the series, the catalog, the labels and the run's now: the same for any number of threads, and
whether the build was made at once or bit by bit. Nothing is billed by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

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
from orchestration.monitoring.incidents import Judged, incidents, judgements, raised
from orchestration.monitoring.kinds import KINDS, Kind, ratio
from orchestration.monitoring.series import Alarm, Chart, Floats, Incident
from orchestration.pipeline.unusual import unusual_hours, unusual_series
from orchestration.pipeline.watched import Hours, hours_of, quantity_of
from orchestration.pipeline.watchtables import Found, append, write, write_none, write_rows
from orchestration.zones import SECOND_US

WARM_UP = 21 * 24
CHART_HOURS = 14 * 24
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
    hours = hours_of(con, catalog, row, now_us)
    if hours is None:
        return write_none(con)
    watched = kinds_of(row)
    labels = [Label(*said) for said in findings.labels(journal)]
    sensitivity = {"": float(row.sensitivity), **{key: float(each) for key, each in row.customers.items()}}
    judged = judgements(hours.usage, watched, WARM_UP, sensitivity=sensitivity, labels=labels) if watched else []
    found = raised(hours.usage, judged) if judged else []
    grouped = [(incident_id(each, hours), each) for each in incidents(found)]
    write_rows(con, "alarms", _alarm_rows(grouped, hours))
    rows = list(_incident_rows(grouped, hours, row, findings.labelled(journal)))
    write_rows(con, "incidents", rows)
    write(con, "control_charts", {})
    for part in _charts(judged, hours):
        append(con, "control_charts", part)
    write_rows(con, "unusual_hours", unusual_hours(judged, hours, now_us))
    others, more = unusual_series(con, hours.usage.moments, now_us, WARM_UP)
    write_rows(con, "unusual_series", more)
    series = len({(one.kind.series, one.kind.per) for one in judged}) * len(hours.usage.keys) + others
    unlabelled = sum(each["label"] is None for each in rows)
    return Found(len(hours.usage.keys), series, len(hours.usage.moments), len(found), len(rows), unlabelled)


def kinds_of(row: Monitoring) -> list[Kind]:
    """The kinds of incident that are looked for: those of every instance and the ratios, without those that are off."""
    ratios = (
        ratio(each.name, quantity_of(each.meter), quantity_of(each.per), each.least_percent / 100)
        for each in row.ratios
    )
    return [kind for kind in (*KINDS, *ratios) if kind.name not in row.off]


def incident_id(incident: Incident, hours: Hours) -> str:
    """A name that stays as long as the incident has this customer, kind and first hour."""
    first_us = _hour_us(hours, incident.alarms[0])
    return sha256_hex(f"{incident.key}|{incident.kind}|{first_us}".encode())[:12]


def _hour_us(hours: Hours, alarm: Alarm) -> int:
    at = hours.row_of(alarm.moment), hours.usage.keys.index(alarm.key)
    return int(hours.begins[at]) * SECOND_US


def _figures(alarm: Alarm) -> dict[str, float]:
    return {name: getattr(alarm, name) for name in ("observed", "centre", "lower", "upper", "z", "p")}


def _alarm_rows(found: Sequence[tuple[str, Incident]], hours: Hours) -> Iterator[dict[str, Any]]:
    for name, incident in found:
        for alarm in incident.alarms:
            hour_us = _hour_us(hours, alarm)
            yield {"customer": alarm.key, "kind": alarm.kind, "hour_us": hour_us, "incident": name, **_figures(alarm)}


def _incident_rows(
    found: Sequence[tuple[str, Incident]], hours: Hours, row: Monitoring, labelled: Mapping[str, Finding]
) -> Iterator[dict[str, Any]]:
    for name, incident in found:
        yield {
            "incident": name,
            "customer": incident.key,
            "kind": incident.kind,
            "first_us": _hour_us(hours, incident.alarms[0]),
            "last_us": _hour_us(hours, incident.alarms[-1]),
            "alarms": len(incident.alarms),
            **_figures(incident.peak),
            "label": labelled[name].says if name in labelled else None,
            "holds": incident.kind in row.holds,
        }


def _charts(judged: Sequence[Judged], hours: Hours) -> Iterator[dict[str, Any]]:
    """The columns of `control_charts`, in parts: each series of each customer once, with the limits of the first kind
    that looks at it. A series that has been 0 all the time has none."""
    first: dict[str, Judged] = {}
    for one in judged:
        first.setdefault(one.kind.name if one.kind.per else one.kind.series, one)
    tail = slice(-CHART_HOURS, None)
    shown = {what: np.flatnonzero(np.nan_to_num(one.values[tail]).any(axis=0)) for what, one in first.items()}
    if not any(columns.size for columns in shown.values()):
        return
    z = np.concatenate([one.expected.z[:, shown[what]] for what, one in first.items()], axis=1)
    charts = {name: chart(z) for name, chart in _CHARTS.items()}
    begin = 0
    for what, one in first.items():
        columns, place = shown[what], slice(begin, begin + shown[what].size)
        begin = place.stop
        own = [each[tail, columns] for each in (one.values, one.centre, one.lower, one.upper)]
        yield _part("baseline", what, [*own, z[tail, place]], hours, columns)
        for name, chart in charts.items():
            yield _part(name, what, [each[tail, place] for each in (*chart, z)], hours, columns)


def _part(chart: str, series: str, figures: Sequence[Any], hours: Hours, shown: Any) -> dict[str, Any]:
    """One chart of one series, customer by customer, hour by hour."""
    begins = hours.begins[-CHART_HOURS:][:, shown]
    values = {
        name: np.ascontiguousarray(each.T).reshape(-1)
        for name, each in zip(("value", "centre", "lower", "upper", "z"), figures, strict=True)
    }
    return {
        "customer": np.repeat(np.array(hours.usage.keys, dtype=object)[shown], len(begins)),
        "series": np.full(begins.size, series, dtype=object),
        "chart": np.full(begins.size, chart, dtype=object),
        "hour_us": (begins * SECOND_US).T.reshape(-1),
        **values,
    }
