"""What a request looks like, whichever gateway serves it: method, target, status, size, client."""

from __future__ import annotations

from typing import NamedTuple

from orchestration.example.profiles import MOVED_AT, MOVED_FROM, MOVED_KEY, MOVED_TO, Profile
from orchestration.example.traffic import Dice, seconds

_MOVED_AT = seconds(MOVED_AT)
_WORDS = ("harbour", "annual+report", "tide+table", "copper", "orchard", "ferry+times", "glacier", "k%C3%B6ln", "train")
# What stands in the request as a quote is escaped by each log format in its own way.
_AGENTS = (
    "tidestone-python/2.4.1",
    "tidestone-python/2.5.0",
    "tidestone-js/1.9.3 (node 22.9.0)",
    "okhttp/4.12.0",
    "curl/8.9.1",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    'Harvester "nightly"/3.1',
    "-",
)
# Of a thousand requests. The rest are answered with 200.
_STATUSES = ((35, 404), (20, 429), (15, 400), (30, 304), (5, 401), (6, 500), (4, 503))
_EMPTY = (304, 204)


class Request(NamedTuple):
    """One request, not yet written in any format. `user` is empty when it names no end user."""

    address: str
    key: str
    method: str
    target: str
    status: int
    size: int
    agent: str
    user: str


def status(dice: Dice) -> int:
    """A status, most often 200."""
    point = dice.below(1000)
    for weight, code in _STATUSES:
        if point < weight:
            return code
        point -= weight
    return 200


def size(dice: Dice, code: int) -> int:
    """Bytes of the answer: nothing for an empty one, few for an error, and mostly small ones otherwise."""
    if code in _EMPTY:
        return 0
    if code >= 400:
        return 90 + dice.below(160)
    return 180 + dice.below(400) * (1 + dice.below(90))


def target(dice: Dice) -> tuple[str, str]:
    """Method and target, with a query string where the endpoint takes one."""
    kind = dice.below(100)
    number = dice.below(1_000_000)
    if kind < 34:
        words = f"{_WORDS[number % 9]},{_WORDS[number // 9 % 9]}"
        return "GET", f'/v1/search?q="{words}"&limit=20' if kind < 3 else f"/v1/search?q={words}&limit=20"
    if kind < 60:
        return "GET", f"/v1/documents/{number:06d}"
    if kind < 68:
        return "GET", f"/v1/documents/{number:06d}/pages/{number % 40}"
    if kind < 74:
        return "GET", f"/v1/documents?cursor={number:08x}&fields=id,title"
    if kind < 80:
        return "POST", "/v1/documents"
    if kind < 82:
        return "DELETE", f"/v1/documents/{number:06d}"
    if kind < 90:
        return "POST", "/v1/embeddings"
    if kind < 96:
        return "GET", f"/v1/tiles/{number % 18}/{number % 613}/{number % 407}"
    if kind < 99:
        return ("GET", "PUT")[number % 2], f"/v1/exports/{number:06d}"
    return "GET", "/health"


def request(dice: Dice, profile: Profile, key: str) -> Request:
    """One request of a customer under one of its keys. About a third of them name no end user."""
    method, path = target(dice)
    code = status(dice)
    user = f"u-{dice.skewed(profile.users):05d}" if profile.users and dice.below(3) else ""
    address = f"198.18.{dice.below(256)}.{dice.below(256)}" if dice.below(8) else f"2001:db8::{dice.below(9999)}"
    return Request(address, key, method, path, code, size(dice, code), _AGENTS[dice.skewed(len(_AGENTS))], user)


def key_of(dice: Dice, profile: Profile, at: int) -> str:
    """One of the customer's keys. The one that moves is used by whoever has it at that instant."""
    holder = MOVED_FROM if at < _MOVED_AT else MOVED_TO
    if profile.customer == holder and dice.below(2):
        return MOVED_KEY
    return f"ak_{profile.short}_{1 + dice.below(profile.keys)}"
