"""Manifests: lists, delivered beside the data, of what was sent. What is on one and was not taken is missing.

A line is a name, or a SHA-256 and a name as `sha256sum` writes them; names are relative to the manifest's folder.
Empty lines, and those that begin with #, say nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from orchestration.catalog.sources import Source
from orchestration.ingest.discover import discover, printable
from orchestration.ingest.lines import BOM
from orchestration.ledger.rows import DeliveryRow

MAX_BYTES = 16 << 20
_WITH_HASH = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


class Absent(NamedTuple):
    """Something that a manifest names and that was not taken as it says, or a manifest that can't be read."""

    manifest: str
    name: str
    fault: str


def absent(home: Path, source: Source, deliveries: Mapping[str, DeliveryRow]) -> Iterator[Absent]:
    """Everything missing by the manifests of a source, in their order.

    Args:
        deliveries: by path below the source's root, what came there. A held file is not missing: it is named as held.
    """
    if source.manifest is None:
        return
    listing = discover(home, source.model_copy(update={"path": source.manifest, "manifest": None}))
    for candidate in listing.candidates:
        try:
            if candidate.size > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES} bytes")
            entries = list(_entries(candidate.file.read_bytes()))
        except (OSError, ValueError) as error:
            yield Absent(candidate.path, "", f"can't be read: {error}")
            continue
        folder = posixpath.dirname(candidate.path)
        for sha256, name in entries:
            came = deliveries.get(posixpath.normpath(posixpath.join(folder, name)))
            if came is None:
                yield Absent(candidate.path, printable(name), "was not delivered")
            elif came.status != "held" and sha256 is not None and came.sha256 != sha256:
                yield Absent(candidate.path, printable(name), f"came with another content ({came.sha256})")


def _entries(data: bytes) -> Iterator[tuple[str | None, str]]:
    for line in data.removeprefix(BOM).decode().split("\n"):
        text = line.rstrip("\r")
        if text.strip() and not text.startswith("#"):
            match = _WITH_HASH.fullmatch(text)
            yield (match[1].lower(), match[2]) if match else (None, text)
