"""Which issued lines later retractions concern, as the audit finds it: of one event of key `k`, on 10 October."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.audit.pricing.lines import Key
from orchestration.audit.retracted import Retractions
from orchestration.catalog.models import Credential
from orchestration.zones import midnight_us

TENTH = midnight_us("UTC", date(2026, 10, 10))


def concerned(
    said: list[tuple[int, bool]],
    rows: int,
    *,
    start: str = "2026-10-01",
    carried: bool = False,
    event_type: str = "call",
    until: str | None = None,
) -> bool:
    """`said` are (row, whether it restores); the line from `start` to 1 November was issued when `rows` were known."""
    found = [("src", "e1", "gw", "k", event_type, TENTH, row, restore) for row, restore in said]
    con: Any = SimpleNamespace(execute=lambda _: SimpleNamespace(fetchall=lambda: found))
    holder = Credential.model_validate({"credential": "k", "customer": "ash", "source": "gw", "valid_to": until})
    catalog: Any = SimpleNamespace(
        retractions=SimpleNamespace(rows=said),
        credentials=(holder,),
        meters={"calls": SimpleNamespace(event_type="call", carried=carried)},
        customers={"ash": SimpleNamespace(customer="ash", zone="UTC")},
    )
    key = Key("s", "c", date.fromisoformat(start), date.fromisoformat(start), "")
    line = {"meter": "calls", "customer": "ash", "end": "2026-11-01"}
    return key in Retractions(con, catalog).concerned({key: (rows, line)})


def test_a_row_that_came_after_the_line_concerns_it_and_one_that_it_knew_does_not() -> None:
    assert concerned([(1, False)], rows=0)
    assert not concerned([(1, False)], rows=1)


def test_what_was_retracted_and_restored_since_is_as_it_was() -> None:
    assert not concerned([(1, False), (2, True)], rows=0)
    assert concerned([(1, False), (2, True)], rows=1)


def test_an_event_before_the_line_concerns_it_only_where_a_state_lasts() -> None:
    assert not concerned([(1, False)], rows=0, start="2026-10-11")
    assert concerned([(1, False)], rows=0, start="2026-10-11", carried=True)


@pytest.mark.parametrize("other", [{"event_type": "other"}, {"until": "2026-10-10T00:00:00Z"}])
def test_an_event_of_another_type_or_of_nobody_concerns_no_line(other: dict[str, str]) -> None:
    assert not concerned([(1, False)], 0, **other)  # type: ignore[arg-type]
