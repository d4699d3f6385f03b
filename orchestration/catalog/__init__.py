"""What the operator writes: typed, validated all at once with file and line, hashed."""

from orchestration.catalog.load import Catalog, from_archive, load_catalog, parse_catalog

__all__ = ["Catalog", "from_archive", "load_catalog", "parse_catalog"]
