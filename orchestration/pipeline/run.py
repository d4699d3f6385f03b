"""A run: take new files, build a generation, price it, publish it. Assets call the same steps one by one.

What a step hands to the next lies on disk, in the ledger or in the build, so that a step can run in a process of its
own. Everything depends on the instance's durable parts and on `now_us`, never on the clock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from orchestration.catalog import Catalog, load_catalog
from orchestration.closing.clocks import refuse_moved_clocks
from orchestration.closing.edits import refuse_lost
from orchestration.durable import Point, step
from orchestration.engine import connect
from orchestration.errors import IntegrityFailure
from orchestration.ingest import IngestReport, ingest
from orchestration.ingest.discover import Entry
from orchestration.ingest.erase import erase_again
from orchestration.ledger.store import Ledger
from orchestration.metering.control import ChargedSegment, charged_segments
from orchestration.pipeline.accounting import require_balance
from orchestration.pipeline.alerts import post_alerts, unposted
from orchestration.pipeline.contested import retraction_notes, unmet_rows
from orchestration.pipeline.context import Context
from orchestration.pipeline.drift import drift_notices
from orchestration.pipeline.entitledtable import load_entitled
from orchestration.pipeline.generation import publish
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.issued import issued_heads
from orchestration.pipeline.leaks import load_leaks
from orchestration.pipeline.missing import find_missing, load_missing
from orchestration.pipeline.prepare import open_build, prepare
from orchestration.pipeline.pricing import price_build
from orchestration.pipeline.state import BuildPlan, plan_build
from orchestration.pipeline.transform import transform
from orchestration.pipeline.watchtables import Found, write_none


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did. `built` is False when there was nothing new to build."""

    ingest: IngestReport
    built: bool
    quarantine_limit: int
    unmet_decisions: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    """What changed about the input or is missing from it, as of the run's now; it stops nothing."""

    @property
    def problems(self) -> list[str]:
        """What a person must look at: files with path and reason; too many bad lines; decisions without effect."""
        taken = self.ingest
        found = [f"{entry.source}: {entry.path}: {entry.reason}" for entry in [*taken.held, *taken.unreadable]]
        if taken.quarantined * 100 > self.quarantine_limit * taken.lines:
            found.append(f"{taken.quarantined} of {taken.lines} lines quarantined, over {self.quarantine_limit} %")
        return [*found, *self.unmet_decisions]


def take_files(context: Context, catalog: Catalog, ledger: Ledger) -> IngestReport:
    """Take every new file of every source into the lake."""
    context.report("looking for new files")
    home, settings = context.instance.home, catalog.settings
    taken = ingest(home, ledger, settings, catalog.sources, context.now_us, context.report)
    for file, why in erase_again(home, ledger, catalog, context.now_us, context.report):
        taken.held.append(Entry(file.source, file.path, f"taken, but not erased: {why}"))
    return taken


def begin_build(context: Context, catalog: Catalog, ledger: Ledger) -> BuildPlan | None:
    """Decide what to build and prepare the database for it; None when the published generation is up to date.

    What is measured again beside new files is reported before it is done.

    Raises PeriodClosed for a catalog that has lost a customer or changed a currency that was billed, and for zone data
    that tells the local time of an issued period otherwise.
    """
    refuse_lost(catalog, issued_heads(context.instance, ledger))
    refuse_moved_clocks(ledger)
    charged = _charged_now(catalog, context.now_us)
    plan = plan_build(context.instance, catalog, ledger, charged, context.now_us)
    if plan is not None:
        what = "from nothing" if plan.fresh else f"{len(plan.new_files)} new file(s)"
        context.report(f"building the warehouse: {what}")
        with step(Point.BUILD_PREPARED):
            prepared = prepare(context.instance, catalog, ledger, charged, plan)
        for said in prepared.said:
            context.report(said)
    return plan


def _charged_now(catalog: Catalog, now_us: int) -> list[ChargedSegment]:
    """The charges of a run, made once for its steps: they are as many as the history is long."""
    key = catalog.digest, now_us
    if key not in _charged:
        _charged.clear()
        _charged[key] = charged_segments(catalog, now_us)
    return _charged[key]


_charged: dict[tuple[str, int], list[ChargedSegment]] = {}


def preview(context: Context) -> bool:
    """Report what the next build would do with the files that are taken already, and leave nothing behind.

    False when it would do nothing. The caller holds the instance's lock.
    """
    catalog = load_catalog(context.instance.catalog)
    with Ledger.open(context.instance.home) as ledger:
        plan = begin_build(context, catalog, ledger)
    shutil.rmtree(context.instance.build_folder, ignore_errors=True)
    return plan is not None


def build_usage(context: Context, *, fresh: bool, on_event: Callable[[Any], None] | None = None) -> None:
    """dbt: events to usage, and the checks that stand between usage and prices."""
    context.report("aggregating usage and checking it")
    with step(Point.USAGE_BUILT):
        transform(context.instance, "usage", fresh=fresh, on_event=on_event)


