"""A document out of bounds waits for a reviewed row, stops nobody else, and is issued at its own terms afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from faultkit import CATALOG, Box


def test_a_line_over_the_limit_waits_until_a_reviewed_row_releases_it(october_run: Box, tmp_path: Path) -> None:
    box = october_run.copy(tmp_path / "home")
    most = box.sql(
        "SELECT customer, currency, max(abs(amount)) AS most FROM marts.invoice_draft_lines "
        "WHERE cut_off = DATE '2026-11-01' GROUP BY ALL ORDER BY most DESC, customer"
    )
    (customer, currency, greatest), (_, _, next_to_it), *_ = most
    assert greatest > next_to_it
    box.catalog(
        "instance.yaml", CATALOG["instance.yaml"] + f'safety: {{line_limits: {{{currency}: "{next_to_it}"}}}}\n'
    )
    said = box.do("close", "2026-10")
    assert f"parked: {customer}: a line of" in said and f"over the limit of {next_to_it}" in said
    others = {body["buyer"]["customer"] for body in box.documents() if body["cut_off"] == "2026-11-01"}
    assert customer not in others and others
    row = f"{{customer: {customer}, cut_off: 2026-11-01, reason: announced, by: ana, on: 2026-11-04}}"
    box.catalog("releases.yaml", f"releases:\n  - {row}\n")
    assert "parked" not in box.do("close", "2026-10")
    issued = [body["buyer"]["customer"] for body in box.documents() if body["cut_off"] == "2026-11-01"]
    assert sorted(issued) == sorted({*others, customer})
    entries = [json.loads(body) for (body,) in box.ledger("SELECT body FROM journal WHERE kind = 'close' ORDER BY seq")]
    waited = [(sorted(entry["parked"]), [row["reason"] for row in entry["released"]]) for entry in entries[-2:]]
    assert waited == [([customer], []), ([], ["announced"])]
    box.do("verify")
