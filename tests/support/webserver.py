"""A real dagster-webserver on 127.0.0.1, and questions to it in GraphQL."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# Without the daemon nothing takes runs from a queue, so the server launches them itself.
DAGSTER_YAML = """
telemetry: {enabled: false}
nux: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""
START_SECONDS, RUN_SECONDS = 180, 180
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


@contextmanager
def webserver(dagster_home: Path, environment: dict[str, str]) -> Iterator[str]:
    """Start the server on a free port and yield its address; it is stopped at the end."""
    dagster_home.mkdir(parents=True, exist_ok=True)
    (dagster_home / "dagster.yaml").write_text(DAGSTER_YAML)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [str(Path(sys.executable).with_name("dagster-webserver")), "-w", "workspace.yaml"]
    log = (dagster_home / "webserver.log").open("w")
    server = subprocess.Popen(
        [*program, "-h", "127.0.0.1", "-p", str(port)],
        cwd=REPOSITORY,
        env={**os.environ, **environment, "DAGSTER_HOME": str(dagster_home)},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _await_start(address, server, dagster_home / "webserver.log")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def _await_start(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"the web server did not start:\n{log.read_text()[-3000:]}")


def ask(address: str, query: str, **variables: Any) -> dict[str, Any]:
    """Data of a GraphQL query or mutation."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def working(home: Path) -> int:
    """The process that holds the lock of an instance; the first that has taken a file."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        text = (home / ".lock").read_text() if (home / "raw").exists() else ""
        if text.endswith("}"):
            return int(json.loads(text)["pid"])
        time.sleep(0.02)
    raise AssertionError("no run has begun to work")


def launch(address: str, job: str, tags: dict[str, str] | None = None) -> str:
    """Launch a job as the UI does. Returns the run's id."""
    selector = {"repositoryLocationName": "tallystick", "repositoryName": "__repository__", "pipelineName": job}
    metadata = {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]}
    params = {"selector": selector, "runConfigData": "{}", "executionMetadata": metadata}
    launched = ask(address, LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def launch_and_wait(address: str, job: str, tags: dict[str, str] | None = None) -> str:
    """The same, and wait for its end. Returns its status."""
    run_id = launch(address, job, tags)
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        status = ask(address, "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)
        if status["runOrError"]["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            return str(status["runOrError"]["status"])
        time.sleep(0.5)
    raise AssertionError(f"run {run_id} of {job} did not end")
