"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from objectstores import S3Server


@pytest.fixture(scope="session")
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints although pytest captures the output of tests: figures that a person should see beside the dots."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show_text(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, flush=True)

    return show_text


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3-compatible server on a free port, for the whole session."""
    from moto.server import ThreadedMotoServer
    from objectstores import S3Server

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Server(f"http://{host}:{port}")
    server.stop()
