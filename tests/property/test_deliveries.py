"""However the same events are delivered, the same events count, with the same sums.

Events with ids: any split, merge, shuffle, repetition, packing, renaming, and a kill or a damaged copy in between. With
conflicts, the set of keys is the same. Log lines, which have no ids: any growth, rotation, copying, packing and
renaming of their log; a log that was re-ordered, or cut in its middle, is new lines, and is not tried here.
"""

from __future__ import annotations

import bz2
import gzip
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inbox import Instance, source

from orchestration import durable
from orchestration.ingest import batch, run

EXAMPLES = 100 if os.environ.get("CAMPAIGN_FUZZ") else 4
SOME = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, 1, mtime=0),
    ".9.gz": lambda data: gzip.compress(data[: len(data) // 2], 9) + gzip.compress(data[len(data) // 2 :], 9),
    ".bz2": bz2.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
RUNS = ("whole", "killed before parsing", "killed before its commit", "killed after a commit")
MOMENTS = {"killed before its commit": "batch_committed.before", "killed after a commit": "batch_committed.after"}


class Killed(BaseException):
    """Ends a run as a kill does: nothing of ours catches it."""


def take(instance: Instance, how: str, *sources: Any) -> None:
    """One run; unless it is whole, it is ended on its way."""

    def killed(*_: Any) -> None:
        raise Killed

    def observe(moment: str) -> None:
        if moment == MOMENTS[how]:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        if how == "killed before parsing":
            patch.setattr(batch, "parse_all", killed)
        elif how != "whole":
            patch.setattr(durable, "observer", observe)
        instance.report = instance.run(*sources)


@contextmanager
def new_instance() -> Iterator[Instance]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "MAX_BATCH_LINES", 15)
        made = Instance(Path(folder) / "home")
        yield made
        made.ledger.close()


# -- events with ids ----------------------------------------------------------------------------------------------

FEED = source(format="cloudevents", properties={"n": "data.n"})


@dataclass(frozen=True)
class Drop:
    """A file with these events, in this order; where it is `cut`, none of them may count for it."""

    numbers: Sequence[int]
    folder: str
    suffix: str
    cut: bool
    then: str


DROPS = st.lists(
    st.builds(
        Drop,
        numbers=st.lists(st.integers(0, 11), max_size=20),
        folder=st.sampled_from(["a", "b/c"]),
        suffix=st.sampled_from(sorted(PACK)),
        cut=st.sampled_from([False, False, False, True]),
        then=st.sampled_from(["nothing", "nothing", "rename", *RUNS]),
    ),
    min_size=1,
    max_size=6,
)


def event(number: int, quantity: str) -> bytes:
    time = f"2026-10-{1 + number:02d}T10:00:00Z"
    body = {"id": f"e{number}", "source": "s", "type": "t", "time": time, "subject": "k", "data": {"n": quantity}}
    return json.dumps(body).encode() + b"\n"


def deliver(instance: Instance, drops: Sequence[Drop], quantity: Callable[[int, int], str]) -> set[int]:
    """Play the drops and a last whole run; the numbers of the events that some whole file held."""
    expected: set[int] = set()
    for place, drop in enumerate(drops):
        data = PACK[drop.suffix](b"".join(event(n, quantity(place, n)) for n in drop.numbers))
        path = instance.put(f"{drop.folder}/{place}.jsonl{drop.suffix}", data[:-1] if drop.cut else data)
        expected |= set() if drop.cut else set(drop.numbers)
        if drop.then == "rename":
            path.rename(path.with_name(f"renamed-{place}"))
        elif drop.then != "nothing":
            take(instance, drop.then, FEED)
    take(instance, "whole", FEED)
    return expected


@SOME
@given(DROPS)
def test_events_with_ids_count_once_however_they_are_delivered(drops: list[Drop]) -> None:
    quantities = {n: f"{n}.{n:09d}" for n in range(12)}
    with new_instance() as instance:
        expected = deliver(instance, drops, lambda _, n: quantities[n])
        events = instance.events()
        assert Counter(row["event_id"] for row in events) == Counter(f"e{n}" for n in expected)
        assert sum(Decimal(row["p_n"]) for row in events) == sum(Decimal(quantities[n]) for n in expected)
        rows = instance.ledger.files()
        assert sum(row.accepted for row in rows) == len(expected)
        assert sum(row.conflict + row.quarantined + row.blank for row in rows) == 0
        held = [drop for drop in drops if drop.cut and (drop.numbers or drop.suffix)]
        assert len(instance.report.held) == len(held)
        take(instance, "whole", FEED)
        assert instance.report.batches == []


@SOME
@given(DROPS)
def test_with_conflicts_each_key_counts_once_with_a_payload_that_was_delivered(drops: list[Drop]) -> None:
    with new_instance() as instance:
        expected = deliver(instance, drops, lambda place, n: str(100 * (place % 3) + n))
        events = instance.events()
        assert Counter(row["event_id"] for row in events) == Counter(f"e{n}" for n in expected)
        told = {(f"e{n}", str(100 * (p % 3) + n)) for p, d in enumerate(drops) if not d.cut for n in d.numbers}
        assert {(row["event_id"], row["p_n"]) for row in events} <= told
        conflicts = sum(row.conflict for row in instance.ledger.files())
        assert conflicts == sum(1 for verdict in instance.verdicts() if verdict["verdict"] == "conflict")


# -- log lines ----------------------------------------------------------------------------------------------------

LOGS = source(path="{gateway}/*")


class Gateway:
    """A folder with a log that grows, and what became of its elders. `written` has every line once."""

    def __init__(self, instance: Instance, name: str) -> None:
        self.instance = instance
        self.name = name
        self.live = b""
        self.elders: list[tuple[str, bytes]] = []
        self.written: list[str] = []
        self.copies = 0

    def line(self, again: bool) -> bytes:
        """A line that no other log has, or the last one once more: two equal lines of one log are two events."""
        path = self.written[-1] if again and self.live else f"/{len(self.written)}"
        self.written.append(path)
        return f'10.0.0.1 - k [01/Oct/2026:10:00:00 +0000] "GET {path} HTTP/1.1" 200 1 "-" "x"\n'.encode()

    def put(self, name: str, text: bytes) -> None:
        self.instance.put(f"{self.name}/{name}", PACK[Path(name).suffix if Path(name).suffix in PACK else ""](text))

    def step(self, what: str, size: int, suffix: str) -> None:
        if what == "grow":
            for number in range(size):
                self.live += self.line(again=number % 3 == 2)
        elif what == "half" and self.live:
            whole = self.line(again=False)
            # Half a line stands in the file when it is looked at, and the rest when it is looked at again.
            self.put("access.log", self.live + whole[: 1 + size])
            take(self.instance, "whole", LOGS)
            self.live += whole
        elif what in ("rotate", "copytruncate") and self.live:
            self.copies += 1
            name = f"access.log.{self.copies}{suffix if what == 'copytruncate' else ''}"
            self.elders.append((name, self.live))
            self.put(name, self.live)
            self.live = b""
        elif what == "pack" and self.elders:
            name, text = self.elders.pop(size % len(self.elders))
            (self.instance.inbox / self.name / name).unlink()
            self.copies += 1
            self.elders.append((f"old-{self.copies}{suffix}", text))
            self.put(self.elders[-1][0], text)
        elif what == "copy":
            _, text = (self.elders or [("", self.live)])[size % max(1, len(self.elders))]
            lines = text.splitlines(keepends=True)
            self.copies += 1
            self.put(f"copy-{self.copies}{suffix}", b"".join(lines[: size + 1]))
        self.put("access.log", self.live)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["g1", "g2"]),
        st.sampled_from(["grow", "grow", "grow", "half", "rotate", "copytruncate", "pack", "copy"]),
        st.integers(0, 7),
        st.sampled_from(["", ".gz", ".bz2", ".zst"]),
        st.sampled_from(["nothing", "nothing", *RUNS]),
    ),
    min_size=3,
    max_size=10,
)


@SOME
@given(STEPS)
def test_each_line_of_a_log_counts_once_however_the_log_is_kept(steps: list[tuple[str, str, int, str, str]]) -> None:
    with new_instance() as instance:
        gateways = {name: Gateway(instance, name) for name in ("g1", "g2")}
        for name, what, size, suffix, then in steps:
            gateways[name].step(what, size, suffix)
            if then != "nothing":
                take(instance, then, LOGS)
        take(instance, "whole", LOGS)
        assert [entry.reason for entry in instance.report.held] == []
        tapes = {row.tape_id: row.path.split("/")[0] for row in instance.ledger.files()}
        found = Counter((tapes[row["event_id"].split(":")[0]], row["path"]) for row in instance.events())
        assert found == Counter((name, path) for name, gateway in gateways.items() for path in gateway.written)
        assert len({row["event_id"] for row in instance.events()}) == found.total()
        take(instance, "whole", LOGS)
        assert instance.report.batches == []
