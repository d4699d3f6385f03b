"""The raw store: files as delivered, under the SHA-256 of their bytes, written once and checked when read."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from orchestration.crash import crash_point
from orchestration.errors import IntegrityFailure
from orchestration.ingest.durable import make_folder, sync_folder

READ_BLOCK = 4 << 20


class RawStore:
    """The folder `raw/` of an instance."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._numbers = count(1)

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def clean(self) -> int:
        """Remove what an interrupted run left half written; how many files."""
        left = len(list(self._incoming.glob("*"))) if self._incoming.is_dir() else 0
        shutil.rmtree(self._incoming, ignore_errors=True)
        return left

    def incoming(self) -> Incoming:
        """A file to be written; several may be at once."""
        make_folder(self._incoming)
        return Incoming(self, self._incoming / str(next(self._numbers)))

    def read(self, sha256: str, delivered_as: str = "", block: int = READ_BLOCK) -> Iterator[bytes]:
        """The stored bytes in blocks. Raises IntegrityFailure if they aren't those of the name.

        The hash is known at the end only: publish nothing made of the blocks before the iterator is exhausted.
        """
        digest = hashlib.sha256()
        try:
            with self.path(sha256).open("rb", buffering=0) as handle:
                while data := handle.read(block):
                    digest.update(data)
                    yield data
        except OSError as error:
            raise self._damaged(sha256, delivered_as, error.strerror or str(error)) from error
        if digest.hexdigest() != sha256:
            raise self._damaged(sha256, delivered_as, f"its bytes have the hash {digest.hexdigest()}")

    def verify(self, sha256: str, delivered_as: str = "") -> None:
        """Read the whole file and compare its hash. Raises IntegrityFailure."""
        for _ in self.read(sha256, delivered_as):
            pass

    def _damaged(self, sha256: str, delivered_as: str, why: str) -> IntegrityFailure:
        return IntegrityFailure(
            f"raw file {sha256} (delivered as '{delivered_as}') is damaged: {why}",
            where=str(self.path(sha256)),
            not_done="nothing was made out of it",
            next_step="restore this file from a backup of raw/, or from the source, and run again",
        )


class Incoming:
    """A raw file being written. Ends with `keep` or `drop`; left alone, the next run removes it."""

    def __init__(self, store: RawStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._digest = hashlib.sha256()
        self._handle = path.open("wb", buffering=0)

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[self._handle.write(view) :]
        crash_point("raw_partly_written")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def keep(self) -> str:
        """Give the file its name, durably, and return that name, the hash of its bytes."""
        final = self._store.path(self.sha256)
        if final.exists():
            self.drop()
            return self.sha256
        os.fchmod(self._handle.fileno(), 0o400)
        os.fsync(self._handle.fileno())
        self._handle.close()
        crash_point("raw_written")
        make_folder(final.parent)
        self._path.rename(final)
        sync_folder(final.parent)
        crash_point("raw_renamed")
        return self.sha256

    def drop(self) -> None:
        self._handle.close()
        self._path.unlink(missing_ok=True)
