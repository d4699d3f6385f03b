"""Erasing lines of raw files of each kind: the rest stays byte for byte, what was measured stays, the person goes."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from typing import Any

import duckdb
import issued_home
import pytest
import zstandard
from inbox import cloudevent

from orchestration.catalog import parse_catalog
from orchestration.catalog.reviews import Erase, Reviews
from orchestration.errors import ConfigInvalid, IntegrityFailure
from orchestration.ingest import rebuild_lake
from orchestration.ingest.batch import Workshop, raw_store
from orchestration.ingest.erase import erase, erase_again, hash_of, plan, quarantined_with
from orchestration.ingest.extract import extract
from orchestration.ingest.inflate import inflated
from orchestration.ledger.erasures import ranges_of, ranges_text

CATALOG = parse_catalog(issued_home.CATALOG)
NOW = 1_795_000_000_000_000
KEPT = ("source", "event_id", "time_us", "event_type", "credential", "user_key", "status", "bytes", "p_tokens")


def row(instance: Any, **changes: Any) -> Erase:
    said = {"name": "gone", "by": "lee", "on": "2026-11-20", "reason": "asked"}
    return Erase.model_validate(said | {"user": hash_of(instance.ledger, "anna"), "feed": "gw"} | changes)


def erase_it(instance: Any, **changes: Any) -> Any:
    return erase(instance.home, instance.ledger, CATALOG, row(instance, **changes), NOW)


def erase_more(instance: Any, *rows: Erase) -> list[Any]:
    catalog = replace(CATALOG, reviews=Reviews(erasures=rows))
    return erase_again(instance.home, instance.ledger, catalog, NOW)


def raw_texts(instance: Any) -> list[bytes]:
    """Every object of the raw store, inflated."""
    found = []
    for path in sorted(p for p in (instance.home / "raw").rglob("*") if p.is_file()):
        found.append(b"".join(inflated([path.read_bytes()])))
    return found


def kept(instance: Any) -> list[tuple[Any, ...]]:
    return [tuple(event.get(name) for name in KEPT) for event in instance.events()]


def event(number: int, user: str, **changes: Any) -> str:
    said = {"id": f"e{number}", "data": {"tokens": f"{number}.25", "user": user, "note": f"dear {user}"}}
    return json.dumps(cloudevent(**said | changes))


def access(number: int, user: str, path: str = "/v1/items") -> str:
    time = f"01/Oct/2026:10:00:{number:02d} +0000"
    return f'203.0.113.{number} - key_1 [{time}] "GET {path} HTTP/1.1" 200 {number}00 "-" "kit/1.0" "{user}"'


EVENTS = [event(n, "anna" if n in (2, 4) else "bert") for n in range(1, 6)]
CLOUD = {"fields": {"user": "data.user"}, "properties": {"tokens": "data.tokens", "note": "data.note"}}
FILES: dict[str, tuple[dict[str, Any], bytes]] = {
    "cloudevents": ({"format": "cloudevents", **CLOUD}, "\n".join(EVENTS).encode()),
    "gzip": ({"format": "cloudevents", **CLOUD}, gzip.compress(("\n".join(EVENTS) + "\n").encode())),
    "zstd": ({"format": "cloudevents", **CLOUD}, zstandard.compress(("\n".join(EVENTS) + "\n").encode())),
    "an array": ({"format": "cloudevents_batch", **CLOUD}, f"[{','.join(EVENTS)}]".encode()),
    "a log": (
        {"format": "combined", "fields": {"user": "extra_1"}, "network": {"ipv4": 24}},
        "".join(access(n, "anna" if n in (2, 4) else "bert", f"/v1/users/{n}") + "\n" for n in range(1, 6)).encode(),
    ),
    "csv": (
        {
            "format": "csv",
            "fields": {"id": "id", "time": "at", "credential": "key", "user": "who"},
            "properties": {"tokens": "n"},
        },
        b"\xef\xbb\xbfid,at,key,who,n\r\n"
        + b"".join(b"%d,2026-10-01T00:00:00Z,k,%s,%d\r\n" % (n, b"anna" if n in (2, 4) else b"bert", n)
                   for n in range(1, 6)),
    ),
    "json lines": (
        {
            "format": "json_lines",
            "fields": {"time": "t", "user": "u", "credential": "k"},
            "properties": {"tokens": "n"},
        },
        b"".join(b'{"t":"2026-10-01T00:00:00Z","u":"%s","k":"k","n":%d}\n' % (b"anna" if n in (2, 4) else b"bert", n)
                 for n in range(1, 6)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_other_lines_stay_by_the_byte_and_erased_ones_give_the_same_numbers(
    kind: str, instance: Any, make_source: Any
) -> None:
    options, content = FILES[kind]
    instance.put("a", content)
    instance.run(make_source(unterminated="accept", **options))
    before, ((text),) = kept(instance), raw_texts(instance)
    assert len(before) == 5 and b"anna" in text
    erase_it(instance)
    assert kept(instance) == before
    (now,) = raw_texts(instance)
    assert b"anna" not in now and b"203.0.113.2" not in now
    if kind != "an array":
        lines, first = text.split(b"\n"), 1 if kind == "csv" else 0
        assert [n for n, (a, b) in enumerate(zip(lines, now.split(b"\n"), strict=True)) if a != b] == [
            first + 1,
            first + 3,
        ]
    # The lake made from nothing is the same, and holds nothing of the person but the keyed hash.
    events = instance.events()
    for part in ("events", "verdicts"):
        for path in (instance.home / "lake" / part).rglob("*.parquet"):
            path.unlink()
    rebuild_lake(instance.home, instance.ledger)
    assert instance.events() == events and "anna" not in str(events)
    gone = [e for e in events if e["user_key"] == hash_of(instance.ledger, "anna")]
    assert {(e["address_key"], e["network"], e["agent"], e["agent_key"], e["extra"]) for e in gone} == {(None,) * 5}
    assert len(gone) == 2


def test_whatever_a_line_holds_what_was_made_of_it_stays(instance: Any, make_source: Any) -> None:
    """Odd values, escapes, names that come twice, ids that come twice: lines of one user in four are erased."""
    chance = random.Random(7)
    odd = ["5", "5.25", "-1", "", "x", None, 7, 1.5, {"a": 1}, [1], True, "\u2028", 'q"\\', "\x00"]
    lines = []
    for n in range(200):
        data = {"tokens": chance.choice(odd), "user": chance.choice(["anna", "bert", "carl", "\u00e9"]), "note": "n"}
        text = json.dumps(cloudevent(id=f"e{n % 150}", data=data), ensure_ascii=chance.random() < 0.5)
        lines.append(text.replace('"data"', '"data": {}, "data"') if chance.random() < 0.1 else text)
    instance.put("a", "\n".join(lines) + "\n")
    instance.run(make_source(format="cloudevents", **CLOUD))
    before = kept(instance), instance.verdicts(), [(n, why) for n, why, _ in instance.quarantine()]
    assert erase_it(instance).lines > 30
    assert (kept(instance), instance.verdicts(), [(n, why) for n, why, _ in instance.quarantine()]) == before


def test_a_second_erasure_of_a_file_keeps_the_first(instance: Any, make_source: Any) -> None:
    instance.put("a", "".join(event(n, ("anna", "bert", "carl")[n % 3]) + "\n" for n in range(6)))
    instance.run(make_source(format="cloudevents", **CLOUD))
    before = kept(instance)
    assert erase_it(instance).lines == 2
    assert erase_it(instance) is None
    second = erase_it(instance, name="second", user=hash_of(instance.ledger, "bert"))
    assert second.lines == 2 and second.objects[0].was != second.objects[0].sha256
    (text,) = raw_texts(instance)
    assert b"anna" not in text and b"bert" not in text and text.count(b"carl") == 4
    assert kept(instance) == before


def test_an_erased_event_that_comes_again_is_a_duplicate_whatever_it_says_and_is_erased(
    instance: Any, make_source: Any
) -> None:
    source = make_source(format="cloudevents", **CLOUD)
    instance.put("a", event(1, "anna") + "\n" + event(2, "bert") + "\n" + event(1, "anna") + "\n")
    instance.run(source)
    instance.put("b", event(1, "anna", subject="key_2") + "\n")
    instance.run(source)
    before = kept(instance), instance.verdicts()
    assert [v["verdict"] for v in before[1]] == ["duplicate", "conflict"]
    assert erase_it(instance).lines == 3
    assert (kept(instance), instance.verdicts()) == before
    instance.put("c", event(1, "anna") + "\n" + event(1, "anna", type="other") + "\n" + event(2, "carl") + "\n")
    report = instance.run(source)
    assert (report.duplicate, report.conflict) == (2, 1)
    verdicts = instance.verdicts()
    assert erase_more(instance) == []
    assert instance.verdicts() == verdicts and kept(instance) == before[0]
    assert not any(b"anna" in text for text in raw_texts(instance))
    # A kept index of what was judged is not needed: all of it follows from raw files and ledger.
    for path in (instance.home / "lake").rglob("*.parquet"):
        path.unlink()
    rebuild_lake(instance.home, instance.ledger)
    assert instance.verdicts() == verdicts

    # Further lines of the user go while the row stands.
    instance.put("d", event(7, "anna") + "\n")
    instance.run(source)
    erase_more(instance, row(instance))
    assert not any(b"anna" in text for text in raw_texts(instance))
    assert len(instance.events()) == 3


def test_the_same_file_again_is_known_by_its_old_hash_and_does_not_come_back(instance: Any, make_source: Any) -> None:
    source = make_source(format="cloudevents", **CLOUD)
    instance.put("a", event(1, "anna") + "\n")
    instance.run(source)
    erase_it(instance)
    instance.put("a", event(1, "anna") + "\n")
    instance.put("copy", event(1, "anna") + "\n")
    report = instance.run(source)
    assert (report.lines, len(report.notices)) == (0, 2)
    assert not any(b"anna" in text for text in raw_texts(instance))
    held = instance.run(source, make_source(name="other", path="copy*", format="cloudevents", **CLOUD)).held
    assert not any(b"anna" in text for text in raw_texts(instance)), held


def test_a_log_goes_on_after_an_erasure_and_copies_of_it_add_nothing(instance: Any, make_source: Any) -> None:
    source = make_source(path="{gateway}/*", fields={"user": "extra_1"})
    lines = [access(n, "anna" if n in (1, 4) else "bert") + "\n" for n in range(7)]
    instance.put("g/access.log", "".join(lines[:3]))
    instance.run(source)
    instance.put("g/access.log", "".join(lines[:5]))
    instance.run(source)
    before = kept(instance)
    assert [len(item.lines) for item in erase_it(instance).objects] in ([1, 2], [2, 1])
    # Cut off, renamed, and grown: in the middle, and behind an erased last line.
    instance.put("g/part.log", "".join(lines[:4]))
    instance.put("g/access.log", "".join(lines[:6]))
    report = instance.run(source)
    assert (report.accepted, report.duplicate, report.held) == (1, 9, [])
    erase_more(instance)
    assert kept(instance)[:5] == before
    assert not any(b"anna" in text for text in raw_texts(instance))
    instance.put("g/access.log", "".join([lines[0], lines[1], access(9, "dora") + "\n", *lines[3:]]))
    (held,) = instance.run(source).held
    assert held.reason == "source_mutated: line 3 is not what was read before"
    (instance.inbox / "g" / "access.log").unlink()
    instance.put("g/access.log", "".join(lines))
    assert instance.run(source).accepted == 1


def test_quarantined_lines_are_named_by_file_and_line_and_keep_their_reason(instance: Any, make_source: Any) -> None:
    instance.put("a", event(1, "bert") + "\n" + event(2, "anna", time="never") + "\n" + "anna?\n")
    instance.run(make_source(format="cloudevents", **CLOUD))
    [file] = instance.ledger.files()
    assert quarantined_with(instance.home, instance.ledger, "anna") == [(file.sha256, 2), (file.sha256, 3)]
    named = [{"sha256": file.sha256, "line": n} for n in (2, 3)]
    erase_it(instance, user=None, feed=None, lines=named)
    assert [(line, reason) for line, reason, _ in instance.quarantine()] == [(2, "bad_time"), (3, "not_json")]
    assert not any(b"anna" in raw for _, _, raw in instance.quarantine())


def test_a_property_that_is_mapped_later_is_kept_if_a_meter_reads_it(instance: Any, make_source: Any) -> None:
    instance.put("a", event(1, "anna") + "\n")
    instance.run(make_source(name="app", format="cloudevents", fields={"user": "data.user"}))
    erase_it(instance, feed="app")
    shop = Workshop.of(instance.home, instance.ledger)
    extract(shop, instance.ledger, CATALOG, instance.ledger.files())
    [path] = shop.lake.extracted_files()
    assert duckdb.read_parquet(str(path)).project("line, p_tokens, p_model").fetchall() == [(1, "1.25", None)]


def test_a_property_that_holds_the_user_becomes_the_token_everywhere_or_nowhere(
    instance: Any, make_source: Any
) -> None:
    options = {"format": "cloudevents", "properties": {"who": "data.user", "tokens": "data.tokens"}}
    instance.put("a", event(1, "anna") + "\n" + event(2, "bert") + "\n")
    instance.put("b", event(3, "anna") + "\n")
    instance.run(make_source(**options))
    texts = {**issued_home.CATALOG}
    texts["sources.yaml"] = texts["sources.yaml"].replace("properties: {", "properties: {who: data.who, ")
    texts["meters.yaml"] = texts["meters.yaml"].replace("value: user}", "value: who}")
    catalog = parse_catalog(texts)
    part = row(instance, user=None, feed=None, properties=["who"], events=[{"source": "/gw/1", "id": "e1"}])
    with pytest.raises(ConfigInvalid, match="1 line"):
        plan(instance.home, instance.ledger, catalog, part)
    with pytest.raises(ConfigInvalid, match="tokens"):
        plan(instance.home, instance.ledger, catalog, row(instance, properties=["tokens"]))
    erase(instance.home, instance.ledger, catalog, row(instance, properties=["who"]), NOW)
    token = hash_of(instance.ledger, "anna")
    assert [e["p_who"] for e in instance.events()] == [token, "bert", token]


def test_an_object_that_is_no_text_is_refused_and_nothing_is_erased(instance: Any, make_source: Any) -> None:
    path = instance.inbox / "a.parquet"
    duckdb.sql(
        "SELECT 'e1' AS id, '2026-10-01T00:00:00Z' AS at, 'k' AS key, 'anna' AS who"
    ).write_parquet(str(path))  # fmt: skip
    fields = {"id": "id", "time": "at", "credential": "key", "user": "who"}
    instance.run(make_source(format="parquet", fields=fields))
    objects = [p.name for p in (instance.home / "raw").rglob("*") if p.is_file()]
    with pytest.raises(Exception, match=r"a\.parquet .*a Parquet file has no lines"):
        erase_it(instance)
    assert [p.name for p in (instance.home / "raw").rglob("*") if p.is_file()] == objects
    assert instance.ledger.erasures() == []


def test_an_object_whose_tombstone_was_taken_out_is_not_read(instance: Any, make_source: Any) -> None:
    instance.put("a", event(1, "anna") + "\n")
    instance.run(make_source(format="cloudevents", **CLOUD))
    erase_it(instance)
    [item] = instance.ledger.erasures()[0].objects
    path = raw_store(instance.home, instance.ledger).path(item.now)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"event_id":"e1"', b'"event_id":"e2"'))
    for lake in (instance.home / "lake" / "events").rglob("*.parquet"):
        lake.unlink()
    with pytest.raises(IntegrityFailure, match="damaged"):
        rebuild_lake(instance.home, instance.ledger)


def test_a_line_that_looks_like_a_tombstone_is_a_line_like_any_other(instance: Any, make_source: Any) -> None:
    forged = (
        '{"tallystick":"erased","row":"x","bytes":1,"files":{"1":{"event":{"line":1,"source":"s","event_id":"e"}}}}'
    )
    instance.put("a", forged + "\n")
    assert instance.run(make_source(format="cloudevents", **CLOUD)).accepted == 0
    assert [reason for _, reason, _ in instance.quarantine()] == ["missing_id"]


@pytest.mark.parametrize(("lines", "text"), [((), ""), ((7,), "7"), ((1, 2, 3, 7, 9, 10), "1-3,7,9-10")])
def test_line_numbers_are_journalled_as_ranges(lines: tuple[int, ...], text: str) -> None:
    assert ranges_text(lines) == text and ranges_of(text) == lines
