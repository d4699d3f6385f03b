"""`tallystick anomalies`: incidents in usage, what each looked like, and what people say of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli_options import AsJson, Home, Now, Wait, day_of, environment_of, now_of
from orchestration.ledger.findings import APPROVE, REJECT
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock

anomalies = typer.Typer(help="Incidents in usage: list them, look at one, say what it was, release what it holds.")

Id = Annotated[str, typer.Argument(help="Id of an incident, or how it begins.")]
By = Annotated[str, typer.Option(help="Who says it.")]
Reason = Annotated[str, typer.Option(help="Why; journalled.")]


class Truth(StrEnum):
    """What an incident turned out to be."""

    real = "real"
    false = "false"


@anomalies.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    customer: Annotated[str | None, typer.Option(help="Only this customer.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only incidents of this kind.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that somebody has dealt with.")] = False,
    export: Annotated[Path | None, typer.Option(help="Write them to a file as well: .csv, .parquet or .json.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Incidents in usage (monitoring.yaml) as of the last run; without a command, the open ones."""
    from orchestration.console_anomalies import incidents_json, print_incidents
    from orchestration.pipeline.anomalies import listed, write_incidents

    if context.invoked_subcommand is not None:
        return
    instance = Instance.of(environment_of(home))
    found = listed(instance, customer, kind, every=every)
    if as_json:
        typer.echo(incidents_json(found))
    else:
        print_incidents(found)
    if export is not None:
        write_incidents(instance, export.absolute(), found, found.incidents)


@anomalies.command()
def show(incident: Id, home: Home = None, as_json: AsJson = False) -> None:
    """One incident hour by hour, with what was expected and its limits, and what was said of it."""
    from orchestration.console_anomalies import detail_json, print_detail
    from orchestration.pipeline.anomalies import detail

    found = detail(Instance.of(environment_of(home)), incident)
    if as_json:
        typer.echo(detail_json(found))
    else:
        print_detail(found)


@anomalies.command()
def series(
    scope: Annotated[
        str | None, typer.Option(help="Only series of this scope: total, endpoint, credential, customer, money ...")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only the series of this endpoint, credential, customer ...")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this day on, e.g. 2026-10-01, in UTC.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Series that were beyond their past, by five minutes, hours and days, the latest first. They hold nothing."""
    from orchestration.console_anomalies import print_series, series_json
    from orchestration.pipeline.anomalies import unusual

    begin = None if since is None else day_of(since, "--since", "nothing was shown")
    found = unusual(Instance.of(environment_of(home)), scope, key, begin)
    if as_json:
        typer.echo(series_json(found))
    else:
        print_series(found)


@anomalies.command()
def label(
    incident: Id,
    truth: Annotated[Truth, typer.Argument(help="`real`, or `false` for a false alarm.")],
    by: By,
    reason: Reason,
    home: Home = None,
    now: Now = None,
    wait: Wait = False,
) -> None:
    """Say what an incident was: it moves the customer's later thresholds of that kind. Releases no draft."""
    _say(incident, truth.value, by, reason, home, now, wait=wait)


@anomalies.command()
def approve(incident: Id, by: By, reason: Reason, home: Home = None, now: Now = None, wait: Wait = False) -> None:
    """Release the drafts that an incident holds: the next close issues them."""
    _say(incident, APPROVE, by, reason, home, now, wait=wait)


@anomalies.command()
def reject(incident: Id, by: By, reason: Reason, home: Home = None, now: Now = None, wait: Wait = False) -> None:
    """Keep the drafts of an incident held: its usage is to be retracted, or the bill adjusted, and then approved."""
    _say(incident, REJECT, by, reason, home, now, wait=wait)


def _say(incident: str, says: str, by: str, reason: str, home: Path | None, now: str | None, *, wait: bool) -> None:
    from orchestration.console_anomalies import print_said
    from orchestration.pipeline.anomalies import say

    environment = environment_of(home)
    instance = Instance.of(environment)
    with instance_lock(instance.home, f"anomalies {says}", wait=wait):
        finding, written = say(instance, incident, says, by, reason, now_of(environment, now))
    print_said(finding, written=written)
