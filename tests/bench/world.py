"""An instance for the benchmarks of metering: 500 customers in 12 zones, and histories of as many days as asked for.

A history is written in the lake's own layout, a batch and a file a day, and into the ledger as an ingest would. The day
after it is a file in the inbox. All hangs on the number of an event, so that the same days are the same events.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.ingest.canonical_sql import COLUMNS
from orchestration.ingest.lake import Lake, write_parquet
from orchestration.ingest.parse import PARSER_VERSION
from orchestration.ledger.rows import BatchRow, FileRow
from orchestration.ledger.store import Ledger
from tests.bench.ingest import source

DAY_US = 86_400_000_000
KEYS = 2_000
CUSTOMERS = 500
NOBODYS = 20
"""So many of the last keys belong to nobody."""
USERS = 50_000
EVENTS_A_DAY = 20_000
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Kiritimati",
    "Pacific/Niue",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "UTC",
    "America/Los_Angeles",
)
METERS = """
    meters:
      - {key: requests, name: Requests, unit: request, event_type: completion, aggregation: count}
      - {key: tokens, name: Tokens, unit: token, event_type: completion, aggregation: sum, value: tokens,
         dimensions: [model]}
      - {key: largest, name: Largest answer, unit: token, event_type: completion, aggregation: max, value: tokens}
      - {key: users, name: Users, unit: user, event_type: completion, aggregation: unique_count, value: user}
      - {key: usual_size, name: Usual size, unit: token, event_type: completion, aggregation: percentile,
         percentile: 95, value: tokens}
"""
PLAN = """
    key: usual
    name: Usual
    currency: USD
    interval: month
    versions:
      - effective: 2020-01-01
        charges:
          - {key: base, name: Base fee, model: flat, amount: "10.00", due: arrears}
          - {key: requests, name: Requests, model: per_unit, meter: requests, price: "0.01"}
          - {key: tokens, name: Tokens, model: graduated, meter: tokens,
             tiers: [{up_to: "100000", price: "0.0001"}, {price: "0.00005"}]}
          - {key: users, name: Active users, model: per_unit, meter: users, price: "0.05"}
          - {key: largest, name: Largest answer, model: per_unit, meter: largest, price: "0.001",
             watermark: {of: max, window: 1h}}
"""


def make_instance(home: Path, start: date, inbox: str = "inbox") -> None:
    """The catalog and key of an instance whose customers are there from `start` on; `inbox` is its source's folder."""
    numbers = range(CUSTOMERS)
    texts = {
        "instance.yaml": 'entities: [{key: seller, name: Seller, address: "1 Quay", series: T}]\n',
        "sources.yaml": f"""
            sources:
              - name: bench
                root: {inbox}
                path: "*"
                format: cloudevents
                fields: {{user: data.user}}
                properties: {{tokens: data.tokens, model: data.model}}
                quantity: tokens
        """,
        "meters.yaml": METERS,
        "plans/usual.yaml": PLAN,
        "customers.csv": "customer,name,address,country,tax_id,zone,entity,terms_days\n"
        + "".join(f"c{n:03d},C{n},1 Road,DE,,{ZONES[n % len(ZONES)]},seller,30\n" for n in numbers),
        "credentials.csv": "credential,customer,source,valid_from,valid_to\n"
        + "".join(f"ak_{n:06d},c{n % CUSTOMERS:03d},,,\n" for n in range(KEYS - NOBODYS)),
        "subscriptions.csv": "subscription,customer,plan,start,end,stacking\n"
        + "".join(f"s{n:03d},c{n:03d},usual,{start},,\n" for n in numbers),
    }
    for name, text in texts.items():
        path = home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    (home / "instance.key").write_text("5a" * 32)
    (home / "inbox").mkdir(exist_ok=True)


def write_history(home: Path, days: Sequence[date], events: int = EVENTS_A_DAY) -> None:
    """The days as batches that were taken long ago: lake files, their keys and fields, and the ledger."""
    lake = Lake(home / "lake")
    mapping = source("cloudevents", str(home)).model_dump_json()
    with duckdb.connect() as con, ThreadPoolExecutor(2) as pool, Ledger.open(home) as ledger:
        con.execute("SET threads = 1; SET TimeZone = 'UTC'")
        numbered = list(enumerate(days, 1))
        spans = list(pool.map(lambda item: _write_day(con.cursor(), lake, *item, events), numbered))
        for (number, day), (first, last) in zip(numbered, spans, strict=True):
            taken = (_number(day) + 1) * DAY_US
            name = f"{day}.jsonl"
            row = FileRow(
                number, number, "bench", "bench", f"{number:064x}", name, events * 290, "cloudevents", mapping, None,
                1, events, events, 0, 0, 0, 0, first, last,
            )  # fmt: skip
            ledger.commit_batch(BatchRow(number, taken, 300_000_000, PARSER_VERSION), [row], [], [])
    (lake.root / "engine").write_text(f"duckdb {duckdb.__version__}\n")


