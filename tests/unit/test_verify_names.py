"""What `verify` says of a damaged raw file: the documents that rest on it, and no others."""

from __future__ import annotations

from pathlib import Path

from orchestration.audit.verify import _raw_files
from orchestration.ingest.raw import RawStore
from orchestration.ledger.rows import DocumentRow, FileRow


def document(number: str, seq: int) -> DocumentRow:
    return DocumentRow(
        number, "INV-2026", seq, "invoice", "e", "c", "EUR", "2026-11-01", "2026-11-05", seq, b"{}", "00"
    )


def test_a_file_that_came_after_a_close_is_not_said_to_be_behind_its_documents(tmp_path: Path) -> None:
    late = FileRow(7, 2, "gw", "gw", "ab" * 32, "late.log", 9, "common", "{}", None, 1, 3, 3, 0, 0, 0, 0, 1, 2)
    documents = [document("INV-2026-000001", 1), document("INV-2026-000002", 2)]
    (problem,) = _raw_files(RawStore(tmp_path), [late], documents, {1: 1, 2: 2})
    assert "delivered as 'late.log'" in problem.message
    assert problem.message.endswith("3 lines, behind documents issued since: INV-2026-000002")
    (alone,) = _raw_files(RawStore(tmp_path), [late], documents[:1], {1: 1})
    assert "behind documents" not in alone.message
