"""Files as a whole: broken, compressed, unreadable, changing, or no files at all."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import socket
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard

from orchestration.errors import OutOfResources
from orchestration.ingest import gathering, lines
from orchestration.ingest.inflate import Refused, inflated

EVENTS = [json.dumps({"id": f"e{n}", "source": "s", "type": "t", "time": "2026-10-01T10:00:00Z"}) for n in range(40)]
TEXT = "".join(e + "\n" for e in EVENTS).encode()


@pytest.fixture
def feed(make_source: Any) -> Any:
    return make_source(format="cloudevents")


def broken_gzips() -> dict[str, bytes]:
    whole = gzip.compress(TEXT)
    crc, size = bytearray(whole), bytearray(whole)
    crc[-8] ^= 1
    size[-1] ^= 1
    cut = {f"cut{n}.gz": whole[: len(whole) * n // 16] for n in range(1, 16)}
    return cut | {
        "last8.gz": whole[:-8],
        "last1.gz": whole[:-1],
        "crc.gz": bytes(crc),
        "size.gz": bytes(size),
        "empty.gz": b"",
        "one.gz": whole[:1],
        "garbage.gz": whole + b"garbage",
        "half_member.gz": whole + whole[:1],
        "second_cut.gz": whole + whole[:-3],
    }


def test_F16_a_broken_gzip_is_held_whole_and_the_others_go_on(instance: Any, feed: Any) -> None:
    for name, data in broken_gzips().items():
        instance.put(name, data)
    instance.put("good.gz", gzip.compress(TEXT[: len(TEXT) // 2]) + gzip.compress(TEXT[len(TEXT) // 2 :]))
    report = instance.run(feed)
    assert {h.path for h in report.held} == set(broken_gzips())
    assert all(h.reason.startswith("bad_gzip: ") for h in report.held)
    assert (report.accepted, report.exit_code) == (40, 3)
    assert sorted(d.path for d in instance.ledger.held()) == sorted(broken_gzips())


@pytest.mark.parametrize("kind", ["bz2", "zst"])
def test_F16_a_cut_bzip2_or_zstd_is_held_whole_until_it_comes_whole(instance: Any, feed: Any, kind: str) -> None:
    pack = bz2.compress if kind == "bz2" else zstandard.ZstdCompressor(write_checksum=True).compress
    whole = pack(TEXT)
    cuts = {f"cut{n:02d}.{kind}": whole[: len(whole) * n // 16] for n in range(16)}
    for name, data in (cuts | {f"last1.{kind}": whole[:-1], f"garbage.{kind}": whole + b"garbage"}).items():
        instance.put(name, data)
    report = instance.run(feed)
    assert len(report.held) == 18 and all(h.reason.startswith("bad_") for h in report.held)
    assert (report.batches, instance.events()) == ([], [])
    assert [path for path in (instance.home / "raw").rglob("*") if path.is_file()] == []
    instance.put(f"cut08.{kind}", whole)
    report = instance.run(feed)
    assert (report.accepted, len(report.held)) == (40, 17)


def test_F16_content_and_not_the_name_decides_about_gzip(instance: Any, feed: Any) -> None:
    instance.put("plain.gz", TEXT)
    instance.put("zipped.jsonl", gzip.compress(TEXT.replace(b'"e', b'"f')))
    report = instance.run(feed)
    assert (report.accepted, len(report.notices), report.held) == (80, 2, [])


def test_gzip_is_inflated_alike_in_blocks_of_any_size() -> None:
    data = gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:])
    for step in (1, 2, 7, 4096, 1 << 20):
        pieces = [data[n : n + step] for n in range(0, len(data), step)]
        if step == 1:
            pieces = [data[:2], *pieces[2:]]
        assert b"".join(inflated(pieces, block=97)) == TEXT


def test_F40_a_bomb_is_refused_before_it_unfolds() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    out = 0
    with pytest.raises(Refused, match="expansion_ratio"):
        for block in inflated([bomb]):
            out += len(block)
    assert out < 24 << 20


def test_F40_an_over_long_line_is_set_aside_alone_in_constant_memory(instance: Any, feed: Any) -> None:
    long = b"x" * (3 * lines.MAX_LINE)
    head, tail = EVENTS[0].encode(), EVENTS[1].encode()
    instance.put("a.jsonl", head + b"\n" + long + b"\n" + tail + b"\n" + b"y" * (lines.MAX_LINE + 1) + b"\n")
    report = instance.run(feed)
    assert (report.accepted, report.reasons) == (2, {"line_too_long": 2})
    assert [(n, len(raw)) for n, _, raw in instance.quarantine()] == [(2, 4096), (4, 4096)]
    # A line of any length costs no more memory than the cap: what is carried over is dropped.
    sizes = [len(b.text) for b in lines.blocks(b"z" * 65536 for _ in range(200))]
    assert sizes == [0]


def test_F39_bytes_that_are_no_text_spoil_their_own_line_only(instance: Any, feed: Any) -> None:
    bad = [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"a\0b", b"\xe2\x80"]
    content = b"\xef\xbb\xbf" + b"".join(e.encode() + b"\n" + b + b"\r\n" for e, b in zip(EVENTS, bad, strict=False))
    instance.put("a.jsonl", content + b"\n \t\r\n\n")
    report = instance.run(feed)
    assert (report.accepted, report.blank) == (5, 3)
    assert report.reasons == {"invalid_utf8": 4, "nul_byte": 1}
    assert [raw for _, _, raw in instance.quarantine()] == [b + b"\r" for b in bad]
    assert any("byte order mark" in n.reason for n in report.notices)


def test_F17_a_file_that_grew_since_it_was_listed_is_deferred(instance: Any, feed: Any, monkeypatch: Any) -> None:
    path = instance.put("a.jsonl", TEXT)
    real = gathering.discover

    def listed(*args: Any) -> Any:
        listing = real(*args)
        path.write_bytes(TEXT + b"half a li")
        return listing

    monkeypatch.setattr(gathering, "discover", listed)
    report = instance.run(feed)
    assert ([d.reason for d in report.deferred], report.lines, report.exit_code) == (["changing"], 0, 0)
    monkeypatch.undo()
    instance.put("a.jsonl", TEXT)
    assert instance.run(feed).accepted == 40


def test_F18_the_same_bytes_under_another_name_path_or_time_add_nothing(instance: Any, feed: Any) -> None:
    instance.put("a.jsonl", TEXT)
    instance.run(feed)
    for name in ("b.jsonl", "deep/er/a.jsonl", "c"):
        instance.put(name, TEXT)
    os.utime(instance.inbox / "a.jsonl", (5, 5))
    report = instance.run(feed)
    assert (report.files, report.lines, report.exit_code) == (0, 0, 0)
    assert [n.reason.split(":")[0] for n in report.notices] == ["duplicate_of"] * 4
    assert len(instance.events()) == 40


EDITS = {
    "appended": (TEXT + json.dumps(json.loads(EVENTS[0]) | {"id": "new"}).encode() + b"\n", (1, 40, 0)),
    "cut off": (TEXT[: len(TEXT) // 2].rsplit(b"\n", 1)[0] + b"\n", (0, 20, 0)),
    "edited": (TEXT.replace(b'"e7", "source"', b'"e7", "subject": "k", "source"'), (0, 39, 1)),
    "other content": (TEXT.replace(b'"e', b'"f'), (40, 0, 0)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_F20_F21_a_file_changed_at_its_source_is_new_bytes_and_the_copy_stays(
    instance: Any, feed: Any, edit: str
) -> None:
    content, expected = EDITS[edit]
    instance.put("a.jsonl", TEXT)
    instance.run(feed)
    first = instance.ledger.files()[0].sha256
    instance.put("a.jsonl", content)
    report = instance.run(feed)
    assert (report.accepted, report.duplicate, report.conflict) == expected
    assert (instance.home / "raw" / first[:2] / first).read_bytes() == TEXT
    assert len({row.sha256 for row in instance.ledger.files()}) == 2


def test_F22_odd_but_lawful_names_are_read_and_others_are_listed(instance: Any, feed: Any) -> None:
    first = instance.put("first.jsonl", TEXT)
    for name in ("..jsonl", "...", "a..b", "-rf", "$(x)", "a b", "\u00e9t\u00e9", "%2e%2e%2f", "*"):
        instance.put(f"odd/{name}", TEXT.replace(b'"e', f'"{len(name)}{name}'.encode()))
    (instance.inbox / "odd" / "hard").hardlink_to(first)
    long = instance.inbox
    for _ in range(5):
        long = long / ("x" * 250)
        long.mkdir()
    (long / "a.jsonl").write_bytes(TEXT)
    report = instance.run(feed.model_copy(update={"path": "**/*"}))
    assert (report.files, report.accepted, report.held) == (10, 400, [])
    assert [(n.path, n.reason.split(":")[0]) for n in report.notices] == [("odd/hard", "duplicate_of")]
    assert [(r.reason, len(r.path)) for r in report.refused] == [("name_too_long", 1262)]


def test_F22_a_device_is_never_opened(instance: Any, feed: Any) -> None:
    report = instance.run(feed.model_copy(update={"root": "/dev", "path": "zero"}))
    devices = [(r.path, r.reason) for r in report.refused if r.reason != "symbolic_link"]
    assert (devices, report.lines) == ([("zero", "device")], 0)


def test_F22_only_regular_files_below_the_root_are_opened(instance: Any, feed: Any, tmp_path: Path) -> None:
    instance.put("good.jsonl", TEXT)
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(TEXT.replace(b'"e', b'"x'))
    inbox = instance.inbox
    (inbox / "link.jsonl").symlink_to(outside)
    (inbox / "zero").symlink_to("/dev/zero")
    (inbox / "loop").symlink_to("loop")
    (inbox / "folder_link").symlink_to(tmp_path)
    os.mkfifo(inbox / "fifo")
    (inbox / "x.gz").mkdir()
    (inbox / "new\nline").write_bytes(TEXT)
    Path(os.fsdecode(os.fsencode(inbox) + b"/bad\xff")).write_bytes(TEXT)
    here = Path.cwd()
    os.chdir(inbox)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
    finally:
        os.chdir(here)
    report = instance.run(feed.model_copy(update={"path": "*"}))
    assert (report.accepted, report.files) == (40, 1)
    assert {(r.path, r.reason) for r in report.refused} == {
        ("link.jsonl", "symbolic_link"),
        ("zero", "symbolic_link"),
        ("loop", "symbolic_link"),
        ("folder_link", "symbolic_link"),
        ("fifo", "fifo"),
        ("socket", "socket"),
        ("x.gz", "folder"),
        ("new\\nline", "unprintable_name"),
        ("bad\\xff", "unprintable_name"),
    }


def test_F23_a_file_that_may_not_be_read_is_named_and_the_rest_goes_on(
    instance: Any, feed: Any, monkeypatch: Any
) -> None:
    instance.put("secret.jsonl", TEXT)
    instance.put("good.jsonl", EVENTS[0] + "\n")
    real = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith("secret.jsonl"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    report = instance.run(feed)
    assert [(h.path, h.reason) for h in report.held] == [("secret.jsonl", "unreadable: Permission denied")]
    assert (report.accepted, report.exit_code) == (1, 3)
    monkeypatch.undo()
    assert instance.run(feed).accepted == 39


def test_F17_a_file_that_changes_while_it_is_read_is_deferred_and_taken_later(
    instance: Any, feed: Any, monkeypatch: Any
) -> None:
    path = instance.put("a.jsonl", TEXT)
    real = os.read

    def grow(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        if not data:
            path.write_bytes(TEXT + b"half a li")
        return data

    monkeypatch.setattr(os, "read", grow)
    report = instance.run(feed)
    assert ([d.reason for d in report.deferred], report.exit_code, report.batches) == (["changing"], 0, [])
    monkeypatch.undo()
    instance.put("a.jsonl", TEXT)
    assert instance.run(feed).accepted == 40


def test_A10_F21_a_deleted_or_seen_file_is_no_event(instance: Any, feed: Any) -> None:
    path = instance.put("a.jsonl", TEXT)
    instance.run(feed)
    assert instance.run(feed).batches == []
    path.unlink()
    report = instance.run(feed)
    assert (report.batches, report.exit_code) == ([], 0)
    assert len(instance.events()) == 40


def test_F57_no_input_empty_files_and_only_bad_lines_are_no_error(instance: Any, feed: Any, make_source: Any) -> None:
    assert instance.run(feed).lines == 0
    instance.put("empty.jsonl", b"")
    instance.put("bad.jsonl", b"nonsense\n")
    instance.put("../logs/blank.log", b"\n\n")
    report = instance.run(feed, make_source(name="logs", root="logs", path="*"))
    assert (report.accepted, report.exit_code) == (0, 0)
    assert instance.events() == []


def test_a_missing_folder_is_reported_and_not_taken_for_empty(instance: Any, feed: Any) -> None:
    report = instance.run(feed.model_copy(update={"root": "elsewhere"}))
    assert [u.reason for u in report.unreadable] == ["no_such_folder: elsewhere"]
    assert report.exit_code == 3


def test_F9_a_full_disk_ends_with_its_own_error_and_the_next_run_goes_on(
    instance: Any, feed: Any, monkeypatch: Any
) -> None:
    instance.put("a.jsonl", TEXT)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "raw/x")

    monkeypatch.setattr("orchestration.ingest.raw.os.fsync", full)
    with pytest.raises(OutOfResources) as caught:
        instance.run(feed)
    assert "No space left" in str(caught.value) and "bytes are free" in str(caught.value)
    monkeypatch.undo()
    assert instance.run(feed).accepted == 40
