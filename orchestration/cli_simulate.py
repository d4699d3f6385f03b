"""`tallystick simulate`: past months under another catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli_options import Home, Wait, environment_of
from orchestration.console import Progress, out
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock


def simulate(
    catalog: Annotated[Path, typer.Option(help="Folder of the other catalog, with all of its files.")],
    first: Annotated[str, typer.Option("--from", help="The first month, e.g. 2026-07.")],
    last: Annotated[str, typer.Option("--to", help="The last month, e.g. 2026-09.")],
    csv: Annotated[Path | None, typer.Option(help="Write every customer, plan and charge to this file.")] = None,
    much_more: Annotated[
        str, typer.Option(help="List customers first whose lines rise by more than so many percent.")
    ] = "20",
    home: Home = None,
    wait: Wait = False,
) -> None:
    """Rate past months under another catalog, and show the difference. Nothing that is kept or published changes.

    A line belongs to the month in which the last day of its period lies, in the customer's own days. Both sides are
    rated from all that the last run knew, before coupons, credits, adjustments and tax. What the other catalog measures
    otherwise is measured again.
    """
    from orchestration.console_simulation import print_simulation
    from orchestration.exports.comparison import comparison_csv
    from orchestration.exports.csvfiles import write_export
    from orchestration.ledger.store import Ledger
    from orchestration.pipeline.simulate import parse_months, parse_percent
    from orchestration.pipeline.simulate import simulate as simulate_months

    months, limit = parse_months(first, last), parse_percent(much_more)
    instance = Instance.of(environment_of(home))
    with (
        Ledger.open(instance.home, create=False) as ledger,
        Progress().shown() as progress,
        instance_lock(instance.home, "simulate", wait=wait),
    ):
        found = simulate_months(instance, ledger, catalog, months, limit, progress)
    print_simulation(found, limit)
    if csv is not None:
        write_export(csv.absolute(), comparison_csv(found.comparison, found.names))
        out.print(str(csv), markup=False)
