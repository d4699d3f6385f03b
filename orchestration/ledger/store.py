"""The ledger: one SQLite file, one transaction a commit, no way to change what was issued.

A rollback journal and `synchronous=EXTRA`: a commit survives power loss, folder entry included (see PRAGMAS).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from orchestration.canonical import sha256_hex
from orchestration.durable import Point, step
from orchestration.errors import ConfigInvalid, IntegrityFailure, OutOfResources, Problem
from orchestration.ledger.begun import begin, read_key, refuse_lost
from orchestration.ledger.erasures import ERASURE, Erasure, erasures_of
from orchestration.ledger.journal import GENESIS, entry_hash, salted
from orchestration.ledger.rows import BatchRow, DeliveryRow, DocumentRow, FileRow, JournalRow, ReferenceRow, TapeRow
from orchestration.ledger.seals import batch_hash, seal, wrong_rows

SCHEMA_VERSION = "6"
PRAGMAS = ("journal_mode=TRUNCATE", "synchronous=EXTRA", "foreign_keys=ON", "trusted_schema=OFF")
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_FILE_COLUMNS = [f.name for f in fields(FileRow)]
_FILES = (
    f"SELECT {', '.join('m.body' if c == 'mapping_json' else f'f.{c}' for c in _FILE_COLUMNS)} "
    "FROM files f JOIN mappings m ON m.hash = f.mapping_hash"
)


class Ledger:
    """Open with `Ledger.open(home)`; close with `close()` or as a context manager."""

    def __init__(self, connection: sqlite3.Connection, key: bytes, path: Path) -> None:
        self._db = connection
        self.key = key
        self.path = path

    @classmethod
    def open(cls, home: Path, *, create: bool = True) -> Ledger:
        """Open the ledger of an instance, creating it and the instance key where there is none.

        Raises ConfigInvalid if there is none and `create` is false, IntegrityFailure if the key is missing or another
        one than the ledger was made with.
        """
        path = home / "ledger.sqlite"
        fresh = not path.exists()
        if fresh and not create:
            raise ConfigInvalid(
                "there is no instance here",
                where=str(home),
                not_done="nothing was read",
                next_step="name the folder with --home or TALLYSTICK_HOME, or begin with `tallystick run`",
            )
        if fresh:
            refuse_lost(home)
        home.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, timeout=30)
        with _room(path):
            for pragma in PRAGMAS:
                db.execute(f"PRAGMA {pragma}")
            if fresh or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                begin(db, home, SCHEMA_VERSION)
        key = read_key(home)
        meta: dict[str, str] = dict(db.execute("SELECT key, value FROM meta"))
        if meta.get("schema_version") != SCHEMA_VERSION:
            raise ConfigInvalid(
                f"the ledger has schema {meta.get('schema_version')}, this version reads {SCHEMA_VERSION}",
                where=str(path),
                not_done="the ledger was not opened",
                next_step="install the version of Tallystick that wrote it",
            )
        if meta.get("key_fingerprint") != sha256_hex(key):
            raise IntegrityFailure(
                "instance.key is not the key that this ledger was made with",
                where=str(home / "instance.key"),
                not_done="the ledger was not opened",
                next_step="restore instance.key from the same backup as ledger.sqlite",
            )
        return cls(db, key, path)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self, point: Point) -> Iterator[None]:
        """The only commit point. Everything inside is there afterwards, or nothing is."""
        with _room(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                with step(point):
                    self._db.execute("COMMIT")
            except BaseException:
                # On a full disk this fails as well; what is left is taken back when the ledger is opened next.
                with suppress(sqlite3.OperationalError):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is read inside is of one moment, whatever another process commits meanwhile."""
        self._db.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    # -- what was taken -------------------------------------------------------------------------------------------

    def next_batch_id(self) -> int:
        return self._next("batch_id", "batches")

    def next_file_id(self) -> int:
        return self._next("file_id", "files")

    def batches(self) -> list[BatchRow]:
        return [BatchRow(*row[:-1]) for row in self._db.execute("SELECT * FROM batches ORDER BY batch_id")]

    def batch_hash(self, batch_id: int) -> str:
        """The hash of a batch, which covers those before it."""
        row = self._db.execute("SELECT hash FROM batches WHERE batch_id = ?", (batch_id,)).fetchone()
        return str(row[0]) if row else GENESIS

    def wrong_rows(self) -> list[Problem]:
        """Rows of what was taken that aren't as they were written, and guards of the ledger that are gone."""
        # One state of it, as a run may commit meanwhile.
        with self.reading():
            return list(wrong_rows(self._db, self.key, self.batches(), self.files()))

    def files(self, batch_id: int | None = None) -> list[FileRow]:
        where, values = ("", ()) if batch_id is None else ("WHERE f.batch_id = ?", (batch_id,))
        return [FileRow(*row) for row in self._db.execute(f"{_FILES} {where} ORDER BY f.file_id", values)]

    def file(self, file_id: int) -> FileRow:
        return FileRow(*self._db.execute(f"{_FILES} WHERE f.file_id = ?", (file_id,)).fetchone())

    def find_file(self, stream: str, sha256: str) -> FileRow | None:
        where = "WHERE f.stream = ? AND f.sha256 = ? AND f.retry_of IS NULL"
        row = self._db.execute(f"{_FILES} {where}", (stream, sha256)).fetchone()
        return FileRow(*row) if row else None

    def tapes(self, stream: str, head_sha: str, path: str) -> list[TapeRow]:
        """The tapes of a stream that begin alike, and those that were last read under a path."""
        rows = self._db.execute(
            "SELECT * FROM tapes WHERE stream = ?1 AND head_sha = ?2 UNION "
            "SELECT * FROM tapes WHERE stream = ?1 AND path = ?3 ORDER BY tape_id",
            (stream, head_sha, path),
        )
        return [TapeRow(*row[:-1]) for row in rows]

    def deliveries(self, source: str) -> dict[str, DeliveryRow]:
        rows = self._db.execute("SELECT * FROM deliveries WHERE source = ? ORDER BY path", (source,))
        return {row[1]: DeliveryRow(*row[:-1]) for row in rows}

    def delivery(self, source: str, path: str) -> DeliveryRow | None:
        row = self._db.execute("SELECT * FROM deliveries WHERE source = ? AND path = ?", (source, path)).fetchone()
        return DeliveryRow(*row[:-1]) if row else None

    def references(self) -> list[ReferenceRow]:
        """Raw files that are kept at their object store."""
        return [ReferenceRow(*row[:-1]) for row in self._db.execute("SELECT * FROM raw_references ORDER BY sha256")]

    def held(self) -> list[DeliveryRow]:
        rows = self._db.execute("SELECT * FROM deliveries WHERE status = 'held' ORDER BY source, path")
        return [DeliveryRow(*row[:-1]) for row in rows]

    def commit_batch(
        self,
        batch: BatchRow,
        files: Sequence[FileRow],
        tapes: Sequence[TapeRow],
        deliveries: Sequence[DeliveryRow],
        references: Sequence[ReferenceRow] = (),
    ) -> None:
        """File, batch, counts, tapes, deliveries and references in one transaction: from here on they exist."""
        with self.transaction(Point.BATCH_COMMITTED):
            before = self.batch_hash(batch.batch_id - 1)
            self._insert("batches", batch, batch_hash(batch, files, before))
            for file in files:
                mapping_hash = sha256_hex(file.mapping_json.encode())
                self._db.execute("INSERT OR IGNORE INTO mappings VALUES (?, ?)", (mapping_hash, file.mapping_json))
                values = [mapping_hash if c == "mapping_json" else getattr(file, c) for c in _FILE_COLUMNS]
                values.append(seal(self.key, "files", values))
                self._db.execute(f"INSERT INTO files VALUES ({_marks(values)})", values)
            for tape in tapes:
                self._db.execute("DELETE FROM tapes WHERE tape_id = ?", (tape.tape_id,))
                self._insert_sealed("tapes", tape)
            self._put_deliveries(deliveries)
            for reference in references:
                self._insert_sealed("raw_references", reference)
            if references:
                self._recount("raw_references")

    def record_deliveries(self, deliveries: Sequence[DeliveryRow]) -> None:
        """Paths that brought no new lines: held files and second copies."""
        with self.transaction(Point.DELIVERIES_COMMITTED):
            self._put_deliveries(deliveries)

    def _put_deliveries(self, deliveries: Sequence[DeliveryRow]) -> None:
        for row in deliveries:
            self._db.execute("DELETE FROM deliveries WHERE source = ? AND path = ?", (row.source, row.path))
            self._insert_sealed("deliveries", row)
        self._recount("deliveries")

    # -- what was issued ------------------------------------------------------------------------------------------

    def archive_catalog(self, digest: str, body: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO catalogs VALUES (?, ?)", (digest, body))

    def catalog(self, digest: str) -> bytes:
        row = self._db.execute("SELECT body FROM catalogs WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            raise IntegrityFailure(
                f"the ledger holds no catalog {digest}",
                where=str(self.path),
                not_done="what was issued under it was not recomputed",
                next_step="restore ledger.sqlite from a backup",
            )
        return bytes(row[0])

    def catalog_digests(self) -> list[str]:
        return [digest for (digest,) in self._db.execute("SELECT hash FROM catalogs ORDER BY hash")]

    def last_sequence(self, series: str) -> int:
        row = self._db.execute("SELECT coalesce(max(sequence), 0) FROM documents WHERE series = ?", (series,))
        return int(row.fetchone()[0])

    def last_issue_date(self, entity: str) -> str:
        row = self._db.execute("SELECT coalesce(max(issue_date), '') FROM documents WHERE entity = ?", (entity,))
        return str(row.fetchone()[0])

    def documents(self, after_seq: int = 0) -> Iterator[DocumentRow]:
        """Issued documents in the order of issue; of those journal entries that follow one."""
        order = "WHERE journal_seq > ? ORDER BY journal_seq, series, sequence"
        for row in self._db.execute(f"SELECT * FROM documents {order}", (after_seq,)):
            yield DocumentRow(*row)

    def document(self, number: str) -> DocumentRow | None:
        row = self._db.execute("SELECT * FROM documents WHERE number = ?", (number,)).fetchone()
        return DocumentRow(*row) if row else None

    def journal(self) -> list[JournalRow]:
        return [JournalRow(*row) for row in self._db.execute("SELECT * FROM journal ORDER BY seq")]

    def erasures(self) -> list[Erasure]:
        """What was erased from raw files, in the order of the journal."""
        rows = self._db.execute("SELECT * FROM journal WHERE kind = ? ORDER BY seq", (ERASURE,))
        try:
            return erasures_of(JournalRow(*row) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityFailure(
                f"an erasure in the journal can't be read: {error}",
                where=str(self.path),
                not_done="no raw file was read, as it isn't known which objects stand for them",
                next_step="restore ledger.sqlite from a backup",
            ) from error

    def next_journal_seq(self) -> int:
        return self._next("seq", "journal")

    def append_journal(self, kind: str, body: bytes) -> JournalRow:
        """Chain one entry; `body` is a JSON object. Call inside the transaction that does what the entry tells of."""
        last = self._db.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone() or (0, GENESIS)
        text = salted(self.key, last[0] + 1, body)
        row = JournalRow(last[0] + 1, kind, text, last[1], entry_hash(last[0] + 1, kind, text, last[1]))
        self._insert("journal", row)
        return row

    def insert_document(self, row: DocumentRow) -> None:
        self._insert("documents", row)

    def _next(self, column: str, table: str) -> int:
        return int(self._db.execute(f"SELECT coalesce(max({column}), 0) + 1 FROM {table}").fetchone()[0])

    def _recount(self, table: str) -> None:
        self._db.execute(f"UPDATE meta SET value = (SELECT count(*) FROM {table}) WHERE key = ?", (table,))

    def _insert_sealed(self, table: str, row: Any) -> None:
        self._insert(table, row, seal(self.key, table, astuple(row)))

    def _insert(self, table: str, row: Any, *more: str) -> None:
        values = (*astuple(row), *more)
        self._db.execute(f"INSERT INTO {table} VALUES ({_marks(values)})", values)


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """Raise OutOfResources, which names the ledger, for an error that says that there is no room."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _FULL:
            raise
        raise OutOfResources(
            f"the disk is full, or broken: {error}",
            where=str(path),
            not_done="nothing of this transaction stands; what was committed before does",
            next_step="free space and run again: it goes on where it stopped",
        ) from error


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
