"""Commands of finance: accrued and deferred revenue at a cut-off, and usage that no document bills."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli_options import AsJson, Home, environment_of
from orchestration.console import err
from orchestration.pipeline.instance import Instance

Csv = Annotated[Path | None, typer.Option(help="Write all rows to this file.")]


def finance(
    cut_off: Annotated[str, typer.Option("--cut-off", help="A month (2026-10), or a cut-off date (2026-11-01).")],
    csv: Csv = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show accrued and deferred revenue at any cut-off, by seller, account and currency.

    Accrued is what was earned on days before the cut-off and is on no document dated before it; deferred is what such
    documents bill for days on or after it. Net of coupons and promotional credits where a document says so, before tax.
    The CSV has both by day of service and customer.
    """
    from orchestration.console_finance import print_positions
    from orchestration.exports.csvfiles import write_export
    from orchestration.exports.financecsv import positions_csv
    from orchestration.pipeline.close import parse_cut_off
    from orchestration.pipeline.positions import positions

    day, instance = parse_cut_off(cut_off), Instance.of(environment_of(home))
    print_positions(positions(instance, day), day, as_json=as_json)
    if csv is not None:
        write_export(csv.absolute(), positions_csv(positions(instance, day, by_day=True)))
        err.print(str(csv), markup=False)


def leaks(csv: Csv = None, home: Home = None, as_json: AsJson = False) -> None:
    """Show usage that no document bills: of nobody, not measured, not read, waiting, or only reported.

    What has no price of its own is valued at list price; where a value can't be known, the row says why.
    """
    from orchestration.console_finance import print_leaks
    from orchestration.exports.csvfiles import write_export
    from orchestration.exports.financecsv import leaks_csv
    from orchestration.pipeline.positions import leaks as leak_rows

    rows = leak_rows(Instance.of(environment_of(home)))
    print_leaks(rows, as_json=as_json)
    if csv is not None:
        write_export(csv.absolute(), leaks_csv(rows))
        err.print(str(csv), markup=False)
