"""Metering beside the bare engine, and one more day: `python -m tests.bench.metering [--events N] [--days N N N]`.

1. From lake to marts: the usage stage of a run (control tables, dbt's models, dbt's tests) beside one plain script of
   DuckDB that computes the same tables with the same threads and memory, in turns. Every table is compared by its rows.
2. One more day on histories of so many days that end alike: seconds of the run by step and by model and test of dbt,
   and a line fitted to each, so that what grows with the history has a name.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from tests.bench.generate import make
from tests.bench.history import fit
from tests.bench.ingest import NOW_US
from tests.bench.measure import Measured, least_and_median, machine, measured, table
from tests.bench.stages import Seconds
from tests.bench.world import EVENTS_A_DAY, days_before, make_instance, now_after, write_history

SCRIPT = Path(__file__).with_name("bare_metering.sql")
BEGIN = date(2026, 9, 1)
"""The day of the first event of `tests.bench.generate`."""
LAST = date(2026, 10, 10)
"""The last day of each history, so that all stand at the same place of the month."""
CUT_OFF = date(2026, 10, 1)
"""What ended before it is issued, as it would be."""
GROWTH_ALLOWED = 2.0
"""Percent of the shortest history's run, for each 100 days."""
LOADING = "dbt's start"
NOT_BARE = {"conflicts", "ingest_balance", "ingest_files", "quarantine", "quarantine_shares"}
NOT_BARE |= {"sampled_fields", "sampled_parts", "schema_drift", "unmatched_paths"}
"""Reports of the ingest, which the script doesn't make: their seconds are in the stage's, and are told."""


def compute(home: str, control: str, target: str) -> None:
    """The bare engine: the script, into the database `target`, with the limits of an instance."""
    events, verdicts = (sorted(map(str, (Path(home) / "lake" / kind).glob(f"{at}*.parquet")))
                        for kind, at in (("events", "*/"), ("verdicts", "")))  # fmt: skip
    with duckdb.connect(target) as con:
        con.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '2GB'; SET enable_progress_bar = false")
        con.execute(f"SET temp_directory = '{home}/scratch'")
        con.execute(f"ATTACH '{control}' AS control_db (READ_ONLY)")
        con.execute("SET search_path = 'main'")
        con.execute(f"SET VARIABLE events = {events}")
        con.execute(f"SET VARIABLE verdicts = {verdicts}")
        con.execute(SCRIPT.read_text().replace("control.", "control_db.control."))


def differences(built: str, bare: str) -> list[str]:
    """Every table of the built warehouse that differs from the bare engine's, by count and hash of its rows."""
    found = []
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{built}' AS built (READ_ONLY); ATTACH '{bare}' AS bare (READ_ONLY)")
        tables = con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = 'built' AND schema_name IN ('metering', 'marts') ORDER BY ALL"
        ).fetchall()
        for schema, name in tables:
            if name in NOT_BARE:
                continue
            columns = ", ".join(
                f"{column}::VARCHAR"
                for (column,) in con.execute(
                    "SELECT column_name FROM duckdb_columns() WHERE database_name = 'built' "
                    f"AND schema_name = '{schema}' AND table_name = '{name}' ORDER BY column_name"
                ).fetchall()
            )
            sums = [_sums(con, columns, place) for place in (f"built.{schema}.{name}", f"bare.main.{name}")]
            # The script has no table for what nothing in this world is for (states that last): it must be empty.
            if sums[0] != sums[1] and not (isinstance(sums[1], str) and sums[0][0] == 0):
                found.append(f"{name}: {sums[0]} built, {sums[1]} bare")
    return found


def _sums(con: duckdb.DuckDBPyConnection, columns: str, place: str) -> tuple[Any, ...] | str:
    try:
        row = con.execute(f"SELECT count(*), sum(hash({columns})::HUGEINT) FROM {place}").fetchone()
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return row or ()


def beside_bare(folder: Path, events: int, rounds: int) -> tuple[list[Measured], list[Measured]]:
    """The usage stage and the script, in turns, on the generated events. Stops where a table differs."""
    home, control = folder / f"metering-{events}", folder / f"metering-{events}.control"
    if not (home / "lake").exists():
        data = folder / f"metering-{events}.inbox"
        shutil.rmtree(data, ignore_errors=True)
        make("cloudevents", events, data)
        home.mkdir(parents=True)
        make_instance(home, BEGIN, str(data))
        measured("tests.bench.stages:taken", str(home), NOW_US)
        shutil.rmtree(data)
    ours, bare = [], []
    built, target = home / "warehouse/build/tallystick.duckdb", folder / "bare.duckdb"
    for number in range(rounds):
        for stage in (True, False) if number % 2 == 0 else (False, True):
            if stage:
                shutil.rmtree(home / "warehouse", ignore_errors=True)
                ours.append(measured("tests.bench.stages:usage", str(home), NOW_US))
            else:
                target.unlink(missing_ok=True)
                bare.append(measured("tests.bench.metering:compute", str(home), str(control), str(target)))
            if stage and not control.exists():
                shutil.copyfile(built, control)
    if wrong := differences(str(built), str(target)):
        raise SystemExit("\n".join(["the project and the bare engine computed different tables:", *wrong]))
    return ours, bare


