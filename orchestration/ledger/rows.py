"""Rows of the ledger, as plain immutable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.canonical import canonical_bytes, sha256_hex

USE_LISTS = {"coupon": "coupons", "promotional": "promotional", "credit_note": "credit_notes", "prepaid": "prepaid"}
"""By kind of what takes money off, the list of a document, or of a line of it, that names what was used."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Files that were taken together; `now_us` and `skew_us` decided their time window, for ever."""

    batch_id: int
    now_us: int
    skew_us: int
    parser_version: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """One raw file in one stream, and where each of its lines went. `first_line` is the first that was new.

    With `retry_of`, lines of that file which were quarantined and are events now: `lines` is 0 and `quarantined`
    negative, so that every sum over rows says where the lines are today. With `retry_reason`, only lines that had that
    reason were read again.
    """

    file_id: int
    batch_id: int
    source: str
    stream: str
    sha256: str
    path: str
    size: int
    format: str
    mapping_json: str
    tape_id: str | None
    first_line: int
    lines: int
    accepted: int
    duplicate: int
    conflict: int
    quarantined: int
    blank: int
    min_us: int | None
    max_us: int | None
    retry_of: int | None = None
    retry_reason: str | None = None


@dataclass(frozen=True, slots=True)
class TapeRow:
    """A log that grows: how much of it has been read, and the hash of that much."""

    tape_id: str
    stream: str
    head_sha: str
    consumed_bytes: int
    consumed_lines: int
    prefix_sha: str
    path: str
    file_id: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A path as it was last seen at its source; `status` is taken, duplicate_of or held, `tag` an object's etag."""

    source: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    status: str
    reason: str
    seen_us: int
    tag: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A raw file that is kept at its object store: which version of what, and how the store is reached."""

    sha256: str
    url: str
    version: str
    etag: str
    size: int
    store_json: str


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One entry of the journal; `hash` covers `body` and the entry before."""

    seq: int
    kind: str
    body: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """An issued document: `body` is its canonical JSON. `corrects` is the original that a credit note was made for."""

    number: str
    series: str
    sequence: int
    kind: str
    entity: str
    customer: str
    currency: str
    cut_off: str
    issue_date: str
    journal_seq: int
    body: bytes
    sha256: str
    corrects: str = ""


def document_row(body: Mapping[str, Any], seq: int) -> DocumentRow:
    """The ledger's row of a document that is issued under a journal entry."""
    data = canonical_bytes(body)
    series, _, sequence = str(body["number"]).rpartition("-")
    return DocumentRow(
        number=body["number"],
        series=series,
        sequence=int(sequence),
        kind=body["kind"],
        entity=body["seller"]["entity"],
        customer=body["buyer"]["customer"],
        currency=body["currency"],
        cut_off=body["cut_off"],
        issue_date=body["issue_date"],
        journal_seq=seq,
        body=data,
        sha256=sha256_hex(data),
        corrects=body.get("corrects", ""),
    )
