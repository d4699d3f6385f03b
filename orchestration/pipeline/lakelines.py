"""The lines of the lake, for commands that look at events themselves: every line of every batch that the ledger has."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache

import duckdb

from orchestration.catalog import Catalog
from orchestration.catalog.sources import Source
from orchestration.engine import connect, load_rows
from orchestration.ingest import rebuild_lake
from orchestration.ingest.batch import Workshop
from orchestration.ingest.extract import extract
from orchestration.ingest.lake import Lake
from orchestration.ledger.store import Ledger
from orchestration.metering import routes
from orchestration.metering.conflicts import load_conflicts
from orchestration.metering.lakeview import create_event_views
from orchestration.metering.retractions import load_retractions
from orchestration.metering.watching import watched_properties
from orchestration.pipeline.context import Context


@contextmanager
def lake_lines(
    context: Context,
    catalog: Catalog,
    properties: Collection[str] = (),
    span: tuple[int, int] | None = None,
    at_hand: Collection[str] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in memory with the views of `create_event_views`, `properties` among the columns of lines.

    With a `span` (microseconds, the second not included), of the files alone that have events in it. Properties
    `at_hand` are among the columns if all of these were read with them: no raw file is read for their sake.

    The caller holds the instance's lock; what the lake lacks is made again from raw files.
    """
    instance = context.instance
    lake = Lake(instance.lake)
    with Ledger.open(instance.home, create=False) as ledger:
        rebuild_lake(instance.home, ledger, context.report)
        files = ledger.files()
        read = [f for f in files if f.min_us is not None and f.max_us is not None and _within(f.min_us, f.max_us, span)]
        # What builds extract is extracted here too: `extract` drops what nobody asks for.
        more = {*properties, *watched_properties(catalog)}
        extract(Workshop.of(instance.home, ledger), ledger, catalog, read, more)
        more |= {name for name in at_hand if all(name in properties_of(file.mapping_json) for file in read)}
    with connect(
        None, folders=[instance.home], threads=instance.threads, memory=instance.memory, temp=instance.scratch
    ) as con:
        load_conflicts(con, catalog, lake, files, instance.scratch)
        load_retractions(con, catalog, lake, files, instance.scratch)
        load_rows(con, "control.routes", routes.ROUTES, routes.compile_routes(catalog.routes).rows, instance.scratch)
        create_event_views(con, catalog, lake, read, more)
        yield con


@cache
def properties_of(mapping_json: str) -> frozenset[str]:
    """The properties that files were read with."""
    return frozenset(Source.model_validate_json(mapping_json).properties)


def _within(first_us: int, last_us: int, span: tuple[int, int] | None) -> bool:
    return span is None or (first_us < span[1] and last_us >= span[0])
