"""Fixtures for all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import nosync  # noqa: F401
import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from objectstores import S3Server


_SHARING = ("e2e", "orchestration")
"""Folders whose tests share instances that are dear to make."""


class _ByFile(LoadScopeScheduling):
    """Gives a worker the tests of a file, or of a folder that shares, together: what they share is made once."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.split("/")[-2]
        return folder if folder in _SHARING else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How a parallel run shares out the tests."""
    return _ByFile(config, log)


@pytest.fixture(scope="session")
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints although pytest captures the output of tests: figures that a person should see beside the dots."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show_text(text: str) -> None:
        with capture.global_and_fixture_disabled():
            # Not on stdout: a worker of a parallel run talks to its master there.
            print(text, file=sys.stderr, flush=True)

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
