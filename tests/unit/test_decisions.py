"""Reviewed rows on conflicts: refused with file and line where they can't be meant, else kept with the catalog."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from orchestration import console
from orchestration.catalog import load_catalog
from orchestration.catalog.load import from_archive, parse_catalog
from orchestration.errors import CatalogInvalid
from orchestration.pipeline.contested import OpenConflict
from orchestration.pipeline.overview import Overview, Unattributed
from orchestration.settings import REPOSITORY

GOOD = {
    "instance.yaml": "entities:\n  - {key: e, name: E, address: A}\n",
    "sources.yaml": "sources: []\n",
    "meters.yaml": "meters: []\n",
    "customers.csv": "customer,name,address,country,zone,entity\n",
    "credentials.csv": "credential,customer\n",
    "subscriptions.csv": "subscription,customer,plan,start\n",
}
HASH = "0f" * 32
WHO = "by: ada, on: 2026-11-03, reason: the sender resent it"


def problems(*rows: str) -> list[str]:
    text = "conflicts:\n" + "".join(f"  - {{{row}}}\n" for row in rows)
    try:
        parse_catalog(GOOD | {"decisions.yaml": text})
    except CatalogInvalid as error:
        return [str(p) for p in error.problems]
    return []


def test_a_decision_and_a_waiver_are_kept_with_who_when_and_why() -> None:
    rows = (
        f"conflicts:\n  - {{source: s, id: a, counts: {HASH}, {WHO}}}\n  - {{source: s, id: b, waive: true, {WHO}}}\n"
    )
    catalog = parse_catalog(GOOD | {"decisions.yaml": rows})
    assert [(r.id, r.counts, r.waive) for r in catalog.conflicts] == [("a", HASH, False), ("b", None, True)]
    assert {(r.by, r.on.isoformat(), r.reason) for r in catalog.conflicts} == {
        ("ada", "2026-11-03", "the sender resent it")
    }
    again = from_archive(catalog.archive())
    assert (again.conflicts, again.digest) == (catalog.conflicts, catalog.digest)
    assert catalog.digest != parse_catalog(GOOD).digest


def test_a_catalog_of_before_there_were_decisions_has_none_and_keeps_its_hash(tmp_path: Path) -> None:
    for name, text in GOOD.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    catalog = load_catalog(tmp_path)
    assert catalog.conflicts == ()
    assert (catalog.digest, "decisions.yaml" in catalog.files) == (parse_catalog(GOOD).digest, False)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"source: s, id: a, {WHO}", "either names the hash that 'counts', or says 'waive: true'"),
        (f"source: s, id: a, counts: {HASH}, waive: true, {WHO}", "either names the hash"),
        (f"source: s, id: a, waive: false, {WHO}", "either names the hash"),
        (f"source: s, id: a, counts: {HASH[:-1]}, {WHO}", "counts: String should match"),
        (f"source: s, id: a, counts: {HASH.upper()}, {WHO}", "counts: String should match"),
        (f"source: s, id: 7, waive: true, {WHO}", "id: Input should be a valid string"),
        (f"source: s, waive: true, {WHO}", "id: Field required"),
        (f"source: s, id: a, waive: true, since: x, {WHO}", "since: Extra inputs"),
        ("source: s, id: a, waive: true, by: ada, on: 2026-11-03", "reason: Field required"),
        ("source: s, id: a, waive: true, by: ' ', on: 2026-11-03, reason: r", "by: String should have at least 1"),
        ("source: s, id: a, waive: true, by: ada, on: yesterday, reason: r", "a date is written as YYYY-MM-DD"),
    ],
)  # fmt: skip
def test_a_row_that_is_half_a_decision_is_refused_with_its_line(row: str, said: str) -> None:
    found = problems(f"source: s, id: good, waive: true, {WHO}", row)
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith("decisions.yaml:3: ")


def test_two_rows_for_one_event_are_refused_and_both_are_named() -> None:
    row = f"source: s, id: a, waive: true, {WHO}"
    assert problems(row, row.replace("id: a", "id: A"), f"source: s, id: a, counts: {HASH}, {WHO}") == [
        "decisions.yaml:4: event 'a' of 's' is also decided at decisions.yaml:2 [duplicate]"
    ]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    text = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=text, highlight=False, soft_wrap=True, width=120))
    yield text


def test_status_shows_an_open_conflict_as_a_decision_must_name_it(printed: io.StringIO) -> None:
    hostile = 'a"b\\c\x1b[31m :heart: [red]\n\u202ed'
    other = "e1" * 32
    view = Overview(
        files=0, lines={}, held=(), quarantined={"bad_json": 2}, conflicts={"open": 7, "decided": 1, "waived": 0},
        open_conflicts=(OpenConflict("s", hostile, HASH, (other,), ("acme", "bolt")),),
        unmet_decisions=("decisions.yaml:4: event 'q' of 's': no conflict is known of this event",),
        unattributed=Unattributed(6, 700, 2), retractions=2, retracted=1200,
        customers=1, generation="", drafts={}, issued={}, cut_offs=(), notices=(),
    )  # fmt: skip
    console.print_overview(view)
    shown = printed.getvalue()
    [line] = [line for line in shown.splitlines() if "open: {" in line]
    assert line.isprintable()
    assert line.endswith("waiting: acme, bolt")
    named = line.split("open: ")[1].split("  waiting")[0].strip("{}")
    copied = f"conflicts:\n  - {{{named}, counts: {other}, {WHO}}}\n"
    [row] = parse_catalog(GOOD | {"decisions.yaml": copied.replace("\\U0000001b", "?")}).conflicts
    assert row.id == hostile.replace("\x1b", "?")
    assert f"counts now: {HASH}" in shown
    assert f"came too:   {other}" in shown
    for said in ("7 open, 1 decided, 0 waived", "quarantined as bad_json: 2", "more are in marts.conflicts"):
        assert said in shown
    assert "decisions.yaml:4: event 'q'" in shown
    assert "retracted events: 1,200, by 2 reviewed row(s)" in shown
    assert "events of nobody yet: 6, 700 bytes, of 2 unknown credential(s)" in shown


def test_the_documented_decision_and_waiver_are_valid_as_they_stand() -> None:
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    [example] = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if block.startswith("conflicts:")]
    first, second = parse_catalog(GOOD | {"decisions.yaml": example}).conflicts
    assert first.counts in text.split("came too:")[1]
    assert (first.waive, second.counts, second.waive) == (False, None, True)
