"""An instance whose charges price usage in parts: one customer by hand, and a crowd with plans at random."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = "2026-12-09T12:00:00Z"
METERS = """
meters:
  - {key: money, name: A, event_type: sale, aggregation: sum, value: n, dimensions: [shop, region],
     filter: {field: cur, op: eq, value: EUR}}
  - {key: amounts, name: B, event_type: sale, aggregation: sum, value: n, currency: cur, dimensions: [shop]}
  - {key: calls, name: C, event_type: call, aggregation: count, dimensions: [model, region]}
  - {key: tokens, name: D, event_type: call, aggregation: sum, value: n, dimensions: [model, region, shop]}
  - {key: users, name: E, event_type: visit, aggregation: unique_count, value: user}
"""
HAND = """
key: hand
name: Hand
currency: EUR
versions:
  - effective: 2026-01-01
    charges:
      - {key: pay, name: x, model: percentage, meter: money, rate: "0.013", fixed: "2", free_events: 3,
         free_amount: "250"}
      - {key: bounded, name: x, model: percentage, meter: money, rate: "0.0299", min_per_event: "1.75",
         max_per_event: "12", line_per: shop}
      - {key: passed-on, name: x, model: dynamic, meter: amounts, multiplier: "1.1"}
      - {key: by-model, name: x, model: matrix, meter: calls, included: "5", cells: [
          {match: {model: a, region: eu}, price: "2"}, {match: {model: a, region: us}, price: "3"},
          {match: {model: b, region: us}, price: "10"}]}
      - {key: by-shop, name: x, model: graduated, meter: tokens, line_per: shop,
         tiers: [{up_to: "10", price: "1"}, {price: "0.5"}]}
      - {key: people, name: x, model: per_unit, meter: users, price: "1"}
"""
_PEOPLE = '      - {key: people, name: x, model: per_unit, meter: users, price: "1"}\n'
OTHER = (
    "key: other\nname: Other\ncurrency: EUR\nversions:\n  - effective: 2026-01-01\n    charges:\n"
    '      - {key: humans, name: x, model: per_unit, meter: users, price: "2"}\n'
)
"""What the customer `moves` changes to: the same meter, on a charge of another name."""
ABROAD = (
    "key: {key}\nname: P\ncurrency: {currency}\nversions:\n  - effective: 2026-01-01\n    charges:\n"
    "      - {{key: passed-on, name: x, model: dynamic, meter: amounts}}\n"
)
"""The customer `both` has a subscription in euros and one in dollars."""
ZONES = {"hand": "UTC", "moves": "UTC", "both": "UTC"} | {
    f"c{n}": zone
    for n, zone in enumerate(
        ("Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC", "Pacific/Auckland")
    )
}
_PLANS = {"first": "EUR", "second": "EUR", "dollars": "USD"}
VALUES = {"shop": ("x", "y", ""), "model": ("a", "b", "c"), "region": ("eu", "us", "as", 'a"')}


def _yes(dice: random.Random, share: float, text: str) -> str:
    return text if dice.random() < share else ""


def _percentage(dice: random.Random) -> str:
    free = _yes(dice, 0.4, f", free_events: {dice.randrange(9)}") + _yes(
        dice, 0.4, f', free_amount: "{dice.choice((0, 40, 123.5, 900))}"'
    )
    least, most = dice.choice((("", ""), ("0.5", ""), ("", "1.5"), ("0.4", "1.5")))
    bounds = (f', min_per_event: "{least}"' if least else "") + (f', max_per_event: "{most}"' if most else "")
    return f'model: percentage, rate: "{dice.choice(("0.029", "0.01", "0.1"))}"{free}{bounds}' + _yes(
        dice, 0.5, ', fixed: "0.3"'
    )


def _matrix(dice: random.Random) -> str:
    matches = [f"model: {model}, region: {region}" for model in "abc" for region in ("eu", "us")]
    if dice.random() < 0.3:
        matches = [f"region: {region}" for region in ("eu", "us", "as")]
    cells = ", ".join(f'{{match: {{{m}}}, price: "{dice.randrange(1, 9)}"}}' for m in dice.sample(matches, 3))
    return f"model: matrix, cells: [{cells}]" + _yes(dice, 0.5, ', default: "1"') + _yes(dice, 0.5, ', included: "7"')


def _charge(dice: random.Random, number: int) -> str:
    kind = dice.choice(("percentage", "percentage", "dynamic", "matrix", "matrix", "by-value"))
    meter, per = {
        "percentage": (dice.choice(("money", "amounts")), "shop"),
        "dynamic": ("amounts", "shop"),
        "matrix": (dice.choice(("calls", "tokens")), dice.choice(("model", "region"))),
        "by-value": (dice.choice(("money", "calls", "tokens")), "region"),
    }[kind]
    body = {
        "percentage": _percentage,
        "dynamic": lambda _: "model: dynamic",
        "matrix": _matrix,
        "by-value": lambda _: 'model: per_unit, price: "1"',
    }[kind](dice)
    line_per = f", line_per: {per}" if kind == "by-value" or dice.random() < 0.3 else ""
    return f"      - {{key: k{number}, name: x, meter: {meter}, {body}{line_per}}}\n"


def _plan(dice: random.Random, key: str, currency: str) -> str:
    charges = "".join(_charge(dice, number) for number in range(32))
    later = charges.replace('rate: "0.029"', 'rate: "0.031"').replace('fixed: "0.3"', 'fixed: "0.2"')
    return (
        f"key: {key}\nname: P\ncurrency: {currency}\nversions:\n  - effective: 2026-01-01\n    charges:\n{charges}"
        f"  - effective: 2026-10-16\n    charges:\n{later}"
    )


def _subscriptions() -> Iterator[str]:
    yield "subscription,customer,plan,start,end,stacking"
    yield "s-hand,hand,hand,2026-10-01,,"
    yield "s-euros,both,euros,2026-11-01,,"
    yield "s-dollars,both,us-dollars,2026-11-01,,true"
    yield "s-moves,moves,people,2026-11-01,2026-11-16,"
    yield "s-moves,moves,other,2026-11-16,,"
    for name in ZONES:
        if name.startswith("c"):
            before, after = ("dollars", "dollars") if name == "c2" else ("first", "second")
            yield f"s-{name},{name},{before},2026-10-01,2026-11-09,"
            yield f"s-{name},{name},{after},2026-11-09,,"


def make(home: Path) -> Path:
    """Write the instance below `home`, with the events by hand and most of the crowd's."""
    dice = random.Random(11)
    source = (
        "sources:\n  - name: app\n    path: events/*.jsonl\n    format: cloudevents\n    fields: {user: data.user}\n"
        "    properties: {n: data.n, region: data.region, shop: data.shop, model: data.model, cur: data.cur}\n"
    )
    people = HAND[: HAND.index("      - {key: pay")].replace("hand", "people") + _PEOPLE
    texts = {
        "instance.yaml": "entities:\n  - {key: seller, name: S, address: A, series: T, zero_invoices: issue}\n",
        "sources.yaml": source,
        "meters.yaml": METERS.lstrip(),
        "plans/hand.yaml": HAND.lstrip(),
        "plans/people.yaml": people.lstrip(),
        "plans/other.yaml": OTHER,
        "plans/euros.yaml": ABROAD.format(key="euros", currency="EUR") + _PEOPLE,
        "plans/us-dollars.yaml": ABROAD.format(key="us-dollars", currency="USD") + _PEOPLE,
        **{f"plans/{key}.yaml": _plan(dice, key, currency) for key, currency in _PLANS.items()},
        "customers.csv": "customer,name,address,country,zone,entity\n"
        + "".join(f"{name},N,A,DE,{zone},seller\n" for name, zone in ZONES.items()),
        "credentials.csv": "credential,customer,source,valid_from,valid_to\n"
        + "".join(f"ak_{name},{name},,,\n" for name in ZONES),
        "subscriptions.csv": "".join(f"{row}\n" for row in _subscriptions()),
    }
    for name, text in texts.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (home / "instance.key").write_text("5a" * 32)
    crowd = list(_crowd())
    deliver(home, "hand.jsonl", by_hand())
    deliver(home, "crowd.jsonl", crowd[::2] + crowd[1::4])
    return home


