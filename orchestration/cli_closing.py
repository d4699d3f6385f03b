"""Commands about closed periods: closing one, and what is known of it since."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestration.cli_options import AsJson, Home, Now, Wait, environment_of, now_of
from orchestration.console import Progress, print_close
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock


def close(
    period: Annotated[str, typer.Argument(help="A month (2026-10), or a cut-off date (2026-11-01).")],
    waive: Annotated[str | None, typer.Option(help="Close although files are held; the reason is journalled.")] = None,
    allow_uncommitted: Annotated[
        bool, typer.Option("--allow-uncommitted", help="Close although git doesn't hold the catalog; journalled.")
    ] = False,
    home: Home = None,
    now: Now = None,
    wait: Wait = False,
) -> None:
    """Issue the invoices of a period, once. A second close of the same period changes nothing."""
    from orchestration.pipeline.close import close as close_period
    from orchestration.pipeline.close import parse_cut_off
    from orchestration.pipeline.context import Context

    environment = environment_of(home)
    instance = Instance.of(environment)
    cut_off = parse_cut_off(period)
    with Progress().shown() as progress, instance_lock(instance.home, f"close {period}", wait=wait):
        context = Context(instance, now_of(environment, now), progress)
        result = close_period(context, cut_off, waive=waive, allow_uncommitted=allow_uncommitted)
    print_close(result, instance)


def asof(
    month: Annotated[str, typer.Argument(help="A month (2026-10): every closed period that has a day in it.")],
    customer: Annotated[str | None, typer.Option(help="Only this customer.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show closed periods as they were billed and as they are known now, with each step between and its cause."""
    from orchestration.console_asof import print_revisions
    from orchestration.pipeline.asof import revisions

    print_revisions(revisions(Instance.of(environment_of(home)), month, customer), as_json=as_json)
