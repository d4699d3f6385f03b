"""A document out of bounds waits for a reviewed row, stops nobody else, and is issued at its own terms afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from faultkit import CATALOG, Box

ADJUSTED = (
    "{id: setup, customer: hudson, day: 2026-10-20, amount: '80.00', currency: USD, "
    "reason: setup, by: ana, on: 2026-10-20}"
)
RELEASED = "{customer: hudson, cut_off: 2026-11-01, reason: announced, by: ana, on: 2026-11-04}"


def test_D9_a_line_over_the_limit_waits_until_a_reviewed_row_releases_it(october_run: Box, tmp_path: Path) -> None:
    box = october_run.copy(tmp_path / "home")

    def issued() -> list[str]:
        return [body["buyer"]["customer"] for body in box.documents() if body["cut_off"] == "2026-11-01"]

    box.catalog("adjustments.yaml", f"adjustments:\n  - {ADJUSTED}\n")
    box.catalog("instance.yaml", CATALOG["instance.yaml"] + 'safety: {line_limits: {USD: "75"}}\n')
    assert "parked: hudson: a line of 80.00 USD is over the limit of 75" in box.do("close", "2026-10")
    others = issued()
    assert others and "hudson" not in others
    box.catalog("releases.yaml", f"releases:\n  - {RELEASED}\n")
    assert "a line of" not in box.do("close", "2026-10")
    assert sorted(issued()) == sorted([*others, "hudson"])
    assert "80.00" in [line["amount"] for line in box.lines("hudson", "2026-11-01")]
    entries = [json.loads(body) for (body,) in box.ledger("SELECT body FROM journal WHERE kind = 'close' ORDER BY seq")]
    assert ["hudson" in entry["parked"] for entry in entries[-2:]] == [True, False]
    assert [[row["reason"] for row in entry["released"]] for entry in entries[-2:]] == [[], ["announced"]]
    box.do("verify")
