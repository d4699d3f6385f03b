"""Where the lake's files are, and how one is written: zstd level 1, pages of version 2, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from orchestration.durable import Point, make_folder, publish, step
from orchestration.sqltext import literal

_OPTIONS = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARQUET_VERSION V2, ROW_GROUP_SIZE 122880"
_BY_FILE = ("events", "quarantine", "erased")
_BY_BATCH = ("verdicts", "keys", "fields")


class Lake:
    """The folder `lake/` of an instance, or a scratch folder of the same layout. `extracted` is another folder for
    what is extracted."""

    def __init__(self, root: Path, extracted: Path | None = None) -> None:
        self.root = root
        self._extracted = extracted or root / "extracted"

    def events(self, batch_id: int, file_id: int) -> Path:
        return self.root / "events" / f"{batch_id:06d}" / f"{file_id:08d}.parquet"

    def quarantine(self, batch_id: int, file_id: int) -> Path:
        """Exists only where the file has quarantined lines."""
        return self.root / "quarantine" / f"{batch_id:06d}" / f"{file_id:08d}.parquet"

    def erased(self, batch_id: int, file_id: int) -> Path:
        """The erased lines of a file, with the verdicts that they keep. Exists only where the file was rewritten."""
        return self.root / "erased" / f"{batch_id:06d}" / f"{file_id:08d}.parquet"

    def erased_files(self) -> dict[int, Path]:
        """By file, what `erased` names and is there."""
        return {int(path.stem): path for path in sorted((self.root / "erased").glob("*/*.parquet"))}

    def verdicts(self, batch_id: int) -> Path:
        return self.root / "verdicts" / f"{batch_id:06d}.parquet"

    def keys(self, batch_id: int) -> Path:
        return self.root / "keys" / f"{batch_id:06d}.parquet"

    def fields(self, batch_id: int) -> Path:
        """Which fields the batch's files have, for reports of drift."""
        return self.root / "fields" / f"{batch_id:06d}.parquet"

    def extracted(self, file_id: int, digest: str) -> Path:
        """Properties of a file that were not read with it; `digest` is of what they are and how they are read."""
        return self._extracted / f"{file_id:08d}-{digest}.parquet"

    def extracted_files(self) -> list[Path]:
        return sorted(self._extracted.glob("*.parquet"))

    @property
    def engine(self) -> Path:
        """Names the engine that made the keys: its 64-bit hash is its own."""
        return self.root / "engine"

    def drop(self, batch_id: int, file_id: int) -> None:
        """Remove a file's lake files, of a batch that is still being made."""
        for path in (getattr(self, kind)(batch_id, file_id) for kind in _BY_FILE):
            with step(Point.LAKE_FILE_DROPPED):
                path.unlink(missing_ok=True)

    def drop_uncommitted(self, last_batch_id: int) -> int:
        """Remove what was written for batches after the last committed one, and half-written files; how many."""
        removed = 0
        for kind in (*_BY_FILE, *_BY_BATCH):
            for entry in sorted((self.root / kind).glob("*")):
                if entry.name[:6].isdecimal() and int(entry.name[:6]) > last_batch_id:
                    with step(Point.LAKE_CLEANED):
                        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                    removed += 1
        for entry in self.root.glob("**/*.tmp"):
            with step(Point.LAKE_CLEANED):
                entry.unlink()
            removed += 1
        return removed


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Write the rows of `query`, in its order, as the Parquet file `path`. The connection has one thread."""
    make_folder(path.parent)
    temporary = path.with_suffix(".tmp")
    con.execute(f"COPY ({query}) TO {literal(str(temporary))} ({_OPTIONS})")
    publish(temporary, path, Point.LAKE_FILE_NAMED)
