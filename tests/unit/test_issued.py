"""What was issued must stay explicable by the catalog: else a difference would be a guess, or a crash for everyone."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from orchestration.billing.documents import Issued, due_lines, grouped, issued_lines
from orchestration.billing.rating import LineKey
from orchestration.catalog import load_catalog
from orchestration.closing.edits import refuse_lost
from orchestration.closing.numbering import numbered
from orchestration.closing.rated import rate_all
from orchestration.errors import PeriodClosed
from orchestration.metering.control import charged_segments

CATALOG = Path(__file__).parents[2] / "data" / "catalog"
NOW_US = 1_793_869_200_000_000  # 2026-11-05


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CATALOG, tmp_path / "catalog"))


@pytest.fixture
def issued(folder: Path) -> dict[LineKey, Issued]:
    """October closed, without usage."""
    catalog = load_catalog(folder)
    lines = rate_all(catalog, charged_segments(catalog, NOW_US), {})
    cut_off = date(2026, 11, 1)
    groups = grouped(due_lines(lines, {}, cut_off), catalog.seller)
    documents, _ = numbered(catalog, groups, cut_off, NOW_US, 1, lambda _: 0)
    return issued_lines(documents)


def without(path: Path, word: str) -> None:
    path.write_text("".join(row for row in path.read_text().splitlines(keepends=True) if word not in row))


def test_a_catalog_that_knows_all_that_was_issued_passes(folder: Path, issued: dict[LineKey, Issued]) -> None:
    refuse_lost(load_catalog(folder), issued)


def test_an_ended_subscription_is_no_contradiction(folder: Path, issued: dict[LineKey, Issued]) -> None:
    without(folder / "subscriptions.csv", "vela-studio")
    refuse_lost(load_catalog(folder), issued)


def test_a_customer_with_documents_cannot_vanish(folder: Path, issued: dict[LineKey, Issued]) -> None:
    for name in ("customers.csv", "credentials.csv", "subscriptions.csv"):
        without(folder / name, "vela-studio")
    with pytest.raises(PeriodClosed, match=r"'vela-studio' is gone from the catalog, but TSE-2026-\d+ was issued"):
        refuse_lost(load_catalog(folder), issued)


def test_an_issued_period_cannot_change_its_currency(folder: Path, issued: dict[LineKey, Issued]) -> None:
    plan = folder / "plans" / "gulf.yaml"
    plan.write_text(plan.read_text().replace("currency: KWD", "currency: BHD"))
    with pytest.raises(PeriodClosed, match=r"'sub-oasis' is now in BHD, TSE-2026-\d+ bills it in KWD"):
        refuse_lost(load_catalog(folder), issued)
