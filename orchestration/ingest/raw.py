"""The raw store: files as delivered, under the SHA-256 of their bytes, written once and checked when read."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from orchestration.durable import Point, make_folder, naming, publish, step
from orchestration.errors import IntegrityFailure
from orchestration.ingest.references import References
from orchestration.ingest.stores import StoreFailed
from orchestration.ledger.erasures import Rewritten
from orchestration.ledger.rows import ReferenceRow

READ_BLOCK = 4 << 20


class RawStore:
    """The folder `raw/` of an instance, and the files that are kept at their object store by reference.

    A file is asked for by the hash of its bytes as delivered; where lines of it were erased, `rewritten` says which
    object is kept instead, and that is what is read.

    Many threads may write and read at once. What was fetched by reference stays here, lent, until `release`.
    """

    def __init__(
        self, root: Path, references: References | None = None, rewritten: Mapping[str, Rewritten] | None = None
    ) -> None:
        self.root = root
        self._rewritten = rewritten or {}
        self._incoming = root / "incoming"
        self._fetched = root / "fetched"
        self._references = references or References(root.parent, ())
        self._lent: dict[str, Path] = {}
        self._guests: dict[str, _Guest] = {}
        self._lock = Lock()
        self._numbers = count()

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def rewritten(self, sha256: str) -> Rewritten | None:
        """The object that is kept in place of a file as delivered; None where nothing of it was erased."""
        return self._rewritten.get(sha256)

    def reads(self, rewritten: Mapping[str, Rewritten]) -> None:
        """Read these objects in the place of files as delivered."""
        self._rewritten = rewritten

    def local(self, sha256: str) -> Path:
        """Where the bytes of a file that was just landed are: kept, or lent until its batch is committed."""
        return self._lent.get(sha256) or self.path(self._kept(sha256))

    def _kept(self, sha256: str) -> str:
        found = self._rewritten.get(sha256)
        return sha256 if found is None else found.now

    def _reference(self, sha256: str) -> ReferenceRow | None:
        return self._references.find(self._kept(sha256))

    def clean(self) -> int:
        """Remove what an interrupted run left half written or lent; how many files.

        What was fetched for reading may be in use: a `verify` runs beside everything else.
        """
        left = len(list(self._incoming.glob("*"))) if self._incoming.is_dir() else 0
        with step(Point.RAW_CLEANED):
            shutil.rmtree(self._incoming, ignore_errors=True)
        for path in self._fetched.glob("*"):
            if not _runs(int(path.name.partition("-")[0])):
                path.unlink(missing_ok=True)
        return left

    def incoming(self) -> Incoming:
        """A file to be written; several may be at once."""
        make_folder(self._incoming)
        return Incoming(self, self._incoming / f"{next(self._numbers)}")

    def lend(self, reference: ReferenceRow, path: Path) -> None:
        """Know a file by reference; `path` holds its bytes until `release`."""
        self._references.add(reference)
        self._lent[reference.sha256] = path

    def release(self, hashes: Iterable[str]) -> None:
        """Remove what was lent under these hashes: from here on it is read at its store."""
        for sha256 in hashes:
            path = self._lent.pop(sha256, None)
            if path is not None:
                path.unlink(missing_ok=True)

    @contextmanager
    def at_hand(self, sha256: str, delivered_as: str = "") -> Iterator[None]:
        """While this is open, `local` is a plain file: what is kept by reference is fetched, once for all who ask.

        Raises IntegrityFailure if what is fetched are not the bytes of the name.
        """
        if self._reference(sha256) is None:
            yield
            return
        with self._lock:
            guest = self._guests.setdefault(sha256, _Guest())
        with guest.lock:
            if not guest.users and not self.local(sha256).exists():
                guest.path = self._fetch(sha256, delivered_as)
                self._lent[sha256] = guest.path
            guest.users += 1
        try:
            yield
        finally:
            with guest.lock:
                guest.users -= 1
                if not guest.users and guest.path is not None:
                    guest.path = None
                    self.release([sha256])

    def _fetch(self, sha256: str, delivered_as: str) -> Path:
        make_folder(self._fetched)
        path = self._fetched / f"{os.getpid()}-{next(self._numbers)}"
        try:
            with path.open("xb", buffering=0) as handle:
                for data in self.read(sha256, delivered_as):
                    with naming(path):
                        _write(handle, data)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def read(self, sha256: str, delivered_as: str = "", block: int = READ_BLOCK) -> Iterator[bytes]:
        """The stored bytes in blocks. Raises IntegrityFailure if they aren't those of the name.

        The hash is known at the end only: publish nothing made of the blocks before the iterator is exhausted.
        """
        digest = hashlib.sha256()
        try:
            for data in self._blocks(sha256, block):
                digest.update(data)
                yield data
        except OSError as error:
            raise self._damaged(sha256, delivered_as, error.strerror or str(error)) from error
        except StoreFailed as error:
            raise self._damaged(sha256, delivered_as, str(error)) from error
        if digest.hexdigest() != self._kept(sha256):
            raise self._damaged(sha256, delivered_as, f"its bytes have the hash {digest.hexdigest()}")

    def verify(self, sha256: str, delivered_as: str = "") -> None:
        """Read the whole file and compare its hash. Raises IntegrityFailure."""
        for _ in self.read(sha256, delivered_as):
            pass

    def _blocks(self, sha256: str, block: int) -> Iterator[bytes]:
        reference, path = self._reference(sha256), self.local(sha256)
        if reference is not None and not path.exists():
            yield from self._references.blocks(reference)
            return
        with path.open("rb", buffering=0) as handle:
            while data := handle.read(block):
                yield data

    def _damaged(self, sha256: str, delivered_as: str, why: str) -> IntegrityFailure:
        reference = self._reference(sha256)
        if reference is not None:
            return IntegrityFailure(
                f"raw file {sha256} (delivered as '{delivered_as}', kept by reference) can't be read: {why}",
                where=f"{reference.url}, version {reference.version}",
                not_done="nothing was made out of it",
                next_step="let its store answer and give that version again, or put the file under raw/, by its hash",
            )
        return IntegrityFailure(
            f"raw file {sha256} (delivered as '{delivered_as}') is damaged: {why}",
            where=str(self.path(self._kept(sha256))),
            not_done="nothing was made out of it",
            next_step="restore this file from a backup of raw/, or from the source, and run again",
        )


@dataclass(slots=True)
class _Guest:
    """A file that is fetched for reading, and how many read it."""

    lock: Any = field(default_factory=Lock)
    users: int = 0
    path: Path | None = None


class Incoming:
    """A raw file being written. Ends with `keep` or `drop`; left alone, the next run removes it."""

    def __init__(self, store: RawStore, path: Path) -> None:
        self._store = store
        self._path = path
        self._digest = hashlib.sha256()
        self._handle = path.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        with naming(self._path), step(Point.RAW_RECEIVED):
            _write(self._handle, data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def keep(self) -> str:
        """Give the file its name, durably, and return that name, the hash of its bytes."""
        final = self._store.path(self.sha256)
        if final.exists() or self._store.rewritten(self.sha256) is not None:
            # What was erased is known by its hash, and isn't kept when it comes again.
            self.drop()
            return self.sha256
        os.fchmod(self._handle.fileno(), 0o400)
        self._handle.close()
        make_folder(final.parent)
        publish(self._path, final, Point.RAW_NAMED)
        return self.sha256

    def lend(self, reference: ReferenceRow) -> None:
        """Leave the file where it is until its batch is committed; it is kept at its store."""
        if self._store.rewritten(self.sha256) is not None:
            self.drop()
            return
        self._handle.close()
        self._store.lend(reference, self._path)

    def drop(self) -> None:
        self._handle.close()
        self._path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _write(handle: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[handle.write(view) :]