def _write_day(con: duckdb.DuckDBPyConnection, lake: Lake, number: int, day: date, events: int) -> tuple[int, int]:
    """One day as batch and file `number`; the times of its first and last event."""
    path = lake.events(number, number)
    columns = {name: name for name in ("line", "source", "event_id", "time_us", "credential", "user_key")}
    columns |= {"file_id": str(number), "event_type": "'completion'", "feed": "'bench'"}
    listed = ", ".join(f"CAST({columns.get(name, 'NULL')} AS {kind}) AS {name}" for name, kind in COLUMNS)
    write_parquet(con, f"SELECT {listed}, model AS p_model, tokens AS p_tokens FROM ({_day(day, events)})", path)
    keys = f"SELECT hash(source, event_id) AS key, file_id, line FROM read_parquet('{path}')"
    write_parquet(con, keys, lake.keys(number))
    fields = (
        f"SELECT {number}::INTEGER AS file_id, part::INTEGER AS part, field, type, 1000::BIGINT AS records, mapped "
        "FROM (VALUES ('', '', false), ('id', 'string', true), ('subject', 'string', true), "
        "('data.user', 'string', true), ('data.tokens', 'string', true)) AS f(field, type, mapped), "
        "(VALUES (1), (2)) AS p(part) ORDER BY ALL"
    )
    write_parquet(con, fields, lake.fields(number))
    verdicts = "SELECT 1::INTEGER AS file_id, 1::BIGINT AS line, ''::VARCHAR AS verdict WHERE false"
    write_parquet(con, verdicts, lake.verdicts(number))
    span = con.execute(f"SELECT min(time_us), max(time_us) FROM read_parquet('{path}')").fetchone()
    assert span is not None
    return span


def write_day(home: Path, day: date, events: int = EVENTS_A_DAY) -> None:
    """A day as it is delivered: one file of CloudEvents in the inbox."""
    line = (
        """'{"specversion":"1.0","id":"' || event_id || '","source":"' || source || '","type":"completion","time":"' """
        """|| strftime(make_timestamp(time_us), '%Y-%m-%dT%H:%M:%S.%fZ') || '","subject":"' || credential """
        """|| '","data":{"user":"' || user_key || '","model":"' || model || '","tokens":"' || tokens || '"}}'"""
    )
    with duckdb.connect() as con:
        con.execute("SET threads = 1; SET TimeZone = 'UTC'")
        con.execute(
            f"COPY (SELECT {line} FROM ({_day(day, events)})) TO '{home}/inbox/{day}.jsonl' "
            "(FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE '')"
        )


def _day(day: date, events: int) -> str:
    """SQL: the events of a UTC day in the order of their times."""
    begin, number = _number(day) * DAY_US, _number(day) * 1_000_000
    return f"""
        SELECT row_number() OVER (ORDER BY k) AS line, '/gateway/eu-' || n % 4 AS source,
            'req_' || left(md5(n::VARCHAR), 24) AS event_id,
            {begin} + k * ({DAY_US} // {events}) + CAST(hash(n, 1) % 1000000 AS BIGINT) AS time_us,
            'ak_' || lpad(CAST(hash(n, 2) % {KEYS} AS VARCHAR), 6, '0') AS credential,
            'u_' || lpad(CAST(hash(n, 3) % {USERS} AS VARCHAR), 8, '0') AS user_key,
            (['atlas-large-2', 'atlas-small-2', 'quill-embed-1'])[1 + CAST(hash(n, 4) % 3 AS BIGINT)] AS model,
            CAST(hash(n, 5) % 4000 AS VARCHAR) || '.' || hash(n, 6) % 100 AS tokens
        FROM (SELECT k, {number} + k AS n FROM range({events}) AS numbers(k)) ORDER BY k"""


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def days_before(last: date, count: int) -> list[date]:
    """So many days, of which `last` is the last."""
    return [last - timedelta(days=n) for n in reversed(range(count))]


def now_after(day: date) -> int:
    """A run's now on the day after, at six in the morning UTC."""
    return (_number(day) + 1) * DAY_US + 6 * 3_600_000_000
