"""A customer checks an invoice with a folder and Python alone, learns nothing of others; a forged one is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from orchestration.audit import verify_invoice as script
from orchestration.audit.prove import prove
from orchestration.canonical import canonical_bytes
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ledger.keys import signer
from orchestration.ledger.merkle import leaf_hash, salt
from orchestration.ledger.store import Ledger


def run_script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the customer does: in the folder, isolated from this project and from what is installed."""
    command = [sys.executable, "-I", "-S", "verify_invoice.py", *arguments]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)


def test_a_customer_checks_a_bundle_with_python_alone(bundles: dict[str, Path]) -> None:
    said = run_script(bundles["ashcanary"])
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert lines[1:] == [
        "ok: document PRV-2026-000001 is in journal entry 1 of 1",
        "ok: 19 lines follow from their quantities and the archived prices, and add up",
        "ok: 421 events and the named parts are the lines",
        "everything holds",
    ]
    key = (bundles["home"] / "checkpoint.pub").read_text().strip()
    assert lines[0] == f"ok: signed by {key}"
    assert run_script(bundles["yewcanary"], ".", key).returncode == 0
    foreign = "someone+00000000+AdgqMUPS1cHWcFjFfRR6f0k0cXr3ZyvLxzX4TjdQGuZs"
    refused = run_script(bundles["ashcanary"], ".", foreign)
    assert refused.returncode == 1 and "WRONG: the key is malformed" in refused.stderr


def test_a_bundle_shows_nothing_of_another_customer(bundles: dict[str, Path]) -> None:
    with Ledger.open(bundles["home"]) as ledger:
        rows, key, entry = list(ledger.documents()), ledger.key, json.loads(ledger.journal()[0].body)
    for mine, other in ((rows[0], rows[1]), (rows[1], rows[0])):
        shown = b"\n".join(p.read_bytes() for p in sorted(bundles[mine.customer].iterdir()))
        secrets = [
            other.customer.encode(), other.number.encode(), other.sha256.encode(),
            salt(key, other.number).hex().encode(),
            key.hex().encode(), entry["salt"].encode(), entry["input_digest"].encode(),
            hashlib.sha256(other.body).hexdigest().encode(), json.loads(other.body)["total"].encode(),
            f"sub-{other.customer}".encode(), f"{other.customer.title()} Co".encode(),
        ]  # fmt: skip
        assert [secret for secret in secrets if secret in shown] == []
        # What stands for the other document is its salted leaf, which tells nothing without the salt.
        assert leaf_hash(salt(key, other.number), other.body).hex().encode() in shown
        raw = {f.sha256 for f in ledger_files(bundles["home"]) if other.customer in f.path}
        assert not any(digest.encode() in shown for digest in raw)


def ledger_files(home: Path) -> list[Any]:
    with Ledger.open(home) as ledger:
        return ledger.files()