def account(context: Context) -> None:
    """Count across the layers of the build. Raises IntegrityFailure unless every line and event is accounted for."""
    with open_build(context.instance) as con:
        require_balance(con)


def price_drafts(context: Context, catalog: Catalog, ledger: Ledger) -> list[dict[str, Any]]:
    """Rate what can have changed, and put lines, drafts and issued documents into the build; the rows of the drafts.

    Raises PeriodClosed for a catalog that prices issued lines otherwise than the one they were issued under.
    """
    context.report("pricing")
    charged = _charged_now(catalog, context.now_us)
    with step(Point.DRAFTS_PRICED), open_build(context.instance) as con:
        drafts = price_build(con, context.instance, catalog, ledger, charged, context.now_us)
        load_leaks(con, catalog, ledger, context.now_us, context.instance.scratch)
        load_entitled(con, catalog, context.now_us, context.instance.scratch)
        missing = find_missing(con, context.instance.home, catalog.sources, ledger, context.now_us)
        load_missing(con, missing, context.instance.scratch)
        con.execute("CHECKPOINT")
    return drafts


def watch_usage(context: Context, catalog: Catalog, ledger: Ledger) -> Found:
    """Judge the series of usage by their past and by what people said of earlier incidents, and put charts, alarms and
    incidents into the build; and how limits were kept and refusals taken in the last days."""
    with step(Point.USAGE_WATCHED):
        if (row := catalog.watched.monitoring) is None:
            with open_build(context.instance) as con:
                found = write_none(con)
                con.execute("CHECKPOINT")
            return found
        # Their libraries take a second to load.
        from orchestration.pipeline.limits import Limits, limits_of, write_limits
        from orchestration.pipeline.watching import watch

        context.report("watching usage")
        # Before the build is opened: both may take what memory there is.
        try:
            limits = limits_of(context, catalog, row.replay_days)
        except IntegrityFailure as error:
            # A raw file that only this needs: nothing that is billed waits for it.
            context.report(f"limits were not replayed: {error}")
            limits = Limits()
        with open_build(context.instance) as con:
            found = watch(con, catalog, row, context.now_us, ledger.journal())
            found = write_limits(con, limits, found)
            con.execute("CHECKPOINT")
    return found


def build_finance(context: Context, *, on_event: Callable[[Any], None] | None = None) -> None:
    """dbt: drafts, invoices and their lines, with the checks on money."""
    context.report("building and checking the finance tables")
    with step(Point.FINANCE_BUILT):
        transform(context.instance, "finance", fresh=False, on_event=on_event)


def alert(context: Context, catalog: Catalog) -> None:
    """Tell webhooks what is new in the build, which is then to be published. Stops nothing."""
    with open_build(context.instance) as con:
        post_alerts(con, context.instance, catalog, context.now_us, context.report)


def publish_build(context: Context) -> str:
    """Drop what only a build can read, close the database and publish it. Returns the generation's name."""
    with open_build(context.instance) as con:
        con.execute("DROP SCHEMA IF EXISTS staging CASCADE")
        con.execute("DROP SCHEMA IF EXISTS lake CASCADE")
        con.execute("CHECKPOINT")
    name = publish(context.instance).name
    context.report(f"published {name}")
    return name


def run(context: Context) -> RunResult:
    """The whole way from files to published drafts. The caller holds the instance's lock."""
    catalog = load_catalog(context.instance.catalog)
    with Ledger.open(context.instance.home) as ledger:
        taken = take_files(context, catalog, ledger)
        built = refresh(context, catalog, ledger)
        told = tuple(_notices(context, catalog, ledger))
        unmet = _unmet(context.instance)
        return RunResult(taken, built, catalog.settings.quarantine_alert_percent, unmet, told)


def _unmet(instance: Instance) -> tuple[str, ...]:
    path = instance.published_db()
    if path is None:
        return ()
    with connect(path, temp=instance.scratch, read_only=True) as con:
        return unmet_rows(con)


def _notices(context: Context, catalog: Catalog, ledger: Ledger) -> Iterator[str]:
    path = context.instance.published_db()
    if path is not None:
        with connect(path, temp=context.instance.scratch, read_only=True) as con:
            yield from drift_notices(con)
            yield from retraction_notes(con)
            yield from unposted(con)
            # Not from the table: time goes on, and a silence begins, although nothing was built.
            home, now_us = context.instance.home, context.now_us
            yield from (item.what for item in find_missing(con, home, catalog.sources, ledger, now_us))


def refresh(context: Context, catalog: Catalog, ledger: Ledger) -> bool:
    """Build and publish a generation, if anything has changed since the last. Returns whether it did."""
    plan = begin_build(context, catalog, ledger)
    if plan is None:
        context.report("nothing has changed; the published generation is up to date")
        return False
    if plan.usage_changed:
        build_usage(context, fresh=plan.fresh)
        account(context)
    price_drafts(context, catalog, ledger)
    watch_usage(context, catalog, ledger)
    build_finance(context)
    alert(context, catalog)
    publish_build(context)
    return True
