"""Endpoints on the way to money: a meter of one endpoint, billed, audited by other means, and not moved afterwards."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import tiny
from instances import documents, rows

from orchestration.audit.verify import verify
from orchestration.errors import PeriodClosed
from orchestration.pipeline.close import close
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.pipeline.run import run
from orchestration.settings import parse_instant

METER = """
  - {key: reads, name: Reads of one item, event_type: request, aggregation: count,
     filter: {field: endpoint, op: in, value: ["/v1/items/{id}", "/v1/items/latest"]}}
  - {key: strays, name: Requests of no endpoint, event_type: request, aggregation: count,
     filter: {field: endpoint, op: eq, value: "(unmatched)"}}
"""
CHARGES = """
      - {key: reads, name: Reads, model: per_unit, meter: reads, price: "0.01"}
      - {key: strays, name: Strays, model: per_unit, meter: strays, price: "0.001"}
"""
ROUTES = """
routes:
  - sources: [gateway]
    patterns: [GET /v1/items/latest, /v1/items, "GET /v1/items/{id}"]
"""
JUNK = 1_100


def _context(home: Path) -> Context:
    return Context(Instance(home), parse_instant(tiny.NOW, "test"))


def _log(home: Path, name: str, targets: list[str]) -> None:
    """Requests of alder, one a second on 7 October."""
    path = home / "inbox" / "logs" / "node-1" / name
    times = (f"07/Oct/2024:{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d} +0000" for n in range(len(targets)))
    lines = [
        f'198.51.100.7 - ak_alder [{t}] "{w} HTTP/1.1" 200 1 "-" "x"\n' for t, w in zip(times, targets, strict=True)
    ]
    path.write_text("".join(lines))


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + number // 26**place % 26) for place in range(4))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: a day of ordinary requests, then one of latest, of a method of no route, and much that has none."""
    home = tiny.make(tmp_path_factory.mktemp("endpoints") / "home")
    catalog = home / "catalog"
    (catalog / "meters.yaml").write_text(tiny.CATALOG["meters.yaml"].lstrip() + METER.lstrip("\n"))
    (catalog / "plans" / "basic.yaml").write_text(tiny.CATALOG["plans/basic.yaml"].lstrip() + CHARGES.lstrip("\n"))
    (catalog / "routes.yaml").write_text(ROUTES)
    _log(home, "access-2.log", [f"GET /junk/{_letters(n)}" for n in range(600)] + ["GET /junk/aaaa"])
    assert run(_context(home)).built
    junk = [f"GET /junk/{_letters(n)}" for n in range(500, JUNK)]
    numbers = [f"GET /orders/{n}/lines?user={n}" for n in range(150)]
    _log(home, "access-3.log", [*junk, *numbers, "GET /v1/items/latest", "PUT /v1/items/7", "PATCH /v1/items"])
    assert run(_context(home)).built
    return home


def test_every_request_is_reported_under_its_endpoint_and_the_rest_by_a_bounded_number_of_shapes(home: Path) -> None:
    junk, strays = 601 + JUNK - 500, 1 + 150 + 1
    events = dict(rows(home, "SELECT source, events FROM marts.ingest_balance WHERE level = 'source'"))
    assert rows(home, "SELECT * FROM marts.route_coverage ORDER BY source") == [
        ("app", 0, 0, events["app"], 0, 0, 0, events["app"]),
        ("gateway", 3, 3, events["gateway"], 36 + 2, junk + strays, 0, 0),
    ]
    columns = "shape, events, distinct_paths, example, first_day, last_day"
    found = rows(
        home, f"SELECT {columns} FROM marts.unmatched_paths WHERE source = 'gateway' ORDER BY events DESC, shape"
    )
    assert len(found) == 1_001
    assert sum(events for _, events, *_ in found) == junk + strays
    day = date(2024, 10, 7)
    assert found[0] == ("/orders/{n}/lines", 150, 100, "/orders/0/lines", day, day)
    # Of 1,103 shapes; what there was least of is said in sum, with the one of another day in it.
    shape, events, distinct, example, *days = found[1]
    assert (shape, events, distinct, days) == ("(others)", 103, 100, [date(2024, 10, 3), day])
    assert example.startswith("/junk/")
    assert [row[1:3] for row in found[2:103]] == [(2, 1)] * 101
    assert {row[1:3] for row in found[103:]} == {(1, 1)}


def test_a_meter_of_an_endpoint_bills_its_requests_the_audit_agrees_and_no_edit_moves_them(home: Path) -> None:
    found = rows(home, "SELECT meter, sum(quantity) FROM marts.usage_daily WHERE customer = 'alder' GROUP BY 1")
    counted = {meter: int(quantity) for meter, quantity in found if meter in ("reads", "strays")}
    assert counted == {"reads": 12 + 1, "strays": 601 + JUNK - 500 + 150 + 1}
    close(_context(home), date(2024, 11, 1))
    [document] = [d for d in documents(home) if d["buyer"]["customer"] == "alder"]
    amounts = {line["charge"]: line["amount"] for line in document["lines"] if line["charge"] in counted}
    assert amounts == {"reads": "0.13", "strays": "1.35"}
    assert verify(home, home / "exports", home / "scratch" / "verify").problems == ()

    published = (home / "warehouse" / "current").resolve()
    (home / "catalog" / "routes.yaml").write_text(ROUTES.replace("[GET", "[/v1/items/7, GET"))
    with pytest.raises(PeriodClosed, match=r"(?s)meter 'reads' counts may.*meter 'strays' counts may.*routes_edited"):
        run(_context(home))
    assert (home / "warehouse" / "current").resolve() == published
