"""What changed between two versions of the catalog is told by object and field, and nothing else is."""

from __future__ import annotations

from orchestration.canonical import sha256_hex
from orchestration.catalog.changes import Change, changes

PLAN = """
key: basic
versions:
  - effective: 2026-01-01
    charges:
      - {key: base, model: flat, amount: "10.00"}
      - {key: calls, model: graduated, tiers: [{up_to: "100", price: "0.10"}, {price: "0.05"}]}
"""
CUSTOMERS = "customer,name,zone,valid_from\nacme,Acme,UTC,\nbirch,Birch,UTC,\nacme,Acme,Asia/Tokyo,2026-05-01\n"


def told(name: str, before: str | None, after: str | None) -> list[Change]:
    return list(changes({} if before is None else {name: before}, {} if after is None else {name: after}))


def test_a_price_is_told_with_the_way_to_it_and_layout_is_no_change() -> None:
    name = "plans/basic.yaml"
    assert told(name, PLAN, "# reviewed\n" + PLAN.replace("  - effective", "    - effective").replace(
        "    charges", "      charges"
    ).replace("      - {", "        - {")) == []  # fmt: skip
    assert told(name, PLAN, PLAN.replace('"0.05"', '"0.04"')) == [
        Change(name, "versions.2026-01-01", "charges.calls.tiers.2.price", "0.05", "0.04")
    ]
    assert told(name, PLAN, PLAN.replace("key: basic", "key: other")) == [Change(name, "", "key", "basic", "other")]


def test_an_object_that_comes_or_goes_is_one_change() -> None:
    name, row = "meters.yaml", "  - {key: calls, aggregation: count}\n"
    added = [Change(name, "meters.calls", "", None, '{"aggregation": "count", "key": "calls"}')]
    assert told(name, "meters:\n  - {key: users}\n", f"meters:\n  - {{key: users}}\n{row}") == added
    assert told(name, None, f"meters:\n{row}") == added
    assert told(name, f"meters:\n{row}", None) == [added[0]._replace(before=added[0].after, after=None)]


def test_rows_of_a_table_are_known_by_their_key_and_day_wherever_they_stand() -> None:
    moved = "customer,name,zone,valid_from\nacme,Acme,Asia/Tokyo,2026-05-01\nbirch,Birch Ltd,UTC,\nacme,Acme,UTC,\n"
    assert told("customers.csv", CUSTOMERS, moved) == [Change("customers.csv", "birch", "name", "Birch", "Birch Ltd")]
    assert told("customers.csv", CUSTOMERS, CUSTOMERS.replace("Tokyo", "Seoul")) == [
        Change("customers.csv", "acme from 2026-05-01", "zone", "Asia/Tokyo", "Asia/Seoul")
    ]


def test_a_credential_is_never_told() -> None:
    name = "credentials.csv"
    key = f"sha256:{sha256_hex(b'ak_secret')[:16]}"
    found = told(name, "credential,customer\n", "credential,customer\nak_secret,acme\n")
    assert found == [Change(name, key, "", None, '{"customer": "acme"}')]


def test_what_is_no_table_and_no_list_is_told_by_its_hash() -> None:
    name = "retractions/oops.jsonl"
    assert told(name, "a", "b") == [Change(name, "", "sha256", sha256_hex(b"a"), sha256_hex(b"b"))]
    broken = "meters: ["
    assert told("meters.yaml", None, broken) == [Change("meters.yaml", "", "sha256", None, sha256_hex(broken.encode()))]
