"""Reading the catalog: every file, every problem in one go, one hash over all of it.

Layout of a catalog folder:
  instance.yaml  sources.yaml  meters.yaml  routes.yaml  plans/*.yaml  customers.csv  credentials.csv  subscriptions.csv
  throttling.yaml  entitlements.yaml  monitoring.yaml (may be absent)
  overrides.yaml  coupons.yaml  credits.yaml  adjustments.yaml  refunds.yaml  releases.yaml  taxes.yaml (what customers
  agreed, and what was decided of their documents; may be absent)
  decisions.yaml, retractions.yaml, retractions/*.jsonl, corrections.yaml, voids.yaml, withheld.yaml, erasures.yaml
  (reviewed decisions; may be absent), and the OpenAPI documents that routes.yaml names
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog.check import cross_check
from orchestration.catalog.decisions import ConflictDecision, check_decisions
from orchestration.catalog.entitlements import FILE as ENTITLEMENTS
from orchestration.catalog.entitlements import KEY as ENTITLED
from orchestration.catalog.entitlements import Entitlement, check_entitlements
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Credential, Customer, Settings, Subscription
from orchestration.catalog.monitoring import FILE as MONITORING
from orchestration.catalog.monitoring import Monitoring, check_monitoring
from orchestration.catalog.moves import Since, as_known, entity_on, histories, row_on
from orchestration.catalog.openapi import MAX_BYTES
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.catalog.pricecheck import price_check
from orchestration.catalog.reading import Reader
from orchestration.catalog.retractions import FILE as RETRACTIONS
from orchestration.catalog.retractions import FOLDER, KEY, Retraction, Retractions, check_retractions
from orchestration.catalog.reviews import (
    Declared,
    Erase,
    Reviewed,
    Reviews,
    Void,
    Withheld,
    check_approvals,
    check_erasures,
    check_voids,
)
from orchestration.catalog.routes import RouteSet, build_routes, check_endpoints, openapi_files
from orchestration.catalog.sources import Source
from orchestration.catalog.templates import Routes
from orchestration.catalog.termcheck import Terms
from orchestration.catalog.terms import Adjustment, Coupon, Grant, Override, Refund, Release, Taxes
from orchestration.catalog.throttles import FILE as THROTTLING
from orchestration.catalog.throttles import KEY as THROTTLES
from orchestration.catalog.throttles import Throttle, check_throttles
from orchestration.errors import CatalogInvalid, Problem

TERMS = ("overrides", "coupons", "credits", "adjustments", "refunds", "releases", "taxes")
REVIEWS = ("corrections", "voids", "withheld", "erasures")
_REVIEWED = ("decisions.yaml", RETRACTIONS, *(f"{name}.yaml" for name in (*TERMS, *REVIEWS)))
_OPTIONAL = ("routes.yaml", THROTTLING, ENTITLEMENTS, MONITORING, *_REVIEWED)
YAML_FILES = ("instance.yaml", "sources.yaml", "meters.yaml", *_OPTIONAL)
CSV_FILES = ("customers.csv", "credentials.csv", "subscriptions.csv")


@dataclass(frozen=True, slots=True)
class Watched:
    """What usage is watched by: limits of requests and of quantities, kinds of incident. No amount depends on it."""

    throttles: tuple[Throttle, ...] = ()
    entitlements: tuple[Entitlement, ...] = ()
    monitoring: Monitoring | None = None


@dataclass(frozen=True)
class Catalog:
    """A valid catalog. `digest` is the hex SHA-256 over all of its files, `files` their text by relative name.

    `customers` are as known now, with the history of zones as their zone; `histories` have all of their rows.
    """

    settings: Settings
    sources: tuple[Source, ...]
    meters: dict[str, Meter]
    routes: Routes
    plans: dict[str, Plan]
    customers: dict[str, Customer]
    histories: dict[str, tuple[Since, ...]]
    credentials: tuple[Credential, ...]
    subscriptions: tuple[Subscription, ...]
    overrides: tuple[Override, ...]
    coupons: tuple[Coupon, ...]
    grants: tuple[Grant, ...]
    adjustments: tuple[Adjustment, ...]
    refunds: tuple[Refund, ...]
    releases: tuple[Release, ...]
    taxes: Taxes | None
    reviews: Reviews
    conflicts: tuple[ConflictDecision, ...]
    retractions: Retractions
    files: Mapping[str, str]
    digest: str
    watched: Watched = Watched()

    def seller(self, customer: str, day: date) -> str:
        """The entity that sells to a customer in the period that begins on a day."""
        return entity_on(self.histories[customer], day)

    def customer_on(self, customer: str, day: date) -> Customer:
        """Who a customer is on a day: name, address, country, terms, and the plain zone."""
        return row_on(self.histories[customer], day)

    def archive(self) -> bytes:
        """The whole catalog as one blob, from which `from_archive` makes it again."""
        return zlib.compress(canonical_bytes(dict(self.files)), 9)


def from_archive(blob: bytes) -> Catalog:
    """The catalog that `Catalog.archive` wrote."""
    return parse_catalog(json.loads(zlib.decompress(blob)))


def load_catalog(folder: Path, *, unlisted: Collection[str] = ()) -> Catalog:
    """Read and check the catalog below `folder`. Raises CatalogInvalid with all problems, each with file and line.

    Retractions of the names in `unlisted` may still lack the list of their events.
    """
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    several = [*sorted((folder / "plans").glob("*.yaml")), *sorted((folder / FOLDER).glob("*.jsonl"))]
    wanted = [*(folder / name for name in (*YAML_FILES, *CSV_FILES)), *several]
    for path in wanted:
        name = path.relative_to(folder).as_posix()
        try:
            texts[name] = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            if name not in _OPTIONAL:
                problems.append(Problem("missing_file", "the catalog needs this file", str(path)))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem("unreadable", str(error), str(path)))
    for name in openapi_files(texts.get("routes.yaml", "")):
        try:
            with (folder / name).open("rb") as handle:
                data = handle.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                problems.append(Problem("too_large", f"larger than {MAX_BYTES >> 20} MiB", str(folder / name)))
            texts[name] = data.decode("utf-8-sig")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem("unreadable", str(error), str(folder / name)))
    if problems:
        raise CatalogInvalid(problems)
    return parse_catalog(texts, f"{folder.as_posix()}/", unlisted)


def parse_catalog(texts: Mapping[str, str], prefix: str = "", unlisted: Collection[str] = ()) -> Catalog:
    """The catalog written in `texts` (relative name -> text). Raises CatalogInvalid with all problems."""
    reader = Reader(prefix)
    settings, plans = reader.one(Settings, "instance.yaml", texts), reader.each(Plan, "plans/", texts)
    sources = reader.listed(Source, "sources.yaml", "sources", texts)
    meters = reader.listed(Meter, "meters.yaml", "meters", texts)
    customers = reader.table(Customer, "customers.csv", texts)
    credentials = reader.table(Credential, "credentials.csv", texts)
    subscriptions = reader.table(Subscription, "subscriptions.csv", texts)
    overrides, terms = reader.listed(Override, "overrides.yaml", "overrides", texts), _terms(reader, texts)
    (routes, wrong), watched = _routes(reader, texts, sources), _watched(reader, texts)
    decisions, reviews = reader.listed(ConflictDecision, "decisions.yaml", "conflicts", texts), _reviews(reader, texts)
    retracted, (retractions, unkept) = _retracted(reader, texts, unlisted)
    problems = [*reader.problems, *wrong, *check_decisions(decisions, reader.places), *unkept]
    if settings is not None:
        known = (sources, meters, plans, customers, credentials)
        problems += cross_check(settings, *known, subscriptions, reader.places, terms)
        problems += _review_problems(reviews, (*decisions, *retracted), terms, settings, reader.places)
        problems += _watch_problems(watched, *known, reader.places)
        problems += price_check(plans, customers, subscriptions, overrides, reader.places)
        if not wrong and not any(p.where.startswith(f"{prefix}routes.yaml") for p in problems):
            problems += check_endpoints(meters, watched.throttles, watched.monitoring, sources, routes, reader.places)
        problems = [p for p in problems if not reader.follows_from_broken(p)]
    if problems or settings is None:
        raise CatalogInvalid(sorted(set(problems), key=lambda p: (p.where.rsplit(":", 1)[0], _line(p), p.message)))
    moves = histories(customers, subscriptions, {p.key: p for p in plans})
    return Catalog(
        settings=settings,
        sources=tuple(sources),
        meters={m.key: m for m in meters},
        routes=routes,
        plans={p.key: p for p in plans},
        customers={key: as_known(history) for key, history in moves.items()},
        histories=moves,
        credentials=tuple(credentials),
        subscriptions=tuple(subscriptions),
        overrides=tuple(overrides),
        coupons=tuple(terms.coupons),
        grants=tuple(terms.grants),
        adjustments=tuple(terms.adjustments),
        refunds=tuple(terms.refunds),
        releases=tuple(terms.releases),
        taxes=terms.taxes,
        watched=watched,
        reviews=reviews,
        conflicts=tuple(decisions),
        retractions=retractions,
        files=dict(sorted(texts.items())),
        digest=sha256_hex(canonical_bytes(dict(texts))),
    )


def _routes(reader: Reader, texts: Mapping[str, str], sources: Sequence[Source]) -> tuple[Routes, list[Problem]]:
    route_sets = reader.listed(RouteSet, "routes.yaml", "routes", texts)
    return build_routes(route_sets, sources, texts, reader.prefix, reader.places)


def _retracted(
    reader: Reader, texts: Mapping[str, str], unlisted: Collection[str]
) -> tuple[list[Retraction], tuple[Retractions, list[Problem]]]:
    rows = reader.listed(Retraction, RETRACTIONS, KEY, texts)
    return rows, check_retractions(rows, texts, reader.prefix, reader.places, unlisted)


def _watch_problems(
    watched: Watched,
    sources: Sequence[Source],
    meters: Sequence[Meter],
    plans: Sequence[Plan],
    customers: Sequence[Customer],
    credentials: Sequence[Credential],
    places: Places,
) -> Iterator[Problem]:
    yield from check_entitlements(watched.entitlements, plans, meters, places)
    yield from check_throttles(watched.throttles, plans, credentials, places)
    if watched.monitoring is not None:
        mapped, named = {name for source in sources for name in source.properties}, {row.customer for row in customers}
        yield from check_monitoring(watched.monitoring, meters, named, mapped, places)


def _watched(reader: Reader, texts: Mapping[str, str]) -> Watched:
    return Watched(
        throttles=tuple(reader.listed(Throttle, THROTTLING, THROTTLES, texts)),
        entitlements=tuple(reader.listed(Entitlement, ENTITLEMENTS, ENTITLED, texts)),
        monitoring=reader.one(Monitoring, MONITORING, texts) if MONITORING in texts else None,
    )


def _reviews(reader: Reader, texts: Mapping[str, str]) -> Reviews:
    return Reviews(
        declared=tuple(reader.listed(Declared, "corrections.yaml", "corrections", texts)),
        voids=tuple(reader.listed(Void, "voids.yaml", "voids", texts)),
        withheld=tuple(reader.listed(Withheld, "withheld.yaml", "withheld", texts)),
        erasures=tuple(reader.listed(Erase, "erasures.yaml", "erasures", texts)),
    )


def _review_problems(
    reviews: Reviews, others: Sequence[Reviewed], terms: Terms, settings: Settings, places: Places
) -> Iterator[Problem]:
    rows = (*others, *terms.adjustments, *terms.refunds, *terms.releases, *reviews.rows)
    yield from check_approvals(rows, settings.approvals_since, places)
    yield from check_voids(reviews.voids, places)
    yield from check_erasures(reviews.erasures, places)


def _terms(reader: Reader, texts: Mapping[str, str]) -> Terms:
    return Terms(
        coupons=reader.listed(Coupon, "coupons.yaml", "coupons", texts),
        grants=reader.listed(Grant, "credits.yaml", "credits", texts),
        adjustments=reader.listed(Adjustment, "adjustments.yaml", "adjustments", texts),
        refunds=reader.listed(Refund, "refunds.yaml", "refunds", texts),
        releases=reader.listed(Release, "releases.yaml", "releases", texts),
        taxes=reader.one(Taxes, "taxes.yaml", texts) if "taxes.yaml" in texts else None,
    )


def _line(problem: Problem) -> int:
    tail = problem.where.rsplit(":", 1)[-1]
    return int(tail) if tail.isdigit() else 0


def load_throttles(path: Path, catalog: Catalog) -> tuple[Throttle, ...]:
    """Policies of a file like `throttling.yaml`, for customers of a catalog. Raises CatalogInvalid, as it does."""
    reader = Reader(f"{path.parent.as_posix()}/")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogInvalid([Problem("unreadable", str(error), str(path))]) from error
    throttles = reader.listed(Throttle, path.name, THROTTLES, {path.name: text})
    wrong = check_throttles(throttles, catalog.plans.values(), catalog.credentials, reader.places)
    unrouted = check_endpoints((), throttles, None, catalog.sources, catalog.routes, reader.places)
    problems = [*reader.problems, *wrong, *unrouted]
    if problems:
        raise CatalogInvalid(problems)
    return tuple(throttles)
