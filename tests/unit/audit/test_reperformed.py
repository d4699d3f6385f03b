"""An invoice is made again from its bundle by a second implementation, and is the same to the last unit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from reperformed import reperform, root_of, stated

from orchestration.canonical import canonical_bytes

KNOWN = ("blocks", "busy", "calls", "fee", "kilo", "packs", "peak", "tiers", "users", "volume")


def cut(bundle: Path, to: Path) -> Path:
    """A copy whose document has the lines alone that the example month has as well, and their sums."""
    shutil.copytree(bundle, to)
    document = json.loads((to / "document.json").read_bytes())
    document["lines"] = [line for line in document["lines"] if line["charge"] in KNOWN]
    (to / "document.json").write_bytes(canonical_bytes(document))
    return to


def test_lines_follow_from_events_and_archived_prices(bundles: dict[str, Path], tmp_path: Path) -> None:
    for customer in ("ashcanary", "yewcanary"):
        folder = cut(bundles[customer], tmp_path / customer)
        assert reperform(folder).lines == stated(folder).lines
        assert len(stated(folder).lines) == len(KNOWN)


def test_the_root_follows_from_the_document_and_from_no_other(bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle = bundles["yewcanary"]
    assert root_of(bundle) == stated(bundle).root
    assert root_of(cut(bundle, tmp_path / "cut")) != stated(bundle).root


def test_an_event_or_a_price_of_another_amount_makes_another_line(bundles: dict[str, Path], tmp_path: Path) -> None:
    folder = cut(bundles["ashcanary"], tmp_path / "cut")
    prices = json.loads((folder / "prices.json").read_bytes())
    position = next(at for at, found in prices["lines"].items() if found[0]["charge"]["key"] == "tiers")
    prices["lines"][position][0]["charge"]["tiers"][0]["price"] = "0.002"
    (folder / "prices.json").write_bytes(canonical_bytes(prices))
    assert reperform(folder).lines[position] != stated(folder).lines[position]
    peak = next(at for at, found in prices["lines"].items() if found[0]["charge"]["key"] == "calls")
    path = folder / f"evidence-{peak}.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert reperform(folder).lines[peak]["measured"] == "39"