def late() -> Iterator[dict[str, Any]]:
    """The rest of the crowd's events."""
    yield from list(_crowd())[3::4]


def deliver(home: Path, name: str, events: Iterable[dict[str, Any]]) -> None:
    path = home / "inbox" / "events" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def event(key: str, kind: str, at: datetime, who: str, **data: str) -> dict[str, Any]:
    time = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = {"specversion": "1.0", "id": key, "source": "app", "type": kind, "time": time, "subject": f"ak_{who}"}
    return {**head, "data": data}


def by_hand() -> Iterator[dict[str, Any]]:
    """Of November: four sales, one in dollars; ten calls within two hours, one of no model; two hundred visits."""
    begin = datetime(2026, 11, 3, 8, tzinfo=UTC)
    for place, currency in enumerate(("EUR", "USD", "USD", "GBP")):
        yield event(f"both-{place}", "sale", begin, "both", n=str(10**place), shop="x", cur=currency)
    # Written in another order than that in which they happened.
    for place, (n, shop) in reversed(list(enumerate((("50", "x"), ("100", "y"), ("250", "x"), ("400", "y"))))):
        yield event(f"sale-{place}", "sale", begin + timedelta(hours=place), "hand", n=n, shop=shop, cur="EUR")
    yield event("dollars", "sale", begin, "hand", n="999", shop="x", cur="USD")
    for place, (model, region) in enumerate([("a", "eu")] * 3 + [("b", "us")] * 3 + [("a", "us")] * 3 + [("c", "eu")]):
        at = begin + timedelta(minutes=10 * place)
        yield event(f"call-{place}", "call", at, "hand", n="4", model=model, region=region, shop="x" if place else "")
    for half in (begin, begin + timedelta(days=16)):
        for user in range(100):
            yield event(f"w-{half.day}-{user}", "visit", half, "moves", user=f"u{user}")


def _crowd() -> Iterator[dict[str, Any]]:
    dice, begin = random.Random(7), datetime(2026, 9, 27, tzinfo=UTC)
    for who in ZONES:
        for number in range(300 if who.startswith("c") else 0):
            at = begin + timedelta(microseconds=dice.randrange(72 * 86_400_000_000))
            if dice.random() < 0.4:
                at = at.replace(minute=dice.choice((0, 15, 30, 45)), second=0, microsecond=0)
            data = {"n": dice.choice(("0", "1.5", "20", "40", "100.000000001", "7")), "cur": "EUR"}
            if dice.random() < 0.2:
                data["cur"] = dice.choice(("USD", "eur", ""))
            for name, values in {
                "shop": ("x", "y", ""),
                "model": ("a", "b", "c"),
                "region": ("eu", "us", "as", 'a"'),
            }.items():
                if dice.random() < 0.95:
                    data[name] = dice.choice(values)
            yield event(f"{who}-{number}", dice.choice(("sale", "sale", "call")), at, who, **data)
