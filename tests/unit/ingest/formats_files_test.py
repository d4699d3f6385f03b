"""Whole files of the formats: found without being named, compressed in any way, with headers, units and ids."""

from __future__ import annotations

import bz2
import gzip
import json
import random
from typing import Any

import duckdb
import formatkit
import pytest
import zstandard

from orchestration.ingest import inflate
from orchestration.ingest.formats import FORMATS, check_source
from orchestration.ingest.formats.detect import resolve
from orchestration.ingest.formats.page import EXAMPLES
from orchestration.ingest.inflate import Refused, inflated
from orchestration.ingest.lines import MAX_LINE

LINES = formatkit.LINES
ALIAS = {"tomcat": "common", "varnish": "combined"}
"""Formats whose lines are those of another: they have to be named."""
CRI = "2026-10-06T12:00:00.743000000+00:00 stdout F "


def found(text: str, **options: Any) -> str:
    return resolve(formatkit.source("auto", **options), text.encode(), "a.log", FORMATS).format


# -- detection ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", sorted(LINES))
def test_a_file_is_taken_for_what_most_of_its_first_lines_are(form: str) -> None:
    expected = ALIAS.get(form, form)
    assert found(LINES[form] + "\n") == expected
    assert found("\n \r\n" + "\r\n".join([formatkit.NO_REQUESTS[0], LINES[form], LINES[form]])) == expected
    assert found("\ufeff" + LINES[form] + "\ncut off in the middl") == expected


@pytest.mark.parametrize(
    "form", ["envoy", "envoy_json", "nginx_ingress", "traefik_clf", "traefik_json", "caddy", "kong"]
)
def test_a_container_runtimes_prefix_is_no_part_of_the_line(form: str) -> None:
    assert found(CRI + LINES[form]) == form
    source = formatkit.source(form)
    assert formatkit.python_lane(source, [CRI + LINES[form]]) == formatkit.python_lane(source, [LINES[form]])
    con = formatkit.connection()
    (ours,) = formatkit.engine_lane(con, source, [CRI + LINES[form]])
    assert ours in (None, *formatkit.python_lane(source, [LINES[form]]))
    con.close()


def test_columns_and_fields_that_the_source_maps_tell_its_tables_and_objects() -> None:
    assert found("when,who\n2026-10-06T12:00:00Z,a\n", fields={"time": "when"}) == "csv"
    assert found("when\twho\n2026-10-06T12:00:00Z\ta\n", fields={"time": "when as epoch_s"}) == "tsv"
    assert found('{"a": {"when": 5}}\n', fields={"time": "a.when as epoch_ms"}) == "json_lines"
    assert found('[\n {"specversion": "1.0"},') == "cloudevents_batch"


def test_a_file_of_errors_alone_is_set_aside_line_by_line_and_an_unknown_one_is_held(
    instance: Any, make_source: Any
) -> None:
    instance.put("errors.log", "\n".join([*formatkit.NO_REQUESTS, "what"]) + "\n")
    instance.put("other.log", "some text\nand more of it\n")
    report = instance.run(make_source(format="auto"))
    assert report.reasons == {"not_a_request": len(formatkit.NO_REQUESTS), "not_error_log": 1}
    assert [(e.path, e.reason.split(":")[0]) for e in report.held] == [("other.log", "unknown_format")]


def test_the_format_that_was_found_is_kept_and_a_growing_file_goes_on_where_it_was(
    instance: Any, make_source: Any
) -> None:
    source = make_source(format="auto", zone="UTC", path="**/*.*")
    instance.put("a.log", LINES["haproxy"] + "\n")
    instance.put("b/x.json.gz", gzip.compress((LINES["caddy"] + "\n").encode()))
    instance.put("c.jsonl", LINES["cloudevents"] + "\n")
    instance.run(source)
    formats = {row.path: row.format for row in instance.ledger.files()}
    assert formats == {"a.log": "haproxy", "b/x.json.gz": "caddy", "c.jsonl": "cloudevents"}
    assert all(f'"format":"{row.format}"' in row.mapping_json for row in instance.ledger.files())
    instance.put("a.log", (LINES["haproxy"] + "\n") * 3)
    instance.put("c.jsonl", LINES["cloudevents"] + "\n" + LINES["cloudevents"].replace("e1", "e2") + "\n")
    report = instance.run(source)
    assert (report.accepted, report.duplicate, len(instance.events())) == (3, 2, 6)


