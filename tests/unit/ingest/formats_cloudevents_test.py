"""CloudEvents in batches and in binary mode: the same events as line by line, whatever the layout."""

from __future__ import annotations

import base64
import json
from typing import Any

import formatkit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingest.formats import FORMATS

MANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", "],[", "{", "\u00e9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=5)


def unpacked(data: bytes, sizes: list[int]) -> bytes:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return b"".join(FORMATS["cloudevents_batch"].unpack([*pieces, data[at:]]))


@MANY
@given(st.lists(EVENTS, max_size=3), st.sampled_from([None, 0, 1, 2]), st.booleans(), st.lists(st.integers(0, 30)))
def test_elements_come_out_one_on_a_line_however_the_arrays_are_laid_out_and_cut(
    batches: list[list[Any]], indent: int | None, escaped: bool, sizes: list[int]
) -> None:
    texts = [json.dumps(batch, indent=indent, ensure_ascii=escaped) for batch in batches]
    data = ("\ufeff" if escaped else "") + "\r\n".join(texts)
    lines = unpacked(data.encode(), sizes).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [event for batch in batches for event in batch]


@MANY
@given(st.binary(max_size=60), st.lists(st.integers(0, 9)))
def test_any_bytes_go_through_and_do_not_depend_on_the_cuts(data: bytes, sizes: list[int]) -> None:
    assert unpacked(data, sizes) == unpacked(data, [])


@pytest.mark.parametrize("end", ['[{"a":1},{"b":2}', '[{"a":1},', "[", '[{"a":"', "[{}"])
def test_an_open_array_is_an_unterminated_file(end: str) -> None:
    assert not unpacked(end.encode(), []).endswith(b"\n")


def event(number: int, **more: Any) -> dict[str, Any]:
    return formatkit.EVENT | {"id": f"e{number}", "data": {"tokens": number}} | more


def test_a_batch_gives_the_events_of_its_lines_and_a_bad_one_harms_no_neighbour(
    instance: Any, make_source: Any
) -> None:
    source = make_source(format="auto", properties={"n": "data.tokens"}, quantity="n")
    batch = [event(1), event(2, data={"tokens": "many"}), event(3), event(1)]
    instance.put("a.json", json.dumps(batch, indent=2))
    report = instance.run(source)
    assert (report.lines, report.accepted, report.duplicate, report.reasons) == (4, 2, 1, {"bad_quantity": 1})
    assert [(row["event_id"], row["line"], row["p_n"]) for row in instance.events()] == [("e1", 1, "1"), ("e3", 3, "3")]
    instance.put("b.json", json.dumps([event(3), event(4)])[:-1])
    instance.put("c.jsonl", json.dumps(event(5)) + "\n")
    report = instance.run(source)
    assert [(e.path, e.reason.split(":")[0]) for e in report.held] == [("b.json", "unterminated")]
    assert report.accepted == 1


HEADERS = {f"ce_{name}": text for name, text in formatkit.EVENT.items()} | {"content-type": "application/json"}


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LAYOUTS: dict[str, dict[str, Any]] = {
    "object": {"headers": HEADERS, "value": {"tokens": 12.50}},
    "lists in an object": {"headers": {k: [v] for k, v in HEADERS.items()}, "message": '{"tokens": 12.50}'},
    "dashes": {"headers": {k.replace("_", "-").title(): v for k, v in HEADERS.items()}, "data": {"tokens": 12.50}},
    "pairs": {"headers": [[k, v] for k, v in HEADERS.items()], "payload": '{"tokens": 12.50}'},
    "flat list": {"headers": [x for item in HEADERS.items() for x in item], "payload": '{"tokens": 12.50}'},
    "base64": {
        "headers": [{"key": k, "value": packed(v)} for k, v in HEADERS.items()],
        "value": packed('{"tokens": 12.50}'),
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_record_in_binary_mode_is_the_event_in_every_layout_of_the_sinks(layout: str) -> None:
    line = json.dumps(LAYOUTS[layout] | {"offset": 7, "topic": "t"})
    options = {"properties": {"n": "data.tokens", "at": "record.offset"}, "fields": {"user": "subject"}}
    source = formatkit.source("cloudevents_binary", **options)
    reader = FORMATS["cloudevents_binary"].reader(source, "")
    reason, values = reader.slow(line)
    found = dict(zip(reader.targets, values, strict=True))
    assert reason is None
    assert found == {
        "id": "e1",
        "source": "/s",
        "event_type": "call",
        "time": "2026-10-06T12:00:00Z",
        "credential": "key_1",
        "user": "key_1",
        "p_at": "7",
        "p_n": "12.5" if layout in ("object", "dashes") else "12.50",
    }


def test_a_record_that_is_no_event_or_repeats_a_name_is_set_aside() -> None:
    reader = FORMATS["cloudevents_binary"].reader(formatkit.source("cloudevents_binary"), "")
    twice = '{"headers": {"ce_specversion": "1.0", "ce_id": "1", "CE_ID": "2"}, "value": {}}'
    for line, reason in {
        "{}": "not_cloudevents_binary",
        '{"headers": {"x": "1"}, "value": 1}': "not_cloudevents_binary",
        twice: "duplicate_key",
        "[1]": "not_json",
    }.items():
        assert reader.slow(line)[0] == reason