def edit_json(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        value = json.loads((folder / name).read_bytes())
        change(value)
        (folder / name).write_bytes(canonical_bytes(value))

    return edited


def edit_rows(name: str, change: Callable[[list[dict[str, str]]], object]) -> Callable[[Path], None]:
    def edited(folder: Path) -> None:
        with (folder / name).open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        fields = list(rows[0])
        change(rows)
        with (folder / name).open("w", newline="") as handle:
            writer = csv.DictWriter(handle, fields)
            writer.writeheader()
            writer.writerows(rows)

    return edited


def first_of(document: Any, charge: str) -> Any:
    return next(line for line in document["lines"] if line["charge"] == charge)


FORGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "an amount of the document": (
        edit_json("document.json", lambda d: d.update(total="1.00")), "not in the root of its journal entry",
    ),
    "a document that is not canonical": (
        lambda f: (f / "document.json").write_bytes((f / "document.json").read_bytes() + b"\n") and None,
        "document.json is not canonical",
    ),
    "another salt": (edit_json("proof.json", lambda p: p.update(salt="00" * 32)), "not in the root"),
    "another place in the tree": (edit_json("proof.json", lambda p: p["tree"].update(index="1")), "not in the root"),
    "a longer path": (edit_json("proof.json", lambda p: p["tree"]["path"].append("00" * 32)), "proof is too long"),
    "another root in the entry": (
        edit_json("proof.json", lambda p: p["entry"]["fields"]["root"].update(value="00" * 32)), "not in the root",
    ),
    "a root beside the hash of the true one": (
        edit_json("proof.json", lambda p: _beside(p["entry"]["fields"]["root"])), "not in the root",
    ),
    "another cut-off in the entry": (
        edit_json("proof.json", lambda p: p["entry"]["fields"]["cut_off"].update(value="2026-10-01")),
        "the checkpoint has another journal",
    ),
    "another entry before": (
        edit_json("proof.json", lambda p: p["entry"].update(prev="11" * 32)), "the checkpoint has another journal",
    ),
    "another price": (
        edit_json("prices.json", lambda p: [x["charge"].update(price="0.9") for x in p["lines"]["2"]]),
        "a price is not the archived one",
    ),
    "a tier that ends elsewhere": (
        edit_json("prices.json", lambda p: [_tier(x["charge"]) for rows in p["lines"].values() for x in rows]),
        "are not divided as the model says",
    ),
    "an event less": (edit_rows("evidence-2.csv", lambda rows: rows.pop()), "has 1 events, not 2"),
    "an event twice": (edit_rows("evidence-2.csv", lambda rows: rows.insert(0, rows[0])), "an event twice"),
    "another quantity of an event": (
        edit_rows("evidence-2.csv", lambda rows: rows[0].update(quantity="2")), "are not what was measured",
    ),
    "another amount of an event": (
        edit_rows("evidence-2.csv", lambda rows: rows[0].update(amount="0.051")), "do not cost its amount",
    ),
    "a part that is not there": (
        edit_json("evidence.json", lambda e: e["lines"][0].update(parts=[])), "do not cost its amount",
    ),
    "a line without evidence": (edit_json("evidence.json", lambda e: e["lines"].pop()), "of other lines"),
}  # fmt: skip


def _beside(field: dict[str, str]) -> None:
    shown = {"name": "root", "salt": field["salt"], "value": field["value"]}
    field["hash"] = hashlib.sha256(canonical_bytes(shown)).hexdigest()
    field["value"] = "00" * 32


def _tier(charge: Any) -> None:
    for tier in charge["tiers"][:1]:
        tier["up_to"] = "900"


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_bundle_is_refused_even_when_the_seller_signs_it(
    what: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    """Each file changed by itself: first as it is, then under a manifest that the seller has signed anew."""
    change, expected = FORGED[what]
    folder = tmp_path / "bundle"
    shutil.copytree(bundles["ashcanary"], folder)
    change(folder)
    key = (folder / "checkpoint.pub").read_text().strip()
    with pytest.raises(script.Wrong, match="was changed"):
        list(script.check(folder, key))
    with Ledger.open(bundles["home"]) as ledger:
        by = signer(ledger)
    old = (folder / "manifest.note").read_text().rpartition("\n\n")[0].splitlines()
    names = [line.split("  ")[1] for line in old[1:]]
    listed = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / "manifest.note").write_text(by.sign("\n".join([old[0], *listed]) + "\n"))
    with pytest.raises(script.Wrong, match=expected):
        list(script.check(folder, key))


@pytest.mark.parametrize("name", ["checkpoint.note", "manifest.note"])
def test_a_note_of_another_text_key_or_with_two_signatures_is_refused(
    name: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundles["ashcanary"], folder)
    note, key = (folder / name).read_text(), (folder / "checkpoint.pub").read_text().strip()
    text, _, tail = note.rpartition("\n\n")
    for forged in (
        note.replace("tallystick/", "tallystack/", 1),
        note + tail,
        f"{text}\n\n",
        text,
        note.replace("\u2014", "-"),
    ):
        (folder / name).write_text(forged)
        with pytest.raises((script.Wrong, ValueError), match=f"{name} is not signed by|Invalid|padding"):
            list(script.check(folder, key))


