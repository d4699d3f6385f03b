"""throttling.yaml and entitlements.yaml: what would limit nobody is refused, with file and line."""

from __future__ import annotations

import re

import pytest

from orchestration.catalog.load import Watched, parse_catalog
from orchestration.errors import CatalogInvalid

FILES = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A}\n",
    "sources.yaml": "sources:\n  - {name: gw, path: '*.log', format: common}\n",
    "meters.yaml": """meters:
  - {key: calls, name: C, event_type: request, aggregation: count}
  - {key: size, name: S, event_type: request, aggregation: latest, value: bytes}
""",
    "routes.yaml": 'routes:\n  - patterns: ["GET /v1/items/{id}"]\n',
    "plans/pro.yaml": """key: pro
name: Pro
currency: EUR
versions:
  - {effective: 2026-01-01, charges: [{key: fee, name: Fee, model: flat, amount: "5.00"}]}
""",
    "customers.csv": "customer,name,address,country,zone,entity\nacme,Acme,A,DE,Europe/Berlin,seller\n",
    "credentials.csv": "credential,customer\nk,acme\n",
    "subscriptions.csv": "subscription,customer,plan,start,end,stacking\ns1,acme,pro,2026-01-01,,\n",
}
FINE = {
    "throttling.yaml": """throttling:
  - {key: burst, kind: token_bucket, limit: 10, window: 1s, burst: 20, plans: [pro]}
  - {key: items, kind: sliding_window, limit: 10, window: 1m, per: credential, endpoints: ["/v1/items/{id}"]}
  - {key: workers, kind: concurrency, limit: 4, credentials: [k]}
""",
    "entitlements.yaml": """entitlements:
  - {plan: pro, meter: calls, limit: "1000"}
  - {plan: pro, meter: calls, limit: "100", per: day, kind: hard, alerts: [50, 90]}
""",
}


def test_policies_and_entitlements_are_read_with_their_defaults() -> None:
    catalog = parse_catalog(FILES | FINE)
    assert [(row.key, row.per, row.burst) for row in catalog.watched.throttles] == [
        ("burst", "customer", 20),
        ("items", "credential", None),
        ("workers", "customer", None),
    ]
    assert [(str(row.limit), row.per, row.kind, row.alerts) for row in catalog.watched.entitlements] == [
        ("1000", "period", "soft", (80, 100)),
        ("100", "day", "hard", (50, 90)),
    ]
    assert parse_catalog(FILES).watched == Watched()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("throttling.yaml", "plans: [pro]", "plans: [por]", r"throttling.yaml:2: .*plan 'por'"),
        ("throttling.yaml", "/v1/items/{id}", "/v1/items", r"throttling.yaml:3: .*endpoint '/v1/items'"),
        ("throttling.yaml", "credentials: [k]", "credentials: [kk]", r"throttling.yaml:4: .*credential 'kk'"),
        ("throttling.yaml", "key: items", "key: burst", r"throttling.yaml:3: .*'burst' is written twice"),
        ("throttling.yaml", "limit: 4,", "limit: 4, window: 1s,", r"throttling.yaml:4: .*window goes with every kind"),
        ("throttling.yaml", "window: 1m, ", "", r"throttling.yaml:3: .*window goes with every kind"),
        ("throttling.yaml", "limit: 4,", "limit: 4, burst: 5,", r"throttling.yaml:4: .*only a token_bucket"),
        ("throttling.yaml", "limit: 4,", "limit: 0,", r"throttling.yaml:4: limit"),
        ("entitlements.yaml", "{plan: pro, meter: calls, limit", "{plan: por, meter: calls, limit", "2: .*'por'"),
        ("entitlements.yaml", "limit: \"1000\"", "limit: 1000", r"entitlements.yaml:2: .*quoted"),
        ("entitlements.yaml", "meter: calls, limit: \"1000\"", "meter: cals, limit: \"1000\"", "2: .*no such meter"),
        ("entitlements.yaml", "meter: calls, limit: \"1000\"", "meter: size, limit: \"1000\"", "2: .*not 'latest'"),
        ("entitlements.yaml", ", per: day, kind: hard", "", r"entitlements.yaml:3: .*written twice"),
        ("entitlements.yaml", "[50, 90]", "[90, 50]", r"entitlements.yaml:3: .*ascending"),
    ],
)  # fmt: skip
def test_what_would_limit_nobody_is_refused(file: str, old: str, new: str, said: str) -> None:
    assert old in FINE[file]
    with pytest.raises(CatalogInvalid) as raised:
        parse_catalog(FILES | FINE | {file: FINE[file].replace(old, new, 1)})
    assert any(re.search(said, str(problem)) for problem in raised.value.problems), raised.value.render()
