"""Real traffic and real calls of a language model, priced and closed, against sums that share no code with the project.

Other files of the same form may be put beside the known ones: the comparison holds for any, the literal figures for
exactly the known files.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from independent import half_away
from instances import documents, rows

from orchestration.audit.verify import verify
from orchestration.closing.close import CloseResult
from orchestration.pipeline.close import close, parse_cut_off
from orchestration.pipeline.context import Context
from orchestration.pipeline.instance import Instance
from orchestration.settings import parse_instant

SHARED = Path(os.environ.get("TALLYSTICK_SHARED") or Path(__file__).parents[3] / "shared")
LOGS = sorted((SHARED / "data" / "logs").glob("tomcat-access.log.*"))
TOKENS = sorted((SHARED / "data" / "tokens").glob("*.csv"))
KNOWN_LOGS = "08e173d4f1f03b2d203331f41d08f2b306b2c5a00791b92848cf482c72092bd9"
KNOWN_TOKENS = "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8"
needs_logs = pytest.mark.skipif(not LOGS, reason=f"no real access logs in {SHARED / 'data' / 'logs'}")
needs_tokens = pytest.mark.skipif(not TOKENS, reason=f"no token traces in {SHARED / 'data' / 'tokens'}")

QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(rf"(\S+) \S+ .+? \[([^\]]+)\] {QUOTED} (\d{{3}}) (\d+|-) {QUOTED} {QUOTED}((?: {QUOTED})*)\r?")
DAYS_OF_MAY = (938, 1361, 1407, 1145, 1770, 1026, 1004, 1068, 760)

INSTANCE = """
entities:
  - {key: seller, name: Seller, address: Harbour 1, series: REAL}
"""


def hashes(paths: Iterable[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def knows(paths: list[Path], digest: str) -> bool:
    """Whether the files are exactly the known ones."""
    found = hashes(paths)
    whole = (
        found[0] if len(found) == 1 else hashlib.sha256("".join(f"{h}\n" for h in sorted(found)).encode()).hexdigest()
    )
    return whole == digest


def made(home: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return home


def closed(home: Path, month: str, now: str) -> CloseResult:
    return close(Context(Instance(home), parse_instant(now, "test")), parse_cut_off(month))


# -- access logs --------------------------------------------------------------------------------------------------


class Traffic:
    """The logs read by a regular expression: lines, and what each client did in May 2024 (UTC)."""

    def __init__(self, paths: list[Path], until: datetime) -> None:
        self.lines: Counter[str] = Counter()
        self.days: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.clients: set[str] = set()
        seen: set[bytes] = set()
        for path in paths:
            data = path.read_bytes()
            data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
            lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
            if data in seen:
                # The same log under another name adds nothing.
                self.lines.update(lines=len(lines), duplicate=len(lines))
                continue
            seen.add(data)
            for raw in lines:
                self._add(raw, until)

    def _add(self, raw: str, until: datetime) -> None:
        self.lines["lines"] += 1
        match = LINE.fullmatch(raw)
        at = datetime.strptime(match[2], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC) if match else None
        if match is None or at is None or at > until:
            self.lines["quarantined" if raw.strip() else "blank"] += 1
            return
        client, size = match[1], 0 if match[5] == "-" else int(match[5])
        self.clients.add(client)
        self.lines["accepted"] += 1
        self.lines["bytes"] += size
        self.lines["ok"] += match[4] == "200"
        self.lines["third"] += match[8] != "" and not match[8].startswith(' "-"')
        if (at.year, at.month) == (2024, 5):
            self.days[at.date().isoformat()] += 1
            self.requests[client] += 1
            self.bytes[client] += size


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(LOGS, datetime(2024, 6, 5, 9, 5, tzinfo=UTC))


LOG_SOURCE = f"""
sources:
  - name: tomcat
    root: {SHARED / "data" / "logs"}
    path: tomcat-access.log.*
    format: combined
    unterminated: accept
    expect: irregular
    fields: {{credential: remote_addr}}
    properties: {{third: extra_1}}
"""
LOG_METERS = """
meters:
  - {key: requests, name: Requests, event_type: request, aggregation: count}
  - {key: served, name: Bytes served, unit: byte, event_type: request, aggregation: sum, value: bytes}
  - {key: ok, name: OK, event_type: request, aggregation: count, filter: {field: status, op: eq, value: 200}}
  - {key: third, name: Third, event_type: request, aggregation: count, filter: {field: third, op: exists}}
  - {key: clients, name: Clients, event_type: request, aggregation: unique_count, value: address}
