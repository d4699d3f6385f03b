"""Where a source's files are: a folder, or a bucket of an object store that a URL names. No secret stands here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Scheme = Literal["s3", "gs", "az"]

_URL = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]{1,254})(?:/(.*))?", re.DOTALL)
_ENDPOINT = re.compile(r"(https?)://[A-Za-z0-9._\[\]:-]+(/[A-Za-z0-9._~/-]*)?")
_ONLY_FOR = {"region": "s3", "path_style": "s3", "account": "az"}


class StoreOptions(BaseModel):
    """How an object store is reached where the cloud's own defaults don't do. Credentials are never written here.

    `credentials_file` is relative to the instance folder. Without it they come from the environment (AWS_*, GOOGLE_*,
    AZURE_*) or from the machine's own identity. With `path_style: false` the endpoint is the bucket's own host.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = Field(default=None, max_length=1024)
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,64}$")
    account: str | None = Field(default=None, pattern=r"^[a-z0-9]{3,24}$")
    path_style: bool = True
    allow_http: bool = False
    credentials_file: str | None = Field(default=None, min_length=1, max_length=1024)


@dataclass(frozen=True, slots=True)
class BucketName:
    """`name` is a bucket (s3, gs) or a container (az); `prefix` has no slash at its ends and may be empty."""

    scheme: Scheme
    name: str
    prefix: str


def bucket_of(root: str) -> BucketName | None:
    """The bucket that a source's root names; None for a folder. Raises ValueError, which does not repeat the URL."""
    if "://" not in root:
        return None
    match = _URL.fullmatch(root)
    if match is None:
        # What stands there may be a URL that carries a password or a signature.
        raise ValueError("a root with '://' is s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    prefix = (match[3] or "").rstrip("/")
    if prefix and (not prefix.isprintable() or {"", ".", ".."} & set(prefix.split("/"))):
        raise ValueError("the prefix of a root has a part that is empty, '.', '..' or not printable")
    scheme: Scheme = "s3" if match[1] == "s3" else "gs" if match[1] == "gs" else "az"
    return BucketName(scheme, match[2], prefix)


def check_store(root: str, store: StoreOptions | None, raw: str) -> None:
    """Raise ValueError unless root, options and the way of keeping raw files go together."""
    bucket = bucket_of(root)
    if bucket is None:
        if store is not None:
            raise ValueError("'store' belongs to a root that is a URL, such as s3://bucket/prefix")
        if raw == "reference":
            raise ValueError("'raw: reference' needs an object store that keeps versions; a folder keeps none")
        return
    options = store or StoreOptions()
    for name, scheme in _ONLY_FOR.items():
        if bucket.scheme != scheme and getattr(options, name) != StoreOptions.model_fields[name].default:
            raise ValueError(f"'{name}' is no option of a store of kind {bucket.scheme}://")
    if options.endpoint is not None:
        match = _ENDPOINT.fullmatch(options.endpoint)
        if match is None:
            raise ValueError("'endpoint' is http(s)://host[:port][/path], without user, password or query")
        if match[1] == "http" and not options.allow_http:
            raise ValueError("'endpoint' is not encrypted; say 'allow_http: true' if it is on this machine")
