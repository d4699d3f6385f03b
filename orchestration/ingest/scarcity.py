"""Disk, memory or descriptors that ran out, told apart from other errors."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import duckdb

from orchestration.engine import is_exhausted
from orchestration.errors import OutOfResources

_SCARCE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.EIO}


def out_of_resources(home: Path, error: OSError | duckdb.Error) -> Exception:
    """The error as OutOfResources, if that is what it is; else itself."""
    if not is_exhausted(error) and not (isinstance(error, OSError) and error.errno in _SCARCE):
        return error
    free = shutil.disk_usage(home).free
    return OutOfResources(
        f"{error} ({free} bytes are free on the volume of the instance)",
        where=str(getattr(error, "filename", None) or home),
        not_done="the batch in work was not committed; earlier ones stand",
        next_step="free space, memory or descriptors and run again: it goes on where it stopped",
    )
