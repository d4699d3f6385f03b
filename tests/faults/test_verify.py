"""Verify names what was touched, and ends with 5; what is derived can be deleted and comes back by the byte."""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path

import pytest
import tampering
from faultkit import Box, differences

RAW_ONE = "SELECT sha256, path FROM files WHERE path = 'tokens/2026-10.jsonl'"


def raw_file(box: Box) -> tuple[Path, str]:
    ((sha, path),) = box.ledger(RAW_ONE)
    return box.home / "raw" / sha[:2] / sha, path


def edit(path: Path, change: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(change)


@pytest.fixture
def box(october: Box, tmp_path: Path) -> Box:
    return october.copy(tmp_path / "home")


def test_an_untouched_record_is_verified_and_left_as_it_is(box: Box) -> None:
    before = box.fingerprint()
    said = box.do("verify")
    assert "7 raw files, 198 lines, 6 documents (recomputed from raw files)" in said
    assert differences(before, box.fingerprint()) == []


def test_F52_one_flipped_bit_of_a_raw_file_is_named_with_the_documents_behind_it(box: Box) -> None:
    path, delivered = raw_file(box)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    edit(path, bytes(data))
    said = box.do("verify", code=5)
    assert f"{path}: raw file {path.name} (delivered as '{delivered}') is damaged" in said
    # The file came with October, after September had been closed: only October's documents rest on it.
    october = [
        number for (number,) in box.ledger("SELECT number FROM documents WHERE cut_off = '2026-11-01' ORDER BY 1")
    ]
    assert len(october) == 3 and f"behind documents issued since: {', '.join(october)} [raw_damaged]" in said
    assert "SEL-2026-000001" not in said and "no document was recomputed" in said


def test_F52_a_deleted_raw_file_is_named(box: Box) -> None:
    path, delivered = raw_file(box)
    path.unlink()
    said = box.do("verify", "--fast", code=5)
    assert f"delivered as '{delivered}') is damaged: No such file" in said


TAMPERED = {
    "document body": (
        'UPDATE documents SET body = CAST(replace(CAST(body AS TEXT), \'"total":"21.00"\', \'"total":"20.00"\') '
        "AS BLOB)",
        ["document SEL-2026-000004: its bytes have the hash"],
    ),
    "document that is no JSON": (
        "UPDATE documents SET body = x'00ff' WHERE sequence = 2",
        ["document SEL-2026-000002"],
    ),
    "document row": (
        "UPDATE documents SET customer = 'nobody' WHERE sequence = 5",
        ["document SEL-2026-000005: number, customer, dates or currency"],
    ),
    "document date": (
        "UPDATE documents SET issue_date = '2026-10-01' WHERE sequence = 6",
        ["document SEL-2026-000006: issued on 2026-10-01, before SEL-2026-000005"],
    ),
    "deleted document": (
        "DELETE FROM documents WHERE sequence = 2",
        ["'SEL-2026-000003' stands where number 2", "SEL-2026-000002: the journal has"],
    ),
    "sequence": ("UPDATE documents SET sequence = 9 WHERE sequence = 3", ["'SEL-2026-000004' stands where number 3"]),
    "journal body": (
        'UPDATE journal SET body = replace(body, \'"lines":"61"\', \'"lines":"62"\') WHERE seq = 1',
        ["journal entry 1: hash is"],
    ),
    "journal that is no JSON": ("UPDATE journal SET body = 'x' WHERE seq = 2", ["journal entry 2: hash is"]),
    "deleted journal entry": (
        "DELETE FROM journal WHERE seq = 1",
        ["journal entry 2: expected entry 1", "journal entry 2: names"],
    ),
    "counts of a file": (
        "UPDATE files SET accepted = accepted - 1, duplicate = duplicate + 1 WHERE file_id = 1",
        ["journal entry 1: the files of the ledger are not those"],
    ),
    "archived catalog": ("UPDATE catalogs SET body = x'" + zlib.compress(b"{}").hex() + "'", ["archived catalog"]),
    "archived catalog that can't be unpacked": ("UPDATE catalogs SET body = x'00'", ["archived catalog", "unpacked"]),
    "deleted catalog": ("DELETE FROM catalogs", ["the ledger holds no catalog"]),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_F53_an_edit_of_the_ledger_is_named(what: str, box: Box) -> None:
    script, expected = TAMPERED[what]
    before = box.ledger_dump()
    box.tamper(script)
    assert box.ledger_dump() != before
    said = box.do("verify", "--fast", code=5)
    for text in expected:
        assert text in said, said
    assert "Traceback" not in said


def test_F53_a_ledger_that_was_rewritten_consistently_is_found_by_recomputing(box: Box) -> None:
    """Hashes, root and chain made anew: only the raw files still tell what was due."""
    import json

    from orchestration.canonical import canonical_bytes, sha256_hex
    from orchestration.ledger.journal import entry_hash
    from orchestration.ledger.merkle import leaf_hash, root_hash, salt

    key = bytes.fromhex((box.home / "instance.key").read_text())
    with tampering.unguarded(box.home / "ledger.sqlite") as db:
        rows = db.execute("SELECT number, body FROM documents WHERE journal_seq = 2 ORDER BY sequence").fetchall()
        bodies = {number: json.loads(body) for number, body in rows}
        first = bodies["SEL-2026-000004"]
        first["lines"][0]["amount"] = "5.03"
        for name in ("subtotal", "total", "amount_due"):
            first[name] = "26.00"
        data = {number: canonical_bytes(body) for number, body in bodies.items()}
        for number, raw in data.items():
            db.execute("UPDATE documents SET body = ?, sha256 = ? WHERE number = ?", (raw, sha256_hex(raw), number))
        kind, text, prev = db.execute("SELECT kind, body, prev_hash FROM journal WHERE seq = 2").fetchone()
        entry = json.loads(text)
        entry["documents"] = [{"number": n, "sha256": sha256_hex(raw)} for n, raw in data.items()]
        entry["root"] = root_hash([leaf_hash(salt(key, n), raw) for n, raw in data.items()]).hex()
        new = canonical_bytes(entry).decode()
        db.execute("UPDATE journal SET body = ?, hash = ? WHERE seq = 2", (new, entry_hash(2, kind, new, prev)))
    box.do("export", "invoices")
    box.do("verify", "--fast")
    said = box.do("verify", code=5)
    assert "document SEL-2026-000004: recomputed from raw files it differs: amount_due: issued" in said


def test_F51_an_edited_or_missing_export_is_named_and_written_again(box: Box, october: Box) -> None:
    folder = box.home / "exports" / "2026-11-01"
    lines, invoices = folder / "invoice_lines.csv", folder / "invoices.csv"
    lines.write_bytes(lines.read_bytes().replace(b"\r\n", b"\n"))
    invoices.unlink()
    (folder / "documents" / "SEL-2026-000004.json").write_text("{}")
    said = box.do("verify", "--fast", code=5)
    assert f"{lines}: differs from the ledger" in said
    assert f"{invoices}: the file is gone" in said
    assert "SEL-2026-000004.json: differs" in said
    box.do("export", "invoices")
    box.do("verify", "--fast")
    assert differences(october.fingerprint(), box.fingerprint()) == []


def test_a_missing_or_other_key_stops_every_command_with_5(box: Box) -> None:
    key = box.home / "instance.key"
    key.unlink()
    for command in (["verify"], ["run"], ["close", "2026-11"], ["status"], ["export", "invoices"]):
        assert "instance.key can't be read" in box.do(*command, code=5)
    assert not key.exists()
    key.write_text("11" * 32)
    assert "not the key that this ledger was made with" in box.do("run", code=5)


def test_D6_everything_derived_can_be_deleted_and_comes_back_the_same(october: Box, tmp_path: Path) -> None:
    box = october.copy(tmp_path / "home")
    for name in ("lake", "warehouse", "exports", "dbt", "scratch"):
        shutil.rmtree(box.home / name, ignore_errors=True)
    again = box.do("close", "2026-10", TZ="Pacific/Kiritimati", LC_ALL="C", TALLYSTICK_THREADS="1")
    assert "0 document(s) issued" in again
    assert differences(october.fingerprint(), box.fingerprint()) == []
    assert "nothing was built" in box.do("run")


def test_A12_a_touched_and_renamed_inbox_adds_nothing(october: Box, tmp_path: Path) -> None:
    box = october.copy(tmp_path / "home")
    inbox = box.home / "inbox"
    (inbox / "gw/a/access.log").rename(inbox / "gw/a/old.log")
    (inbox / "tokens/2026-10.jsonl").rename(inbox / "tokens/again.jsonl")
    os.utime(inbox / "storage/2026-10.csv")
    assert "nothing was built" in box.do("run")
    assert box.ledger("SELECT count(*) FROM batches") == october.ledger("SELECT count(*) FROM batches")
    assert box.marts() == october.marts()
