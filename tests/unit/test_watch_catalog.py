"""throttling.yaml, entitlements.yaml, monitoring.yaml: what limits or watches nobody is refused, by file and line."""

from __future__ import annotations

import re

import pytest

from orchestration.catalog.load import Watched, parse_catalog
from orchestration.errors import CatalogInvalid
from orchestration.monitoring.kinds import KINDS

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
    "meters.yaml": FILES["meters.yaml"] + "  - {key: more, name: M, event_type: request, aggregation: count}\n",
    "monitoring.yaml": """sensitivity: "0.5"
customers: {acme: "2"}
off: [new_client]
deprecated: ["/v1/items/{id}"]
holds: [credential_stuffing, more_share]
ratios: [{name: more_share, meter: more, per: calls}]
webhooks: [{name: desk, url_from: DESK_URL, kinds: [scraping]}]
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
    watching = catalog.watched.monitoring
    assert watching is not None and str(watching.customers["acme"]) == "2" and watching.ratios[0].least_percent == 20
    assert watching.kinds == {*(kind.name for kind in KINDS), "more_share"}
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
        ("monitoring.yaml", "[new_client]", "[new_clients]", r"monitoring.yaml:3: .*'new_clients' is no kind"),
        ("monitoring.yaml", "stuffing, more_share", "stuffing, more", r"monitoring.yaml:5: .*'more' is no kind"),
        ("monitoring.yaml", "kinds: [scraping]", "kinds: [scrapes]", r"monitoring.yaml:7: .*'scrapes' is no kind"),
        ("monitoring.yaml", "meter: more", "meter: mor", r"monitoring.yaml:6: .*'mor' is no meter that adds up"),
        ("monitoring.yaml", "per: calls", "per: size", r"monitoring.yaml:6: .*'size' is no meter that adds up"),
        ("monitoring.yaml", "{acme: ", "{acmee: ", r"monitoring.yaml:2: .*'acmee' is no customer"),
        ("monitoring.yaml", "off:", "ids: article\noff:", r"monitoring.yaml:3: .*'article' is no property"),
        ("monitoring.yaml", "name: more_share", "name: scraping", r"monitoring.yaml:6: .*'scraping' is written twice"),
        ("monitoring.yaml", "items/{id}", "items", r"monitoring.yaml:4: .*'/v1/items' is deprecated, and is no route"),
        ("entitlements.yaml", "[50, 90]", "[90, 50]", r"entitlements.yaml:3: .*ascending"),
    ],
)  # fmt: skip
def test_what_would_limit_or_watch_nobody_is_refused(file: str, old: str, new: str, said: str) -> None:
    assert old in FINE[file]
    with pytest.raises(CatalogInvalid) as raised:
        parse_catalog(FILES | FINE | {file: FINE[file].replace(old, new, 1)})
    assert any(re.search(said, str(problem)) for problem in raised.value.problems), raised.value.render()
