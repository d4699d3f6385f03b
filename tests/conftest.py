"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints although pytest captures the output of tests: figures that a person should see beside the dots."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show_text(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, flush=True)

    return show_text
