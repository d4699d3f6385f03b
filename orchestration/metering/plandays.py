"""Which plans each customer is on, by time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from orchestration.catalog import Catalog
from orchestration.zones import midnight_us

MAX_US = 2**62
PLAN_SPANS = {"customer": "VARCHAR", "from_us": "BIGINT", "to_us": "BIGINT", "plans": "VARCHAR[]"}


def plan_span_rows(catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Rows of `control.plan_spans`: disjoint times of a customer with at least one plan, by customer and time.

    Half-open, in microseconds UTC, from local midnight to local midnight; `plans` are sorted.
    """
    phases: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row in catalog.subscriptions:
        zone = catalog.customers[row.customer].zone
        end = MAX_US if row.end is None else midnight_us(zone, row.end)
        phases[row.customer].append((midnight_us(zone, row.start), end, row.plan))
    for customer in sorted(phases):
        cuts = sorted({cut for start, end, _ in phases[customer] for cut in (start, end)})
        for start, end in pairwise(cuts):
            plans = sorted({plan for since, until, plan in phases[customer] if since <= start and end <= until})
            if plans:
                yield {"customer": customer, "from_us": start, "to_us": end, "plans": plans}
