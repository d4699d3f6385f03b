"""Edits of the catalog after a close: what would bill a closed month at other prices is refused, the rest is a fact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.catalog import Catalog, load_catalog, parse_catalog
from orchestration.catalog.moves import entity_on, row_on
from orchestration.closing.edits import refuse_edits
from orchestration.closing.rated import Quantity, rate_all
from orchestration.errors import PeriodClosed
from orchestration.metering.control import charged_segments
from orchestration.settings import parse_instant
from orchestration.zones import zone_on

NOW = parse_instant("2026-11-25T09:00:00Z", "test")
CUT_OFF = date(2026, 11, 1)
AURORA = "aurora-analytics,growth,2026-10-01"
UMBRA = "umbra-studio,growth,2026-10-01,2026-11-16,\nsub-umbra,umbra-studio,growth,2026-11-16,,"
USAGE = {
    "sub-delta/requests/2026-10-01": [Quantity(date(2026, 10, 7), Decimal(6000))],
    "sub-aurora/requests/2026-10-01": [Quantity(date(2026, 10, 7), Decimal(100))],
}


@pytest.fixture(scope="module")
def billed() -> Catalog:
    return load_catalog(Path(__file__).resolve().parents[2] / "data" / "catalog")


def edited(catalog: Catalog, edits: Mapping[str, tuple[str, str]]) -> Catalog:
    texts = dict(catalog.files)
    for name, (old, new) in edits.items():
        assert old in texts[name]
        texts[name] = texts[name].replace(old, new, 1)
    return parse_catalog(texts)


def check(billed: Catalog, now: Catalog) -> None:
    issued = [
        line.key
        for line in rate_all(billed, charged_segments(billed, NOW), USAGE)
        if (line.period_end if line.due == "arrears" else line.start) <= CUT_OFF
    ]
    lines = list(rate_all(now, charged_segments(now, NOW), USAGE))
    refuse_edits(billed, now, USAGE, lines, issued, CUT_OFF, NOW)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("plans/starter.yaml", '"19.00"', '"29.00"', "cost USD 19.00, and now USD 29.00|price_edited"),
        ("plans/starter.yaml", '{price: "0.0015"}', '{price: "0.0016"}', "sub-delta, charge 'requests'.*price_edited"),
        ("plans/scale.yaml", "{of: count, window: 1h}", "{of: count, window: 1d}", "charge 'capacity'.*measure_edited"),
        ("subscriptions.csv", "sub-vela,vela-studio,growth,2026-10-01,,\n", "", "line_gone"),
        ("subscriptions.csv", "growth,2026-10-01,2026-10-21", "growth,2026-10-01,2026-10-20", "end_moved"),
        ("subscriptions.csv", AURORA + ",,", AURORA + ",2026-10-31,", "end_moved"),
        ("meters.yaml", "value: 429", "value: 430", "meter 'requests' counts otherwise"),
        ("customers.csv", "DE000000001,Europe/Berlin", "DE000000001,Asia/Tokyo", "zone_edited"),
        ("customers.csv", "Europe/Berlin,tidestone-eu", "Europe/Berlin,tidestone-us", "entity_edited"),
    ],
)  # fmt: skip
def test_an_edit_that_would_bill_a_closed_month_again_is_refused(
    billed: Catalog, name: str, old: str, new: str, said: str
) -> None:
    with pytest.raises(PeriodClosed, match=f"(?s){said}") as refusal:
        check(billed, edited(billed, {name: (old, new)}))
    assert refusal.value.exit_code == 7


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("subscriptions.csv", "growth,2026-10-01,,\nsub-birchwood", "growth,2026-10-01,2026-11-20,\nsub-birchwood"),
        ("subscriptions.csv", "umbra-studio,growth,2026-10-01,,", UMBRA),
        ("customers.csv", "Aurora Analytics GmbH", "Aurora Analytics SE"),
        ("meters.yaml", "name: API requests", "name: Requests served"),
        ("credentials.csv", "ak_aurora_1,", "ak_aurora_9,aurora-analytics,,,\nak_aurora_1,"),
        ("plans/nippon.yaml", 'price: "0.25"', 'price: "0.30"'),
    ],
    ids=["end", "phase", "name", "name of a meter", "credential", "price of what nobody used"],
)  # fmt: skip
def test_an_edit_that_changes_no_closed_amount_is_an_ordinary_fact(
    billed: Catalog, name: str, old: str, new: str
) -> None:
    check(billed, edited(billed, {name: (old, new)}))


def test_a_version_from_the_cut_off_on_is_an_ordinary_fact(billed: Catalog) -> None:
    starter = billed.files["plans/starter.yaml"]
    block = starter[starter.index("  - effective") :]
    added = block.replace("2026-10-01", "2026-11-01").replace('"19.00"', '"25.00"').replace('"0.0015"', '"0.0011"')
    check(billed, parse_catalog({**billed.files, "plans/starter.yaml": starter + added}))


def test_an_edit_that_divides_billed_usage_otherwise_is_refused_although_it_costs_the_same(billed: Catalog) -> None:
    """What was one line would be lines by value: given back, and billed again under other keys."""
    whole = edited(billed, {"meters.yaml": ("  - key: requests\n", "  - key: requests\n    dimensions: [method]\n")})
    divided = edited(
        whole, {"plans/starter.yaml": ("meter: requests\n", "meter: requests\n        line_per: method\n")}
    )
    for was, now in ((whole, divided), (divided, whole)):
        with pytest.raises(PeriodClosed, match=r"(?s)sub-delta, charge 'requests'.*measure_edited") as refusal:
            check(was, now)
        assert refusal.value.exit_code == 7
    check(divided, divided)


def moved(catalog: Catalog, day: str, zone: str, entity: str) -> Catalog:
    """Aurora has a second row, from a day on."""
    head, *rows = catalog.files["customers.csv"].splitlines()
    lines = [
        f"{head},valid_from",
        *(f"{row}," for row in rows),
        f"aurora-analytics,A,There,DE,,{zone},{entity},30,{day}",
    ]
    return parse_catalog({**catalog.files, "customers.csv": "\n".join(lines) + "\n"})


@pytest.mark.parametrize(
    ("day", "zone", "entity", "said"),
    [
        ("2026-09-15", "Asia/Tokyo", "tidestone-eu", "zone_edited"),
        ("2026-09-15", "Europe/Berlin", "tidestone-us", "entity_edited"),
        ("2026-10-01", "Asia/Tokyo", "tidestone-eu", "zone_edited"),
    ],
)
def test_a_move_before_the_last_close_is_refused(billed: Catalog, day: str, zone: str, entity: str, said: str) -> None:
    with pytest.raises(PeriodClosed, match=said):
        check(billed, moved(billed, day, zone, entity))


@pytest.mark.parametrize(("zone", "entity"), [("Asia/Tokyo", "tidestone-eu"), ("Europe/Berlin", "tidestone-us")])
def test_a_move_takes_effect_with_the_next_period_and_is_an_ordinary_fact(
    billed: Catalog, zone: str, entity: str
) -> None:
    now = moved(billed, "2026-10-15", zone, entity)
    check(billed, now)
    history = now.histories["aurora-analytics"]
    assert [row_on(history, date(2026, 10, day)).address for day in (14, 15)] == [history[0].row.address, "There"]
    before, after = date(2026, 10, 31), date(2026, 11, 1)
    assert [entity_on(history, day) for day in (before, after)] == ["tidestone-eu", entity]
    assert [zone_on(now.customers["aurora-analytics"].zone, day) for day in (before, after)] == ["Europe/Berlin", zone]
