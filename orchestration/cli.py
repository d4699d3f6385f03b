"""The `tallystick` command: a thin shell over the steps of a run.

Exit codes: 0 ok, 2 configuration, 3 input held, 4 lock held, 5 integrity, 6 resources, 7 period closed, 1 other.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from orchestration.catalog import load_catalog
from orchestration.catalog.schema import write_schemas
from orchestration.cli_anomalies import anomalies
from orchestration.cli_audit import checkpoint, explain, prove
from orchestration.cli_closing import asof, close
from orchestration.cli_erase import erase
from orchestration.cli_finance import finance, leaks
from orchestration.cli_options import AsJson, Home, Now, Wait, environment_of, now_of
from orchestration.cli_simulate import simulate
from orchestration.cli_watch import entitlements, throttling
from orchestration.console import Progress, err, out, print_listed, print_overview, print_run
from orchestration.console_quarantine import print_quarantined, print_quarantined_lines, print_retry
from orchestration.engine import is_exhausted
from orchestration.errors import (
    CatalogInvalid,
    ConfigInvalid,
    InputHeld,
    IntegrityFailure,
    OutOfResources,
    TallystickError,
)
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock

app = typer.Typer(
    help="From gateway logs to invoices that anyone can re-perform.\n\n"
    "A month goes like this: `validate` the catalog, `run` every day, `close 2026-10` once the month is over, "
    "`export invoices`, and `verify` whenever you like.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
export = typer.Typer(help="Write issued documents as files.", no_args_is_help=True)
app.add_typer(export, name="export")
quarantine = typer.Typer(help="Look at the lines that could not be read, and try them again.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")
app.add_typer(checkpoint, name="checkpoint")
app.add_typer(anomalies, name="anomalies")
app.command()(prove)
app.command()(explain)

OfSource = Annotated[str | None, typer.Option("--source", help="Only lines of this source.")]
WithReason = Annotated[str | None, typer.Option("--reason", help="Only lines that were quarantined for this reason.")]


@app.command()
def run(home: Home = None, now: Now = None, wait: Wait = False) -> None:
    """Take new files, aggregate, price drafts, publish. Does nothing when there is nothing new.

    Ends with 3 when a file is held, after everything else has been done.
    """
    from orchestration.pipeline.context import Context
    from orchestration.pipeline.run import run as run_steps

    environment = environment_of(home)
    instance = Instance.of(environment)
    with Progress().shown() as progress, instance_lock(instance.home, "run", wait=wait):
        context = Context(instance, now_of(environment, now), progress)
        result = run_steps(context)
    print_run(result, instance)
    if result.problems:
        raise InputHeld(
            "some input needs attention:\n" + "\n".join(f"    {p}" for p in result.problems),
            not_done="held files and quarantined lines were not counted; all else was taken, priced and published",
            next_step="mend or replace the files, or the decisions named above, then `tallystick run`",
        )


@app.command()
def plan(home: Home = None, now: Now = None, wait: Wait = False) -> None:
    """Say what the next run would measure again after an edit of the catalog. Takes no file and changes nothing."""
    from orchestration.pipeline.context import Context
    from orchestration.pipeline.run import preview

    environment = environment_of(home)
    instance = Instance.of(environment)
    said: list[str] = []
    with instance_lock(instance.home, "plan", wait=wait):
        preview(Context(instance, now_of(environment, now), said.append))
    typer.echo("\n".join(said) or "nothing would be built: the published generation is up to date")


app.command()(simulate)
app.command()(close)
app.command()(asof)
app.command()(throttling)
app.command()(entitlements)
app.command()(finance)
app.command()(leaks)
app.command()(erase)


@app.command()
def retract(
    name: Annotated[str, typer.Argument(help="Name of a row of retractions.yaml that chooses events.")],
    home: Home = None,
    wait: Wait = False,
) -> None:
    """List the events that a row of retractions.yaml chooses, once, beside the row. The next run obeys it."""
    from orchestration.pipeline.context import Context
    from orchestration.pipeline.retract import write_list

    instance = Instance.of(environment_of(home))
    with Progress().shown() as progress, instance_lock(instance.home, f"retract {name}", wait=wait):
        print_listed(write_list(Context(instance, 0, progress), name))


@app.command()
def verify(
    fast: Annotated[
        bool, typer.Option("--fast", help="Hashes, chain and numbers only; nothing is recomputed.")
    ] = False,
    home: Home = None,
) -> None:
    """Check the record: raw files, chain, numbers, and every issued document recomputed from raw and compared."""
    from orchestration.audit.verify import verify as verify_record

    instance = Instance.of(environment_of(home))
    scratch = instance.scratch / f"verify-{os.getpid()}"
    with Progress().shown() as progress:
        result = verify_record(instance.home, instance.exports, scratch, fast=fast, report=progress)
    if result.problems:
        raise IntegrityFailure(
            f"{len(result.problems)} thing(s) do not hold:\n" + "\n".join(f"    {p}" for p in result.problems),
            not_done="nothing was changed",
            next_step="restore what is named from a backup, then `tallystick verify`",
        )
    out.print("\n".join([*result.erased, f"verified: {result.summary}"]), markup=False)


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """What the instance holds: files, lines, drafts, issued documents, what is held."""
    from orchestration.pipeline.overview import overview

    print_overview(overview(Instance.of(environment_of(home))), as_json=as_json)


@export.command("invoices")
def export_invoices_command(
    to: Annotated[Path | None, typer.Option(help="Folder to write to. Default: `exports` of the instance.")] = None,
    home: Home = None,
) -> None:
    """Write all issued documents: invoices.csv and invoice_lines.csv by cut-off, and each document as JSON."""
    from orchestration.exports.csvfiles import export_invoices
    from orchestration.ledger.store import Ledger

    instance = Instance.of(environment_of(home))
    with Ledger.open(instance.home, create=False) as ledger, instance_lock(instance.home, "export", wait=True):
        paths = export_invoices(ledger, to or instance.exports)
    for path in paths:
        out.print(str(path))
    if not paths:
        out.print("nothing has been issued yet; close a period first")


@quarantine.command("list")
def quarantine_list(source: OfSource = None, reason: WithReason = None, home: Home = None) -> None:
    """How many lines are quarantined, by source, file and reason."""
    from orchestration.ingest.batch import Workshop
    from orchestration.ingest.quarantined import Wanted, listed
    from orchestration.ledger.store import Ledger

    instance = Instance.of(environment_of(home))
    with Ledger.open(instance.home, create=False) as ledger:
        print_quarantined(listed(Workshop.of(instance.home, ledger), ledger, Wanted(source, None, reason)))


@quarantine.command("show")
def quarantine_show(
    file: Annotated[str, typer.Argument(help="Number or path of a file, as `quarantine list` gives them.")],
    line: Annotated[int | None, typer.Option(help="Only the line of this number.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Write the bytes as they are, each line with a newline.")] = False,
    home: Home = None,
) -> None:
    """The quarantined lines of a file: number, reason, and text with control characters escaped."""
    from orchestration.ingest.batch import Workshop
    from orchestration.ingest.quarantined import Wanted, shown
    from orchestration.ledger.store import Ledger

    instance = Instance.of(environment_of(home))
    with Ledger.open(instance.home, create=False) as ledger:
        lines = shown(Workshop.of(instance.home, ledger), ledger, Wanted(file=file), line)
        if not print_quarantined_lines(lines, raw=raw):
            raise ConfigInvalid(
                f"no such line of file '{file}' is quarantined",
                not_done="nothing was shown",
                next_step="look for the file with `tallystick quarantine list`",
            )


@quarantine.command("retry")
def quarantine_retry(
    source: OfSource = None,
    file: Annotated[str | None, typer.Option(help="Only lines of this file, by number or path.")] = None,
    reason: WithReason = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would enter, and change nothing.")] = False,
    home: Home = None,
    now: Now = None,
    wait: Wait = False,
) -> None:
    """Read quarantined lines again, after a mapping was mended: those that are right now enter as new lines do."""
    from orchestration.ingest.quarantined import Wanted
    from orchestration.ingest.retry import retry
    from orchestration.ledger.store import Ledger

    environment = environment_of(home)
    instance, wanted = Instance.of(environment), Wanted(source, file, reason)
    with Progress().shown() as progress, instance_lock(instance.home, "quarantine retry", wait=wait):
        catalog, now_us = load_catalog(instance.catalog), now_of(environment, now)
        with Ledger.open(instance.home, create=False) as ledger:
            result = retry(
                instance.home,
                ledger,
                catalog.settings,
                catalog.sources,
                now_us,
                wanted,
                dry_run=dry_run,
                report=progress,
            )
    print_retry(result, dry_run=dry_run)


@app.command()
def validate(home: Home = None) -> None:
    """Check the catalog; report everything that is wrong in one go."""
    from orchestration.ingest.formats import check_source

    instance = Instance.of(environment_of(home))
    catalog = load_catalog(instance.catalog)
    problems = [problem for source in catalog.sources for problem in check_source(source)]
    if problems:
        raise CatalogInvalid(problems)
    out.print(
        f"the catalog is valid: {len(catalog.sources)} sources, {len(catalog.meters)} meters, "
        f"{len(catalog.plans)} plans, {len(catalog.customers)} customers, {len(catalog.credentials)} credentials, "
        f"{len({s.subscription for s in catalog.subscriptions})} subscriptions"
    )


@app.command()
def schema(to: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("docs/schema")) -> None:
    """Write JSON Schemas of the catalog's YAML files, for editors."""
    for path in write_schemas(to):
        out.print(str(path))


