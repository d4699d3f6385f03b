"""The command that removes personal data: what a reviewed row is about, shown first, then erased."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli_options import Home, Now, Wait, environment_of, now_of
from orchestration.console import Progress, out
from orchestration.errors import ConfigInvalid
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock

if TYPE_CHECKING:
    from orchestration.ingest.erase import Planned
    from orchestration.ledger.store import Ledger


def erase(
    name: Annotated[str | None, typer.Argument(help="Name of a row of erasures.yaml.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show files and lines, and erase nothing.")] = False,
    hash_: Annotated[
        bool, typer.Option("--hash", help="Read an end user's id from standard input and print its hash for a row.")
    ] = False,
    home: Home = None,
    now: Now = None,
    wait: Wait = False,
) -> None:
    """Remove the personal data that a row of erasures.yaml is about. Documents, roots and numbers stay as they are."""
    from orchestration.catalog import load_catalog
    from orchestration.ingest.erase import erase as erase_row
    from orchestration.ingest.erase import plan, row_of
    from orchestration.ledger.store import Ledger

    environment = environment_of(home)
    instance = Instance.of(environment)
    if (name is None) != hash_:
        raise ConfigInvalid(
            "name a row, or say --hash",
            not_done="nothing was erased",
            next_step="`tallystick erase --hash` reads an id, `tallystick erase <row> --dry-run` shows what would go",
        )
    with (
        Progress().shown() as progress,
        instance_lock(instance.home, f"erase {name or '--hash'}", wait=wait),
        Ledger.open(instance.home, create=False) as ledger,
    ):
        if name is None:
            said = list(_hashed(instance, ledger))
        else:
            catalog = load_catalog(instance.catalog)
            row, now_us = row_of(catalog, name), now_of(environment, now)
            said = list(_shown(plan(instance.home, ledger, catalog, row, progress)))
            if not dry_run:
                done = erase_row(instance.home, ledger, catalog, row, now_us, progress)
                said.append(
                    "nothing is left to erase"
                    if done is None
                    else f"erased {done.lines} line(s), journal entry {done.seq}; `tallystick run` builds the warehouse"
                )
    out.print("\n".join(said), markup=False)


def _hashed(instance: Instance, ledger: Ledger) -> Iterator[str]:
    from orchestration.ingest.erase import hash_of, quarantined_with

    text = sys.stdin.readline().rstrip("\n")
    yield f"user: {hash_of(ledger, text)}"
    for sha256, line in quarantined_with(instance.home, ledger, text):
        yield f"  - {{sha256: {sha256}, line: {line}}}  # quarantined"


def _shown(planned: Planned) -> Iterator[str]:
    row = planned.row
    yield f"row '{row.name}' by {row.by} of {row.on}: {row.reason}"
    for touched in planned.touched:
        file, kept = touched.file, ", kept by reference: delete it at its store" if touched.by_reference else ""
        yield f"  {file.source}: {file.path}: {len(touched.lines)} line(s), {touched.events} event(s){kept}"
        yield f"    sha256 {file.sha256}"
        if file.sha256 in planned.unwritable:
            yield f"    can't be written again: {planned.unwritable[file.sha256]}"
    yield f"  {sum(len(t.lines) for t in planned.touched)} line(s) in {len(planned.touched)} raw object(s)"
    if planned.touched:
        yield "  what lies at the sources, in backups and in bundles that were handed out is not touched"
