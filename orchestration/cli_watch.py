"""`tallystick throttling` and `entitlements`: what the log says of limits, and what is left of what may be used."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli_options import AsJson, Home, Now, Wait, day_of, environment_of, now_of
from orchestration.console import Progress
from orchestration.errors import ConfigInvalid
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock


def throttling(
    first: Annotated[str, typer.Option("--from", help="The first day, e.g. 2026-10-01, in each customer's own days.")],
    end: Annotated[str, typer.Option("--to", help="The day after the last one.")],
    policies: Annotated[
        Path | None,
        typer.Option(help="Proposed policies: what they would have refused, and of which revenue."),
    ] = None,
    at_most: Annotated[
        str | None, typer.Option(help="Find the smallest limits that would have refused less than so many percent.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write who was over a limit, and when, to this file.")] = None,
    home: Home = None,
    now: Now = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Replay the log against throttling policies (throttling.yaml): who was over a limit, when and by how much, and
    whether the gateway's refusals agree; how clients back off. Nothing that is kept or published changes.
    """
    from orchestration.console_watch import episodes_csv, print_replay, replay_json
    from orchestration.exports.csvfiles import write_export
    from orchestration.pipeline.context import Context
    from orchestration.pipeline.throttle import throttling as replayed

    days = day_of(first, "--from", "nothing was replayed"), day_of(end, "--to", "nothing was replayed")
    share = None if at_most is None else _share(at_most)
    environment = environment_of(home)
    instance = Instance.of(environment)
    with Progress().shown() as progress, instance_lock(instance.home, "throttling", wait=wait):
        found = replayed(Context(instance, now_of(environment, now), progress), *days, policies, share)
    if as_json:
        typer.echo(replay_json(found))
    else:
        print_replay(found)
    if csv is not None:
        write_export(csv.absolute(), episodes_csv(found))


def entitlements(
    customer: Annotated[str | None, typer.Option(help="Only this customer.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write what a gateway needs to enforce them: a .json, .parquet or .csv file.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """What customers have used of what they may use (entitlements.yaml), what is left, and when it will be gone, as of
    the last run."""
    from orchestration.console_entitlements import entitled_json, print_entitled
    from orchestration.pipeline.entitled import entitled, write_entitlements

    instance = Instance.of(environment_of(home))
    now_us, found = entitled(instance, customer)
    if as_json:
        typer.echo(entitled_json(now_us, found))
    else:
        print_entitled(now_us, found)
    if export is not None:
        write_entitlements(instance, export.absolute(), now_us, found)


def _share(text: str) -> Fraction:
    """Of a percentage."""
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", text) or not Fraction(text):
        raise ConfigInvalid(
            f"'{text}' is no percentage",
            where="--at-most",
            not_done="nothing was replayed",
            next_step="write e.g. 1, or 0.5",
        )
    return Fraction(text) / 100
