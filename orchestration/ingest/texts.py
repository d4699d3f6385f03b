"""The text of a raw file: inflated, and one record a line, whatever way it was delivered and is kept now."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.ingest.formats.base import Format
from orchestration.ingest.inflate import inflated
from orchestration.ingest.raw import RawStore


def text_of(raw: RawStore, form: Format, sha256: str, path: str = "", name: str = "") -> Iterator[bytes]:
    """Blocks of the text. Raises IntegrityFailure, and inflate.Refused.

    Args:
        path: how the file was delivered, for errors. name: what tells of its packing beside its first bytes.
    """
    stored = inflated(raw.read(sha256, path), name)
    return stored if record_a_line(raw, form, sha256) else form.unpack(stored)


def record_a_line(raw: RawStore, form: Format, sha256: str) -> bool:
    """Whether the inflated bytes have one record a line already."""
    kept = raw.rewritten(sha256)
    return form.record_a_line or (kept is not None and kept.as_lines)
