"""A life of an instance in which every durable step is reached: two closes, and all that is handed out of them."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultkit import OCTOBER_NOW, SEPTEMBER_NOW, Box, ForkServer, deliver_october, deliver_september, tree
from incident_tables import incident, plant_published

from orchestration.durable import Point
from orchestration.ingest.erase import hash_of
from orchestration.ledger.store import Ledger

SECRET = "5a" * 32


@dataclass(frozen=True)
class Phase:
    """A command, what is done to the instance before it, and the steps at which it is killed, in their order."""

    name: str
    now: str
    prepare: Callable[[Box], object]
    argv: Callable[[Box], list[str]]
    points: tuple[Point, ...]

    def command(self, box: Box) -> tuple[Box, list[str]]:
        return box.at(self.now), self.argv(box)


def without_key(box: Box) -> None:
    (box.home / "instance.key").unlink()
    deliver_september(box)


def october_and_what_is_left(box: Box) -> None:
    """October; a file of nonsense, which is held; and leftovers of a batch, and of a plan, that nobody asks for."""
    deliver_october(box)
    box.put("tokens/nonsense.jsonl", "nonsense\n" * 20)
    (box.home / "lake" / "events" / "000001" / "left.tmp").write_text("half")
    extracted = box.home / "lake" / "extracted"
    extracted.mkdir(exist_ok=True)
    (extracted / "00000001-unasked.parquet").write_text("")


def retraction(box: Box) -> None:
    row = "{name: errors, filter: {field: status, op: ge, value: 500}, by: ana, on: 2026-11-05, reason: outage}"
    box.catalog("retractions.yaml", f"retractions:\n  - {row}\n")


def listed(box: Box) -> list[str]:
    """A list is made once: whoever wants it again removes the one that is there."""
    (box.home / "catalog" / "retractions" / "errors.jsonl").unlink(missing_ok=True)
    return ["retract", "errors"]


def watched(box: Box) -> None:
    """The published generation has an incident, as if usage had been watched when it was built."""
    box.catalog("monitoring.yaml", "holds: [traffic_spike]\n")
    plant_published(box.home, [incident("aaaa00000001", "hudson", "traffic_spike", 1_791_806_400_000_000)])


def erasure(box: Box) -> None:
    """A user of gateway logs, of which one has grown into another and one is compressed. Nothing holds any more."""
    box.catalog("monitoring.yaml", "{}\n")
    with Ledger.open(box.home) as ledger:
        user = hash_of(ledger, "hudson1")
    row = f"name: gone, user: {user}, feed: gateway, by: lee, on: 2026-11-05, reason: asked"
    box.catalog("erasures.yaml", f"erasures:\n  - {{{row}}}\n")


def _out(box: Box, name: str) -> str:
    (box.home / "out").mkdir(exist_ok=True)
    return str(box.home / "out" / name)


def _new(box: Box, name: str) -> str:
    """A bundle is never written over: whoever wants it again removes the one that is there."""
    shutil.rmtree(box.home / "out" / name, ignore_errors=True)
    return _out(box, name)


def _signed_by(note: Path) -> str:
    """The id of the key that signed a note, which stays what it was."""
    return base64.b64decode(note.read_text().rsplit(" ", 1)[-1])[:4].hex()


DOCUMENT = "SEL-2026-000004"
PHASES = (
    Phase(
        "first close",
        SEPTEMBER_NOW,
        without_key,
        lambda box: ["close", "2026-09"],
        (Point.INSTANCE_KEY, Point.LEDGER_CREATED, Point.RAW_CLEANED, Point.LAKE_EMPTIED, Point.LAKE_BEGUN),
    ),
    Phase(
        "second close",
        OCTOBER_NOW,
        october_and_what_is_left,
        lambda box: ["close", "2026-10", "--waive", "nonsense holds no usage"],
        (
            Point.LAKE_CLEANED,
            Point.RAW_RECEIVED,
            Point.RAW_NAMED,
            Point.LAKE_FILE_NAMED,
            Point.LAKE_FILE_DROPPED,
            Point.BATCH_COMMITTED,
            Point.DELIVERIES_COMMITTED,
            Point.BUILD_BEGUN,
            Point.EXTRACT_DROPPED,
            Point.BUILD_PREPARED,
            Point.USAGE_BUILT,
            Point.DRAFTS_PRICED,
            Point.USAGE_WATCHED,
            Point.FINANCE_BUILT,
            Point.GENERATION_NAMED,
            Point.GENERATION_LINKED,
            Point.CLOSE_COMMITTED,
            Point.GENERATION_DROPPED,
            Point.EXPORT_NAMED,
        ),
    ),
    Phase(
        "checkpoint",
        OCTOBER_NOW,
        lambda box: None,
        lambda box: ["checkpoint", "export", _out(box, "checkpoint.note")],
        (Point.CHECKPOINT_KEY, Point.CHECKPOINT_PUBLIC_KEY, Point.CHECKPOINT_REMEMBERED, Point.CHECKPOINT_EXPORTED),
    ),
    Phase(
        "evidence",
        OCTOBER_NOW,
        lambda box: None,
        lambda box: ["explain", DOCUMENT, "2", "--events", _out(box, "events.csv")],
        (Point.EVENTS_NAMED,),
    ),
    Phase(
        "bundle",
        OCTOBER_NOW,
        lambda box: None,
        lambda box: ["prove", DOCUMENT, "-o", _new(box, "bundle")],
        (Point.BUNDLE_NAMED,),
    ),
    Phase(
        "rotation",
        OCTOBER_NOW,
        lambda box: None,
        lambda box: ["checkpoint", "rotate", _signed_by(box.home / "out" / "checkpoint.note")],
        (Point.CHECKPOINT_NEXT_KEY, Point.KEY_HANDED_OVER, Point.CHECKPOINT_KEY_REPLACED),
    ),
    Phase("list", OCTOBER_NOW, retraction, listed, (Point.RETRACTION_LISTED,)),
    Phase(
        "finding",
        OCTOBER_NOW,
        watched,
        lambda box: [
            *("anomalies", "label", "aaaa00000001", "false", "--by", "ana", "--reason", "load test"),
            *("--now", OCTOBER_NOW),
        ],
        (Point.FINDING_COMMITTED,),
    ),
    Phase(
        "erasure",
        OCTOBER_NOW,
        erasure,
        lambda box: ["erase", "gone"],
        (Point.ERASURE_MARKED, Point.ERASURE_COMMITTED, Point.ERASED_REMOVED, Point.ERASURE_ENDED),
    ),
    Phase(
        "close after it",
        OCTOBER_NOW,
        lambda box: None,
        lambda box: ["close", "2026-10", "--waive", "nonsense holds no usage"],
        (),
    ),
)


def newborn(server: ForkServer, home: Path) -> Box:
    """An instance that nobody has run yet."""
    return Box.new(server, home, SEPTEMBER_NOW)


def go(box: Box, phase: Phase) -> None:
    """The phase as it is when nothing happens."""
    at, argv = phase.command(box)
    at.do(*argv, SECRET=SECRET)


def state(box: Box) -> dict[str, Any]:
    """All that two lives must agree on, whatever happened to them."""
    found = box.fingerprint()
    for name in ("out", "catalog"):
        found[name] = tree(box.home / name) if (box.home / name).exists() else {}
    keys = [p for p in sorted(box.home.iterdir()) if p.is_file() and p.suffix in (".key", ".pub", ".note", ".tmp")]
    found["keys"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in keys}
    return found
