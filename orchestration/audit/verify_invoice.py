"""Check an invoice against its proof, with nothing but Python: `python verify_invoice.py [FOLDER [KEY]]`.

FOLDER (default: this one) holds what `tallystick prove` wrote; KEY is the seller's public key as you know it from
elsewhere. Without it the key in the folder is used and shown. Ends with 0 when everything holds, with 1 otherwise.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any


class Wrong(Exception):
    """Something that must hold does not."""


def need(holds: object, message: str) -> None:
    if not holds:
        raise Wrong(message)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# Ed25519: the curve, its base point of order L, points as (X, Y, Z, T) with x = X/Z, y = Y/Z, x * y = T/Z.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, ...]


def add(a: Point, b: Point) -> Point:
    s, t = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    u, v = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n: int, a: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while n:
        found = add(found, a) if n & 1 else found
        a, n = add(a, a), n >> 1
    return found


def point(data: bytes) -> Point:
    """Raises Wrong where the 32 bytes are no point of the curve."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    right = len(data) == 32 and y < P and (x * x - square) % P == 0 and (x or not sign)
    need(right, "a key or a signature is no point of the curve")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def signed(public: bytes, text: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is that of a text by a public key (RFC 8032, 5.1.7)."""
    s = int.from_bytes(signature[32:], "little")
    need(len(signature) == 64 and s < L, "a signature is out of bounds")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % L
    a, b = times(s, BASE), add(point(signature[:32]), times(k, point(public)))
    return not ((a[0] * b[2] - b[0] * a[2]) % P or (a[1] * b[2] - b[1] * a[2]) % P)


def note(path: Path, key: str) -> list[str]:
    """The lines of a signed note, if its one signature is by the key (`name+key id+base64`)."""
    text, _, tail = path.read_text(encoding="utf-8").rpartition("\n\n")
    name, key_id, coded = key.split("+", 2)
    public = base64.b64decode(coded)
    need(public[:1] == b"\x01" and sha256(f"{name}\n".encode() + public)[:4].hex() == key_id, "the key is malformed")
    dash, by, coded = [*tail.split(), "", "", ""][:3]
    signature = base64.b64decode(coded)
    whole = tail == f"{dash} {name} {coded}\n" and dash == "\u2014" and by == name and signature[:4].hex() == key_id
    need(whole and signed(public[1:], f"{text}\n".encode(), signature[4:]), f"{path.name} is not signed by {name}")
    return text.split("\n")


def parse(data: bytes) -> Any:
    """JSON without bare numbers: here every number is text."""
    kinds, refuse = ("parse_int", "parse_float", "parse_constant"), lambda text: need(False, f"number {text}")
    return json.loads(data, cls=None, **dict.fromkeys(kinds, refuse))


def canonical(value: Any) -> bytes:
    """RFC 8785 for what `parse` lets through."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def root(leaf: bytes, place: Any) -> bytes:
    """The root that a leaf leads to (RFC 9162, 2.1.3.2)."""
    index, last, node = int(place["index"]), int(place["size"]) - 1, leaf
    need(0 <= index <= last, "the proof names a leaf outside its tree")
    for text in place["path"]:
        need(last > 0, "the proof is too long")
        other = bytes.fromhex(text)
        if index & 1 or index == last:
            node = sha256(b"\x01" + other + node)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\x01" + node + other)
        index, last = index >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return node


def check_proof(document: bytes, proof: Any, checkpoint: list[str]) -> None:
    """Document, salted leaf, root in its journal entry, entry in the journal's tree, root in the checkpoint."""
    entry, journal, hashes = proof["entry"], proof["journal"], {}
    for name, x in entry["fields"].items():  # a field is shown with its salt, or is only a hash
        shown = {"name": name, "salt": x.get("salt"), "value": x.get("value")}
        hashes[name] = sha256(canonical(shown)).hex() if "value" in x else x["hash"]
    found = root(sha256(b"\x00" + bytes.fromhex(proof["salt"]) + document), proof["tree"])
    need(found.hex() == entry["fields"]["root"]["value"], "the document is not in the root of its journal entry")
    of_entry = sha256(canonical({"seq": entry["seq"], "kind": entry["kind"], "body": hashes, "prev": entry["prev"]}))
    found = root(sha256(b"\x00" + of_entry), journal)
    need(int(journal["index"]) + 1 == int(entry["seq"]), "the journal entry stands at another place")
    need([journal["size"], base64.b64encode(found).decode()] == checkpoint[1:3], "the checkpoint has another journal")


def rounded(value: Fraction, places: int, mode: str = "half_away") -> Fraction:
    """Half away from zero unless `mode` is half_even, up (away from zero) or down (towards it)."""
    scaled, half = abs(value) * Fraction(10) ** places, Fraction(1, 2)
    whole, rest = floor(scaled), scaled - floor(scaled)
    more = {"half_even": rest > half or (rest == half and whole % 2 == 1), "up": rest > 0, "down": False}
    whole += more.get(mode, rest >= half)
    return Fraction(-whole if value < 0 else whole) / Fraction(10) ** places


def total(rows: Any, name: str = "amount") -> Fraction:
    return sum((Fraction(row[name]) for row in rows), Fraction(0))


def check_sums(d: Any) -> None:
    for line in d["lines"]:
        parts = [Fraction(line[name]) for name in ("gross", "discount", "excess", "top_up", "amount")]
        need(parts[0] - parts[1] - parts[2] + parts[3] == parts[4], f"line {line['position']} doesn't add up")
    lists = {"subtotal": "lines", "coupon_total": "coupons", "promotional_total": "promotional", "tax": "taxes"}
    lists |= {"credit_note_total": "credit_notes", "prepaid_total": "prepaid"}
    found = {name: total(d.get(rows, ())) for name, rows in lists.items()}
    found["total"] = found["subtotal"] - found["coupon_total"] - found["promotional_total"] + found["tax"]
    found["amount_due"] = found["total"] - found["credit_note_total"] - found["prepaid_total"]
    for name, amount in found.items():
        need(amount == Fraction(d[name]), f"{name} is not the sum of its parts")
    for name, uses in list(lists.items())[1:3]:
        of_lines = sum(total(line.get(uses, ())) for line in d["lines"])
        need(found[name] == of_lines, f"{uses} are not those of the lines")


def check_taxes(d: Any, places: int) -> None:
    modes = {line["formula"].get("rounding") for line in d["lines"]} - {None} or {"half_away", "half_even"}
    for tax in d.get("taxes", ()):
        base = share = Fraction(0)
        for line in d["lines"]:
            for part in line.get("taxes", ()) if line["tax_category"] == tax["category"] else ():
                if (part["name"], part["percent"]) == (tax.get("name"), tax.get("percent")):
                    taken = total(line.get("coupons", ())) + total(line.get("promotional", ()))
                    base, share = base + Fraction(line["amount"]) - taken, share + Fraction(part["amount"])
        amount, exact = Fraction(tax["amount"]), base * Fraction(tax.get("percent", "0")) / 100
        need("reason" in tax or base == Fraction(tax["base"]), f"tax {tax} is of another base")
        # A note for a document gives back no more than was billed, and all the rest with the last of it.
        right = "corrects" in d or amount in {rounded(exact, places, mode) for mode in modes}
        need(right and share == amount, f"tax {tax} is not its rate, rounded once")


def price_of(charge: Any, detail: Any) -> Fraction:
    """The price that a part of an amount has in the archived charge."""
    tier = charge["tiers"][int(detail["tier"]) - 1] if detail["tier"] else {}
    part = detail["part"]
    if "cell" in detail:
        cells = {canonical(cell["match"]).decode(): cell["price"] for cell in charge["cells"]}
        return Fraction(cells[detail["cell"]] if detail["cell"] else charge["default"])
    if part in ("units", "packages", "blocks"):
        names = ("price", "rate", "multiplier")
        given = [x[name] for x in (tier or charge,) for name in names if x.get(name) is not None]
        return Fraction(given[0] if given else 1)
    named = {"fee": "amount", "event_fee": "fixed", "at_min": "min_per_event", "at_max": "max_per_event"}
    return Fraction(0 if part == "free" else tier["flat_fee"] if part == "tier_fee" else charge[named[part]])


def expected(charge: Any, q: Fraction) -> dict[tuple[str, str], Fraction]:
    """By (part, tier) how much a quantity makes, for models where the total alone decides it."""
    model, found = charge["model"], {}
    if model == "package":
        free = Fraction(charge.get("free") or 0)
        packages = (floor if charge.get("whole") else ceil)(max(Fraction(0), q - free) / Fraction(charge["size"]))
        found["packages", ""], found["free", ""] = Fraction(packages), min(free, max(q, Fraction(0)))
    elif model in ("graduated", "graduated_percentage", "volume"):
        tiers, volume = charge["tiers"], model == "volume"
        tops = [q if tier.get("up_to") is None else Fraction(tier["up_to"]) for tier in tiers]
        parts = [(n, tops[n - 1] if n else Fraction(0), min(q, top)) for n, top in enumerate(tops)]
        parts = [(min(n for n, top in enumerate(tops) if q <= top), Fraction(0), q)] if volume else parts
        for n, low, high in parts:
            block, units = tiers[n].get("block"), max(high - low, Fraction(0))
            entered = high > low or (charge["flat_fee_at_zero"] and (n == 0 or volume))
            found["tier_fee", str(n + 1)] = Fraction(int(entered and Fraction(tiers[n]["flat_fee"]) != 0))
            units = Fraction(ceil(units / Fraction(block))) if block else units
            found["blocks" if block else "units", str(n + 1)] = units
    elif model in ("per_unit", "dynamic"):
        found["units", ""] = q
    return {key: value for key, value in found.items() if value}


def check_line(line: Any, prices: Any, places: int) -> None:
    """A line from its quantity and the archived prices: steps 1 to 3 of the rules."""
    f, at = line["formula"], f"line {line['position']}"
    change = line.get("correction", {"before": {"amount": "0"}, "after": line})
    after, before = Fraction(change["after"]["amount"]), Fraction(change["before"]["amount"])
    need(after - before == Fraction(line["amount"]), f"{at} is not the difference of its evaluations")
    modes = [f["rounding"]] if "rounding" in f else ["half_away", "half_even"]
    if "gross" not in f:  # a cap, a commitment, an adjustment, or nothing any more
        exact = Fraction(f["exact"])
        if f["model"] in ("cap", "commitment"):
            limit = Fraction(f[f["model"]]) * Fraction(f["proration"])
            need(limit - Fraction(f["lines"]) == exact, f"{at}: exact is wrong")
        need(after in {rounded(exact, places, mode) for mode in modes}, f"{at}: the amount is wrong")
        return
    mode, details, q = modes[0], f["details"], Fraction(line["quantity"])
    archived = {(price["version"], price["contract"]): price["charge"] for price in prices}
    for detail in details:
        charge, priced = archived[detail["version"], detail.get("contract", "")], Fraction(detail["quantity"])
        need(price_of(charge, detail) == Fraction(detail["price"]), f"{at}: a price is not the archived one")
        need(priced * Fraction(detail["price"]) == Fraction(detail["amount"]), f"{at}: a product is wrong")
    exact = total(details) * Fraction(f["proration"])
    need(exact == Fraction(f["exact"]), f"{at}: exact is not the sum of its parts")
    gross = rounded(exact, places, mode)
    discount = rounded(gross * Fraction(f["discount"]["percent"]) / 100, places, mode) if "discount" in f else 0
    excess, top_up, net = Fraction(0), Fraction(0), gross - discount
    if "maximum" in f:
        limit = Fraction(f["maximum"]["amount"]) * Fraction(f["maximum"]["proration"])
        excess = rounded(max(net - limit, Fraction(0)), places, mode)
    if "minimum" in f:
        least = Fraction(f["minimum"]["amount"]) * Fraction(f["minimum"]["proration"])
        top_up = rounded(max(least - (net - excess), Fraction(0)), places, mode)
    need(gross == Fraction(f["gross"]), f"{at}: gross is not exact, rounded")
    need(after == Fraction(f["amount"]) == net - excess + top_up, f"{at}: the amount is wrong")
    stated = [Fraction(line[name]) for name in ("gross", "discount", "excess", "top_up")]
    need("correction" in line or stated == [gross, discount, excess, top_up], f"{at}: a step is wrong")
    if line["meter"] is not None and "trial" not in f:
        check_quantity(line, prices[0]["charge"], q, at)


def check_quantity(line: Any, charge: Any, q: Fraction, at: str) -> None:
    """From what was measured to what is priced, and how the model divides it."""
    f, found = line["formula"], Fraction(line["measured"])
    if (charge.get("watermark") or {}).get("take") == "each_window" or charge.get("prorate"):
        return  # each window, or each change, is priced by itself
    if "average" in f:
        mean = rounded(Fraction(f["average"]["sum"]) / int(f["average"]["divided_by"]), 9)
        need(mean == found, f"{at}: the average is wrong")
    if "conversion" in f:
        c = f["conversion"]
        found = found / Fraction(c["divide_by"]) if "divide_by" in c else found * Fraction(c["multiply_by"])
        found = rounded(found, 9 if c["rounding"] == "none" else int(c.get("decimals", 0)), c["rounding"])
    if "included" in f:
        gift = Fraction(f["included"]["units"]) * Fraction(f["included"]["proration"])
        left = rounded(max(found - gift, Fraction(0)), 9) if found > 0 else found
        need(found - left == Fraction(f["included"]["used"]), f"{at}: included units are wrong")
        found = left
    need(found == q, f"{at}: {line['measured']} measured are not {line['quantity']} priced")
    made: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for detail in f["details"]:
        made[detail["part"], detail["tier"]] += Fraction(detail["quantity"])
    right = not any(made.values())  # a quantity below 0 has no price in the other models
    if charge["model"] in ("matrix", "percentage"):
        bounds = any(part in ("at_min", "at_max") for part, _ in made)
        right = bounds or q < 0 or q == sum(n for (part, _), n in made.items() if part in ("units", "free"))
    elif q >= 0 or charge["model"] in ("per_unit", "dynamic"):
        right = {key: value for key, value in made.items() if value} == expected(charge, q)
    need(right, f"{at}: {line['quantity']} are not divided as the model says")


def check_evidence(folder: Path, document: Any, evidence: Any) -> int:
    """Events and named parts sum to each line, in quantity and in amount. Returns how many events there are."""
    count, lines = 0, {line["position"]: line for line in document["lines"]}
    need([one["position"] for one in evidence["lines"]] == list(lines), "the evidence is of other lines")
    for one in evidence["lines"]:
        line, quantity, amount = lines[one["position"]], total(one["parts"], "quantity"), total(one["parts"])
        if one["events"] != "0":
            number, before = 0, ("", "", "")
            with (folder / one["file"]).open(encoding="utf-8", newline="") as handle:
                for row in csv.DictReader(handle):
                    key = (row["time"], row["source"], row["event_id"])
                    need(before < key, f"{one['file']} has an event twice, or out of order")
                    number, before = number + 1, key
                    quantity, amount = quantity + Fraction(row["quantity"]), amount + Fraction(row["amount"])
            need(number == int(one["events"]), f"{one['file']} has {number} events, not {one['events']}")
            count += number
        need(quantity == Fraction(line["measured"]), f"line {one['position']}: its events are not what was measured")
        need(amount == Fraction(line["amount"]), f"line {one['position']}: its events do not cost its amount")
    return count


def check(folder: Path, key: str) -> Iterator[str]:
    """What holds, step by step. Raises Wrong, or what Python raises for a broken file, for what doesn't."""
    for path in sorted(folder.glob("key-*.note")):  # a key that was replaced has signed the next one
        key = note(path, key)[2] if path.read_text(encoding="utf-8").split("\n")[1] == key else key
    checkpoint, manifest = note(folder / "checkpoint.note", key), note(folder / "manifest.note", key)
    data = (folder / "document.json").read_bytes()
    document, named = parse(data), set()
    need(len(checkpoint) == 3 and manifest[0] == f"{checkpoint[0]}/bundle/{document['number']}", "of another bundle")
    for digest, name in (line.split("  ") for line in manifest[1:]):
        need("/" not in name and sha256((folder / name).read_bytes()).hex() == digest, f"{name} was changed")
        named.add(name)
    need(canonical(document) == data, "document.json is not canonical")
    proof, prices, evidence = (parse((folder / f"{n}.json").read_bytes()) for n in ("proof", "prices", "evidence"))
    wanted = {"document.json", "proof.json", "prices.json", "evidence.json"}
    need(wanted | {x["file"] for x in evidence["lines"] if x["events"] != "0"} <= named, "the manifest lacks a file")
    yield f"signed by {key}"
    check_proof(data, proof, checkpoint)
    yield f"document {document['number']} is in journal entry {proof['entry']['seq']} of {checkpoint[1]}"
    places = len(document["total"].partition(".")[2])
    check_sums(document)
    check_taxes(document, places)
    for line in document["lines"]:
        check_line(line, prices["lines"].get(line["position"], []), places)
    yield f"{len(document['lines'])} lines follow from their quantities and the archived prices, and add up"
    yield f"{check_evidence(folder, document, evidence)} events and the named parts are the lines"


def main(folder: Path, key: str) -> None:
    try:
        for held in check(folder, key or (folder / "checkpoint.pub").read_text(encoding="utf-8").strip()):
            sys.stdout.write(f"ok: {held}\n")
    except (Wrong, ValueError, KeyError, IndexError, TypeError, OSError) as error:
        sys.exit(f"WRONG: {error if isinstance(error, Wrong) else repr(error)}")
    sys.stdout.write("everything holds\n")


if __name__ == "__main__":
    main(Path([*sys.argv, "."][1]), [*sys.argv, "", ""][2])
