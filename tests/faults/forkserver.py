"""Forks the `tallystick` command out of a process that has built an instance already: start-up costs nothing.

Requests come as JSON lines: {"argv", "env", "log"} starts a command in a process group of its own, {"wait": pid} asks
for its exit code.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import secrets
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import nosync  # noqa: F401
import tiny
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kills import watch

import orchestration.audit.explain
import orchestration.audit.prove
import orchestration.audit.verify
import orchestration.exports.csvfiles
import orchestration.pipeline.close
import orchestration.pipeline.overview  # noqa: F401
from orchestration.cli import main
from orchestration.ledger import notes
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant


def child(argv: list[str], env: dict[str, str], log: str) -> None:
    """Become the command. Ends the process."""
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    said = -1
    if "FULL_AT" in env:
        # A pipe takes what the command says when no file does.
        said, output = os.pipe()
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(env)
    watch(env)
    if "SECRET" in env:
        draw(env["SECRET"], argv)
    code = 0
    try:
        main(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if said >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        Path(log).write_bytes(os.read(said, 1 << 16))
    os._exit(code)


def draw(secret: str, argv: list[str]) -> None:
    """Every secret that is drawn is this one, and that of a key that replaces another: instances can be compared."""
    secrets.token_hex = lambda size: secret[: 2 * size]
    of_keys = hashlib.sha256(secret.encode()).hexdigest() if "rotate" in argv else secret
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(of_keys))
    notes.Ed25519PrivateKey = SimpleNamespace(
        generate=lambda: key, from_private_bytes=Ed25519PrivateKey.from_private_bytes
    )


def build_once() -> None:
    """Half of what a first build costs is imports and the templates of dbt; both stay in memory."""
    with tempfile.TemporaryDirectory() as folder:
        run(Context(Instance(tiny.make(Path(folder))), parse_instant(tiny.NOW, "the fork server")))
    gc.collect()
    gc.freeze()


def serve() -> None:
    build_once()
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    answers.write("{}\n")
    answers.flush()
    for request in requests:
        asked = json.loads(request)
        if "wait" in asked:
            ended, status = os.waitpid(asked["wait"], os.WNOHANG)
            answer = {"code": os.waitstatus_to_exitcode(status) if ended else None}
        else:
            pid = os.fork()
            if pid == 0:
                child(asked["argv"], asked["env"], asked["log"])
            answer = {"pid": pid}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
