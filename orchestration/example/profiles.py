"""Who sends what in the example: the customers of `data/catalog`, their zones, keys and volumes.

The figures stand here a second time on purpose: what the generator expects must not depend on how the catalog is read.
Volumes are lines over the whole window at a scale of 100 percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

# From the first hour of October at UTC+14 to the last one at UTC-11, and some hours around them.
WINDOW_START = datetime(2026, 9, 30, 8, tzinfo=UTC)
WINDOW_END = datetime(2026, 11, 1, 14, tzinfo=UTC)
MONTH_START = date(2026, 10, 1)
MONTH_END = date(2026, 11, 1)

# From this instant on the key belongs to another customer.
MOVED_KEY = "ak_vela_2"
MOVED_AT = datetime(2026, 10, 14, 12, tzinfo=UTC)
MOVED_FROM = "vela-studio"
MOVED_TO = "umbra-studio"


@dataclass(frozen=True, slots=True)
class Profile:
    """One customer's habits. `first` and `until` are local days, half-open; None means the whole window.

    `users` is how many people the customer's end users are drawn from, `stored_mb` the storage at the beginning.
    """

    customer: str
    zone: str
    eu: int = 0
    us: int = 0
    partner: int = 0
    llm: int = 0
    sessions: int = 0
    users: int = 0
    stored_mb: int = 0
    keys: int = 1
    partner_key: str = ""
    first: date | None = None
    until: date | None = None

    @property
    def short(self) -> str:
        """First part of the customer's key, from which its credentials are named."""
        return self.customer.split("-")[0]

    @property
    def account(self) -> str:
        """Credential of the sources that know accounts and not keys."""
        return f"acct-{self.short}"


PROFILES: tuple[Profile, ...] = (
    Profile(
        "aurora-analytics", "Europe/Berlin", eu=30_000, llm=5_000, sessions=9_000, users=900, stored_mb=412_000, keys=2
    ),
    Profile("birchwood-media", "UTC", eu=9_000, us=2_500, llm=200, sessions=10_000, users=2_500, stored_mb=1_850_000),
    Profile("cobalt-robotics", "America/New_York", us=40_000, llm=7_000, sessions=300, users=50, keys=3),
    Profile("delta-freight", "America/New_York", us=3_000),
    Profile("ember-games", "America/Los_Angeles", us=16_000, llm=3_000, keys=2),
    Profile("fjord-mapping", "Europe/Oslo", eu=6_000, llm=600, sessions=1_500, users=120, stored_mb=2_900_000),
    Profile("ganges-pay", "Asia/Kolkata", eu=4_000, users=300),
    Profile("himal-trek", "Asia/Kathmandu", eu=2_500, users=80),
    Profile("islet-weather", "Australia/Lord_Howe", us=900),
    Profile("jetty-logistics", "Pacific/Kiritimati", us=600),
    Profile("kava-market", "Pacific/Niue", us=300),
    Profile(
        "lumiar-saude", "America/Sao_Paulo", eu=2_500, us=4_000, partner=600, llm=1_500, users=200, partner_key="P-1002"
    ),
    Profile("mikan-travel", "Asia/Tokyo", eu=12_000, llm=2_500, users=700),
    Profile("nagare-news", "Asia/Tokyo"),
    Profile("oasis-retail", "Asia/Kuwait", eu=3_500, users=150),
    Profile("pearl-shipping", "Asia/Dubai", eu=800),
    Profile("quarry-insurance", "Europe/London", eu=14_000, llm=1_500, sessions=4_000, users=400, stored_mb=96_500),
    Profile("redwood-labs", "America/Chicago", us=6_000, llm=2_000),
    Profile("saffron-foods", "Asia/Kolkata", eu=1_200, users=40, first=date(2026, 10, 12)),
    # Its subscription ends two days before its last request: usage that nobody is charged for.
    Profile(
        "tundra-energy",
        "Europe/Helsinki",
        eu=5_000,
        llm=300,
        sessions=900,
        users=150,
        stored_mb=54_000,
        until=date(2026, 10, 23),
    ),
    Profile("umbra-studio", "Europe/Paris", eu=3_000, llm=200, sessions=500, users=60, stored_mb=7_250),
    Profile("vela-studio", "Europe/Paris", eu=7_000, llm=400, sessions=2_000, users=200, stored_mb=31_000),
    Profile("willow-health", "America/New_York"),
    Profile("xenon-search", "UTC", partner=9_000, llm=1_000, partner_key="P-1001"),
)

# Keys that no customer has: one that was withdrawn, and none at all.
RETIRED_KEY = "ak_retired_9"
NO_KEY = "-"