"""
LOG_PLAN = """
key: api
name: API
currency: USD
versions:
  - effective: 2024-05-01
    charges:
      - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.01"}
      - key: traffic
        name: Traffic
        model: per_unit
        meter: served
        price: "0.09"
        convert: {divide_by: "1000000", unit: MB}
"""


def log_instance(home: Path, customer_of: dict[str, str]) -> Path:
    customers = sorted(set(customer_of.values()))
    return made(
        home,
        {
            "instance.yaml": INSTANCE,
            "sources.yaml": LOG_SOURCE,
            "meters.yaml": LOG_METERS,
            "plans/api.yaml": LOG_PLAN,
            "customers.csv": "customer,name,address,country,zone,entity\n"
            + "".join(f"{c},Client {c},Street 1,SE,UTC,seller\n" for c in customers),
            "credentials.csv": "credential,customer\n" + "".join(f"{a},{c}\n" for a, c in customer_of.items()),
            "subscriptions.csv": "subscription,customer,plan,start\n"
            + "".join(f"sub-{c},{c},api,2024-05-01\n" for c in customers),
        },
    )


def priced(requests: int, size: int) -> tuple[Decimal, Decimal]:
    return half_away(Fraction(requests, 100), 2), half_away(Fraction(size, 10**6) * Fraction(9, 100), 2)


@needs_logs
def test_real_traffic_of_one_customer_is_billed_to_the_cent(
    traffic: Traffic, tmp_path: Path, show: Callable[[str], None]
) -> None:
    home = log_instance(tmp_path / "home", dict.fromkeys(sorted(traffic.clients), "agency"))
    result = closed(home, "2024-05", "2024-06-05T09:00:00Z")
    assert result.parked == {}
    [body] = documents(home)
    amounts = {line["charge"]: Decimal(line["amount"]) for line in body["lines"]}
    requests, size = traffic.requests.total(), traffic.bytes.total()
    assert (amounts["requests"], amounts["traffic"]) == priced(requests, size)
    assert Decimal(body["total"]) == sum(amounts.values())

    columns = ("lines", "accepted", "quarantined", "blank", "duplicate", "conflict")
    [counts] = rows(home, f"SELECT {', '.join(columns)} FROM marts.ingest_balance WHERE level = 'total'")
    assert counts == tuple(traffic.lines[c] for c in columns)
    assert rows(home, "SELECT count(*) FROM marts.quarantine") == [(traffic.lines["quarantined"],)]
    assert rows(home, "SELECT sum(events) FROM marts.unattributed_usage") == [(None,)]
    days = "SELECT CAST(local_day AS VARCHAR), CAST(sum(quantity) AS BIGINT) FROM marts.usage_daily"
    found = dict(rows(home, f"{days} WHERE meter = 'requests' GROUP BY 1"))
    assert {d: n for d, n in found.items() if d[:7] == "2024-05"} == traffic.days
    sums = dict(rows(home, "SELECT meter, sum(quantity) FROM marts.usage_daily GROUP BY 1"))
    assert {m: sums.get(m, 0) for m in ("requests", "served", "ok", "third")} == {
        "requests": traffic.lines["accepted"],
        "served": traffic.lines["bytes"],
        "ok": traffic.lines["ok"],
        "third": traffic.lines["third"],
    }
    clients = rows(home, "SELECT active_users FROM marts.active_users_monthly WHERE month_start = DATE '2024-05-01'")
    assert clients == [(len(traffic.requests),)]
    show(f"real logs: {dict(traffic.lines)}, {len(traffic.clients)} clients, lines {amounts}")
    if knows(LOGS, KNOWN_LOGS):
        assert amounts == {"requests": Decimal("104.79"), "traffic": Decimal("207.83")}
        assert tuple(traffic.days[f"2024-05-{day}"] for day in range(12, 21)) == DAYS_OF_MAY
        assert (len(traffic.clients), sums["ok"], sums["served"], sums["third"]) == (917, 9472, 2_309_191_897, 85)
        assert counts == (16_275, 10_479, 5_796, 0, 0, 0)


@needs_logs
def test_each_real_client_as_a_customer_gets_its_own_exact_invoice(
    traffic: Traffic, tmp_path: Path, show: Callable[[str], None]
) -> None:
    customer_of = {client: f"c-{number:05d}" for number, client in enumerate(sorted(traffic.clients))}
    home = log_instance(tmp_path / "home", customer_of)
    result = closed(home, "2024-05", "2024-06-05T09:00:00Z")
    assert result.parked == {}
    expected = {
        customer: sum(priced(traffic.requests[client], traffic.bytes[client]), Decimal(0))
        for client, customer in customer_of.items()
    }
    issued = documents(home)
    assert {body["buyer"]["customer"]: Decimal(body["total"]) for body in issued} == expected
    assert len(issued) == len(expected)
    total = sum(expected.values(), Decimal(0))
    assert rows(home, "SELECT sum(total) FROM marts.invoices") == [(total,)]
    assert [body["number"] for body in issued] == [f"REAL-2024-{n + 1:06d}" for n in range(len(issued))]
    assert verify(home, home / "exports", home / "scratch" / "verify").problems == ()
    show(f"each client a customer: {len(issued)} invoices, {total} USD in all")
    if knows(LOGS, KNOWN_LOGS):
        assert len(issued) == 917


# -- language model -----------------------------------------------------------------------------------------------

TOKEN_SOURCE = f"""
sources:
  - name: trace
    root: {SHARED / "data" / "tokens"}
    path: "*.csv"
    format: csv
    event_type: completion
    zone: UTC
    unterminated: accept
    expect: irregular
    fields: {{time: TIMESTAMP}}
    constants: {{credential: trace}}
    properties: {{context: ContextTokens, generated: GeneratedTokens}}
    quantity: context
