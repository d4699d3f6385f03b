"""The dbt project, and what dbt makes of its text: parsing takes seconds, so it is kept for other processes.

What is kept is named by the digest of all that it depends on: the text of the project and the versions that parse it.
No catalog and no instance enters it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.settings import REPOSITORY

PROJECT = REPOSITORY / "dbt_project"
TARGET = PROJECT / "target"
_MADE = ("target", "logs")
_PARSERS = ("dbt-core", "dbt-adapters", "dbt-duckdb")


def sources_digest() -> str:
    """SHA-256 over names and contents of everything that dbt parses."""
    kinds = (".sql", ".yml", ".md")
    paths = sorted(p for p in PROJECT.rglob("*") if p.suffix in kinds and p.relative_to(PROJECT).parts[0] not in _MADE)
    return sha256_hex(canonical_bytes({p.relative_to(PROJECT).as_posix(): sha256_hex(p.read_bytes()) for p in paths}))


def kept_manifest() -> Any:
    """dbt's manifest as another process kept it; None where there is none, or none that can be read."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    # Whatever is wrong with the file, parsing is the way to do without it.
    with suppress(Exception):
        return Manifest.from_msgpack(_place().read_bytes(), decoder=extended_mashumuro_decoder)
    return None


def keep_manifest(manifest: Any) -> None:
    """Keep a manifest for other processes, in place of older ones; not where the program's folder can't be written."""
    from dbt.parser.manifest import extended_mashumaro_encoder

    place = _place()
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        older = [path for path in place.parent.iterdir() if path != place]
        written = place.with_suffix(f".{os.getpid()}")
        written.write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))
        written.replace(place)
        for path in older:
            path.unlink(missing_ok=True)


def _place() -> Path:
    made_by = {"sources": sources_digest(), **{name: version(name) for name in _PARSERS}}
    return TARGET / "kept" / f"{sha256_hex(canonical_bytes(made_by))}.msgpack"
