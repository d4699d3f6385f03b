"""What came to be known of an issued line since: told from two catalogs, and from nothing that a rerun may change.

The close and the audit tell it each by its own means.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from faultkit import CATALOG

from orchestration.audit.later import Edited
from orchestration.audit.taken import load_credentials
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.concerned import Since

LINE = {"meter": "tokens", "customer": "bengal", "start": "2026-10-01", "end": "2026-11-01"}
CREDENTIALS = "credential,customer,valid_from,valid_to\nkey_bengal,bengal,,\nkey_hudson,hudson,,\nkey_line,line,,\n"
CLASH = "0f" * 32
OCTOBER_20 = 1_792_454_400_000_000


def catalog(**files: str) -> Catalog:
    texts = {name.replace("__", "/"): text for name, text in files.items()}
    return parse_catalog({**CATALOG, "credentials.csv": CREDENTIALS, **{f"{k}": v for k, v in texts.items()}})


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA record; CREATE TABLE record.conflicts "
            "(source VARCHAR, event_id VARCHAR, feed VARCHAR, credential VARCHAR, time_us BIGINT)"
        )
        connection.executemany(
            "INSERT INTO record.conflicts VALUES ('/model', 'clash', 'tokens', $1, $2)",
            [("key_bengal", OCTOBER_20), ("key_hudson", OCTOBER_20 + 40 * 86_400_000_000)],
        )
        yield connection


def cause(con: duckdb.DuckDBPyConnection, now: Catalog, was: Catalog | None = None, **line: Any) -> str | None:
    before, shown = was or catalog(), {**LINE, **line}
    found = Since(con, before, now).cause(shown)
    with TemporaryDirectory() as scratch:
        load_credentials(con, now.credentials, Path(scratch))
    assert Edited(con, before, now).cause(shown) == found
    return found


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("new,bengal,,", "identity"),
        ("new,bengal,2026-10-31T12:00:00Z,", "identity"),
        ("new,bengal,2026-11-01T00:00:00Z,", None),  # in Kolkata the month has ended at 18:30 UTC
        ("new,bengal,2026-10-31T18:30:00Z,", None),
        ("new,bengal,,2026-09-30T18:30:00Z", None),
        ("new,bengal,,2026-09-30T18:31:00Z", "identity"),
        ("new,hudson,,", None),
    ],
)
def test_a_credential_that_is_a_customers_in_the_days_of_a_line_is_an_identity(
    con: duckdb.DuckDBPyConnection, row: str, found: str | None
) -> None:
    now = catalog(**{"credentials.csv": f"{CREDENTIALS}{row}\n"})
    assert cause(con, now) == found
    assert cause(con, catalog(), now) == found, "a credential that is gone is one too"
    assert cause(con, now, meter=None) is None


def test_a_decision_concerns_the_customers_of_its_payloads_at_their_times(con: duckdb.DuckDBPyConnection) -> None:
    def decided(counts: str) -> Catalog:
        row = f"source: /model, id: clash, {counts}, by: ana, on: 2026-11-02, reason: r"
        return catalog(**{"decisions.yaml": f"conflicts:\n  - {{{row}}}\n"})

    now = decided(f"counts: {CLASH}")
    assert cause(con, now) == "identity"
    assert cause(con, now, customer="hudson") is None, "its payload is of another month"
    assert cause(con, now, customer="hudson", start="2026-11-01", end="2026-12-01") == "identity"
    assert cause(con, now, customer="line") is None
    assert cause(con, decided("waive: true")) is None, "a waiver counts what was counted before"
    assert cause(con, now, decided("waive: true")) == "identity"


@pytest.mark.parametrize(
    ("name", "old", "new", "found"),
    [
        ("sources.yaml", "{tokens: data.tokens}", "{tokens: data.n}", "catalog"),
        ("sources.yaml", "{tokens: data.tokens}", "{tokens: data.tokens, more: data.more}", None),
        ("meters.yaml", "aggregation: sum, value: tokens", "aggregation: max, value: tokens", "catalog"),
        ("meters.yaml", "name: Tokens", "name: Tokens used", None),
        ("meters.yaml", "name: Bytes", "name: Octets", None),
        ("customers.csv", "Asia/Kolkata", "Asia/Tokyo", "catalog"),
        ("customers.csv", "Pacific/Kiritimati", "Asia/Tokyo", None),
        ("plans/basic.yaml", '"0.001"', '"0.002"', None),
    ],
)
def test_what_reads_closed_usage_otherwise_is_the_catalogs(
    con: duckdb.DuckDBPyConnection, name: str, old: str, new: str, found: str | None
) -> None:
    assert old in CATALOG[name]
    assert cause(con, catalog(**{name: CATALOG[name].replace(old, new, 1)})) == found


def test_an_identity_is_named_before_a_catalog(con: duckdb.DuckDBPyConnection) -> None:
    sources = CATALOG["sources.yaml"].replace("{tokens: data.tokens}", "{tokens: data.n}")
    now = catalog(**{"sources.yaml": sources, "credentials.csv": f"{CREDENTIALS}new,bengal,,\n"})
    assert cause(con, now) == "identity"
