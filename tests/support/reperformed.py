"""An invoice made again from its bundle alone: quantities from the events, prices from the archived charges, then the
document's sums and its way to the signed root. It shares no code with the program, or with the script in the bundle.

It knows the charges of the example month: flat, per unit, graduated, volume and package, on totals, distinct values and
marks, converted, discounted and bounded. `Unknown` is raised for any other.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

Data = Mapping[str, Any]
ZERO = Fraction(0)


class Unknown(Exception):
    """A charge of a kind that the example month doesn't have."""


class Used(NamedTuple):
    """What one event brings, in the order of time."""

    day: str
    quantity: Fraction


class Again(NamedTuple):
    """By position and name the amounts of lines, the document's sums, and the root over the journal."""

    lines: dict[str, dict[str, str]]
    sums: dict[str, str]
    root: str


def reperform(folder: Path) -> Again:
    """Raises Unknown for a line that isn't made again."""
    document, prices = (_read(folder / f"{name}.json") for name in ("document", "prices"))
    places = len(document["total"].partition(".")[2])
    lines = {
        line["position"]: _line(line, prices["lines"][line["position"]], _events(folder, line["position"]), places)
        for line in document["lines"]
    }
    return Again(lines, _sums(document, lines, places), root_of(folder))


def stated(folder: Path) -> Again:
    """The same as the document and the checkpoint state it."""
    document = _read(folder / "document.json")
    names = ("measured", "gross", "discount", "excess", "top_up", "amount")
    lines = {line["position"]: {name: line[name] for name in names} for line in document["lines"]}
    sums = {name: document[name] for name in ("subtotal", "tax", "total", "amount_due")}
    note = (folder / "checkpoint.note").read_text(encoding="utf-8").splitlines()
    return Again(lines, sums, base64.b64decode(note[2]).hex())


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _events(folder: Path, position: str) -> list[Used]:
    path = folder / f"evidence-{position}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        return [Used(row["day"], Fraction(row["quantity"])) for row in csv.DictReader(handle)]


def _line(line: Data, prices: Sequence[Data], events: Sequence[Used], places: int) -> dict[str, str]:
    charge = prices[0]["charge"]
    if "correction" in line or charge.get("prorate") or charge.get("active"):
        raise Unknown(charge["key"])
    take = (charge.get("watermark") or {}).get("take", "greatest")
    if take != "greatest":
        raise Unknown(take)
    part = _share(line["start"], line["end"]) / _share(line["period_start"], line["period_end"])
    is_mark = charge.get("watermark") is not None
    measured = sum((event.quantity for event in events), ZERO) if charge.get("meter") else Fraction(1)
    exact = _exact(charge, prices, _priced(charge, line, events))
    gross = _rounded(exact * (part if charge["model"] == "flat" or is_mark else 1), places)
    discount = _rounded(gross * Fraction(charge["discount_percent"]) / 100, places)
    net, excess, top_up = gross - discount, ZERO, ZERO
    if charge.get("maximum") is not None:
        excess = _rounded(max(net - Fraction(charge["maximum"]) * part, ZERO), places)
    if charge.get("minimum") is not None:
        top_up = _rounded(max(Fraction(charge["minimum"]) * part - (net - excess), ZERO), places)
    found = {"gross": gross, "discount": discount, "excess": excess, "top_up": top_up, "amount": net - excess + top_up}
    return {"measured": _plain(measured)} | {name: _text(amount, places) for name, amount in found.items()}


def _share(start: str, end: str) -> Fraction:
    return Fraction((date.fromisoformat(end) - date.fromisoformat(start)).days)


def _priced(charge: Data, line: Data, events: Sequence[Used]) -> list[Used]:
    """What is priced, day by day: the running total converted, less what is included."""
    if charge.get("meter") is None:
        return [Used(line["start"], Fraction(1))]
    total, shown, found = ZERO, ZERO, []
    gift = Fraction(charge["included"]) * _share(line["start"], line["end"])
    gift /= _share(line["period_start"], line["period_end"])
    by_day: dict[str, Fraction] = defaultdict(Fraction)
    for event in events:
        by_day[event.day] += event.quantity
    for day in sorted(by_day):
        total += by_day[day]
        reached = max(_converted(charge, total) - gift, ZERO)
        found.append(Used(day, reached - shown))
        shown = reached
    return found


def _converted(charge: Data, total: Fraction) -> Fraction:
    rule = charge.get("convert")
    if rule is None:
        return total
    value = total / Fraction(rule["divide_by"]) if rule.get("divide_by") else total * Fraction(rule["multiply_by"])
    if rule["rounding"] == "up":
        step = 10 ** int(rule.get("decimals", 0))
        return Fraction(ceil(value * step), step)
    if rule["rounding"] != "none":
        raise Unknown(rule["rounding"])
    return _rounded(value, 9)


