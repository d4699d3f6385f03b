"""Signed notes: a few lines of text with an Ed25519 signature (the form that C2SP calls signed-note).

The text is what is signed, with its last newline; after a blank line stands `— name base64(key id, signature)`.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from orchestration.durable import Point, publish, write_file
from orchestration.errors import IntegrityFailure

KEY = "checkpoint.key"
NEXT_KEY = "checkpoint.next.key"
"""A key that is about to replace the one in use, in the folder of the instance."""
PUBLIC_KEY = "checkpoint.pub"
_ED25519 = b"\x01"
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Signer:
    """A name and its private key."""

    name: str
    private: Ed25519PrivateKey

    @property
    def key_text(self) -> str:
        """The public key as it is handed out: `name+key id+base64`."""
        public = _ED25519 + self.private.public_key().public_bytes_raw()
        return f"{self.name}+{_key_id(self.name, public).hex()}+{base64.b64encode(public).decode()}"

    def sign(self, text: str) -> str:
        """The note: `text`, which ends with a newline, and its signature."""
        public = _ED25519 + self.private.public_key().public_bytes_raw()
        signature = _key_id(self.name, public) + self.private.sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {base64.b64encode(signature).decode()}\n"


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]


def signed_text(note: str, key_text: str, where: str) -> str:
    """The text of a note that bears exactly one signature, of this key. Raises IntegrityFailure for any other."""
    text, blank, signatures = note.rpartition("\n\n")
    lines = signatures.splitlines()
    try:
        name, key_id, public = key_text.split("+", 2)
        if not blank or len(lines) != 1 or not lines[0].startswith(f"{_DASH}{name} "):
            raise ValueError(f"it bears no signature by {name}, or others beside it")
        if note != f"{text}\n\n{lines[0]}\n":
            raise ValueError("it is written in another form")
        signature = base64.b64decode(lines[0].removeprefix(f"{_DASH}{name} "), validate=True)
        if signature[:4].hex() != key_id:
            raise ValueError(f"it is signed with key {signature[:4].hex()}, not with {key_id}")
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True)[1:])
        key.verify(signature[4:], f"{text}\n".encode())
    except (ValueError, InvalidSignature) as error:
        raise IntegrityFailure(
            f"the signature doesn't hold: {error or 'text and signature differ'}",
            where=where,
            not_done="what it says was not believed",
            next_step="take the file as it was exported, of this instance",
        ) from error
    return f"{text}\n"


def key_id_of(key_text: str) -> str:
    """The id of a public key, 8 hex digits; empty for what is none."""
    return [*key_text.split("+", 2), "", ""][1]


def signer_of(folder: Path, name: str, *, create: bool, key_text: str | None) -> Signer:
    """The signer of an instance; its key is made when it first signs, for the owner's eyes only.

    The public key is written beside it. With `key_text`, the public key that the journal names, it is that one and no
    other, also where a kill has left it under the name of the next. Raises IntegrityFailure for a key that can't be
    read, or is another one.
    """
    path = folder / KEY
    if create and key_text is None and not path.exists():
        _new_key(path, Point.CHECKPOINT_KEY)
    if key_text is not None and (folder / NEXT_KEY).exists():
        found = _read(folder / NEXT_KEY, name)
        if found.key_text == key_text:
            return found
    signer = _read(path, name)
    if signer.key_text != (key_text or signer.key_text):
        raise IntegrityFailure(
            f"checkpoint.key is key {key_id_of(signer.key_text)}, the journal names {key_id_of(key_text or '')}",
            where=str(path),
            not_done="nothing was signed or checked",
            next_step="restore checkpoint.key from the same backup as ledger.sqlite",
        )
    if not (folder / PUBLIC_KEY).exists():
        _publish(folder, signer)
    return signer


def next_signer(folder: Path, name: str) -> Signer:
    """The signer whose key will replace the one in use; the same one until it has."""
    path = folder / NEXT_KEY
    if not path.exists():
        _new_key(path, Point.CHECKPOINT_NEXT_KEY)
    return _read(path, name)


def take_next(folder: Path, key_text: str) -> None:
    """Put the next key in the place of the one that was in use, whose secret is gone then; nothing if that was done."""
    path = folder / NEXT_KEY
    if path.exists() and (signer := _read(path, key_text.partition("+")[0])).key_text == key_text:
        _publish(folder, signer)
        publish(path, folder / KEY, Point.CHECKPOINT_KEY_REPLACED)


def _new_key(path: Path, point: Point) -> None:
    secret = Ed25519PrivateKey.generate().private_bytes_raw().hex()
    write_file(path, secret.encode(), point, mode=0o400)


def _publish(folder: Path, signer: Signer) -> None:
    write_file(folder / PUBLIC_KEY, f"{signer.key_text}\n".encode(), Point.CHECKPOINT_PUBLIC_KEY, mode=0o644)


def _read(path: Path, name: str) -> Signer:
    try:
        return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip())))
    except (OSError, ValueError) as error:
        raise IntegrityFailure(
            f"{path.name} can't be read: {error}",
            where=str(path),
            not_done="nothing was signed or checked",
            next_step=f"restore {path.name} from the same backup as instance.key",
        ) from error