def test_a_mapping_that_the_found_format_cannot_offer_holds_the_file(instance: Any, make_source: Any) -> None:
    instance.put("a.log", LINES["combined"] + "\n")
    report = instance.run(make_source(format="auto", properties={"x": "upstream_status"}))
    assert [e.reason for e in report.held] == ["format_combined: 'upstream_status' is not a field of format 'combined'"]
    assert check_source(formatkit.source("auto", fields={"clock": "x"}))[0].code == "unknown_target"


def test_parquet_is_found_by_its_magic(instance: Any, make_source: Any) -> None:
    path = instance.put("a.parquet", b"")
    duckdb.connect().execute(f"COPY (SELECT 1791288000250 AS ms, 'k' AS who) TO '{path}' (FORMAT parquet)")
    report = instance.run(make_source(format="auto", fields={"time": "ms as epoch_ms", "credential": "who"}))
    assert (report.held, [row["time_us"] for row in instance.events()]) == ([], [1791288000_250000])


# -- times, headers, ids ------------------------------------------------------------------------------------------

TIMES = {
    "1791288000": ("epoch_s", 1791288000_000000),
    "1791288000.25": ("epoch_s", 1791288000_250000),
    "1791288000.1234567": ("epoch_s", 1791288000_123456),
    "1791288000250": ("epoch_ms", 1791288000_250000),
    "1791288000250.7": ("epoch_ms", 1791288000_250700),
    "1791288000250001": ("epoch_us", 1791288000_250001),
    "1791288000250001999": ("epoch_ns", 1791288000_250001),
    "2026-10-06T14:00:00+02:00": ("epoch_ms", 1791288000_000000),
    "06/Oct/2026:12:00:00 +0000": ("epoch_s", 1791288000_000000),
    "06/Oct/2026:14:00:00.5 +0200": ("clf", 1791288000_500000),
}
WRONG = {
    "1791288000250": ("epoch_s", "time_out_of_window"),
    "1791288000": ("epoch_ms", "time_out_of_window"),
    "1.7912880e9": ("epoch_s", "bad_time"),
    "-1": ("epoch_s", "bad_time"),
    "99999999999999999999": ("epoch_s", "bad_time"),
    "9999999999999999999": ("epoch_s", "bad_time"),
    "now": ("epoch_ms", "bad_time"),
    "": ("epoch_ms", "no_time"),
    "06/Oct/2026:12:00:00": ("epoch_s", "no_zone"),
}


@pytest.mark.parametrize("form", ["json_lines", "csv", "tsv"])
def test_a_number_is_a_time_only_in_the_unit_that_is_declared(instance: Any, make_source: Any, form: str) -> None:
    cases = [*((t, unit, None) for t, (unit, _) in TIMES.items()), *((t, u, why) for t, (u, why) in WRONG.items())]
    delimiter = "\t" if form == "tsv" else ","
    sources = []
    for number, (text, unit, _) in enumerate(cases):
        line = json.dumps({"t": text, "w": "x"}) if form == "json_lines" else f"t{delimiter}w\n{text}{delimiter}x"
        instance.put(f"{number}.x", line + "\n")
        fields = {"time": f"t as {unit}"}
        sources.append(make_source(name=f"s{number:02}", path=f"{number}.x", format=form, fields=fields))
    instance.run(*sources)
    assert [row["time_us"] for row in instance.events()] == [us for _, us in TIMES.values()]
    assert [reason for _, reason, _ in instance.quarantine()] == [why for _, why in WRONG.values()]


def test_json_numbers_keep_their_digits_as_times_and_as_properties(instance: Any, make_source: Any) -> None:
    instance.put("a.jsonl", '{"t":1791288000.1234567,"n":[{"v":0.10}],"w":["x",2.50]}\n')
    options = {"fields": {"time": "t as epoch_s"}, "properties": {"v": "n[0].v", "w": "w[1]", "a": "w", "none": "w[7]"}}
    instance.run(make_source(format="json_lines", **options))
    (row,) = instance.events()
    assert (row["time_us"], row["p_v"], row["p_w"], row["p_none"]) == (1791288000_123456, "0.10", "2.50", None)
    assert row["p_a"] == '["x",2.50]'


