"""Reading the catalog: every file, every problem in one go, one hash over all of it.

Layout of a catalog folder:
  instance.yaml  sources.yaml  meters.yaml  routes.yaml  plans/*.yaml  customers.csv  credentials.csv  subscriptions.csv
  overrides.yaml  coupons.yaml  credits.yaml  adjustments.yaml  refunds.yaml  releases.yaml  taxes.yaml (what customers
  agreed, and what was decided of their documents; may be absent)
  decisions.yaml, retractions.yaml, retractions/*.jsonl, corrections.yaml, voids.yaml, withheld.yaml, erasures.yaml
  (reviewed decisions; may be absent), and the OpenAPI documents that routes.yaml names
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestration.canonical import canonical_bytes, sha256_hex
from orchestration.catalog.check import cross_check
from orchestration.catalog.decisions import ConflictDecision, check_decisions
from orchestration.catalog.fields import Model
from orchestration.catalog.meters import Meter
from orchestration.catalog.models import Credential, Customer, Settings, Subscription
from orchestration.catalog.moves import Since, as_known, entity_on, histories, row_on
from orchestration.catalog.openapi import MAX_BYTES
from orchestration.catalog.places import Places
from orchestration.catalog.plans import Plan
from orchestration.catalog.pricecheck import price_check
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
from orchestration.catalog.yamltext import UNFIT, Lines, parse_yaml
from orchestration.errors import CatalogInvalid, Problem

M = TypeVar("M", bound=Model)

TERMS = ("overrides", "coupons", "credits", "adjustments", "refunds", "releases", "taxes")
REVIEWS = ("corrections", "voids", "withheld", "erasures")
_OPTIONAL = ("routes.yaml", "decisions.yaml", RETRACTIONS, *(f"{name}.yaml" for name in (*TERMS, *REVIEWS)))
YAML_FILES = ("instance.yaml", "sources.yaml", "meters.yaml", *_OPTIONAL)
CSV_FILES = ("customers.csv", "credentials.csv", "subscriptions.csv")
_NAMED_BY: dict[type[Model], str] = {Plan: "key", Meter: "key", Customer: "customer", Source: "name"}


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
    reader = _Reader(prefix)
    settings, plans = reader.one(Settings, "instance.yaml", texts), reader.each(Plan, "plans/", texts)
    sources = reader.listed(Source, "sources.yaml", "sources", texts)
    meters = reader.listed(Meter, "meters.yaml", "meters", texts)
    customers = reader.table(Customer, "customers.csv", texts)
    credentials = reader.table(Credential, "credentials.csv", texts)
    subscriptions = reader.table(Subscription, "subscriptions.csv", texts)
    overrides, terms = reader.listed(Override, "overrides.yaml", "overrides", texts), _terms(reader, texts)
    route_sets = reader.listed(RouteSet, "routes.yaml", "routes", texts)
    routes, wrong = build_routes(route_sets, sources, texts, prefix, reader.places)
    decisions, reviews = reader.listed(ConflictDecision, "decisions.yaml", "conflicts", texts), _reviews(reader, texts)
    retracted = reader.listed(Retraction, RETRACTIONS, KEY, texts)
    retractions, unkept = check_retractions(retracted, texts, prefix, reader.places, unlisted)
    problems = [*reader.problems, *wrong, *check_decisions(decisions, reader.places), *unkept]
    if settings is not None:
        sold = (sources, meters, plans, customers, credentials, subscriptions)
        problems += cross_check(settings, *sold, reader.places, terms)
        problems += _review_problems(reviews, (*decisions, *retracted), terms, settings, reader.places)
        problems += price_check(plans, customers, subscriptions, overrides, reader.places)
        if not wrong and not any(p.where.startswith(f"{prefix}routes.yaml") for p in problems):
            problems += check_endpoints(meters, sources, routes, reader.places)
        problems = [p for p in problems if not reader.follows_from_broken(p)]
    if problems or settings is None:
        raise CatalogInvalid(sorted(set(problems), key=lambda p: (p.where.rsplit(":", 1)[0], _line(p), p.message)))
    known = histories(customers, subscriptions, {p.key: p for p in plans})
    return Catalog(
        settings=settings,
        sources=tuple(sources),
        meters={m.key: m for m in meters},
        routes=routes,
        plans={p.key: p for p in plans},
        customers={key: as_known(history) for key, history in known.items()},
        histories=known,
        credentials=tuple(credentials),
        subscriptions=tuple(subscriptions),
        overrides=tuple(overrides),
        coupons=tuple(terms.coupons),
        grants=tuple(terms.grants),
        adjustments=tuple(terms.adjustments),
        refunds=tuple(terms.refunds),
        releases=tuple(terms.releases),
        taxes=terms.taxes,
        reviews=reviews,
        conflicts=tuple(decisions),
        retractions=retractions,
        files=dict(sorted(texts.items())),
        digest=sha256_hex(canonical_bytes(dict(texts))),
    )


def _reviews(reader: _Reader, texts: Mapping[str, str]) -> Reviews:
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


def _terms(reader: _Reader, texts: Mapping[str, str]) -> Terms:
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


class _Reader:
    """Collects problems and places while the files are read."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.problems: list[Problem] = []
        self.places = Places()
        self.broken: set[str] = set()

    def one(self, model: type[M], name: str, texts: Mapping[str, str]) -> M | None:
        """A file that holds one object."""
        data, lines, problems = parse_yaml(texts[name], self.prefix + name)
        self.problems += problems
        if data is None and not problems:
            self.problems.append(Problem("empty_file", "the file is empty", self.prefix + name))
        return self._make(model, data, name, lines, ()) if data is not None else None

    def each(self, model: type[M], folder: str, texts: Mapping[str, str]) -> list[M]:
        """The files of a folder, each of which holds one object."""
        made = [self.one(model, name, texts) for name in sorted(texts) if name.startswith(folder)]
        return [item for item in made if item is not None]

    def listed(self, model: type[M], name: str, key: str, texts: Mapping[str, str]) -> list[M]:
        """A file that holds a list under one key."""
        if name not in texts:
            return []
        data, lines, problems = parse_yaml(texts[name], self.prefix + name)
        self.problems += problems
        items = data.get(key) if isinstance(data, dict) else None
        if not isinstance(items, list) or set(data) != {key}:
            if not problems:
                message = f"the file is one list under the key '{key}'"
                self.problems.append(Problem("bad_shape", message, self.prefix + name))
            return []
        made = [self._make(model, item, name, lines, (key, index)) for index, item in enumerate(items)]
        return [item for item in made if item is not None]

    def table(self, model: type[M], name: str, texts: Mapping[str, str]) -> list[M]:
        """A CSV file with a header; empty cells are absent."""
        rows = csv.reader(io.StringIO(texts[name], newline=""), strict=True)
        made: list[M] = []
        try:
            header = next(rows, None) or []
            unknown = [h for h in header if h not in model.model_fields]
            if unknown or len(set(header)) != len(header):
                message = f"unknown or repeated columns: {', '.join(unknown or header)}"
                self.problems.append(Problem("bad_header", message, f"{self.prefix}{name}:1"))
                return []
            for row in rows:
                if not row:
                    continue
                where: Lines = {(): rows.line_num}
                if len(row) != len(header):
                    message = f"{len(row)} cells in a table of {len(header)} columns"
                    self.problems.append(Problem("bad_row", message, f"{self.prefix}{name}:{rows.line_num}"))
                    continue
                unfit = [column for column, cell in zip(header, row, strict=True) if UNFIT.search(cell)]
                if unfit:
                    message = f"{', '.join(unfit)}: control characters have no place in text"
                    self.problems.append(Problem("bad_text", message, f"{self.prefix}{name}:{rows.line_num}"))
                    continue
                cells = {column: cell for column, cell in zip(header, row, strict=True) if cell != ""}
                item = self._make(model, cells, name, where, ())
                if item is not None:
                    made.append(item)
        except csv.Error as error:
            self.problems.append(Problem("bad_csv", str(error), f"{self.prefix}{name}:{rows.line_num}"))
        return made

    def follows_from_broken(self, problem: Problem) -> bool:
        """Whether a problem is only that something is unknown which is there, but is itself named as wrong."""
        return problem.code.startswith("unknown_") and any(text in problem.message for text in self.broken)

    def _make(self, model: type[M], data: Any, name: str, lines: Lines, path: tuple[str | int, ...]) -> M | None:
        where = self.prefix + name
        try:
            made = model.model_validate(data)
        except ValidationError as error:
            named = f"plan '{data.get('key')}': " if model is Plan and isinstance(data, dict) else ""
            for issue in _own_faults(error.errors()):
                place = (*path, *issue["loc"])
                self.problems.append(Problem("invalid", named + _explain(issue), f"{where}:{_nearest(lines, place)}"))
            if model in _NAMED_BY and isinstance(data, dict):
                self.broken.add(f"'{data.get(_NAMED_BY[model])}'")
            self.broken |= {"which no source declares"} if model is Source else set()
            return None
        self.places.put(made, where, lines, path)
        return made


def _nearest(lines: Lines, path: tuple[str | int, ...]) -> int:
    """Line of the deepest known node on the way to `path` (pydantic adds steps of its own, e.g. for unions)."""
    known = tuple(step for step in path)
    while known and known not in lines:
        known = known[:-1]
    return lines.get(known, lines.get((), 1))


def _own_faults(issues: Sequence[Any]) -> list[Any]:
    """Without lists that are too short only because what is in them is itself named as wrong."""
    places = [issue["loc"] for issue in issues]
    return [
        issue
        for issue in issues
        if issue["type"] != "too_short"
        or not any(len(place) > len(issue["loc"]) and place[: len(issue["loc"])] == issue["loc"] for place in places)
    ]


def _explain(issue: Any) -> str:
    field = ".".join(str(step) for step in issue["loc"])
    message = str(issue["msg"]).removeprefix("Value error, ")
    return f"{field}: {message}" if field else message
