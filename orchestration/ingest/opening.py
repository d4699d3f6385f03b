"""Opening what was listed, a local file or an object, so that it is what was listed and stays that."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from orchestration.catalog.stores import StoreOptions, bucket_of
from orchestration.ingest.discover import Candidate, Stored
from orchestration.ingest.inflate import Refused
from orchestration.ingest.stores import AccessDenied, Changed, Gone, Unasked
from orchestration.ledger.rows import ReferenceRow

READ_BLOCK = 4 << 20
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR}


class Deferred(Exception):
    """The file changes while it is looked at, or is gone: taken by a later run. Not an error."""


class Opened(Protocol):
    """A file or an object while it is read. Used by one thread; many may be open at once."""

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, once. Raises OSError, or StoreFailed if the store breaks off."""

    def check_unchanged(self) -> None:
        """Call after the last block. Raises Deferred if it isn't what was listed any more."""

    def reference(self, sha256: str) -> ReferenceRow:
        """What it takes to read these bytes again at their store. Raises Refused if it keeps no version of them."""

    def close(self) -> None: ...


def open_candidate(candidate: Candidate) -> Opened:
    """Open what a listing named.

    Raises:
        Deferred: it changed or vanished meanwhile. PermissionError and other OSErrors: it can't be opened.
        StoreFailed: its store does not answer.
    """
    return _LocalFile(candidate) if candidate.stored is None else _Object(candidate, candidate.stored)


class _LocalFile:
    """Opened without following a link or waiting for a writer."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        try:
            self._descriptor = os.open(candidate.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _GONE:
                raise Deferred("gone, or became something else than a file") from error
            raise
        try:
            inside = Path(os.path.realpath(candidate.file)).is_relative_to(candidate.root)
            if not inside or not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise Deferred("became something else than a file")
            self.check_unchanged()
        except BaseException:
            self.close()
            raise

    def blocks(self) -> Iterator[bytes]:
        while data := os.read(self._descriptor, READ_BLOCK):
            yield data

    def check_unchanged(self) -> None:
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (self._candidate.size, self._candidate.mtime_ns):
            raise Deferred("changing")

    def reference(self, sha256: str) -> ReferenceRow:
        raise Refused("unversioned: a folder keeps no versions")

    def close(self) -> None:
        os.close(self._descriptor)


class _Object:
    """Asked for by its etag or version, so that a later write can't slip in between listing and reading."""

    def __init__(self, candidate: Candidate, stored: Stored) -> None:
        self._candidate = candidate
        self._bucket = stored.bucket
        try:
            self._got = stored.bucket.get(candidate.path, etag=stored.etag, version=stored.version)
        except Gone:
            raise Deferred("gone") from None
        except Changed:
            raise Deferred("changing") from None
        except Unasked:
            raise Deferred("not asked for, as its store failed before") from None
        except AccessDenied as error:
            raise PermissionError(errno.EACCES, str(error)) from None
        if self._got.meta["size"] != candidate.size or not _same_etag(self._got.meta["e_tag"], stored.etag):
            raise Deferred("changing")

    def blocks(self) -> Iterator[bytes]:
        return self._bucket.blocks(self._got)

    def check_unchanged(self) -> None:
        """What was opened is one state of the object, whatever is written to its key meanwhile."""

    def reference(self, sha256: str) -> ReferenceRow:
        source, meta = self._candidate.source, self._got.meta
        name = bucket_of(source.root)
        version = meta["version"]
        # Where versions are suspended, S3 calls each new state "null" and overwrites the one before.
        if name is None or not version or version == "null":
            raise Refused("unversioned: 'raw: reference' needs a bucket that keeps versions")
        key = "/".join(filter(None, (name.prefix, self._candidate.path)))
        return ReferenceRow(
            sha256=sha256,
            url=f"{name.scheme}://{name.name}/{key}",
            version=version,
            etag=meta["e_tag"] or "",
            size=meta["size"],
            store_json=(source.store or StoreOptions()).model_dump_json(),
        )

    def close(self) -> None:
        """The client closes a request when its last block was read, or when it is forgotten."""


def _same_etag(one: str | None, other: str | None) -> bool:
    """Some stores write quotes around an etag in a header and none in a listing."""
    return (one or "").strip('"') == (other or "").strip('"')