def test_the_events_of_a_line_cost_what_their_place_says(bundles: dict[str, Path]) -> None:
    """Calls at 0.011, from the 16th at 0.012, from the 20th at 0.005 by contract; tokens through their tiers."""
    document = json.loads((bundles["ashcanary"] / "document.json").read_bytes())

    def rows(charge: str) -> list[dict[str, str]]:
        with (bundles["ashcanary"] / f"evidence-{first_of(document, charge)['position']}.csv").open(
            newline=""
        ) as handle:
            return list(csv.DictReader(handle))

    by_day = {row["day"]: row["amount"].rstrip("0") for row in rows("calls")}
    assert by_day == {
        **dict.fromkeys(("2026-10-02", "2026-10-05", "2026-10-08", "2026-10-11", "2026-10-14"), "0.011"),
        "2026-10-17": "0.012",
        **dict.fromkeys(("2026-10-20", "2026-10-23", "2026-10-26", "2026-10-29"), "0.005"),
    }
    # 1000 tokens at 0.001; what comes above them by the 15th at 0.0005, and after it too.
    reached, cost = Fraction(0), Fraction(0)
    for row in rows("tiers"):
        reached, cost = reached + Fraction(row["quantity"]), cost + Fraction(row["amount"])
        assert cost == min(reached, Fraction(1000)) / 1000 + max(reached - 1000, Fraction(0)) / 2000
    assert reached == Fraction(first_of(document, "tiers")["measured"]) == 3830
    # Two events of 25.10 and 30.00 are free, then 2.9 % + 0.30 between 0.50 and 4; money back has its rate back.
    paid = [row["amount"].rstrip("0").rstrip(".") or "0" for row in rows("cut")]
    assert paid == ["0", "0", "2.62", "0.5", "4", "0.65786", "-0.58", "0.5"]
    # The mark is one hour, which one reading set; the first event of a value is its own.
    assert [(row["value"].rstrip("0"), row["quantity"]) for row in rows("peak")] == [("10.5", "10.500000000")]
    users = rows("users")
    assert len({row["value"] for row in users}) == len(users) == 7


def test_a_folder_that_is_in_use_and_an_unknown_number_are_refused(october: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(october, home)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with Ledger.open(home) as ledger:
        with pytest.raises(ConfigInvalid, match="not empty"):
            prove(ledger, "PRV-2026-000001", tmp_path / "full", tmp_path / "scratch")
        with pytest.raises(ConfigInvalid, match="no document has the number 'PRV-2026-000009'"):
            prove(ledger, "PRV-2026-000009", tmp_path / "new", tmp_path / "scratch")
    assert (tmp_path / "full" / "mine.txt").read_text() == "x" and not (tmp_path / "new").exists()


def test_a_lake_that_lost_a_file_is_no_evidence(october: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(october, home)
    with Ledger.open(home) as ledger:
        files = sorted((home / "lake" / "events").rglob("*.parquet"))
        shutil.copyfile(files[1], files[0])
        with pytest.raises(IntegrityFailure, match="the events of the lake come to 0"):
            prove(ledger, "PRV-2026-000001", tmp_path / "new", tmp_path / "scratch")
    assert not (tmp_path / "new").exists() and not os.path.lexists(tmp_path / "scratch")


def test_a_lake_that_was_deleted_is_named_and_made_again_by_a_run(october: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(october, home)
    shutil.rmtree(home / "lake" / "events")
    with Ledger.open(home) as ledger, pytest.raises(ConfigInvalid, match="the lake lacks a file") as caught:
        prove(ledger, "PRV-2026-000001", tmp_path / "new", tmp_path / "scratch")
    assert "tallystick run" in caught.value.next_step
