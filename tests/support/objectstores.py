"""Object stores for tests: moto's S3 server in this process, and a store whose every answer a test decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

KEY_ID, SECRET = "AKIACANARYCANARY", "canary/secret+that/must+be/nowhere"


class S3Server:
    """moto's S3, real enough to have versions, pages and etags. Buckets are made by name, each for one test."""

    def __init__(self, endpoint: str) -> None:
        import boto3  # half a second, for those who need it

        self.endpoint = endpoint
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )

    def bucket(self, name: str, *, versioned: bool = False) -> Bucket:
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return Bucket(self, name)


@dataclass
class Bucket:
    server: S3Server
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """`root` and `store` of a source that reads this bucket."""
        store = {"endpoint": self.server.endpoint, "region": "us-east-1", "allow_http": True}
        return {"root": f"s3://{self.name}", "store": store}

    def put(self, key: str, content: bytes | str) -> str:
        """Returns the version, 'null' in a bucket without them."""
        body = content.encode() if isinstance(content, str) else content
        done = self.server.client.put_object(Bucket=self.name, Key=key, Body=body)
        return str(done.get("VersionId", "null"))

    def delete(self, key: str, version: str | None = None) -> None:
        which = {"VersionId": version} if version else {}
        self.server.client.delete_object(Bucket=self.name, Key=key, **which)


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class StubStore:
    """Says of itself that it holds `objects` (key, size); answers to GETs of them are the test's. Records requests."""

    objects: list[tuple[str, int]] = field(default_factory=list)
    on_get: Callable[[BaseHTTPRequestHandler, str], None] | None = None
    on_list: Callable[[BaseHTTPRequestHandler], None] | None = None
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    @property
    def options(self) -> dict[str, Any]:
        return {"root": "s3://bucket", "store": {"endpoint": self.endpoint, "region": "us-east-1", "allow_http": True}}

    def start(self) -> Callable[[], None]:
        """Listen on a free port; returns what stops it."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stub.requests.append(f"{self.path} {self.headers.get('Range', '')}".strip())
                url = urlsplit(self.path)
                if "list-type" not in parse_qs(url.query):
                    assert stub.on_get is not None
                    stub.on_get(self, url.path.removeprefix("/bucket/"))
                elif stub.on_list is not None:
                    stub.on_list(self)
                else:
                    send(self, (200, {}, stub.listing()))

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        return server.shutdown

    def listing(self) -> bytes:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-10-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;tag&quot;</ETag><Size>{size}</Size></Contents>"
            for key, size in self.objects
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()


def send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    status, headers, body = answer
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def object_headers(size: int) -> dict[str, str]:
    """What an answer to a GET says of an object of the stub's listing."""
    return {"Content-Length": str(size), "ETag": '"tag"', "Last-Modified": "Thu, 01 Oct 2026 00:00:00 GMT"}