def test_cloudfront_columns_go_by_their_header_wherever_it_stands(instance: Any, make_source: Any) -> None:
    header = "#Version: 1.0\n#Fields: timestamp(ms) c-ip cs-method cs-uri-stem sc-status x-edge-request-id\n"
    row = "1791288000250\t203.0.113.9\tGET\t/a%20b\t200\tr-{}\n"
    instance.put("a.gz", gzip.compress((header + row.format(1) + header + row.format(2) + "odd\n").encode()))
    instance.put("b.gz", gzip.compress((LINES["cloudfront"].replace("r-1", "r-3") + "\n").encode()))
    report = instance.run(make_source(format="auto", fields={"id": "request_id"}, properties={"ip": "c-ip"}))
    assert (report.accepted, report.blank, report.reasons) == (3, 4, {"not_cloudfront": 1})
    found = [(row["event_id"], row["path"], row["p_ip"]) for row in instance.events()]
    assert found == [("r-1", "/a%20b", "203.0.113.9"), ("r-2", "/a%20b", "203.0.113.9"), ("r-3", "/a/b", "203.0.113.9")]
    short = "#Version: 1.0\n#Fields: date time\n2026-10-06\t12:00:00\n"
    instance.put("c.gz", gzip.compress(short.encode()))
    report = instance.run(make_source(format="auto", fields={"id": "request_id"}, properties={"ip": "c-ip"}))
    assert [e.reason for e in report.held] == ["missing_column: x-edge-request-id"]


@pytest.mark.parametrize("first", [b"\xff\xfe", b"\0", b"#Fields: date\xff time", b"x" * (MAX_LINE + 1)])
def test_a_first_line_that_is_no_text_costs_a_file_without_header_that_line_alone(
    instance: Any, make_source: Any, first: bytes
) -> None:
    instance.put("a.log", first + b"\n" + LINES["cloudfront"].encode() + b"\n")
    report = instance.run(make_source(format="cloudfront", fields={"id": "request_id"}))
    assert (report.held, report.lines, report.accepted, report.quarantined) == ([], 2, 1, 1)
    assert [(line, raw[:9]) for line, _, raw in instance.quarantine()] == [(1, first[:9])]


def test_a_gateways_request_id_can_be_the_identity(instance: Any, make_source: Any) -> None:
    source = make_source(format="nginx_ingress", fields={"id": "request_id"})
    instance.put("a.log", LINES["nginx_ingress"] + "\n")
    instance.put("b.log", LINES["nginx_ingress"] + "\n" + LINES["nginx_ingress"].replace("r-1", "r-2") + "\n")
    report = instance.run(source)
    assert (report.accepted, report.duplicate) == (2, 1)


def test_edges_of_front_door_and_other_loggers_do_not_count_twice() -> None:
    azure = json.loads(LINES["azure"])
    azure["properties"]["isReceivedFromClient"] = False
    firewall = json.loads(LINES["azure"]) | {"category": "ApplicationGatewayFirewallLog"}
    for event in (azure, firewall):
        assert formatkit.python_lane(formatkit.source("azure"), [json.dumps(event)])[0][0] == "not_a_request"
    error = json.dumps(formatkit.CADDY | {"logger": "http.log.error.log0"})
    assert formatkit.python_lane(formatkit.source("caddy"), [error])[0][0] == "not_a_request"


# -- compression --------------------------------------------------------------------------------------------------

PACK = {
    "gzip": (gzip.compress, ".gz"),
    "bzip2": (bz2.compress, ".bz2"),
    "zstd": (lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data), ".zst"),
}
TEXT = random.Random(5).randbytes(300_000).hex().encode()


def whole(data: bytes, step: int = 1 << 16, name: str = "") -> bytes:
    return b"".join(inflated((data[n : n + step] for n in range(0, len(data), step)), name))


@pytest.mark.parametrize("kind", PACK)
def test_packed_text_comes_out_whole_however_it_is_cut_and_joined(kind: str) -> None:
    pack, suffix = PACK[kind]
    members = [TEXT, b"", b"a\n", TEXT[:1000]]
    data = b"".join(pack(member) for member in members)
    for step in (1 << 22, 4096, 997):
        assert whole(data, step, f"x{suffix}") == b"".join(members)


