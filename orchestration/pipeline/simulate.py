"""A simulation: past months measured and rated under another catalog, beside what the published generation has.

The other catalog may measure otherwise, so a copy of the generation is brought up to it as by any edit of the catalog,
aside, and thrown away. Nothing is refused as an edit of a closed period: nothing is priced, issued or published by it.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import duckdb

from orchestration.billing.comparison import Comparison, Sold, compare
from orchestration.catalog import Catalog, load_catalog
from orchestration.engine import connect
from orchestration.errors import CatalogInvalid, ConfigInvalid, InputHeld
from orchestration.ingest import rebuild_lake
from orchestration.ingest.formats import check_source
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.money import Money
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.parking import unmeasured
from orchestration.pipeline.prepare import open_build, prepare
from orchestration.pipeline.rated import rate_changed
from orchestration.pipeline.run import account, build_usage
from orchestration.pipeline.state import plan_build, read_state
from orchestration.pipeline.stored import money_of
from orchestration.zones import midnight_us

_SUMS = """
SELECT customer, plan, charge, currency, sum(amount) FROM record.rated_lines
WHERE period_end > $1 AND period_end <= $2 GROUP BY ALL ORDER BY ALL
"""


class Months(NamedTuple):
    """Whole months: the first day of the first, and the first day after the last. A line belongs to the month in which
    the last day of its period lies."""

    first: date
    end: date


class Side(NamedTuple):
    """What months come to under one catalog: sums of lines, and by meter how many events of how many customers are not
    measured, or taken by no price."""

    sums: Mapping[Sold, Money]
    unmeasured: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What months cost under the catalog in force (before) and under another (after), by all that is known now.

    `only_current` and `only_other` are names by kind that one catalog alone has; `names` are those of customers, and
    `unmeasured` is what the other catalog leaves out.
    """

    months: Months
    generation: str
    comparison: Comparison
    names: Mapping[str, str]
    unmeasured: Mapping[str, tuple[int, int]]
    only_current: Mapping[str, tuple[str, ...]]
    only_other: Mapping[str, tuple[str, ...]]


def parse_months(first: str, last: str) -> Months:
    """`2026-07` to `2026-09`, both included. Raises ConfigInvalid for what is no month, or an end before the start."""
    months = Months(_month(first, "--from").first, _month(last, "--to").end)
    if months.first >= months.end:
        raise _refused(f"{last} is before {first}", "--from, --to", "name the earlier month with --from")
    return months


def _month(text: str, where: str) -> Months:
    try:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}", text):
            raise ValueError("another form")
        first = date.fromisoformat(f"{text}-01")
        return Months(first, (first + timedelta(days=31)).replace(day=1))
    except (ValueError, OverflowError) as error:
        raise _refused(f"'{text}' is not a month", where, "write e.g. 2026-07") from error


