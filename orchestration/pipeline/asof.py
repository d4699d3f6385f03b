"""Closed periods as they were billed and as they are known now, from the published generation."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from orchestration.engine import connect
from orchestration.errors import ConfigInvalid
from orchestration.pipeline.close import parse_cut_off
from orchestration.pipeline.instance import Instance


class Step(NamedTuple):
    """A row of `marts.period_revisions`: the part of a document, or a difference that is on none. Money is in
    `currency`, days are local and half-open."""

    customer: str
    subscription: str
    charge: str
    period_start: date
    period_end: date
    currency: str
    status: str
    document: str
    cut_off: date | None
    corrects: str
    cause: str
    amount: Decimal
    running: Decimal


def revisions(instance: Instance, month: str, customer: str | None = None) -> list[Step]:
    """The steps of every closed period that has a day in a month (`2026-10`), period by period, in their order.

    Raises ConfigInvalid for another form, and for an instance that has published nothing.
    """
    path = instance.published_db()
    if path is None or not re.fullmatch("[0-9]{4}-[0-9]{2}", month):
        raise ConfigInvalid(
            f"'{month}' is no month (2026-10)" if path is not None else "nothing has been published yet",
            not_done="nothing was shown",
            next_step="run `tallystick asof 2026-10`" if path is not None else "run `tallystick run` first",
        )
    end = parse_cut_off(month)
    first = (end - timedelta(days=1)).replace(day=1)
    with connect(path, temp=instance.scratch, read_only=True) as con:
        rows = con.execute(
            f"SELECT {', '.join(Step._fields)} FROM marts.period_revisions "
            "WHERE period_start < $1 AND period_end > $2 AND customer = coalesce($3, customer) "
            "ORDER BY customer, subscription, period_start, charge, currency, step",
            [end, first, customer],
        ).fetchall()
    return [Step(*row) for row in rows]