def _exact(charge: Data, prices: Sequence[Data], used: Sequence[Used]) -> Fraction:
    def of(day: str) -> Data:
        return [price["charge"] for price in prices if price["from"] <= day][-1]

    model = charge["model"]
    if model == "flat":
        return Fraction(charge["amount"])
    if model == "per_unit":
        return sum((part.quantity * Fraction(of(part.day)["price"]) for part in used), ZERO)
    if model == "package":
        return _packages(charge, of, used)
    if model == "volume":
        total = sum((part.quantity for part in used), ZERO)
        tier = next(n for n, tier in enumerate(charge["tiers"]) if total <= _top(tier, total))
        fee = Fraction(charge["tiers"][tier]["flat_fee"]) if total else ZERO
        return fee + sum((part.quantity * Fraction(of(part.day)["tiers"][tier]["price"]) for part in used), ZERO)
    if model == "graduated":
        return _graduated(charge, of, used)
    raise Unknown(model)


def _top(tier: Data, otherwise: Fraction) -> Fraction:
    return otherwise if tier.get("up_to") is None else Fraction(tier["up_to"])


def _graduated(charge: Data, of: Any, used: Sequence[Used]) -> Fraction:
    amount, low = ZERO, ZERO
    for part in used:
        high, below = low + part.quantity, ZERO
        for n, tier in enumerate(charge["tiers"]):
            top = _top(tier, max(high, below))
            units = max(min(high, top) - max(low, below), ZERO)
            priced = of(part.day)["tiers"][n]
            if tier.get("block") is not None:
                size = Fraction(tier["block"])
                units = Fraction(
                    ceil(max(min(high, top) - below, ZERO) / size) - ceil(max(min(low, top) - below, ZERO) / size)
                )
            amount += units * Fraction(priced["price"])
            if low <= below < high:
                amount += Fraction(tier["flat_fee"])
            below = top
        low = high
    return amount


def _packages(charge: Data, of: Any, used: Sequence[Used]) -> Fraction:
    amount, low, free = ZERO, ZERO, Fraction(charge.get("free") or 0)
    count = floor if charge.get("whole") else ceil
    for part in used:
        high = low + part.quantity
        begun = [count(max(at - free, ZERO) / Fraction(charge["size"])) for at in (low, high)]
        amount += (begun[1] - begun[0]) * Fraction(of(part.day)["price"])
        low = high
    return amount


def _sums(document: Data, lines: Mapping[str, Mapping[str, str]], places: int) -> dict[str, str]:
    """Subtotal from the lines made again; coupons as the document has them; each tax on the sum of its lines."""
    subtotal = sum((Fraction(line["amount"]) for line in lines.values()), ZERO)
    off = sum((Fraction(use["amount"]) for kind in ("coupons", "promotional") for use in document.get(kind, ())), ZERO)
    bases: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for line in document["lines"]:
        for tax in line.get("taxes", ()):
            uses = [use for kind in ("coupons", "promotional") for use in line.get(kind, ())]
            net = Fraction(lines[line["position"]]["amount"]) - sum((Fraction(use["amount"]) for use in uses), ZERO)
            bases[line["tax_category"], tax["percent"]] += net
    tax = sum((_rounded(base * Fraction(percent) / 100, places) for (_, percent), base in bases.items()), ZERO)
    total = subtotal - off + tax
    due = total - sum(
        (Fraction(use["amount"]) for k in ("credit_notes", "prepaid") for use in document.get(k, ())), ZERO
    )
    found = {"subtotal": subtotal, "tax": tax, "total": total, "amount_due": due}
    return {name: _text(amount, places) for name, amount in found.items()}


def root_of(folder: Path) -> str:
    """The root over the journal, in hex, from the bytes of the document up."""
    proof = _read(folder / "proof.json")
    leaf = _hash(b"\0", bytes.fromhex(proof["salt"]), (folder / "document.json").read_bytes())
    entry = proof["entry"]
    fields = {name: field.get("hash") for name, field in entry["fields"].items()}
    for name, field in entry["fields"].items():
        if "value" in field:
            value = _up(leaf, proof["tree"]) if name == "root" else field["value"]
            fields[name] = _hash(_json({"name": name, "salt": field["salt"], "value": value})).hex()
    hashed = _hash(_json({"seq": entry["seq"], "kind": entry["kind"], "body": fields, "prev": entry["prev"]}))
    return _up(_hash(b"\0", hashed), proof["journal"])


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _up(leaf: bytes, place: Data) -> str:
    """RFC 9162, section 2.1.3.2: the root from a leaf, its index, the size of the tree and the path."""
    index, last, node = int(place["index"]), int(place["size"]) - 1, leaf
    for text in place["path"]:
        sibling = bytes.fromhex(text)
        if index % 2 or index == last:
            node = _hash(b"\1", sibling, node)
            while index and not index % 2:
                index, last = index >> 1, last >> 1
        else:
            node = _hash(b"\1", node, sibling)
        index, last = index >> 1, last >> 1
    return node.hex()


def _rounded(value: Fraction, places: int) -> Fraction:
    """Half away from zero."""
    scaled = abs(value) * 10**places
    whole = floor(scaled + Fraction(1, 2))
    return Fraction(whole if value >= 0 else -whole, 10**places)


def _text(amount: Fraction, places: int) -> str:
    whole = round(abs(amount) * 10**places)
    digits = f"{whole:0{places + 1}d}"
    sign = "-" if amount < 0 and whole else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def _plain(value: Fraction) -> str:
    """A decimal without zeros at its end."""
    text = _text(value, 9)
    return text.rstrip("0").rstrip(".")
