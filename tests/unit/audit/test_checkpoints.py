"""A ledger that was rewritten or rolled back is found by a copy outside, and issues nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from orchestration import durable
from orchestration.audit import verify_invoice
from orchestration.canonical import canonical_bytes
from orchestration.cli import main
from orchestration.durable import Point
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ledger.checkpoints import (
    Checkpoint,
    checkpoint_of,
    compare,
    export_checkpoint,
    journal_leaves,
    refuse_behind,
)
from orchestration.ledger.journal import GENESIS, check_chain, entry_hash
from orchestration.ledger.keys import handovers, signer, wrong_handovers
from orchestration.ledger.merkle import root_hash
from orchestration.ledger.notes import key_id_of, signed_text
from orchestration.ledger.rotation import rotate
from orchestration.ledger.store import Ledger
from orchestration.pipeline.close import close
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance


def grow(home: Path, count: int) -> None:
    with Ledger.open(home) as ledger:
        for _ in range(count):
            with ledger.transaction(Point.CLOSE_COMMITTED):
                n = ledger.next_journal_seq()
                ledger.append_journal("close", canonical_bytes({"cut_off": f"2026-{n:02d}-01", "skipped": []}))


def export(home: Path, to: Path) -> None:
    with Ledger.open(home) as ledger:
        export_checkpoint(ledger, to)


def said(home: Path, path: Path) -> str:
    with Ledger.open(home) as ledger, pytest.raises(IntegrityFailure) as caught:
        compare(ledger, path)
    assert caught.value.exit_code == 5
    return caught.value.message


def rewrite(home: Path) -> None:
    """Change the first entry and make every hash after it anew: the chain alone shows nothing."""
    db = sqlite3.connect(home / "ledger.sqlite")
    db.execute("DROP TRIGGER journal_is_final")
    prev = GENESIS
    for seq, kind, text in db.execute("SELECT seq, kind, body FROM journal ORDER BY seq").fetchall():
        body = canonical_bytes(json.loads(text) | ({"cut_off": "2025-12-01"} if seq == 1 else {})).decode()
        made = entry_hash(seq, kind, body, prev)
        db.execute("UPDATE journal SET body = ?, prev_hash = ?, hash = ? WHERE seq = ?", (body, prev, made, seq))
        prev = made
    db.commit()
    db.close()


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 3), (1, 0), (1, 1), (3, 2), (4, 4), (5, 3)])
def test_a_ledger_that_went_on_agrees_with_its_checkpoint(before: int, after: int, tmp_path: Path) -> None:
    grow(tmp_path, before)
    export(tmp_path, tmp_path / "out" / "c.note")
    grow(tmp_path, after)
    with Ledger.open(tmp_path) as ledger:
        assert compare(ledger, tmp_path / "out" / "c.note").size == before
        refuse_behind(ledger)
        assert export_checkpoint(ledger, tmp_path / "out" / "d.note").size == before + after


def test_F53_a_journal_rewritten_whole_is_found_by_a_checkpoint_alone(tmp_path: Path) -> None:
    grow(tmp_path, 3)
    export(tmp_path, tmp_path / "c.note")
    rewrite(tmp_path)
    with Ledger.open(tmp_path) as ledger:
        assert check_chain(ledger.journal()) == []
    assert said(tmp_path, tmp_path / "c.note") == (
        "the ledger was rewritten: its first 3 journal entries are not those of the checkpoint"
    )
    grow(tmp_path, 2)
    assert "was rewritten" in said(tmp_path, tmp_path / "c.note")
    # What was remembered beside the ledger says the same, and nothing new is signed.
    with Ledger.open(tmp_path) as ledger, pytest.raises(IntegrityFailure, match="was rewritten"):
        export_checkpoint(ledger, tmp_path / "d.note")
    assert not (tmp_path / "d.note").exists()


def test_F60_a_ledger_restored_from_an_older_backup_issues_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(Path(__file__).parents[3] / "data" / "catalog", home / "catalog")
    grow(home, 2)
    shutil.copyfile(home / "ledger.sqlite", tmp_path / "backup.sqlite")
    grow(home, 1)
    export(home, tmp_path / "c.note")
    shutil.copyfile(tmp_path / "backup.sqlite", home / "ledger.sqlite")
    expected = "the ledger was rolled back: its journal has 2 entries, the checkpoint 3"
    assert said(home, tmp_path / "c.note") == expected
    with pytest.raises(IntegrityFailure, match="was rolled back"):
        close(Context(Instance(home), 1_800_000_000_000_000), date(2026, 11, 1))
    assert not (home / "warehouse").exists()


def test_a_broken_journal_is_never_signed(tmp_path: Path) -> None:
    grow(tmp_path, 2)
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    db.execute("DROP TRIGGER journal_is_final")
    db.execute("UPDATE journal SET body = replace(body, '2026-02', '2026-03') WHERE seq = 2")
    db.commit()
    db.close()
    with Ledger.open(tmp_path) as ledger, pytest.raises(IntegrityFailure, match="the journal doesn't hold"):
        export_checkpoint(ledger, tmp_path / "c.note")


def test_F55_a_checkpoint_of_another_key_or_an_edited_one_is_not_believed(tmp_path: Path) -> None:
    homes = [tmp_path / "a", tmp_path / "b"]
    for home in homes:
        grow(home, 2)
        export(home, home / "c.note")
    assert "doesn't hold" in said(homes[0], homes[1] / "c.note")
    note = homes[0] / "c.note"
    text = note.read_text()
    for edited in (text.replace("\n2\n", "\n1\n"), text.replace("\n\n", "\n"), text + text.rpartition("\n\n")[2], "x"):
        assert edited != text
        note.write_text(edited)
        assert "doesn't hold" in said(homes[0], note)
    (homes[0] / "checkpoint.key").unlink()
    note.write_text(text)
    assert "checkpoint.key can't be read" in said(homes[0], note)


def key_id(home: Path) -> str:
    return (home / "checkpoint.pub").read_text().split("+")[1]


def test_F55_a_key_that_was_replaced_is_good_for_what_it_signed_and_for_nothing_after(tmp_path: Path) -> None:
    grow(tmp_path, 2)
    export(tmp_path, tmp_path / "two.note")
    first, stolen = key_id(tmp_path), (tmp_path / "checkpoint.key").read_text()
    with Ledger.open(tmp_path) as ledger:
        old = signer(ledger)
        assert rotate(ledger, first, 7)[0] == 3
        # Said twice, as after a kill, it is done once.
        assert rotate(ledger, first, 8)[0] == 3 and len(ledger.journal()) == 3
        with pytest.raises(ConfigInvalid, match=f"the key in use is {key_id(tmp_path)}"):
            rotate(ledger, "00000000", 9)
        (change,) = handovers(ledger.journal()).values()
        for note, key in ((change.by_old, old.key_text), (change.by_new, signer(ledger).key_text)):
            assert signed_text(note, key, "") == f"{old.name}/key\n{old.key_text}\n{signer(ledger).key_text}\n"
        assert list(wrong_handovers(ledger.journal())) == []
        assert compare(ledger, tmp_path / "two.note").size == 2
        after = checkpoint_of(ledger)
    assert key_id(tmp_path) != first and stolen not in (tmp_path / "checkpoint.key").read_text()
    assert sorted(path.name for path in tmp_path.glob("*.key")) == ["checkpoint.key", "instance.key"]
    export(tmp_path, tmp_path / "three.note")
    (tmp_path / "forged.note").write_text(old.sign(after.text))
    assert said(tmp_path, tmp_path / "forged.note") == f"key {first} was not in use when the journal had 3 entries"
    with Ledger.open(tmp_path) as ledger:
        early = Checkpoint(after.origin, 2, root_hash(journal_leaves(ledger.journal()[:2])))
        (tmp_path / "early.note").write_text(signer(ledger).sign(early.text))
    assert f"key {key_id(tmp_path)} was not in use when the journal had 2" in said(tmp_path, tmp_path / "early.note")


@pytest.mark.parametrize("moment", ["key_handed_over.after", "checkpoint_key_replaced.before"])
def test_F55_from_its_journal_entry_on_the_new_key_signs_wherever_it_lies(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path, 1)
    export(tmp_path, tmp_path / "one.note")
    first = key_id(tmp_path)

    def broken(at: str) -> None:
        if at == moment:
            raise OSError("broken off")

    monkeypatch.setattr(durable, "observer", broken)
    with Ledger.open(tmp_path) as ledger, pytest.raises(OSError, match="broken off"):
        rotate(ledger, first, 7)
    monkeypatch.undo()
    export(tmp_path, tmp_path / "two.note")
    with Ledger.open(tmp_path) as ledger:
        assert [compare(ledger, tmp_path / f"{name}.note").size for name in ("one", "two")] == [1, 2]
        second = key_id_of(signer(ledger).key_text)
        if moment == "key_handed_over.after":
            assert rotate(ledger, first, 8)[0] == 2
        else:
            assert rotate(ledger, second, 8)[0] == 3 and second != key_id(tmp_path)
        assert list(wrong_handovers(ledger.journal())) == []
        assert signer(ledger).key_text == (tmp_path / "checkpoint.pub").read_text().strip()
    assert not (tmp_path / "checkpoint.next.key").exists()


def test_F55_a_key_that_was_lost_is_replaced_with_a_reason_and_without_its_signature(tmp_path: Path) -> None:
    grow(tmp_path, 1)
    export(tmp_path, tmp_path / "one.note")
    first = key_id(tmp_path)
    with Ledger.open(tmp_path) as ledger:
        with pytest.raises(ConfigInvalid, match="and it is there"):
            rotate(ledger, first, 7, "a disk broke")
        (tmp_path / "checkpoint.key").unlink()
        with pytest.raises(IntegrityFailure, match=r"checkpoint\.key can't be read"):
            rotate(ledger, first, 7)
        seq, change = rotate(ledger, first, 7, "a disk broke")
        assert (seq, change.by_old, change.reason) == (2, "", "a disk broke")
        assert list(wrong_handovers(ledger.journal())) == []
        assert compare(ledger, tmp_path / "one.note").size == 1


def test_F55_a_handover_that_the_old_key_did_not_sign_is_named(tmp_path: Path) -> None:
    grow(tmp_path, 1)
    export(tmp_path, tmp_path / "one.note")
    with Ledger.open(tmp_path) as ledger:
        rotate(ledger, key_id(tmp_path), 7)
        (entry,) = ledger.journal()[1:]
        body = json.loads(entry.body)
        for edit in ({"by_old": body["by_new"]}, {"by_new": body["by_old"]}, {"by_old": ""}, {"old": body["new"]}):
            forged = replace(entry, body=canonical_bytes(body | edit).decode())
            assert [p.code for p in wrong_handovers([forged])] != [], edit
        (stranger,) = wrong_handovers([entry, replace(entry, seq=3)])
        assert stranger.message.endswith("which was not in use")


def test_the_signing_key_is_its_owners_and_the_public_one_is_for_all(tmp_path: Path) -> None:
    grow(tmp_path, 1)
    assert not (tmp_path / "checkpoint.key").exists()
    export(tmp_path, tmp_path / "c.note")
    key = tmp_path / "checkpoint.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    public = (tmp_path / "checkpoint.pub").read_text()
    assert key.read_text() not in public + (tmp_path / "c.note").read_text()
    export(tmp_path, tmp_path / "d.note")
    assert (tmp_path / "checkpoint.pub").read_text() == public


def test_one_field_of_an_entry_can_be_proved_and_the_others_not_guessed(tmp_path: Path) -> None:
    """Two entries that say the same have different hashes of each field: nothing can be tried out."""
    with Ledger.open(tmp_path) as ledger:
        for _ in range(2):
            with ledger.transaction(Point.CLOSE_COMMITTED):
                ledger.append_journal("close", canonical_bytes({"root": "r", "parked": {"acme": "late"}}))
        first, second = (json.loads(entry.body) for entry in ledger.journal())
    assert first["salt"] != second["salt"] and first["parked"] == second["parked"]
    # The same body under another salt is another entry; one without a salt is hashed as a whole, as it always was.
    whole = '{"root":"r"}'
    plain = canonical_bytes({"seq": "1", "kind": "close", "body": whole, "prev": GENESIS})
    assert entry_hash(1, "close", whole, GENESIS) == hashlib.sha256(plain).hexdigest()
    salted = [canonical_bytes({"root": "r", "salt": salt * 64}).decode() for salt in "ab"]
    assert len({entry_hash(1, "close", text, GENESIS) for text in (whole, *salted)}) == 3


def test_the_commands_prove_export_compare_and_end_with_5(october: Path, tmp_path: Path) -> None:
    home, at = tmp_path / "home", ["--home", str(tmp_path / "home")]
    shutil.copytree(october, home)
    shutil.copyfile(home / "ledger.sqlite", tmp_path / "backup.sqlite")
    for command in (
        ["prove", "PRV-2026-000002", "-o", str(tmp_path / "bundle")],
        ["explain", "PRV-2026-000002", "1", "--json"],
        ["checkpoint", "export", str(tmp_path / "c.note")],
        ["checkpoint", "compare", str(tmp_path / "c.note")],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*command, *at])
        assert ended.value.code == 0, command
    assert (tmp_path / "bundle" / "verify_invoice.py").exists()
    known = (home / "checkpoint.pub").read_text().strip()
    for command in (
        ["checkpoint", "rotate", key_id(home), "--now", "2026-11-09T09:00:00Z"],
        ["prove", "PRV-2026-000002", "-o", str(tmp_path / "later")],
        ["checkpoint", "compare", str(tmp_path / "c.note")],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*command, *at])
        assert ended.value.code == 0, command
    new = (home / "checkpoint.pub").read_text().strip()
    # Whoever knows the first key is led to the one that signs now; whoever knows another is not.
    assert next(verify_invoice.check(tmp_path / "later", known)) == f"signed by {new}" != f"signed by {known}"
    with pytest.raises(verify_invoice.Wrong, match="not signed by"):
        list(verify_invoice.check(tmp_path / "bundle", new))
    (note,) = (tmp_path / "later").glob("key-*.note")
    text = note.read_text()
    for forged in (text.replace(new, known), text.replace("/key\n", "/bundle\n")):
        note.write_text(forged)
        with pytest.raises(verify_invoice.Wrong, match="not signed by"):
            list(verify_invoice.check(tmp_path / "later", known))
    grow(home, 1)
    export(home, tmp_path / "d.note")
    shutil.copyfile(tmp_path / "backup.sqlite", home / "ledger.sqlite")
    for command in (["checkpoint", "compare", str(tmp_path / "d.note")], ["prove", "PRV-2026-000002"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, *at])
        assert ended.value.code == 5, command
