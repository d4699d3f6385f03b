"""Object stores, reached through obstore: buckets opened with credentials that nothing here ever prints.

What a store says when it refuses can repeat an access key, and a URL can carry a signature. So no text of an error of
the client is passed on, nor the error itself: only the HTTP status and the store's own code for it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from orchestration.catalog.stores import BucketName, StoreOptions

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

BLOCK = 4 << 20
PATIENCE = 3
"""After so many failed requests in a row a bucket is asked nothing more in this run."""
_PAGE = 1000
_RETRY: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(minutes=3),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=10), "base": 2},
}
_FILE_KEYS = {
    "s3": {"access_key_id", "secret_access_key", "session_token"},
    "az": {"account_key", "sas_key", "tenant_id", "client_id", "client_secret"},
}
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_KEY = re.compile(r'[Pp]ath "([^"]*)"')
_T = TypeVar("_T")


class StoreFailed(Exception):
    """The store doesn't answer, or not as it should. The text is fit to be printed."""


class AccessDenied(StoreFailed):
    """The store knows who asks, or doesn't, and refuses."""


class Gone(Exception):
    """There is no such object, or no such version of it."""


class Changed(Exception):
    """The object is no longer the one that was listed."""


class Unasked(Exception):
    """The bucket failed too often in this run to be asked again."""


class Bucket:
    """One bucket, or what lies below a prefix of it. Used by many threads at once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._failed = 0

    def pages(self, below: str) -> Iterator[Sequence[ObjectMeta]]:
        """All objects below a prefix that ends where a path part ends, page by page. Raises StoreFailed."""
        stream = _asked(lambda: obstore.list(self._store, below or None, chunk_size=_PAGE))
        try:
            while page := _asked(lambda: next(stream, None)):
                yield page
        except Gone:
            raise StoreFailed("there is no such bucket") from None

    def size(self, key: str) -> int | None:
        """Bytes of the object of this very name; None if there is none. Raises StoreFailed."""
        try:
            return _asked(lambda: obstore.head(self._store, key))["size"]
        except Gone:
            return None

    def get(self, key: str, *, etag: str | None = None, version: str | None = None) -> GetResult:
        """Begin to fetch an object, of this version or as long as it has this etag.

        Raises Gone, Changed, AccessDenied, StoreFailed, Unasked.
        """
        if self._failed >= PATIENCE:
            raise Unasked
        options: GetOptions = {"version": version} if version else {"if_match": etag} if etag else {}
        return self._counted(lambda: obstore.get(self._store, key, options=options))

    def blocks(self, got: GetResult) -> Iterator[bytes]:
        """The object's bytes, some BLOCK at a time, and exactly as many as it has. Raises StoreFailed."""
        stream = iter(got.stream(min_chunk_size=BLOCK))
        size, expected = 0, got.meta["size"]
        while block := self._counted(lambda: next(stream, None)):
            size += len(block)
            yield bytes(block)
        if size != expected:
            raise StoreFailed(f"{size} of {expected} bytes came")

    def _counted(self, call: Callable[[], _T]) -> _T:
        try:
            result = _asked(call)
        except StoreFailed:
            self._failed += 1
            raise
        self._failed = 0
        return result


class Stores:
    """Opens the buckets of an instance, each once. `home` is what credentials files are relative to."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._open: dict[tuple[BucketName, StoreOptions], Bucket] = {}
        self._lock = Lock()

    def bucket(self, name: BucketName, options: StoreOptions | None) -> Bucket:
        """Raises StoreFailed if options or credentials file can't be used; no request is made yet."""
        options = options or StoreOptions()
        with self._lock:
            if (name, options) not in self._open:
                secrets = _credentials(name.scheme, self._home, options.credentials_file)
                try:
                    self._open[name, options] = Bucket(_asked(lambda: _store(name, options, secrets)))
                except StoreFailed:
                    message = f"its options and credentials do not open a store of kind {name.scheme}://"
                    raise StoreFailed(message) from None
            return self._open[name, options]


def _store(name: BucketName, options: StoreOptions, secrets: dict[str, Any]) -> ObjectStore:
    """What is not given here, the client looks up in the environment, or asks the machine's identity service."""
    # The default ends a request, body included, after 30 seconds.
    client: ClientConfig = {
        "allow_http": options.allow_http,
        "timeout": timedelta(hours=24),
        "connect_timeout": timedelta(seconds=10),
        "read_timeout": timedelta(minutes=1),
    }
    given: dict[str, Any] = dict(secrets)
    kwargs: dict[str, Any] = {"prefix": name.prefix or None, "client_options": client, "retry_config": _RETRY}
    if name.scheme == "s3":
        given |= {"region": options.region, "endpoint": options.endpoint}
        given["virtual_hosted_style_request"] = not options.path_style
        return S3Store(name.name, config=_without_none(given), **kwargs)  # type: ignore[arg-type]
    if name.scheme == "gs":
        given |= {"base_url": options.endpoint}
        return GCSStore(name.name, config=_without_none(given), **kwargs)  # type: ignore[arg-type]
    given |= {"account_name": options.account, "endpoint": options.endpoint}
    return AzureStore(name.name, config=_without_none(given), **kwargs)  # type: ignore[arg-type]


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _credentials(scheme: str, home: Path, file: str | None) -> dict[str, Any]:
    """What a credentials file says, as the client's settings. Raises StoreFailed, naming the file and not its text."""
    if file is None:
        return {}
    text = _private_text(home / file, file)
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise StoreFailed(f"credentials file '{file}' is not a JSON object of texts")
    if scheme == "gs":
        if values.get("type") != "service_account":
            raise StoreFailed(f"credentials file '{file}' is not the key file of a service account")
        return {"service_account_key": text}
    allowed = _FILE_KEYS[scheme]
    if not values or not values.keys() <= allowed:
        raise StoreFailed(f"credentials file '{file}' may hold these names only: {', '.join(sorted(allowed))}")
    return values


def _private_text(path: Path, file: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StoreFailed(f"credentials file '{file}' can't be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as handle:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise StoreFailed(f"credentials file '{file}' must be a file that its owner alone can read (chmod 600)")
        return handle.read(1 << 20).decode("utf-8", "replace")


def _asked(call: Callable[[], _T]) -> _T:
    """The result of one call of the client; its errors in our words, with nothing of theirs attached."""
    try:
        return call()
    except (BaseError, OSError, ValueError) as error:
        found = _translated(error)
    raise found


def _translated(error: Exception) -> Exception:
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    said = " ".join(match[1] for match in (status, code) if match)
    if isinstance(error, PreconditionError | NotModifiedError):
        return Changed()
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or (status and status[1] in ("401", "403")):
        return AccessDenied(f"access denied ({said})" if said else "access denied")
    if isinstance(error, FileNotFoundError):
        return Gone()
    if isinstance(error, InvalidPathError):
        key = _KEY.search(text)
        named = f" '{ascii(key[1])[1:-1]}'" if key else ""
        return StoreFailed(f"a key{named} has a part that is empty, '.', '..' or not printable; listed no further")
    if said:
        return StoreFailed(f"the store answers {said}")
    return StoreFailed("the store does not answer, or broke off")
