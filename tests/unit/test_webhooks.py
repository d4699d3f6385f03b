"""Webhooks are told once of what is new, signed; whatever they answer, the run goes on and the next one tries again."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from incident_tables import NOON, NOW, ROWS, TEXTS, incident, plant

from orchestration.catalog.load import parse_catalog
from orchestration.pipeline import alerts, webhooks
from orchestration.pipeline.alerts import post_alerts, unposted
from orchestration.pipeline.generation import publish, start_build
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.prepare import open_build
from orchestration.pipeline.webhooks import post

HOOKS = """holds: [traffic_spike]
webhooks: [{name: desk, url_from: DESK_URL}, {name: scrapers, url_from: SCRAPERS_URL, kinds: [scraping]}]
"""


@dataclass
class Receiver:
    """A server on this machine: what it was sent, and what it answers."""

    url: str
    answer: int = 200
    drips: bool = False
    got: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    @property
    def incidents(self) -> list[tuple[str, list[str]]]:
        return [(path, [row["incident"] for row in body["incidents"]]) for path, _, body in self.got]


@pytest.fixture(scope="module")
def server() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append((self.path, dict(self.headers), json.loads(body) | {"bytes": body.decode()}))
            if told.drips:
                with suppress(OSError):
                    for _ in range(100):
                        self.wfile.write(b"H")
                        time.sleep(0.05)
                return
            self.send_response(told.answer)
            self.send_header("Location", f"{told.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = Receiver(f"http://127.0.0.1:{listening.server_address[1]}")
    threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield told
    listening.shutdown()


@pytest.fixture
def receiver(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    server.got.clear()
    server.answer, server.drips = 200, False
    monkeypatch.setenv("DESK_URL", f"{server.url}/desk?room=1")
    monkeypatch.setenv("SCRAPERS_URL", f"{server.url}/scrapers")
    monkeypatch.delenv("DESK_URL_SECRET", raising=False)
    return server


def generation(home: Path, rows: list[list[Any]], hooks: str = HOOKS, *, published: bool = True) -> list[str]:
    """A build with these incidents, told of and published; what was reported, and what it says was not posted."""
    instance, said = Instance(home), list[str]()
    instance.warehouse.mkdir(parents=True, exist_ok=True)
    start_build(instance, fresh=True)
    with open_build(instance) as con:
        con.execute("CREATE SCHEMA control")
        plant(con, rows)
        post_alerts(con, instance, parse_catalog(TEXTS | {"monitoring.yaml": hooks}), NOW, said.append)
        found = list(unposted(con))
    if published:
        publish(instance)
    assert [text for text in said if "not posted" in text] == found
    return said


def test_what_is_new_is_told_once_to_whom_it_concerns(receiver: Receiver, tmp_path: Path) -> None:
    assert generation(tmp_path, ROWS[:1]) == ["webhook 'desk': 1 alert(s) posted"]
    assert generation(tmp_path, ROWS) == [
        "webhook 'desk': 2 alert(s) posted",
        "webhook 'scrapers': 1 alert(s) posted",
    ]
    assert generation(tmp_path, ROWS) == []
    assert receiver.incidents == [
        ("/desk?room=1", ["aaaa00000001"]),
        ("/desk?room=1", ["aaaa00000002", "bbbb00000003"]),
        ("/scrapers", ["bbbb00000003"]),
    ]
    _, headers, body = receiver.got[0]
    assert "X-Tallystick-Signature" not in headers and headers["Content-Type"] == "application/json"
    assert body["incidents"] == [
        {
            "incident": "aaaa00000001", "customer": "acme", "kind": "traffic_spike",
            "first_hour": "2026-10-14T12:00:00Z", "last_hour": "2026-10-14T13:00:00Z", "alarms": "2",
            "observed": "412", "centre": "100", "lower": "60", "upper": "150", "holds_drafts": True,
        }
    ]  # fmt: skip
    assert (body["hook"], body["thresholds"], body["more"]) == ("desk", [], "0")


def test_the_body_is_signed_with_the_secret_beside_the_url(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_URL_SECRET", "s3cret")
    generation(tmp_path, ROWS[:1])
    [(_, headers, body)] = receiver.got
    signature = hmac.new(b"s3cret", body["bytes"].encode(), hashlib.sha256).hexdigest()
    assert headers["X-Tallystick-Signature"] == f"sha256={signature}"


def test_killed_before_it_was_published_a_build_posts_the_same_again_under_the_same_key(
    receiver: Receiver, tmp_path: Path
) -> None:
    generation(tmp_path, ROWS, published=False)
    generation(tmp_path, ROWS)
    keys = [(path, headers["Idempotency-Key"], body["bytes"]) for path, headers, body in receiver.got]
    assert len(keys) == 4 and keys[:2] == keys[2:]
    assert keys[0][1] != keys[1][1]


@pytest.mark.parametrize("answer", [500, 302, 404])
def test_what_was_refused_or_redirected_is_a_notice_and_comes_again_with_the_next_generation(
    answer: int, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answer = answer
    assert generation(tmp_path, ROWS[:1]) == [
        f"webhook 'desk': 1 alert(s) not posted: the answer was {answer}; the next generation tries again"
    ]
    receiver.answer = 204
    assert generation(tmp_path, ROWS[:1]) == ["webhook 'desk': 1 alert(s) posted"]
    assert [path for path, _, _ in receiver.got] == ["/desk?room=1"] * 2, "a redirection was followed"


def test_of_very_many_the_latest_are_told_and_how_many_more_there_are(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "MOST", 2)
    rows = [incident(f"{n:012x}", "acme", "traffic_spike", NOON + n * 36_000_000_000) for n in range(5)]
    generation(tmp_path, rows)
    [(_, _, body)] = receiver.got
    assert [row["incident"] for row in body["incidents"]] == ["000000000004", "000000000003"]
    assert body["more"] == "3"
    assert generation(tmp_path, rows) == []


def test_without_webhooks_nothing_is_kept_or_sent(receiver: Receiver, tmp_path: Path) -> None:
    assert generation(tmp_path, ROWS, "{}\n") == []
    path = Instance(tmp_path).published_db()
    with duckdb.connect(str(path), read_only=True) as con:
        assert con.execute("SELECT * FROM duckdb_tables() WHERE table_name = 'alerts'").fetchall() == []
    assert receiver.got == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "HOOK is not set"),
        ("http://example.com/x", "HOOK holds no https:// URL"),
        ("file:///etc/passwd", "HOOK holds no https:// URL"),
        ("https://", "HOOK holds no https:// URL"),
        ("http://127.0.0.1:99999/", "ValueError: no answer of HTTP"),
        ("http://127.0.0.1:1/secret-path", "ConnectionRefusedError: Connection refused"),
    ],
)
def test_a_url_that_can_not_be_posted_to_is_a_text_without_the_url(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", url)
    assert post("HOOK", b"{}", "k") == why


def test_an_answer_that_drips_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "SECONDS", 0.2)
    receiver.drips = True
    began = time.monotonic()
    assert post("DESK_URL", b"{}", "k") != ""
    assert time.monotonic() - began < 3, "a drip of 5 seconds was waited for"
