"""Writing a file of the example whole: the same bytes each time, and a file that is already there is left alone."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

from orchestration.example.summary import BLANK, Line, Written
from orchestration.example.traffic import Dice


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step. A reader never sees a part; equal bytes are not written again."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def write_lines(home: Path, source: str, name: str, lines: Sequence[Line]) -> Written:
    """Write lines to `home/inbox/<name>`, compressed when the name ends in .gz, and say what they are."""
    data = b"".join(line.data + b"\n" for line in lines)
    write_bytes(home / "inbox" / name, gzip.compress(data, 6, mtime=0) if name.endswith(".gz") else data)
    return Written.of(source, f"inbox/{name}", lines)


def scatter(dice: Dice, files: Sequence[list[Line]], extra: Sequence[Line]) -> None:
    """Insert lines at random places of random files."""
    for line in extra:
        target = files[dice.below(len(files))]
        target.insert(dice.below(len(target) + 1), line)


def blanks(count: int) -> list[Line]:
    """Lines that hold nothing."""
    return [BLANK] * count
