"""A meter on a property that the mapping of its source gained later: all is as if it had been there from the start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from instances import content, documents, tables
from planting import edited as edited_text
from planting import planted

from orchestration.audit.verify import verify
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

SOURCE = "sources:\n  - {name: feed, path: '*', format: cloudevents, properties: {n: data.n%s}}\n"
METER = "  - {key: %s, name: M, event_type: t, aggregation: %s, value: %s}\n"
CHARGE = "      - {key: %s, name: C, model: per_unit, meter: %s, price: '%s'}\n"
HEAD = "key: basic\nname: Basic\ncurrency: USD\nversions:\n  - effective: 2026-01-01\n    charges:\n"
BEFORE = {
    "instance.yaml": "entities:\n  - {key: seller, name: Seller, address: A, series: S}\n",
    "sources.yaml": SOURCE % "",
    "meters.yaml": "meters:\n" + METER % ("tokens", "sum", "n"),
    "plans/basic.yaml": HEAD + CHARGE % ("tokens", "tokens", "1.00"),
    "customers.csv": "customer,name,address,country,zone,entity\n"
    "ash,ash,A,XX,UTC,seller\nbirch,birch,A,XX,UTC,seller\n",
    "credentials.csv": "credential,customer\nkey_ash,ash\nkey_birch,birch\n",
    "subscriptions.csv": "subscription,customer,plan,start\n"
    "sub-ash,ash,basic,2026-10-01\nsub-birch,birch,basic,2026-10-01\n",
}
AFTER = BEFORE | {
    "sources.yaml": SOURCE % ", cached: data.cached, team: data.team",
    "meters.yaml": "meters:\n" + METER % ("tokens", "sum", "n") + METER % ("cached", "sum", "cached")
    + METER % ("teams", "unique_count", "team"),
    "plans/basic.yaml": HEAD + CHARGE % ("tokens", "tokens", "1.00") + CHARGE % ("cached", "cached", "0.10")
    + CHARGE % ("teams", "teams", "5.00"),
}  # fmt: skip


def event(i: str, who: str, day: int, **data: object) -> str:
    time = f"2026-10-{day:02d}T12:00:00Z"
    body = {"id": i, "source": "app", "type": "t", "time": time, "subject": f"key_{who}", "data": data}
    return json.dumps(body) + "\n"


DELIVERED = {
    "one.jsonl": event("a1", "ash", 5, n=1, cached="2.5", team="x") + event("a2", "ash", 6, n=1, cached=4, team="y")
    + event("b1", "birch", 7, n=2, cached="0.5", team="x") + "no json\n"
    + event("a1", "ash", 5, n=1, cached="2.5", team="x"),
    "two.jsonl": event("b2", "birch", 8, n=3, cached="1.5", team="z") + event("a2", "ash", 6, n=1, cached=4, team="y"),
}  # fmt: skip


def begun(home: Path, catalog: dict[str, str], key: Path | None = None) -> Path:
    edited(home, catalog)
    if key is not None:
        shutil.copy(key / "instance.key", home / "instance.key")
    return home


def edited(home: Path, catalog: dict[str, str]) -> None:
    for name, text in catalog.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def deliver(home: Path, *names: str) -> list[str]:
    said: list[str] = []
    for name in names:
        (home / "inbox").mkdir(exist_ok=True)
        (home / "inbox" / name).write_text(DELIVERED[name])
    run(Context(Instance(home), parse_instant("2026-11-01T09:00:00Z", "test"), said.append))
    return said


def usage(home: Path) -> dict[str, tuple[int, int, int]]:
    """Content of every table of usage and drafts: what a customer is billed by."""
    parts = ("usage_", "charge_", "unmeasured_", "distinct_", "invoice_draft", "active_users")
    return content(home, [n for n in tables(home, "marts", "metering") if n.split(".")[1].startswith(parts)])


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = begun(tmp_path_factory.mktemp("later") / "home", BEFORE)
    deliver(home, "one.jsonl")
    edited(home, AFTER)
    said = deliver(home, "two.jsonl")
    shutil.copytree(home, home.parent / "before any close", symlinks=True)
    return home, said


def test_marts_are_those_of_an_instance_that_had_the_property_from_the_start(
    later: tuple[Path, list[str]], tmp_path: Path
) -> None:
    home, said = later
    always = begun(tmp_path / "home", AFTER, home)
    deliver(always, "one.jsonl")
    deliver(always, "two.jsonl")
    mine, theirs = usage(home), usage(always)
    assert {n: (mine[n], theirs.get(n)) for n in mine if mine[n] != theirs.get(n)} == {}
    assert "building the warehouse: 1 new file(s)" in said
    assert "1 files lack properties that their sources map now: these are taken from the raw files" in said


def test_it_is_billed_and_every_document_follows_from_raw_files(later: tuple[Path, list[str]]) -> None:
    home, _ = later
    close(Context(Instance(home), parse_instant("2026-11-05T09:00:00Z", "test")), parse_cut_off("2026-10"))
    billed = {
        (body["buyer"]["customer"], line["charge"]): line["amount"]
        for body in documents(home)
        for line in body["lines"]
    }
    assert billed == {
        ("ash", "tokens"): "2.00", ("ash", "cached"): "0.65", ("ash", "teams"): "10.00",
        ("birch", "tokens"): "5.00", ("birch", "cached"): "0.20", ("birch", "teams"): "10.00",
    }  # fmt: skip
    assert verify(home, home / "exports", home / "scratch" / "verify").problems == ()


def test_a_close_that_priced_wrongly_is_found_line_by_line(later: tuple[Path, list[str]]) -> None:
    """Nothing is tampered with: the bytes that were issued are those that billing made, and prove consistent."""
    home = later[0].parent / "before any close"
    (home / "inbox" / "three.jsonl").write_text(event("a3", "ash", 30, n=1, cached="0.05", team="x"))
    context = Context(Instance(home), parse_instant("2026-11-05T09:00:00Z", "test"))
    run(context)
    bug = "orchestration.billing.rating", "Money.of(exact, currency, rounding)", 'Money.of(exact, currency, "down")'
    with planted(bug[0], edited_text(*bug)):
        close(context, parse_cut_off("2026-10"))
        fast = verify(home, home / "exports", home / "scratch" / "verify", fast=True)
        problems = verify(home, home / "exports", home / "scratch" / "verify").problems
    assert fast.problems == ()
    # 6.55 cached tokens at 0.10 are 0.655. The rest of the documents is as billing says it.
    assert [(problem.code, problem.where) for problem in problems] == [
        ("document_sums", "document S-2026-000001"),
        ("document_differs", "document S-2026-000001"),
    ]
    assert "line 1, rounded amount is 0.65, and what it is made of comes to 0.66" in problems[0].message
    assert 'amount_due: issued "13.65", recomputed "13.66"' in problems[1].message
