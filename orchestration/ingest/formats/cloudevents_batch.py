"""CloudEvents 1.0 as JSON batches: a file of one or more arrays of events, on as many lines as they like.

Each event counts as a line, in the order in which it stands, however the file is laid out. Lines outside of arrays
are events as well. An array that isn't closed is an unterminated file. Otherwise as format `cloudevents`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from orchestration.catalog.sources import Source
from orchestration.ingest.formats.cloudevents import CloudEvents
from orchestration.ingest.lines import BOM

_BETWEEN = re.compile(rb'(?:[^"\[\]{},\n\r]+|"[^"\\\n]*")*+')
_NESTED = re.compile(rb'(?:[^"\[\]{}\n\r]+|"[^"\\\n]*")*+')
_INSIDE = re.compile(rb'["\\\n]')
"""What can be skipped between and within elements, simple strings included; and what ends a run inside a string."""


class CloudEventsBatch(CloudEvents):
    """Format 'cloudevents_batch'."""

    name = "cloudevents_batch"
    record_a_line = False

    def unpack(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        splitter, head = Splitter(), b""
        for chunk in chunks:
            head += chunk
            if len(head) >= len(BOM):
                yield splitter.feed(head.removeprefix(BOM) if splitter.fresh else head)
                head = b""
        yield splitter.feed(head) + splitter.finish()

    def recognises(self, source: Source, lines: list[str]) -> int:
        """What begins as an array of objects, or of nothing."""
        begun = "".join(lines[:2]).replace(" ", "").replace("\t", "").lstrip("\ufeff")
        return len(lines) if re.match(r"\[[{\]]", begun) else 0


class Splitter:
    """Puts each element of the outermost arrays on a line of its own, in constant memory.

    Only line ends and the arrays' own punctuation change: within an element a line end becomes a space, but for one
    inside a string, which is invalid there and stays. Outside of arrays lines are left as they are.
    """

    def __init__(self) -> None:
        self.fresh = True
        self._in_array = False
        self._nesting = 0
        self._in_string = False
        self._escaped = False
        self._pending = False
        """Whether something of the current line has been given out."""

    def feed(self, data: bytes) -> bytes:
        self.fresh = False
        out: list[bytes] = []
        at = 0
        while at < len(data):
            at = self._string(data, at, out) if self._in_string else self._plain(data, at, out)
        return b"".join(out)

    def finish(self) -> bytes:
        """The end of the last line; where an array or a string is still open, an end without a newline."""
        if self._in_array or self._in_string:
            return b"" if self._pending else b" "
        return b"\n" if self._pending else b""

    def _give(self, piece: bytes, out: list[bytes]) -> None:
        if piece and (self._pending or piece.strip(b" \t\r")):
            out.append(piece)
            self._pending = True

    def _end_line(self, out: list[bytes]) -> None:
        if self._pending:
            out.append(b"\n")
        self._pending = False

    def _string(self, data: bytes, at: int, out: list[bytes]) -> int:
        if self._escaped:
            self._escaped = False
            if data[at : at + 1] != b"\n":
                self._give(data[at : at + 1], out)
                return at + 1
        found = _INSIDE.search(data, at)
        if found is None:
            self._give(data[at:], out)
            return len(data)
        self._give(data[at : found.start()], out)
        if found[0] == b"\n":
            self._end_line(out)
            self._in_string = self._in_array
        else:
            self._give(found[0], out)
            self._escaped = found[0] == b"\\"
            self._in_string = self._escaped
        return found.end()

    def _plain(self, data: bytes, at: int, out: list[bytes]) -> int:
        skipped = (_NESTED if self._nesting else _BETWEEN).match(data, at)
        assert skipped is not None
        end = skipped.end()
        self._give(data[at:end], out)
        if end == len(data):
            return end
        sign = data[end : end + 1]
        if sign in b"\n\r" and self._in_array:
            self._give(b" ", out)
        elif sign == b"\n":
            self._end_line(out)
            self._nesting = 0
        elif self._nesting == 0 and (sign == b"," if self._in_array else sign == b"[" and not self._pending):
            self._end_line(out)
            self._in_array = True
        elif self._nesting == 0 and self._in_array and sign == b"]":
            self._end_line(out)
            self._in_array = False
        else:
            self._element(sign, out)
        return end + 1

    def _element(self, sign: bytes, out: list[bytes]) -> None:
        if sign in b"[{":
            self._nesting += 1
        elif sign in b"]}":
            self._nesting = max(0, self._nesting - 1)
        self._in_string = sign == b'"'
        self._give(sign, out)


FORMAT = CloudEventsBatch()
