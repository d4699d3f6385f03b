"""What the series of usage read of a request beside what is billed: what it asked for, and where it came from.

Names of properties are plain identifiers, checked when the catalog is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.catalog import Catalog

WATCHING = {"item": "VARCHAR", "origin": "VARCHAR"}
COUNTRY = "country"
"""The property that holds the country of a request, where a source maps it; else its network stands for it."""


def watched_properties(catalog: Catalog) -> tuple[str, ...]:
    """Properties that the series read, sorted; none where nothing is watched."""
    row = catalog.watched.monitoring
    if row is None:
        return ()
    return tuple(
        sorted({name for source in catalog.sources for name in source.properties if name in (COUNTRY, row.ids)})
    )


def watching_rows(catalog: Catalog) -> Iterator[dict[str, str]]:
    """The row of `control.watching`: columns of an event. None where nothing is watched."""
    row = catalog.watched.monitoring
    if row is not None:
        read = watched_properties(catalog)
        yield {
            "item": "path" if row.ids is None else f"p_{row.ids}",
            "origin": f"p_{COUNTRY}" if COUNTRY in read else "network",
        }
