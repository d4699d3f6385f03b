"""Edits of the catalog that change closed periods: refused with the row to write, let through once it is written."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.catalog import Catalog, load_catalog, parse_catalog
from orchestration.closing.declared import declared_rows
from orchestration.closing.edits import refuse_edits
from orchestration.closing.rated import Quantity, rate_all
from orchestration.errors import PeriodClosed
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant

NOW = parse_instant("2026-11-25T09:00:00Z", "test")
CUT_OFF = date(2026, 11, 1)
STARTER = "plans/starter.yaml"
USAGE = {"sub-delta/requests/2026-10-01": [Quantity(date(2026, 10, 7), Decimal(6000))]}


@pytest.fixture(scope="module")
def billed() -> Catalog:
    return load_catalog(Path(__file__).resolve().parents[2] / "data" / "catalog")


def edited(catalog: Catalog, *edits: tuple[str, str, str], declares: tuple[str, ...] = ()) -> Catalog:
    """A catalog with texts replaced, and with rows that declare the edits of files."""
    texts = dict(catalog.files)
    for name, old, new in edits:
        assert old in texts[name]
        texts[name] = texts[name].replace(old, new, 1)
    rows = "".join(
        f"  - {{file: {name}, sha256: {hashlib.sha256(texts[name].encode()).hexdigest()}, reason: r, by: ana, "
        "approved_by: ben, on: 2026-11-20}\n"
        for name in declares
    )
    return parse_catalog(texts | ({"corrections.yaml": f"corrections:\n{rows}"} if rows else {}))


def check(was: Catalog, now: Catalog) -> None:
    issued = [
        line.key
        for line in rate_all(was, charged_segments(was, NOW), USAGE)
        if (line.period_end if line.due == "arrears" else line.start) <= CUT_OFF
    ]
    refuse_edits(was, now, USAGE, list(rate_all(now, charged_segments(now, NOW), USAGE)), issued, CUT_OFF, NOW)


CHEAPER = (STARTER, '{price: "0.0015"}', '{price: "0.0010"}')
DEARER = (STARTER, '"19.00"', '"29.00"')


def test_F46_a_price_that_is_dated_back_is_refused_with_a_preview_and_the_row_to_write(billed: Catalog) -> None:
    now = edited(billed, CHEAPER)
    with pytest.raises(PeriodClosed) as caught:
        check(billed, now)
    shown = caught.value.render()
    digest = hashlib.sha256(now.files[STARTER].encode()).hexdigest()
    assert caught.value.exit_code == 7
    assert "sub-delta, charge 'requests', from 2026-10-01: its usage cost 9.50 USD, and now 9.00 USD" in shown
    # Of 6,000 requests 1,000 lie above 5,000, and cost 0.0005 less.
    assert "'delta-freight': a credit note of -0.50 USD, before tax" in shown
    assert f"- {{file: {STARTER}, sha256: {digest}, reason: WHY, by: WHO, approved_by: ANOTHER, on: WHEN}}" in shown


@pytest.mark.parametrize(
    "edit",
    [
        CHEAPER,
        DEARER,
        ("plans/scale.yaml", "{of: count, window: 1h}", "{of: count, window: 1d}"),
        ("subscriptions.csv", "sub-vela,vela-studio,growth,2026-10-01,,\n", ""),
        ("subscriptions.csv", "growth,2026-10-01,2026-10-21", "growth,2026-10-01,2026-10-20"),
        ("meters.yaml", "value: 429", "value: 430"),
        ("customers.csv", "DE000000001,Europe/Berlin", "DE000000001,Asia/Tokyo"),
    ],
    ids=lambda edit: f"{edit[0]} {edit[2]}",
)
def test_F47_an_edit_passes_when_a_row_names_the_file_as_it_is_now_and_only_then(
    billed: Catalog, edit: tuple[str, str, str]
) -> None:
    declared = edited(billed, edit, declares=(edit[0],))
    check(billed, declared)
    assert [row.file for row in declared_rows(declared)] == [edit[0]]
    further = parse_catalog({**declared.files, edit[0]: declared.files[edit[0]].rstrip("\n") + "\n\n"})
    assert declared_rows(further) == []
    with pytest.raises(PeriodClosed):
        check(billed, further)


def test_a_declared_edit_lets_no_other_through(billed: Catalog) -> None:
    """Of two files that were edited, the row for the one says nothing of the other; nor of a second edit of its own."""
    growth = ("plans/growth.yaml", '"99.00"', '"109.00"')
    both = edited(billed, CHEAPER, growth, declares=(STARTER,))
    with pytest.raises(PeriodClosed) as caught:
        check(billed, both)
    assert "growth.yaml" in caught.value.next_step and STARTER not in caught.value.next_step
    assert "sub-delta" not in caught.value.message
    check(billed, edited(billed, CHEAPER, growth, declares=(STARTER, "plans/growth.yaml")))


def test_an_ordinary_edit_beside_a_declared_one_needs_no_row(billed: Catalog) -> None:
    new = ("subscriptions.csv", "sub-vela,", "sub-more,delta-freight,audit-trail,2026-11-15,,true\nsub-vela,")
    check(billed, edited(billed, CHEAPER, new, declares=(STARTER,)))


def test_once_a_close_was_made_under_it_an_edit_needs_no_row_any_more(billed: Catalog) -> None:
    declared = edited(billed, CHEAPER, declares=(STARTER,))
    check(declared, edited(declared, ("customers.csv", "Aurora Analytics GmbH", "Aurora Analytics SE")))
    with pytest.raises(PeriodClosed):
        check(declared, edited(declared, (STARTER, '{price: "0.0010"}', '{price: "0.0015"}')))


def test_a_retraction_that_is_gone_is_no_correction_to_declare(billed: Catalog) -> None:
    row = "retractions:\n  - {source: s, id: a, reason: r, by: ana, on: 2026-11-02}\n"
    was = parse_catalog({**billed.files, "retractions.yaml": row})
    now = edited(billed, ("meters.yaml", "name: API requests", "name: Requests"), declares=("meters.yaml",))
    with pytest.raises(PeriodClosed, match="retraction_edited"):
        check(was, now)
