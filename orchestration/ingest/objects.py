"""Listing a source's bucket: every key that its pattern names, compared one by one with what the ledger has seen.

There is no watermark of time or key: an object that comes late under an old prefix is found like any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.catalog.sources import Source
from orchestration.catalog.stores import BucketName, StoreOptions, bucket_of
from orchestration.ingest.discover import (
    Candidate,
    Entry,
    Listing,
    Stored,
    name_refusal,
    pattern_regex,
    printable,
    stream_name,
)
from orchestration.ingest.stores import Bucket, StoreFailed, Stores
from orchestration.ledger.rows import DeliveryRow

if TYPE_CHECKING:
    from obstore import ObjectMeta

Seen = Callable[[str], DeliveryRow | None]
"""How a path of the source was last seen."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_compiled = lru_cache(pattern_regex)


def is_bucket(source: Source) -> bool:
    return bucket_of(source.root) is not None


def discover_objects(stores: Stores, source: Source, seen: Seen) -> Listing:
    """List a source's bucket. Only objects that are new, changed or held become candidates, sorted by path."""
    listing = Listing([], [], [])
    try:
        bucket = stores.bucket(_bucket(source), source.store)
        for page in bucket.pages(literal_prefix(source.path)):
            for meta in page:
                _look_at(source, bucket, meta, seen, listing)
    except StoreFailed as error:
        listing.unreadable.append(Entry(source.name, ".", f"unreadable: {error}"))
    listing.candidates.sort(key=lambda c: c.path.encode())
    return listing


def literal_prefix(pattern: str) -> str:
    """The whole path parts with which every path begins that a pattern names."""
    return re.split(r"[*?{]", pattern)[0].rpartition("/")[0]


def is_unchanged(candidate: Candidate, seen: DeliveryRow) -> bool:
    """Whether a file or an object is as it was when its path was last seen."""
    tag = candidate.stored.tag if candidate.stored else ""
    return (seen.size, seen.mtime_ns, seen.tag) == (candidate.size, candidate.mtime_ns, tag)


def also_named_by(candidate: Candidate, sources: Sequence[Source]) -> list[str]:
    """The other sources whose pattern names this object, whether they list it as new or not."""
    place, key = _place(candidate.source, candidate.path)
    found = []
    for other in sources:
        if other.name != candidate.source.name and is_bucket(other):
            their, below = _place(other, "")
            if their == place and key.startswith(below) and _compiled(other.path).fullmatch(key[len(below) :]):
                found.append(other.name)
    return found


def _look_at(source: Source, bucket: Bucket, meta: ObjectMeta, seen: Seen, listing: Listing) -> None:
    path = meta["path"]
    match = _compiled(source.path).fullmatch(path)
    if match is None:
        return
    refusal = name_refusal(path)
    if refusal:
        listing.refused.append(Entry(source.name, printable(path), refusal))
        return
    candidate = Candidate(
        source,
        Path(),
        path,
        stream_name(source.name, match.groupdict()),
        meta["size"],
        (meta["last_modified"] - _EPOCH) // timedelta(microseconds=1) * 1000,
        Stored(bucket, meta["e_tag"], meta["version"]),
    )
    row = seen(path)
    if row is not None and row.status != "held" and is_unchanged(candidate, row):
        return
    # The client lists the marker of a folder, 'a/', as an empty object 'a', beside which there may be another 'a'.
    if meta["size"] == 0 and bucket.size(path) != 0:
        return
    listing.candidates.append(candidate)


def _bucket(source: Source) -> BucketName:
    name = bucket_of(source.root)
    if name is None:
        raise AssertionError(f"source '{source.name}' has no bucket")
    return name


def _place(source: Source, path: str) -> tuple[tuple[object, ...], str]:
    """What tells buckets apart, and the whole key of a path below the source's root."""
    name, options = _bucket(source), source.store or StoreOptions()
    prefix = f"{name.prefix}/" if name.prefix else ""
    endpoint = (options.endpoint or "").rstrip("/").lower()
    return (name.scheme, endpoint, options.account, name.name), prefix + path
