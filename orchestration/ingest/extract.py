"""Properties that a source maps only now, out of files that were read without them.

The raw file is read again as it was then, with the missing properties in place of its own, and what its events hold of
them is written beside the lake: derived, as all of it, and the same bytes each time. Identity, time and verdict of an
event stay as they were; so does a property that was mapped to another field before.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import get_args

import duckdb

from orchestration.canonical import sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.meters import EVENT_FIELDS, meter_fields
from orchestration.catalog.sources import Droppable, Source
from orchestration.durable import Point, step
from orchestration.ingest.batch import Workshop, parse_all, tasks_of
from orchestration.ingest.canonical_sql import property_columns
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.inflate import Refused
from orchestration.ingest.lake import Lake, write_parquet
from orchestration.ingest.parse import PARSER_VERSION, head_text, table_head
from orchestration.ingest.texts import text_of
from orchestration.ingest.written import ParseTask
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.sqltext import identifier, literal

_FILES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Extraction:
    """What a file lacks: the mapping that it was read under with the missing properties alone, and where they go."""

    file: FileRow
    source: Source
    path: Path

    @property
    def columns(self) -> list[str]:
        """Columns of the extracted file, beside `file_id` and `line`."""
        return property_columns(self.source)


def extractions(catalog: Catalog, lake: Lake, files: Sequence[FileRow], more: Iterable[str] = ()) -> list[Extraction]:
    """Which of `files` lack properties that are read and that their sources map now.

    Args:
        more: properties that are read beside those of the meters.
    """
    read = set(more).union(*map(meter_fields, catalog.meters.values())) - EVENT_FIELDS
    today = {source.name: source for source in catalog.sources}

    @cache
    def lacking(mapping_json: str, feed: str) -> tuple[Source, str] | None:
        source = _lacking(Source.model_validate_json(mapping_json), today[feed], read)
        return None if source is None else (source, source.model_dump_json())

    found = []
    for row in files:
        # A file without events has nothing to give.
        missing = lacking(row.mapping_json, row.source) if row.min_us is not None and row.source in today else None
        if missing is not None:
            source, said = missing
            digest = sha256_hex(f"{PARSER_VERSION} {row.sha256} {said}".encode())
            found.append(Extraction(row, source, lake.extracted(row.file_id, digest[:16])))
    return found


def _lacking(was: Source, now: Source, read: Collection[str]) -> Source | None:
    names = (read & now.properties.keys()) - was.properties.keys()
    if not names:
        return None
    return was.model_copy(
        update={
            "properties": {name: now.properties[name] for name in sorted(names)},
            "hash": tuple(name for name in now.hash if name in names),
            "quantity": now.quantity if now.quantity in names else None,
            "more_decimals": now.more_decimals,
            # Nothing else is wanted, least of all what names a person.
            "drop": get_args(Droppable),
            "network": None,
        }
    )


def extract(
    shop: Workshop, ledger: Ledger, catalog: Catalog, files: Sequence[FileRow], more: Iterable[str] = ()
) -> int:
    """Write what `extractions` finds and is not there yet; how many files. What no file needs any more is removed.

    Raises IntegrityFailure naming the raw file that is damaged, or gone from the store where it was kept.
    """
    more = set(more)
    wanted = {e.path for e in extractions(catalog, shop.lake, ledger.files(), more)}
    for path in shop.lake.extracted_files():
        if path not in wanted:
            with step(Point.EXTRACT_DROPPED):
                path.unlink()
    todo = [e for e in extractions(catalog, shop.lake, files, more) if not e.path.exists()]
    if not todo:
        return 0
    aside = shop.scratch / "extracted"
    batches = {batch.batch_id: batch for batch in ledger.batches()}
    try:
        for start in range(0, len(todo), _FILES_AT_ONCE):
            part = todo[start : start + _FILES_AT_ONCE]
            tasks = []
            for item in part:
                # Which lines are events is known: what a retry left out falls away with the others.
                row = replace(item.file, retry_of=None)
                [task] = tasks_of([row], batches[row.batch_id], Lake(aside), ())
                tasks.append(replace(task, source=_offered(shop, task, item.source)))
            parse_all(shop, tasks)
            with shop.connect() as con:
                for item, task in zip(part, tasks, strict=True):
                    _write(con, shop.lake, item, task)
            shutil.rmtree(aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return len(todo)


def _offered(shop: Workshop, task: ParseTask, source: Source) -> Source:
    """The mapping without the properties that the file can't have: its table, or its format, has no such column."""
    form = FORMATS[source.format]
    head = ""
    if form.table:
        with shop.connect() as con, shop.raw.at_hand(task.sha256, task.path):
            shop.raw.verify(task.sha256, task.path)
            head = table_head(con, shop.raw.local(task.sha256))[0]
    elif form.head:
        head = head_text(form, text_of(shop.raw, form, task.sha256, task.path))

    def offers(name: str) -> bool:
        alone = source.model_copy(update={"properties": {name: source.properties[name]}})
        if form.check(alone):
            return False
        try:
            form.reader(alone, head)
        except Refused:
            return False
        return True

    kept = {name: field for name, field in source.properties.items() if offers(name)}
    quantity = source.quantity if source.quantity in kept else None
    return source.model_copy(update={"properties": kept, "quantity": quantity})


def _write(con: duckdb.DuckDBPyConnection, lake: Lake, item: Extraction, task: ParseTask) -> None:
    has = set(property_columns(task.source))
    columns = [identifier(c) if c in has else f"CAST(NULL AS VARCHAR) AS {identifier(c)}" for c in item.columns]
    events = lake.events(item.file.batch_id, item.file.file_id)
    write_parquet(
        con,
        f"SELECT CAST({item.file.file_id} AS INTEGER) AS file_id, line, {', '.join(columns)} "
        f"FROM read_parquet({literal(str(task.events))}) "
        f"WHERE line IN (SELECT line FROM read_parquet({literal(str(events))})) ORDER BY line",
        item.path,
    )
