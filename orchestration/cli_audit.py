"""Commands that hand the record to others: explain, prove, checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli_options import AsJson, Home, Now, environment_of, now_of
from orchestration.console import out
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.lock import instance_lock

Number = Annotated[str, typer.Argument(help="Number of an issued document.")]

checkpoint = typer.Typer(
    help="Sign the state of the journal, and compare it with an earlier one.", no_args_is_help=True
)


def _instance(home: Path | None) -> Instance:
    return Instance.of(environment_of(home))


def prove(
    number: Number,
    to: Annotated[Path | None, typer.Option("-o", help="Folder to write. Default: the number, here.")] = None,
    home: Home = None,
) -> None:
    """Write a folder by which a customer can check a document, with nothing but Python, and nothing of anybody else."""
    from orchestration.audit.prove import prove as write_bundle
    from orchestration.ledger.store import Ledger

    instance, folder = _instance(home), (to or Path(number)).absolute()
    scratch = instance.scratch / f"prove-{os.getpid()}"
    with (
        instance_lock(instance.home, f"prove {number}", wait=True),
        Ledger.open(instance.home, create=False) as ledger,
    ):
        paths = write_bundle(ledger, number, folder, scratch)
    for path in paths:
        out.print(str(path))


def explain(
    number: Number,
    line: Annotated[int | None, typer.Argument(help="Position of a line. Default: the list of all lines.")] = None,
    events: Annotated[Path | None, typer.Option(help="Write the line's events here: .csv or .parquet.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """How a line came to its amount: formula, prices, days, files, events, what was left out, later documents."""
    from orchestration.audit.explain import as_lines
    from orchestration.audit.explain import explain as tell
    from orchestration.ledger.store import Ledger

    instance = _instance(home)
    scratch = instance.scratch / f"explain-{os.getpid()}"
    position = None if line is None else str(line)
    with Ledger.open(instance.home, create=False) as ledger:
        wanted = None if events is None else events.absolute()
        told = tell(ledger, number, position, scratch, wanted, instance.published_db())
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        out.print("\n".join(as_lines(told)), markup=False)


@checkpoint.command("export")
def checkpoint_export(
    file: Annotated[Path, typer.Argument(help="File to write; keep it where nobody here can change it.")],
    home: Home = None,
) -> None:
    """Sign size and root of the journal. From then on a ledger that lies behind issues nothing."""
    from orchestration.ledger.checkpoints import export_checkpoint
    from orchestration.ledger.keys import signer
    from orchestration.ledger.store import Ledger

    instance = _instance(home)
    with (
        instance_lock(instance.home, "checkpoint export", wait=True),
        Ledger.open(instance.home, create=False) as ledger,
    ):
        found = export_checkpoint(ledger, file.absolute())
        out.print(f"{file}: {found.size} journal entries\npublic key: {signer(ledger).key_text}")


@checkpoint.command("compare")
def checkpoint_compare(
    file: Annotated[Path, typer.Argument(help="A checkpoint that was exported earlier.")],
    home: Home = None,
) -> None:
    """Show that the journal goes on from an earlier checkpoint. Ends with 5 if it was rewritten or rolled back."""
    from orchestration.ledger.checkpoints import compare
    from orchestration.ledger.store import Ledger

    instance = _instance(home)
    with Ledger.open(instance.home, create=False) as ledger:
        earlier, entries = compare(ledger, file.absolute()), len(ledger.journal())
    out.print(f"the journal goes on from {file}: {earlier.size} entries then, {entries} now")


@checkpoint.command("rotate")
def checkpoint_rotate(
    key: Annotated[str, typer.Argument(help="Id of the key to replace: the part between the + of checkpoint.pub.")],
    lost: Annotated[str, typer.Option(help="Why that key can't sign any more, if it is gone.")] = "",
    home: Home = None,
    now: Now = None,
) -> None:
    """Replace the key that signs. Both keys sign that, in the journal; what the old one signed before stays good."""
    from orchestration.ledger.notes import key_id_of
    from orchestration.ledger.rotation import rotate
    from orchestration.ledger.store import Ledger

    environment, instance = environment_of(home), _instance(home)
    with (
        instance_lock(instance.home, "checkpoint rotate", wait=True),
        Ledger.open(instance.home, create=False) as ledger,
    ):
        seq, change = rotate(ledger, key, now_of(environment, now), lost.strip())
    signed = "lost, so the new one has to be told to all who know it" if change.reason else "signed by both"
    out.print(f"key {key} was replaced by {key_id_of(change.new)}: journal entry {seq}, {signed}")
    out.print(f"public key: {change.new}")
