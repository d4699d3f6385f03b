"""What is kept of an erased line: its row of the lake without what names a person, and the verdict that it had.

Kept are event key, time, type, credential, what was measured, the keyed hash of the end user, and the properties that
meters read, today's and those of every catalog that documents were issued under. All else is left out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from orchestration.catalog import Catalog, from_archive
from orchestration.catalog.meters import filter_fields, meter_fields
from orchestration.catalog.sources import Source
from orchestration.errors import ConfigInvalid
from orchestration.ingest.batch import Workshop
from orchestration.ingest.erase_find import Lines
from orchestration.ingest.erased import VERDICT, later_name
from orchestration.ingest.extract import extract, extractions
from orchestration.ingest.formats.base import PROPERTY
from orchestration.ingest.lake import Lake
from orchestration.ledger.journal import CLOSE
from orchestration.ledger.rows import FileRow
from orchestration.ledger.store import Ledger
from orchestration.sqltext import literal

Kept = dict[tuple[str, int], dict[str, dict[str, Any]]]
"""By line (hash as delivered, number), what is kept of it for each file of the ledger, by the file's number."""

_ALWAYS = frozenset(
    {"line", "source", "event_id", "time_us", "event_type", "feed", "credential", "user_key", "method", "path"}
) | {"status", "bytes", "latency_us"}
_IF_READ = {"address": ("address_key", "network"), "agent": ("agent", "agent_key")}


@dataclass(frozen=True, slots=True)
class Reads:
    """What meters read, over several catalogs: `names` at all, `compared` otherwise than as a distinct value."""

    catalogs: tuple[Catalog, ...]
    names: frozenset[str]
    compared: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, catalogs: Sequence[Catalog]) -> Reads:
        meters = [meter for catalog in catalogs for meter in catalog.meters.values()]
        compared: set[str] = set()
        for meter in meters:
            compared |= set(meter.dimensions) | ({meter.session} if meter.session is not None else set())
            compared = compared.union(*(filter_fields(node) for node in (meter.filter, meter.start, meter.stop)))
            if meter.value is not None and meter.aggregation != "unique_count":
                compared.add(meter.value)
        names = frozenset[str]().union(*map(meter_fields, meters))
        return cls(tuple(catalogs), names, frozenset(compared))


def reads_of(ledger: Ledger, catalog: Catalog) -> Reads:
    """What the meters of a catalog read, and those of all catalogs that documents were issued under."""
    digests = {json.loads(e.body)["catalog"] for e in ledger.journal() if e.kind == CLOSE} - {catalog.digest}
    return Reads.of([catalog, *(from_archive(ledger.catalog(digest)) for digest in sorted(digests))])


def refuse_compared(reads: Reads, properties: Iterable[str]) -> None:
    """Raise ConfigInvalid for properties that can't become a token, as prices rest on what they say."""
    wrong = sorted(reads.compared.intersection(properties))
    if wrong:
        raise ConfigInvalid(
            f"meters compare, add or group by {', '.join(wrong)}: with a token in its place they would count otherwise",
            where="erasures.yaml",
            not_done="nothing was erased",
            next_step="leave it out of the row's 'properties': what meters don't read is erased anyway, this one stays",
        )


def keep(
    con: duckdb.DuckDBPyConnection, shop: Workshop, ledger: Ledger, reads: Reads, lines: Lines, tokens: Sequence[str]
) -> Kept:
    """What is kept of each line. `tokens` names properties that hold an end user's id and become its keyed hash."""
    kept: Kept = {(sha256, line): {} for sha256, numbers in lines.items() for line in numbers}
    later = _later(con, shop, ledger, reads, lines)
    for file in ledger.files():
        wanted = lines.get(file.sha256, ())
        if not wanted:
            continue
        source = Source.model_validate_json(file.mapping_json)
        for line, entry in _of_file(con, shop.lake, file, wanted).items():
            if "event" in entry:
                entry["event"] = _least(entry["event"], source, reads, tokens, shop.key)
                entry |= {"later": found} if (found := later.get((file.file_id, line))) else {}
            kept[file.sha256, line][str(file.file_id)] = entry
    return kept