def report_beside(events: int, ours: Sequence[Measured], bare: Sequence[Measured]) -> str:
    """The stage without dbt's tests and with them, and how many times the script's seconds that is."""
    without = [_less(m.result["whole"], _sum(m.result, "dbt usage/test ")) for m in ours]
    ways = [
        ("usage stage without dbt's tests", without, ours),
        ("usage stage", [m.result["whole"] for m in ours], ours),
        ("bare script", [(m.wall, m.cpu) for m in bare], bare),
    ]
    rows = []
    for name, seconds, runs in ways:
        ratios = [
            f"{median([x[n] / (y.wall, y.cpu)[n] for x, y in zip(seconds, bare, strict=True)]):.2f}" for n in (0, 1)
        ]
        peak = f"{max(m.memory for m in runs):.0f}"
        rows.append([name, *(least_and_median([x[n] for x in seconds]) for n in (0, 1)), peak, *ratios])
    heads = ["least / median", "wall s", "CPU s", "peak MB", "times bare: wall", "CPU (medians of the pairs)"]
    parts = {name: median([m.result[name][1] for m in ours]) for name in ours[0].result}
    reports = _sum(ours[-1].result, *(f"dbt usage/model {name}" for name in NOT_BARE))[1]
    largest = sorted((n for n in parts if n not in ("whole", "dbt usage")), key=lambda n: -parts[n])[:12]
    return (
        f"from lake to marts, {events:,} lines; every table is the same both ways\n{table(heads, rows)}\n"
        f"in the stage, not in the script: reports of the ingest, {reports:.2f} s; not in the stage: dbt's start, "
        f"{parts[LOADING]:.2f} s of CPU\n"
        f"largest parts, CPU s: {', '.join(f'{name} {parts[name]:.2f}' for name in largest if name != LOADING)}"
    )


def _sum(parts: dict[str, Seconds], *begins: str) -> Seconds:
    found = [seconds for name, seconds in parts.items() if name.startswith(begins)]
    return sum(x[0] for x in found), sum(x[1] for x in found)


def _less(whole: Seconds, part: Seconds) -> Seconds:
    return whole[0] - part[0], whole[1] - part[1]


def one_more_day(folder: Path, days: int, more: int, events: int) -> tuple[Measured, Measured]:
    """A history of so many days built and closed, then `more` days one by one: what the build and they cost."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name) / "home"
        home.mkdir()
        history = days_before(LAST, days)
        make_instance(home, history[0])
        write_history(home, history, events)
        whole = measured("tests.bench.stages:build", str(home), now_after(LAST))
        if history[0] < CUT_OFF:
            measured("tests.bench.stages:closed", str(home), CUT_OFF.isoformat(), now_after(LAST))
        return whole, measured("tests.bench.stages:more_days", str(home), LAST.isoformat(), more, events)


def report_days(costs: dict[int, tuple[Measured, Measured]], events: int) -> str:
    """Seconds by length of the history, the growth for each 100 days, and the parts that grow most."""
    rows, grown = [], []
    for name in costs[max(costs)][1].result[0]:
        by_days = {days: [run.get(name, (0.0, 0.0)) for run in more.result] for days, (_, more) in costs.items()}
        points = [(days / 100, min(cpu for _, cpu in runs)) for days, runs in by_days.items()]
        base, slope = fit(points)
        cells = [f"{median([w for w, _ in runs]):.2f} / {min(c for _, c in runs):.2f}" for runs in by_days.values()]
        rows.append([name, *cells, f"{slope:+.3f}"])
        grown.append((slope, base, rows[-1]))
    slope, base, whole = next(item for item in grown if item[2][0] == "whole")
    percent = 100 * slope / (base + slope * min(costs) / 100)
    steps = [row for _, _, row in grown if "/" not in row[0] and row[0] != "whole"]
    most = [row for _, _, row in sorted(grown, key=lambda item: -item[0]) if "/" in row[0]][:15]
    heads = ["median wall / least CPU s", *(f"{days} days" for days in costs), "CPU s for each 100 days"]
    builds = ", ".join(f"{days} days {m.wall:.0f} s, {m.memory:.0f} MB" for days, (m, _) in costs.items())
    verdict = "met" if percent <= GROWTH_ALLOWED else "NOT met"
    return (
        f"one more day of {events:,} events\n{table(heads, [whole, *steps, *most])}\n"
        f"whole: {base:.2f} s + {slope:.3f} s for each 100 days of history: {percent:+.1f} % of the run at "
        f"{min(costs)} days; target {GROWTH_ALLOWED:.0f} %: {verdict}\nbuilt from nothing before: {builds}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000, help="0: no comparison with the bare engine")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--days", type=int, nargs="*", default=[10, 100, 400], help="none: no histories")
    parser.add_argument("--more", type=int, default=3, help="days that are added, one by one")
    parser.add_argument("--events-a-day", type=int, default=EVENTS_A_DAY)
    parser.add_argument("--keep-data", type=Path, help="keep the ingested events in this folder, and use those there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        print(machine(), flush=True)
        if asked.events:
            found = beside_bare(asked.keep_data or Path(name), asked.events, asked.rounds)
            print(report_beside(asked.events, *found), flush=True)
        if asked.days:
            costs = {n: one_more_day(Path(name), n, asked.more, asked.events_a_day) for n in asked.days}
            print(report_days(costs, asked.events_a_day), flush=True)


if __name__ == "__main__":
    main()
