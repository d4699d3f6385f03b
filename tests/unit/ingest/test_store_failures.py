"""Stores that refuse, break off or are not there: named, nothing half taken, and no secret in anything written."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from objectstores import KEY_ID, SECRET, StubStore, object_headers, send
from pydantic import ValidationError

from orchestration.catalog.stores import BucketName, StoreOptions, bucket_of
from orchestration.ingest import stores
from orchestration.ingest.run import LANDERS
from orchestration.ingest.stores import StoreFailed, Stores

LINE = '203.0.113.9 - key_1 [06/Oct/2026:12:00:00 +0000] "GET /a HTTP/1.1" 200 512\n'


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubStore]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setitem(stores._RETRY, "max_retries", 1)
    store = StubStore()
    stop = store.start()
    yield store
    stop()


def feed(make_source: Any, stub: StubStore, **options: Any) -> Any:
    return make_source(**({"format": "common"} | stub.options | options))


def whole(handler: BaseHTTPRequestHandler, text: str) -> None:
    send(handler, (200, object_headers(len(text)), text.encode()))


def broken_after(text: str, size: int) -> Any:
    def answer(handler: BaseHTTPRequestHandler, _key: str) -> None:
        handler.send_response(200)
        for name, value in object_headers(len(text)).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text.encode()[:size])
        handler.wfile.flush()
        handler.connection.shutdown(2)

    return answer


def test_a_fetch_that_breaks_off_leaves_no_half_file_and_is_taken_whole_later(
    instance: Any, make_source: Any, stub: StubStore
) -> None:
    text = LINE * 1000
    stub.objects = [("access.log", len(text))]
    stub.on_get = broken_after(text, len(text) // 2)
    report = instance.run(feed(make_source, stub))
    assert [(u.source, u.path) for u in report.unreadable] == [("gw", "access.log")]
    assert (report.exit_code, report.files, instance.ledger.files()) == (3, 0, [])
    assert [p for p in (instance.home / "raw").rglob("*") if p.is_file()] == []
    stub.on_get = lambda handler, _: whole(handler, text)
    assert instance.run(feed(make_source, stub)).accepted == 1000


def test_a_short_answer_is_never_a_whole_file(instance: Any, make_source: Any, stub: StubStore) -> None:
    stub.objects = [("access.log", 2 * len(LINE))]
    stub.on_get = lambda handler, _: whole(handler, LINE)
    report = instance.run(feed(make_source, stub))
    assert [(d.path, d.reason) for d in report.deferred] == [("access.log", "changing")]
    assert instance.ledger.files() == []


def test_a_store_that_is_down_is_named_and_the_other_sources_go_on(
    instance: Any, make_source: Any, stub: StubStore
) -> None:
    stub.on_list = lambda handler: send(handler, (503, {}, b"<Error><Code>SlowDown</Code></Error>"))
    closed = feed(make_source, stub, name="closed")
    closed = closed.model_copy(update={"store": closed.store.model_copy(update={"endpoint": "http://127.0.0.1:9"})})
    instance.put("ok.log", LINE)
    report = instance.run(feed(make_source, stub, name="busy"), closed, make_source(name="folder", format="common"))
    assert [(u.source, u.path, u.reason) for u in report.unreadable] == [
        ("busy", ".", "unreadable: the store answers 503 SlowDown"),
        ("closed", ".", "unreadable: the store does not answer, or broke off"),
    ]
    assert (report.accepted, report.exit_code) == (1, 3)


def test_a_store_that_keeps_failing_is_not_asked_for_every_object(
    instance: Any, make_source: Any, stub: StubStore
) -> None:
    stub.objects = [(f"{n}.log", len(LINE)) for n in range(10, 22)]
    stub.on_get = lambda handler, _: send(handler, (500, {}, b""))
    report = instance.run(feed(make_source, stub))
    assert (len(report.unreadable) + len(report.deferred), report.files) == (12, 0)
    # Those that were on their way side by side with the last that counted fail too.
    assert stores.PATIENCE <= len(report.unreadable) <= stores.PATIENCE + LANDERS
    assert {d.reason for d in report.deferred} == {"not asked for, as its store failed before"}
    stub.on_get = lambda handler, key: whole(handler, LINE.replace("203", "1" + key[:2]))
    assert instance.run(feed(make_source, stub)).files == 12


def test_an_object_that_may_not_be_read_is_held_and_the_others_are_taken(
    instance: Any, make_source: Any, stub: StubStore
) -> None:
    stub.objects = [("no.log", len(LINE)), ("yes.log", len(LINE))]

    def answer(handler: BaseHTTPRequestHandler, key: str) -> None:
        if key == "no.log":
            send(handler, (403, {}, b"<Error><Code>AccessDenied</Code></Error>"))
        else:
            whole(handler, LINE)

    stub.on_get = answer
    report = instance.run(feed(make_source, stub))
    assert [(h.path, h.reason) for h in report.held] == [("no.log", "unreadable: access denied (403 AccessDenied)")]
    assert (report.accepted, report.exit_code) == (1, 3)


def test_22_a_key_that_can_not_be_asked_for_is_named_and_one_that_is_unprintable_refused(
    instance: Any, make_source: Any, stub: StubStore
) -> None:
    stub.objects = [("\u202eevil.log", 1), ("x" * 1025, 1), ("ok.log", len(LINE))]
    stub.on_get = lambda handler, _: whole(handler, LINE)
    report = instance.run(feed(make_source, stub))
    assert [(r.path, r.reason) for r in report.refused] == [
        ("\\u202eevil.log", "unprintable_name"),
        ("x" * 1025, "name_too_long"),
    ]
    assert report.accepted == 1
    stub.objects = [("a/../b.log", 1)]
    (unreadable,) = instance.run(feed(make_source, stub)).unreadable
    assert "a key 'a/../b.log' has a part that is empty, '.', '..'" in unreadable.reason


def everything_written(home: Path) -> str:
    return "\n".join(p.read_bytes().decode("latin-1") for p in sorted(home.rglob("*")) if p.is_file())


@pytest.mark.parametrize("given", ["environment", "file"])
def test_wrong_credentials_are_named_and_stand_nowhere(
    instance: Any,
    make_source: Any,
    stub: StubStore,
    given: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def refuse(handler: BaseHTTPRequestHandler, _key: str = "") -> None:
        # As S3 does, with the key and the text that was signed; and, as no store should, the secret.
        said = f"<AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId><StringToSign>{handler.headers['Authorization']}"
        body = f"<Error><Code>SignatureDoesNotMatch</Code>{said} {SECRET}</StringToSign></Error>"
        send(handler, (403, {}, body.encode()))

    caplog.set_level(logging.DEBUG)
    stub.on_list = stub.on_get = refuse
    store = stub.options["store"]
    if given == "file":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        secrets = tmp_path / "s3.json"
        secrets.write_text(json.dumps({"access_key_id": KEY_ID, "secret_access_key": SECRET}))
        secrets.chmod(0o600)
        store = store | {"credentials_file": str(secrets)}
    report = instance.run(feed(make_source, stub, store=store))
    assert [(u.path, u.reason) for u in report.unreadable] == [
        (".", "unreadable: access denied (403 SignatureDoesNotMatch)")
    ]
    assert report.exit_code == 3
    stub.objects, stub.on_list = [("a.log", len(LINE))], None
    held = instance.run(feed(make_source, stub, store=store))
    assert [h.reason for h in held.held] == ["unreadable: access denied (403 SignatureDoesNotMatch)"]
    bucket = Stores(instance.home).bucket(BucketName("s3", "bucket", ""), StoreOptions.model_validate(store))
    with pytest.raises(StoreFailed) as raised:
        bucket.get("a.log")
    chain = "".join(traceback.format_exception(raised.value))
    assert raised.value.__context__ is None
    printed = capfd.readouterr()
    written = [repr(report), repr(held), repr(vars(bucket)), chain, printed.out, printed.err, caplog.text]
    for text in [*written, everything_written(instance.home)]:
        assert KEY_ID not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ({"access_key_id": KEY_ID, "secret_access_key": SECRET}, 0o640, "its owner alone can read"),
        ({"access_key_id": KEY_ID, "secret": SECRET}, 0o600, "may hold these names only"),
        ([KEY_ID, SECRET], 0o600, "is not a JSON object of texts"),
        (None, 0o600, "can't be opened: No such file or directory"),
    ],
)
def test_a_credentials_file_that_can_not_be_used_is_named_without_its_text(
    instance: Any, make_source: Any, stub: StubStore, content: Any, mode: int, said: str
) -> None:
    path = instance.home / "s3.json"
    if content is not None:
        path.write_text(json.dumps(content))
        path.chmod(mode)
    store = stub.options["store"] | {"credentials_file": "s3.json"}
    (unreadable,) = instance.run(feed(make_source, stub, store=store)).unreadable
    assert said in unreadable.reason
    assert SECRET not in unreadable.reason
    assert stub.requests == []


# -- what a source may say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"root": f"s3://{KEY_ID}:canarysecret@bucket/x"},
        {"root": "https://account.blob.core.windows.net/c?sig=canarysecret"},
        {"root": "s3://bucket/a/../canarysecret"},
        {"root": "s3://bucket", "store": {"endpoint": "https://user:canarysecret@host"}},
        {"root": "s3://bucket", "store": {"endpoint": "http://host"}},
        {"root": "gs://bucket", "store": {"region": "eu-west-1"}},
        {"root": "inbox", "store": {"region": "eu-west-1"}},
        {"root": "inbox", "raw": "reference"},
    ],
)
def test_a_root_that_is_no_plain_bucket_is_refused_without_repeating_it(make_source: Any, options: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        make_source(**options)
    assert not any("canarysecret" in str(issue["msg"]) for issue in raised.value.errors())


def test_an_url_names_its_bucket_and_a_prefix_as_it_stands() -> None:
    assert bucket_of("inbox/gw") is None
    assert bucket_of("s3://b.c-1/x y/%20/") == BucketName("s3", "b.c-1", "x y/%20")
    assert bucket_of("gs://bucket") == BucketName("gs", "bucket", "")
    assert bucket_of("az://logs/2026") == BucketName("az", "logs", "2026")


def test_each_kind_of_store_is_opened_with_the_secrets_of_its_file(tmp_path: Path) -> None:
    key = {"type": "service_account", "private_key": "-", "private_key_id": "-", "client_email": "x@example.org"}
    files = {
        "gs": key,
        "az": {"sas_key": "sv=2026&sig=canarysecret"},
        "s3": {"access_key_id": "a", "secret_access_key": "b"},
    }
    for scheme, content in files.items():
        (tmp_path / f"{scheme}.json").write_text(json.dumps(content))
        (tmp_path / f"{scheme}.json").chmod(0o600)
    opened = Stores(tmp_path)
    az = opened.bucket(bucket_of("az://logs/p"), StoreOptions(account="acct", credentials_file="az.json"))
    s3 = opened.bucket(bucket_of("s3://logs/p"), StoreOptions(credentials_file="s3.json"))
    assert (repr(az._store), repr(s3._store)) == (
        'AzureStore(container_name="logs", account_name="acct", prefix="p")',
        'S3Store(bucket="logs", prefix="p")',
    )
    with pytest.raises(StoreFailed, match="do not open a store of kind gs"):  # the file was read: its key is none
        opened.bucket(bucket_of("gs://logs/p"), StoreOptions(credentials_file="gs.json"))
    gs = opened.bucket(bucket_of("gs://logs/p"), None)
    assert repr(gs._store) == 'GCSStore(bucket="logs", prefix="p")'


# -- memory -----------------------------------------------------------------------------------------------------------

LAND = """
import re, sys
from pathlib import Path
from orchestration.catalog.sources import Source
from orchestration.ingest.landing import land
from orchestration.ingest.objects import discover_objects
from orchestration.ingest.raw import RawStore
from orchestration.ingest.stores import Stores

def peak():
    return re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]

home, source = Path(sys.argv[1]), Source.model_validate_json(sys.argv[2])
(candidate,) = discover_objects(Stores(home), source, lambda _: None).candidates
before = peak()
landed = land(RawStore(home / "raw"), candidate)
print(landed.size, landed.lines, before, peak())
"""


def test_a_large_object_is_fetched_in_bounded_memory(
    tmp_path: Path, make_source: Any, stub: StubStore, show: Any
) -> None:
    lines = LINE.encode() * (300_000_000 // (100 * len(LINE)))
    size = 100 * len(lines)
    stub.objects = [("access.log", size)]

    def answer(handler: BaseHTTPRequestHandler, _key: str) -> None:
        send(handler, (200, object_headers(size), b""))
        for _ in range(100):
            handler.wfile.write(lines)

    stub.on_get = answer
    command = [sys.executable, "-c", LAND, str(tmp_path), feed(make_source, stub).model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, counted, before, after = map(int, done.stdout.split())
    show(f"\n300 MB from a store: peak {after >> 10} MiB of memory, {(after - before) >> 10} MiB above the start")
    assert (found, counted) == (size, size // len(LINE))
    assert after - before < 80 << 10
