"""Raw files that are kept at their store and not here: read again by version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestration.catalog.stores import StoreOptions, bucket_of
from orchestration.ingest.stores import Changed, Gone, StoreFailed, Stores, Unasked
from orchestration.ledger.rows import ReferenceRow


class References:
    """What the ledger, and the batch in work, know to be kept elsewhere, by SHA-256. Used by many threads at once."""

    def __init__(self, home: Path, rows: Iterable[ReferenceRow]) -> None:
        self._stores = Stores(home)
        self._rows = {row.sha256: row for row in rows}

    def add(self, row: ReferenceRow) -> None:
        self._rows.setdefault(row.sha256, row)

    def find(self, sha256: str) -> ReferenceRow | None:
        return self._rows.get(sha256)

    def blocks(self, row: ReferenceRow) -> Iterator[bytes]:
        """The bytes that the store has for this version, unchecked. Raises StoreFailed if it has none."""
        # A key has no empty part, so that the URL comes apart again in one way only.
        scheme_and_bucket, _, key = row.url.partition("://")[2].partition("/")
        name = bucket_of(f"{row.url.partition('://')[0]}://{scheme_and_bucket}")
        if name is None:
            raise StoreFailed("its URL names no bucket")
        bucket = self._stores.bucket(name, StoreOptions.model_validate_json(row.store_json))
        try:
            yield from bucket.blocks(bucket.get(key, version=row.version))
        except (Gone, Changed):
            raise StoreFailed("the store has no such version any more") from None
        except Unasked:
            raise StoreFailed("not asked for, as its store failed before") from None
