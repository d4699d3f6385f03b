"""The kinds of incident: which series of a customer shows each, on which side, and how large it must be to matter."""

from __future__ import annotations

from typing import NamedTuple

from orchestration.monitoring.baseline import COUNT, PRICE, RATIO, Unit


class Kind(NamedTuple):
    """One kind. `series` is what is watched, divided by `per` if given (unknown where that is below `least_per`).

    `side` is +1 for too much, -1 for too little, 0 for both. `least` is the smallest difference from the centre that
    matters, for counts and shares; `factor` is how many times the centre it has to be besides. `need` of the last
    `within` hours have to be that large, and their residuals count together.
    """

    name: str
    series: str
    unit: Unit
    side: int
    least: float
    per: str = ""
    least_per: float = 1.0
    factor: float = 1.0
    need: int = 1
    within: int = 1


TRAFFIC_SPIKE = "traffic_spike"
DROP_TO_ZERO = "drop_to_zero"
OFF_HOURS = "off_hours"

KINDS = (
    Kind(TRAFFIC_SPIKE, "requests", COUNT, 1, 50, factor=2),
    Kind(DROP_TO_ZERO, "requests", COUNT, -1, 15, need=2, within=2),
    Kind(OFF_HOURS, "requests", COUNT, 1, 20),
    Kind("credential_stuffing", "denied", COUNT, 1, 20),
    Kind("scraping", "distinct_ids", COUNT, 1, 50, factor=2),
    Kind("retry_storm", "retries", COUNT, 1, 30),
    Kind("quota_exhaustion", "refused", COUNT, 1, 15),
    Kind("endpoint_probing", "unknown_paths", COUNT, 1, 15),
    Kind("new_country", "new_country_requests", COUNT, 1, 10),
    Kind("new_client", "new_client_requests", COUNT, 1, 10),
    Kind("price_shock", "unit_price", PRICE, 0, 0, factor=1.2),
)


def ratio(name: str, series: str, per: str, least: float = 0.2, least_per: float = 10) -> Kind:
    """A configured ratio, too high: orders cancelled for orders placed, and the like. Few `per` say nothing."""
    return Kind(name, series, RATIO, 1, least, per, least_per, need=2, within=3)


ORDER_CANCEL = ratio("order_cancel_ratio", "cancels", "orders")