"""
TOKEN_METERS = """
meters:
  - {key: calls, name: Calls, event_type: completion, aggregation: count}
  - {key: context, name: Context, unit: token, event_type: completion, aggregation: sum, value: context}
  - {key: generated, name: Generated, unit: token, event_type: completion, aggregation: sum, value: generated}
"""
TOKEN_PLAN = """
key: model
name: Model
currency: USD
versions:
  - effective: 2023-01-01
    charges:
      - key: context
        name: Context tokens
        model: graduated
        meter: context
        tiers:
          - {up_to: "10000000", price: "0.000003"}
          - {price: "0.0000015"}
      - {key: generated, name: Generated tokens, model: per_unit, meter: generated, price: "0.000015"}
"""


@needs_tokens
def test_real_calls_of_a_language_model_are_billed_by_tier(tmp_path: Path, show: Callable[[str], None]) -> None:
    events, context, generated, latest = 0, Counter(), Counter(), datetime(2023, 1, 1)
    for path in TOKENS:
        with path.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                month, events = row["TIMESTAMP"][:7], events + 1
                context[month] += int(row["ContextTokens"])
                generated[month] += int(row["GeneratedTokens"])
                latest = max(latest, datetime.fromisoformat(row["TIMESTAMP"][:19]))
    month = max(context)
    home = made(
        tmp_path / "home",
        {
            "instance.yaml": INSTANCE,
            "sources.yaml": TOKEN_SOURCE,
            "meters.yaml": TOKEN_METERS,
            "plans/model.yaml": TOKEN_PLAN,
            "customers.csv": "customer,name,address,country,zone,entity\nlab,Lab,Street 1,US,UTC,seller\n",
            "credentials.csv": "credential,customer\ntrace,lab\n",
            "subscriptions.csv": f"subscription,customer,plan,start\nsub-lab,lab,model,{month}-01\n",
        },
    )
    result = closed(home, month, f"{(latest + timedelta(days=40)).isoformat()}Z")
    assert result.parked == {}
    [body] = documents(home)
    amounts = {line["charge"]: Decimal(line["amount"]) for line in body["lines"]}
    low, high = min(context[month], 10_000_000), max(context[month] - 10_000_000, 0)
    exact = low * Fraction("0.000003") + high * Fraction("0.0000015")
    assert amounts == {
        "context": half_away(exact, 2),
        "generated": half_away(generated[month] * Fraction("0.000015"), 2),
    }
    sums = dict(rows(home, "SELECT meter, sum(quantity) FROM marts.usage_daily GROUP BY 1"))
    assert sums == {"calls": events, "context": context.total(), "generated": generated.total()}
    show(f"real tokens: {events} calls, {sums['context']:f} context, {sums['generated']:f} generated, lines {amounts}")
    if knows(TOKENS, KNOWN_TOKENS):
        assert (events, context.total(), generated.total()) == (19_366, 22_361_870, 4_088_665)
        assert amounts == {"context": Decimal("48.54"), "generated": Decimal("61.33")}
