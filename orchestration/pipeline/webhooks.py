"""One POST of JSON to a webhook: signed, never redirected, soon given up. A failure is a text, not an error."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from orchestration import __version__
from orchestration.settings import read_webhook

SECONDS = 5
"""How long a connection, or a step of the answer, may take; all of the answer may take twice that."""
_LOCAL = ("localhost", "127.0.0.1", "::1")


def post(variable: str, body: bytes, key: str) -> str:
    """Post `body` to the URL that an environment variable holds; empty, or why it was not taken.

    `key` is the Idempotency-Key. With a secret in `<variable>_SECRET`, `X-Tallystick-Signature` has
    `sha256=<hex HMAC-SHA256 of the body>`. No text has the URL in it: its path may be a secret.
    """
    url, secret = read_webhook(variable)
    if not url:
        return f"{variable} is not set"
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tallystick/{__version__}",
        "Idempotency-Key": key,
    }
    if secret:
        headers["X-Tallystick-Signature"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    try:
        return _post(url, variable, body, headers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{type(error).__name__}: {error.strerror if isinstance(error, OSError) else 'no answer of HTTP'}"


def _post(url: str, variable: str, body: bytes, headers: dict[str, str]) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.scheme not in ("https", "http") or (parts.scheme == "http" and host not in _LOCAL):
        return f"{variable} holds no https:// URL"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, parts.port, timeout=SECONDS)
    try:
        connection.connect()
        with _deadline(connection.sock):
            target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
    finally:
        connection.close()
    return "" if 200 <= status < 300 else f"the answer was {status}"


@contextmanager
def _deadline(sock: socket.socket) -> Iterator[None]:
    """An answer that comes byte by byte never takes too long for a step: all of it ends here."""

    def end() -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(2 * SECONDS, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