def parse_percent(text: str) -> Decimal:
    """A percentage of at least 0, in plain digits. Raises ConfigInvalid."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,4})?", text):
        raise _refused(f"'{text}' is not a percentage", "--much-more", "write e.g. 20, or 7.5")
    return Decimal(text)


def _refused(what: str, where: str, next_step: str) -> ConfigInvalid:
    return ConfigInvalid(what, where=where, not_done="nothing was rated", next_step=next_step)


def simulate(
    instance: Instance,
    ledger: Ledger,
    folder: Path,
    months: Months,
    much_more: Decimal,
    report: Callable[[str], None] = lambda _: None,
) -> Simulation:
    """Rate the periods that ended in `months` under the catalog in `folder`, and compare them with the generation's.

    Both sides know what the published generation knows, until its now. The caller holds the instance's lock.

    Raises:
        CatalogInvalid: one of the catalogs has problems; each with file and line.
        ConfigInvalid: the months were not over at the generation's now.
        InputHeld: the generation does not know all that the ledger and the catalog hold.
    """
    current, other = load_catalog(instance.catalog), load_catalog(folder)
    problems = [problem for source in other.sources for problem in check_source(source)]
    if problems:
        raise CatalogInvalid(problems)
    published, now_us = _up_to_date(instance, current, ledger)
    _refuse_unfinished(months, (current, other), now_us)
    with connect(published, temp=instance.scratch, read_only=True) as con:
        before = _read(con, months)
    rebuild_lake(instance.home, ledger, report)
    with _aside(instance) as trial:
        after = _rated(Context(trial, now_us, report), other, ledger, months, before)
    return Simulation(
        months=months,
        generation=published.parent.name,
        comparison=compare(before.sums, after.sums, much_more),
        names={key: row.name for key, row in {**other.customers, **current.customers}.items()},
        unmeasured=after.unmeasured,
        only_current=_only_in(current, other),
        only_other=_only_in(other, current),
    )


def _up_to_date(instance: Instance, catalog: Catalog, ledger: Ledger) -> tuple[Path, int]:
    """The published database and its now."""
    path, state = instance.published_db(), read_state(instance)
    if path is not None and state is not None:
        charged = charged_segments(catalog, state.now_us)
        if plan_build(instance, catalog, ledger, charged, state.now_us) is None:
            return path, state.now_us
    raise InputHeld(
        "the published warehouse does not know all that the ledger and the catalog hold",
        not_done="nothing was rated",
        next_step="run `tallystick run`, then simulate again",
    )


def _refuse_unfinished(months: Months, catalogs: tuple[Catalog, ...], now_us: int) -> None:
    ends = (midnight_us(c.zone, months.end) for catalog in catalogs for c in catalog.customers.values())
    if now_us < max(ends, default=0):
        month = (months.end - timedelta(days=1)).strftime("%Y-%m")
        raise _refused(
            f"{month} was not over in every customer's zone when the published generation was built",
            "--to",
            "choose an earlier month, or run `tallystick run` first",
        )


@contextmanager
def _aside(instance: Instance) -> Iterator[Instance]:
    """The instance with a folder of its own for a build, which is gone afterwards."""
    folder = instance.scratch / "simulate"
    shutil.rmtree(folder, ignore_errors=True)
    trial = replace(instance, aside=folder)
    trial.extracted.mkdir(parents=True)
    try:
        # What was taken from raw files already is not read again.
        for path in Lake(instance.lake).extracted_files():
            (trial.extracted / path.name).hardlink_to(path)
        yield trial
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rated(context: Context, catalog: Catalog, ledger: Ledger, months: Months, published: Side) -> Side:
    """The side of another catalog, from a build of its own; the one that is published, if it is the same catalog."""
    instance, now_us = context.instance, context.now_us
    charged = charged_segments(catalog, now_us)
    plan = plan_build(instance, catalog, ledger, charged, now_us)
    if plan is None:
        return published
    context.report("building the warehouse aside, under the other catalog")
    for said in prepare(instance, catalog, ledger, charged, plan).said:
        context.report(said)
    build_usage(context, fresh=plan.fresh)
    account(context)
    context.report("rating")
    with open_build(instance) as con:
        rate_changed(con, catalog, charged, instance.scratch)
        return _read(con, months)


def _read(con: duckdb.DuckDBPyConnection, months: Months) -> Side:
    rows = con.execute(_SUMS, [months.first, months.end]).fetchall()
    left_out: dict[str, Counter[str]] = defaultdict(Counter)
    for customer, day, meter, events in unmeasured(con):
        if months.first <= day < months.end:
            left_out[meter][customer] += events
    return Side(
        {Sold(*sold): money_of(amount, sold[-1]) for *sold, amount in rows},
        {meter: (found.total(), len(found)) for meter, found in sorted(left_out.items())},
    )


def _only_in(catalog: Catalog, other: Catalog) -> dict[str, tuple[str, ...]]:
    mine, theirs = _named(catalog), _named(other)
    return {kind: tuple(sorted(mine[kind] - theirs[kind])) for kind in mine if mine[kind] - theirs[kind]}


def _named(catalog: Catalog) -> dict[str, set[str]]:
    return {
        "customers": set(catalog.customers),
        "subscriptions": {row.subscription for row in catalog.subscriptions},
        "sources": {source.name for source in catalog.sources},
    }