@pytest.mark.parametrize("kind", PACK)
def test_a_cut_damaged_or_continued_packing_is_refused_with_its_reason(kind: str) -> None:
    pack, suffix = PACK[kind]
    data = pack(TEXT)
    damaged = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0x5A]) + data[len(data) // 2 + 1 :]
    for broken, name in [
        (data[:-1], ""),
        (data[: len(data) // 2], ""),
        (data + b"trailing", ""),
        (damaged, ""),
        (b"", f"x{suffix}"),
        (data[:1], f"x{suffix}"),
        (data[:3], f"x{suffix}"),
    ]:
        with pytest.raises(Refused, match=f"^bad_{kind}: "):
            whole(broken, name=name)


@pytest.mark.parametrize("kind", ["bzip2", "zstd"])
def test_a_bomb_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = PACK[kind][0](b"\0" * (100 << 20))
    with pytest.raises(Refused, match=r"^expansion_ratio: "):
        for block in inflated([bomb]):
            assert len(block) <= 64 << 20
    monkeypatch.setattr(inflate, "MAX_INFLATED", 1000)
    with pytest.raises(Refused, match=r"^too_large: "):
        whole(PACK[kind][0](TEXT))


@pytest.mark.parametrize("kind", PACK)
def test_a_text_that_is_only_named_as_packed_is_read_as_text(kind: str) -> None:
    for text in (b"x", b"BZip\n", b"a line\n"):
        assert whole(text, name=f"x{PACK[kind][1]}") == text


def test_a_skippable_frame_is_skipped_and_a_huge_window_is_refused() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    frame = PACK["zstd"][0](b"x\n")
    assert whole(skippable + frame + skippable + frame) == b"x\nx\n"
    window = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    large = zstandard.ZstdCompressor(compression_params=window).compressobj()
    data = large.compress(TEXT) + large.flush()
    with pytest.raises(Refused, match=r"^bad_zstd: "):
        whole(data)


def test_the_same_log_in_another_packing_adds_nothing(instance: Any, make_source: Any) -> None:
    text = (LINES["combined"] + "\n").encode() * 3
    for number, (pack, suffix) in enumerate(PACK.values()):
        instance.put(f"{number}.log{suffix}", pack(text))
    instance.put("9.log", text)
    report = instance.run(make_source(format="auto"))
    assert (len(instance.events()), report.held, report.duplicate) == (3, [], 9)
    instance.put("misnamed.gz", bz2.compress(text.replace(b"/a/b", b"/c")))
    report = instance.run(make_source(format="auto"))
    assert [notice.reason for notice in report.notices] == [
        "its name and its content disagree about gzip; the content decides",
        "its name and its content disagree about bzip2; the content decides",
    ]


# -- the examples of docs/formats.md ------------------------------------------------------------------------------

_COLUMNS = {"time": "at", "credential": "account"}
_MAPPED: dict[str, dict[str, str]] = {
    "csv": _COLUMNS,
    "tsv": _COLUMNS,
    "json_lines": {"time": "when as epoch_ms", "credential": "who.key", "path": "call.uri"},
}


def test_every_example_of_the_documentation_is_read_as_its_format(instance: Any) -> None:
    sources = []
    for path in sorted(EXAMPLES.glob("*.txt")):
        instance.put(f"{path.stem}/a.log", path.read_bytes())
        sources.append(
            formatkit.source(path.stem, name=path.stem, path=f"{path.stem}/*.log", fields=_MAPPED.get(path.stem, {}))
        )
    report = instance.run(*sources)
    assert report.held == []
    quarantined = {row.source: row.quarantined for row in instance.ledger.files() if row.quarantined}
    assert quarantined == {"error_log": 1}
    by_source: dict[str, list[dict[str, Any]]] = {
        name: [] for name in FORMATS.keys() - {"auto", "parquet", "error_log"}
    }
    for event in instance.events():
        by_source[event["feed"]].append(event)
    assert {name: len(rows) for name, rows in by_source.items() if len(rows) != 1} == {"cloudevents_batch": 2}
    noon = formatkit.NOON_US
    assert {r["feed"] for rows in by_source.values() for r in rows if not noon <= r["time_us"] < noon + 10**6} == set()
    requests = by_source.keys() - {"csv", "tsv", "cloudevents", "cloudevents_batch", "cloudevents_binary"}
    assert {name for name in requests if by_source[name][0]["path"] is None} == set()
