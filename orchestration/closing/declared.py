"""Edits of the catalog that are declared corrections: which files say something else of a subscription, and which of
them a reviewed row lets through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from orchestration.canonical import sha256_hex
from orchestration.catalog import Catalog
from orchestration.catalog.load import REVIEWS, YAML_FILES
from orchestration.catalog.reviews import Declared


def text_digest(text: str) -> str:
    """Hex SHA-256 of a file of the catalog, as a row of corrections.yaml names it."""
    return sha256_hex(text.encode())


def declared_rows(catalog: Catalog) -> list[Declared]:
    """The rows of corrections.yaml that are about files as they are now."""
    return [row for row in catalog.reviews.declared if text_digest(catalog.files.get(row.file, "")) == row.sha256]


def declared_files(catalog: Catalog) -> frozenset[str]:
    """The files whose edits are declared corrections."""
    return frozenset(row.file for row in declared_rows(catalog))


class Edited:
    """What differs between the catalog of the last close and another, file by file."""

    def __init__(self, archived: Catalog, catalog: Catalog) -> None:
        self._was, self._now = archived, catalog
        self._declared = declared_files(catalog)
        files = {*archived.files, *catalog.files} - {f"{name}.yaml" for name in REVIEWS}
        self._differ = {name for name in files if archived.files.get(name) != catalog.files.get(name)}

    def of_subscription(self, subscription: str) -> tuple[str, ...]:
        """The files that say something else of a subscription than they did; all that differ, where none is found."""
        was, now = ([row for row in c.subscriptions if row.subscription == subscription] for c in self._both)
        customers, plans = {row.customer for row in (*was, *now)}, {row.plan for row in (*was, *now)}
        found = {"subscriptions.csv"} if was != now else set()
        found |= {self._plan_file(key) for key in plans if self._was.plans.get(key) != self._now.plans.get(key)}
        agreed, agrees = ([r for r in c.overrides if r.customer in customers and r.plan in plans] for c in self._both)
        found |= {"overrides.yaml"} if agreed != agrees else set()
        if any(self._was.histories.get(key) != self._now.histories.get(key) for key in customers):
            found.add("customers.csv")
        found |= {"instance.yaml"} if self._was.settings.entities != self._now.settings.entities else set()
        return tuple(sorted(found & self._differ or self._differ))

    def of_routes(self) -> tuple[str, ...]:
        """Where routes are written: routes.yaml, and the API descriptions that it names."""
        known = re.compile("|".join(re.escape(name) for name in YAML_FILES if name != "routes.yaml"))
        return tuple(
            sorted(n for n in self._differ if not (known.fullmatch(n) or n.endswith(".csv") or n.startswith("plans/")))
        )

    def is_declared(self, files: Iterable[str]) -> bool:
        """Whether reviewed rows stand for all of some files."""
        listed = set(files)
        return bool(listed) and listed <= self._declared

    def rows_to_write(self, files: Iterable[str]) -> list[str]:
        """The rows of corrections.yaml that would declare the edits of files."""
        return [
            f"- {{file: {name}, sha256: {text_digest(self._now.files[name])}, reason: WHY, by: WHO, "
            "approved_by: ANOTHER, on: WHEN}"
            for name in sorted({*files} - self._declared)
            if name in self._now.files
        ]

    @property
    def _both(self) -> Sequence[Catalog]:
        return self._was, self._now

    def _plan_file(self, key: str) -> str:
        named = re.compile(rf"^key:\s*['\"]?{re.escape(key)}['\"]?\s*(#.*)?$", re.MULTILINE)
        for catalog in self._both:
            for name, text in catalog.files.items():
                if name.startswith("plans/") and named.search(text):
                    return name
        return f"plans/{key}.yaml"
