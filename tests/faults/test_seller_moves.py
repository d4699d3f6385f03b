"""A customer that another seller takes over: whose documents, numbers and rounding each period has, and keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestration.billing.rating import LineKey
from orchestration.catalog import Catalog
from orchestration.catalog.load import parse_catalog
from orchestration.closing.close import Knowledge, due_groups, issue
from orchestration.closing.edits import refuse_edits
from orchestration.closing.issued import issued_so_far
from orchestration.closing.rated import Quantity, rate_all
from orchestration.errors import PeriodClosed
from orchestration.ledger.store import Ledger
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant

D = date.fromisoformat
FILES = {
    "instance.yaml": "entities:\n"
    "  - {key: north, name: North Ltd, address: 1 Quay, series: N}\n"
    "  - {key: south, name: South Ltd, address: 9 Pier, series: S, rounding: half_even}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common}\n",
    "meters.yaml": "meters:\n  - {key: calls, name: C, event_type: request, aggregation: count}\n",
    "plans/p.yaml": "key: p\nname: P\ncurrency: EUR\nversions:\n  - effective: 2026-01-01\n"
    "    charges: [{key: calls, name: Calls, model: per_unit, meter: calls, price: '0.01'}]\n"
    "    commitment: {amount: '0.09'}\n",
    "customers.csv": "customer,name,address,country,zone,entity,valid_from\nacme,Acme,A,DE,UTC,north,\n",
    "credentials.csv": "credential,customer\nk,acme\n",
    "subscriptions.csv": "subscription,customer,plan,start\ns,acme,p,2026-11-16\n",
}
MOVED = parse_catalog(FILES | {"customers.csv": FILES["customers.csv"] + "acme,Acme,B,DE,UTC,south,2026-12-10\n"})
STAYED = parse_catalog(FILES)


def known(used: Mapping[str, int]) -> dict[str, list[Quantity]]:
    """Calls by day."""
    found: dict[str, list[Quantity]] = {}
    for day, calls in used.items():
        first = "2026-11-16" if day < "2026-12" else f"{day[:7]}-01"
        found.setdefault(f"s/calls/{first}", []).append(Quantity(D(day), Decimal(calls)))
    return found


def close(ledger: Ledger, catalog: Catalog, cut_off: str, used: Mapping[str, int]) -> list[dict[str, Any]]:
    now_us = parse_instant(f"{cut_off}T12:00:00Z", "test")
    lines = rate_all(catalog, charged_segments(catalog, now_us), known(used))
    groups = due_groups(catalog, ledger, lines, D(cut_off))
    found = issue(catalog, ledger, groups, D(cut_off), {}, Knowledge(now_us, 0, "code"))
    return [json.loads(row.body) for row in found.documents]


def told(documents: list[dict[str, Any]]) -> list[tuple[str, str, str, list[str]]]:
    return [(d["number"][0], d["seller"]["name"], d["total"], [n["charge"] for n in d["lines"]]) for d in documents]


def test_each_period_is_billed_by_who_sold_it_and_stays_with_them(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "home") as ledger:
        # 15 of 30 days of 0.09 are 0.045, which the first seller rounds to 0.05.
        assert told(close(ledger, STAYED, "2026-12-01", {})) == [("N", "North Ltd", "0.05", ["calls", "true_up"])]
        # The move of 10 December begins with January: December is the first seller's, as it was begun.
        used = {"2026-12-05": 20, "2026-12-20": 30}
        assert told(close(ledger, MOVED, "2027-01-01", used)) == [("N", "North Ltd", "0.50", ["calls"])]
        # Late calls of November are a correction by the seller of November, beside the new one's first document.
        used |= {"2026-11-20": 4, "2027-01-03": 40}
        assert told(close(ledger, MOVED, "2027-02-01", used)) == [
            ("N", "North Ltd", "0.00", ["calls", "true_up"]),
            ("S", "South Ltd", "0.40", ["calls"]),
        ]
        assert close(ledger, MOVED, "2027-02-01", used) == []
        numbers = [d.number for d in ledger.documents()]
    assert numbers == ["N-2026-000001", "N-2027-000001", "N-DN-2027-000001", "S-2027-000001"]


def test_a_new_seller_who_rounds_otherwise_rounds_no_closed_period_again(tmp_path: Path) -> None:
    now_us = parse_instant("2027-01-15T12:00:00Z", "test")
    with Ledger.open(tmp_path / "home") as ledger:
        close(ledger, STAYED, "2026-12-01", {})
        close(ledger, STAYED, "2027-01-01", {"2026-12-05": 20})
        issued: dict[LineKey, Any] = dict(issued_so_far(ledger))
    lines = list(rate_all(MOVED, charged_segments(MOVED, now_us), known({"2026-12-05": 20})))
    assert {k: i.amount for k, i in issued.items()} == {x.key: x.amount.amount for x in lines if x.key in issued}
    refuse_edits(STAYED, MOVED, known({"2026-12-05": 20}), lines, issued.keys(), D("2027-01-01"), now_us)
    before = FILES["customers.csv"].replace("north,\n", "north,\nacme,Acme,B,DE,UTC,south,2026-11-20\n")
    earlier = parse_catalog(FILES | {"customers.csv": before})
    again = list(rate_all(earlier, charged_segments(earlier, now_us), known({"2026-12-05": 20})))
    with pytest.raises(PeriodClosed):
        refuse_edits(STAYED, earlier, known({"2026-12-05": 20}), again, issued.keys(), D("2027-01-01"), now_us)
