"""A fuzz target for each format: no crash, no line lost, and no damaged line that touches another.

In the suite a short sample. `make fuzz` takes CAMPAIGN_FUZZ damaged lines of each format.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import formatkit
import fuzzkit
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from inbox import Instance

from orchestration.catalog.sources import Source
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import Reader
from orchestration.ingest.formats.jsontext import TOO_DEEP
from orchestration.ingest.lines import KEPT_OF_LONG_LINE, MAX_LINE

CAMPAIGN = int(os.environ.get("CAMPAIGN_FUZZ") or 0)
AT_ONCE = 5000 if CAMPAIGN else 300
"""Damaged lines in one ingest."""
TARGETS = settings(
    max_examples=max(1, -(-CAMPAIGN // AT_ONCE)),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate if CAMPAIGN else Phase.explicit],
    suppress_health_check=list(HealthCheck),
)
BYTES = st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), max_size=30)
LINE_FORMATS = sorted(fuzzkit.WHOLE.keys() - {"cloudevents_batch"})
PLACE = ("file_id", "line", "source", "feed", "event_id")


def all_slow(reader: Reader) -> Reader:
    """The same reader, with every line left to Python."""
    fields = "".join(f", CAST(NULL AS VARCHAR) AS f_{target}" for target in reader.targets)
    sql = f"SELECT line, text, true AS slow, CAST(NULL AS VARCHAR) AS grammar{fields} FROM src"
    return replace(reader, sql=sql, shape=None)


@pytest.fixture(autouse=True)
def python_reads_the_source_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrapped(real: Callable[[Source, str], Reader]) -> Callable[[Source, str], Reader]:
        return lambda source, head: all_slow(real(source, head)) if source.name == "slow" else real(source, head)

    for form in FORMATS.values():
        monkeypatch.setattr(form, "reader", wrapped(form.reader))


@pytest.fixture
def taken() -> Iterator[Callable[..., Instance]]:
    """Makes an instance, delivers the same files to each source, and takes them."""
    with tempfile.TemporaryDirectory() as folder:
        made: list[Instance] = []

        def take(sources: list[Source], files: dict[str, bytes]) -> Instance:
            instance = Instance(Path(folder) / str(len(made)))
            made.append(instance)
            for source in sources:
                for name, content in files.items():
                    instance.put(f"{source.name}/{name}", content)
            instance.report = instance.run(*sources, now=formatkit.NOW)
            return instance

        yield take
        for instance in made:
            instance.ledger.close()


def read(instance: Instance, kind: str) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows of the lake by path and line, those that are duplicates or conflicts too."""
    paths = {row.file_id: row.path for row in instance.ledger.files()}
    return {(paths[row["file_id"]], row["line"]): row for row in instance._lake(kind)}


def is_blank(form: str, number: int, line: bytes) -> bool:
    header = form in fuzzkit.HEADERS and number == 1
    return header or not line.strip(b" \t\r") or (form == "cloudfront" and line.startswith(b"#"))


def check(instance: Instance, form: str, lines: list[bytes], whole: set[int]) -> None:
    """All lines are there once, as what they were; whole ones as if they stood alone; and both lanes agree."""
    events, quarantine = read(instance, "events"), read(instance, "quarantine")
    told: dict[str, list[Any]] = {}
    for row in instance.ledger.files():
        assert row.lines == len(lines)
        for number, line in enumerate(lines, 1):
            event, refused = events.get((row.path, number)), quarantine.get((row.path, number))
            assert event is None or refused is None, line
            if refused is not None:
                kept = line[:KEPT_OF_LONG_LINE] if len(line) > MAX_LINE else line
                assert refused["raw"] == kept
            elif event is None:
                assert is_blank(form, number, line), f"lost: {line!r}"
            values = event and {name: value for name, value in event.items() if name not in PLACE}
            told.setdefault(row.source, []).append((refused and refused["reason"], values))
    for line, fast, slow in zip(lines, told["fast"], told["slow"], strict=True):
        # The engine nests without a limit, and says "not_json" where such a line isn't closed.
        assert fast == slow or slow[0] == TOO_DEEP, f"the lanes differ on {line!r}"
    alike = {re.sub("whole-[0-9]+", "", repr(told["fast"][number - 1])) for number in whole}
    assert len(alike) == 1, f"a neighbour changed a whole line: {alike}"
    standing = instance.report.reasons.get("not_a_request", 0) if form == "error_log" else instance.report.accepted
    assert standing >= len(whole)


@pytest.mark.parametrize("form", LINE_FORMATS)
@TARGETS
@example(number=1, raw=[b"", b"\r", b"\0", b"\xff", b"{", b'"', b"[" * 5000])
@given(number=st.integers(0, 1 << 32), raw=BYTES)
def test_no_damaged_line_is_lost_or_harms_a_whole_one_and_both_lanes_say_the_same(
    form: str, taken: Callable[..., Instance], number: int, raw: list[bytes]
) -> None:
    chance = Random(number)
    damaged = raw + [fuzzkit.mutated(fuzzkit.seeds(form), chance) for _ in range(AT_ONCE)]
    lines = [fuzzkit.HEADERS[form].encode()] if form in fuzzkit.HEADERS else []
    whole = set()
    for place, line in enumerate(damaged):
        lines += [fuzzkit.whole_line(form, place), line]
        whole.add(len(lines) - 1)
    sources = [fuzzkit.source_for(form, "fast"), fuzzkit.source_for(form, "slow")]
    instance = taken(sources, {"a": b"".join(line + b"\n" for line in lines)})
    assert not instance.report.held
    check(instance, form, lines, whole)