def _of_file(
    con: duckdb.DuckDBPyConnection, lake: Lake, file: FileRow, wanted: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """By line what the lake holds of it, for the file or the retry that `file` is."""
    con.execute("CREATE OR REPLACE TEMP TABLE wanted_lines AS SELECT unnest($1::BIGINT[]) AS line", [list(wanted)])
    found: dict[int, dict[str, Any]] = {}
    bad = lake.quarantine(file.batch_id, file.file_id)
    if file.quarantined > 0 and bad.exists():
        for line, reason in _rows(con, f"SELECT line, reason FROM {_read(bad)} SEMI JOIN wanted_lines USING (line)"):
            found[line] = {"reason": reason}
    if file.min_us is None:
        return found
    result = con.execute(f"FROM {_read(lake.events(file.batch_id, file.file_id))} SEMI JOIN wanted_lines USING (line)")
    names = [column[0] for column in result.description or ()]
    for values in result.fetchall():
        row = dict(zip(names, values, strict=True))
        found[row["line"]] = {"event": row}
    if file.tape_id is None:
        columns = ", ".join(name for name, _ in VERDICT)
        verdicts = f"SELECT line, {columns} FROM {_read(lake.verdicts(file.batch_id))} SEMI JOIN wanted_lines"
        for line, *verdict in _rows(con, f"{verdicts} USING (line) WHERE file_id = {file.file_id}"):
            found[line]["verdict"] = verdict
    return found


def _read(path: Any) -> str:
    return f"read_parquet({literal(str(path))})"


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


def _least(row: Mapping[str, Any], source: Source, reads: Reads, tokens: Sequence[str], key: bytes) -> dict[str, Any]:
    """A row of the lake without what nobody needs; NULLs are left out."""
    names = set(_ALWAYS).union(*(columns for name, columns in _IF_READ.items() if name in reads.names))
    names |= {PROPERTY + name for name in source.properties if name in reads.names or name == source.quantity}
    least = {name: value for name, value in row.items() if name in names and value is not None}
    for name in tokens:
        column = PROPERTY + name
        if column in least and name not in source.hash:
            least[column] = keyed(key, least[column])
    if least.get("path") and row["user_key"] and "path" not in reads.names:
        least["path"] = _without(least["path"], row["user_key"], key)
    return least


def _without(path: str, user: str, key: bytes) -> str:
    """A path whose segments don't name the end user."""
    return "/".join(user if part and keyed(key, part) == user else part for part in path.split("/"))


def keyed(key: bytes, text: str) -> str:
    """The keyed hash that stands for a text in the lake: the first 32 hex digits of HMAC-SHA-256."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def _later(
    con: duckdb.DuckDBPyConnection, shop: Workshop, ledger: Ledger, reads: Reads, lines: Lines
) -> dict[tuple[int, int], dict[str, str]]:
    """Properties that catalogs map and that files were read without, as tombstones name them."""
    found: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    files = [file for file in ledger.files() if file.sha256 in lines]
    for number, catalog in enumerate(reads.catalogs):
        # The instance's own extracted files belong to today's catalog alone.
        aside = replace(shop, lake=Lake(shop.lake.root, shop.scratch / f"later-{number}"))
        extract(aside, ledger, catalog, files)
        for item in extractions(catalog, aside.lake, files):
            for name in item.source.properties:
                rows = _rows(con, f"SELECT line, {PROPERTY}{name} FROM {_read(item.path)}")
                wanted = frozenset(lines[item.file.sha256])
                for line, value in rows:
                    if line in wanted and value is not None:
                        found[item.file.file_id, line][later_name(name, item.source)] = value
    return found
