"""Listing a source's folder: what its pattern names and may be opened, and what it names and never will be."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from orchestration.catalog.sources import Source
from orchestration.ingest.stores import Bucket

MAX_PATH = 1024
SEQUENCE = "sequence"
"""The capture that numbers the files of a stream."""
_CAPTURE = re.compile(r"\{([a-z][a-z0-9_]{0,62})\}")


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an object was listed, and which state of it: a store may lack etags, or versions."""

    bucket: Bucket
    etag: str | None
    version: str | None

    @property
    def tag(self) -> str:
        return " ".join(filter(None, (self.etag, self.version)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or an object that a source names, as the listing saw it. `path` is relative to the source's root.

    An object has `stored`, and its `root` means nothing. `mtime_ns` is when it was changed last, by its store's clock.
    """

    source: Source
    root: Path
    path: str
    stream: str
    size: int
    mtime_ns: int
    stored: Stored | None = None

    @property
    def file(self) -> Path:
        return self.root / self.path


@dataclass(frozen=True, slots=True)
class Entry:
    """Something under a root that is not opened, and why. `path` is printable."""

    source: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    candidates: list[Candidate]
    refused: list[Entry]
    unreadable: list[Entry]


def pattern_regex(pattern: str) -> re.Pattern[str]:
    """A source's `path` as a regular expression: `*`, `?` stay within a path part, `**/` spans any, `{x}` captures."""
    out, rest = "", pattern
    while rest:
        capture = _CAPTURE.match(rest)
        if capture:
            out += f"(?P<{capture[1]}>{'[0-9]+' if capture[1] == SEQUENCE else '[^/]+?'})"
            rest = rest[capture.end() :]
        elif rest.startswith("**/"):
            out, rest = out + "(?:[^/]+/)*", rest[3:]
        elif rest[0] in "*?":
            out, rest = out + ("[^/]*" if rest[0] == "*" else "[^/]"), rest[1:]
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return re.compile(out, re.DOTALL)


def stream_name(source: str, captures: dict[str, str]) -> str:
    """Which of a source's streams a file belongs to: the source, and what its path captured but for its number."""
    captured = sorted((name, value) for name, value in captures.items() if name != SEQUENCE)
    return source + ("?" + urlencode(captured) if captured else "")


def captures_of(stream: str) -> dict[str, str]:
    """What a file's path captured, by name, from its stream."""
    return dict(parse_qsl(stream.partition("?")[2]))


def discover(home: Path, source: Source) -> Listing:
    """List a source, sorted by path. Links are never followed; nothing is opened."""
    root = Path(os.path.realpath(home / source.root))
    listing = Listing([], [], [])
    if root.is_dir():
        _walk(source, root, "", pattern_regex(source.path), listing)
    else:
        listing.unreadable.append(Entry(source.name, ".", f"no_such_folder: {source.root}"))
    if source.manifest is not None:
        lists = pattern_regex(source.manifest)
        listing.candidates[:] = [c for c in listing.candidates if not lists.fullmatch(c.path)]
    listing.candidates.sort(key=lambda c: c.path.encode())
    return listing


def printable(path: str) -> str:
    """The path with control characters and undecodable bytes escaped."""
    if path.isprintable():
        return path
    readable = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in readable)


def _walk(source: Source, root: Path, below: str, pattern: re.Pattern[str], listing: Listing) -> None:
    try:
        entries = sorted(os.scandir(root / below), key=lambda e: os.fsencode(e.name))
    except OSError as error:
        listing.unreadable.append(Entry(source.name, printable(below or "."), f"unreadable: {error.strerror}"))
        return
    for entry in entries:
        path = below + entry.name
        match = pattern.fullmatch(path)
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(info.st_mode):
            _walk(source, root, path + "/", pattern, listing)
        if stat.S_ISLNK(info.st_mode) or (match and not (stat.S_ISDIR(info.st_mode) and "**" in source.path)):
            reason = _refusal(path, info.st_mode)
            if reason:
                listing.refused.append(Entry(source.name, printable(path), reason))
            elif match:
                stream = stream_name(source.name, match.groupdict())
                listing.candidates.append(Candidate(source, root, path, stream, info.st_size, info.st_mtime_ns))


def _refusal(path: str, mode: int) -> str | None:
    kinds = {
        stat.S_IFLNK: "symbolic_link",
        stat.S_IFDIR: "folder",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    if not stat.S_ISREG(mode):
        return kinds.get(stat.S_IFMT(mode), "not_a_file")
    return name_refusal(path)


def name_refusal(path: str) -> str | None:
    """Why a file of this name is never opened; None if it may be."""
    if len(os.fsencode(path)) > MAX_PATH:
        return "name_too_long"
    return None if path.isprintable() else "unprintable_name"