@app.command()
def demo(home: Home = None) -> None:
    """Generate a month of example traffic, run, close it, export it, and show the result."""
    from orchestration.demo import demo as run_demo

    instance = Instance.of(environment_of(home))
    with Progress().shown() as progress, instance_lock(instance.home, "demo"):
        run_demo(instance, progress)
    from orchestration.pipeline.overview import overview

    print_overview(overview(instance))
    out.print(
        f"\nInvoices as CSV: {instance.exports}\n"
        f"Warehouse (DuckDB): {instance.current}/tallystick.duckdb\n"
        "Next: `make ui` shows it in Dagster; `tallystick verify` recomputes every invoice from the raw files; "
        "`tallystick status` shows this table again."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Every error that a person can act on ends as four lines and an exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="tallystick")
    except TallystickError as error:
        _end(error)
    except OSError as error:
        kind = OutOfResources if error.errno in _EXHAUSTED else ConfigInvalid
        _end(_broken_off(kind, error.strerror or str(error), str(error.filename or "")))
    except Exception as error:
        if is_exhausted(error):
            _end(_broken_off(OutOfResources, f"{type(error).__name__}: {error}", ""))
        traceback.print_exc()
        _end(
            TallystickError(
                f"unexpected {type(error).__name__}: {error}",
                not_done="the step was broken off; what was published and issued before stays",
                next_step="run again; if it comes back, report it with the lines above",
            )
        )


_EXHAUSTED = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENOMEM, errno.EIO, errno.EROFS))


def _end(error: TallystickError) -> NoReturn:
    err.print(error.render(), markup=False)
    sys.exit(error.exit_code)


def _broken_off(kind: type[TallystickError], message: str, where: str) -> TallystickError:
    return kind(
        message,
        where=where,
        not_done="the step was broken off; what was published and issued before stays",
        next_step="mend the cause and run again; nothing is counted twice",
    )


if __name__ == "__main__":
    main()
