"""A small instance with real traffic, commands that run on it, and a fingerprint of all that it holds.

Three customers in Kolkata, New York and on Kiritimati; September is closed, October comes with late lines of September.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import tampering

REPOSITORY = Path(__file__).resolve().parents[2]
SEPTEMBER_NOW = "2026-10-05T09:00:00Z"
OCTOBER_NOW = "2026-11-05T09:00:00Z"
NOVEMBER_NOW = "2026-12-05T09:00:00Z"

ZONES = {"bengal": "Asia/Kolkata", "hudson": "America/New_York", "line": "Pacific/Kiritimati"}

CATALOG = {
    "instance.yaml": """
entities:
  - {key: seller, name: Seller Ltd, address: 1 Quay, series: SEL}
grace_days: 3
""",
    "sources.yaml": """
sources:
  - {name: gateway, path: "gw/{node}/*.log*", format: combined, fields: {user: extra_1}}
  - name: tokens
    path: "tokens/*.jsonl*"
    format: cloudevents
    properties: {tokens: data.tokens}
    quantity: tokens
  - name: storage
    path: "storage/*.csv"
    format: csv
    event_type: stored
    fields: {id: id, time: at, credential: account}
    properties: {gb: gb}
""",
    "meters.yaml": """
meters:
  - key: requests
    name: Requests
    event_type: request
    aggregation: count
    filter: {field: status, op: lt, value: 500}
  - {key: egress, name: Bytes, unit: byte, event_type: request, aggregation: sum, value: bytes}
  - {key: users, name: Users, event_type: request, aggregation: unique_count, value: user}
  - {key: tokens, name: Tokens, event_type: tokens.used, aggregation: sum, value: tokens}
  - {key: stored, name: Stored, unit: GB, event_type: stored, aggregation: max, value: gb}
""",
    "routes.yaml": 'routes:\n  - patterns: ["/v1/items/{id}", GET /v1/items]\n',
    "plans/basic.yaml": """
key: basic
name: Basic
currency: USD
versions:
  - effective: 2026-01-01
    charges:
      - {key: fee, name: Fee, model: flat, amount: "10.00", due: advance}
      - key: requests
        name: Requests
        model: graduated
        meter: requests
        tiers: [{up_to: "10", price: "0.10"}, {price: "0.05"}]
      - {key: egress, name: Egress, model: per_unit, meter: egress, price: "0.00001"}
      - {key: users, name: Users, model: per_unit, meter: users, price: "1.00"}
      - {key: tokens, name: Tokens, model: per_unit, meter: tokens, price: "0.001"}
      - {key: stored, name: Stored, model: per_unit, meter: stored, price: "0.5", watermark: {of: max, window: 1d}}
""",
    "customers.csv": "customer,name,address,country,zone,entity,terms_days\n"
    + "".join(f"{key},{key.title()} Co,1 Road,XX,{zone},seller,30\n" for key, zone in ZONES.items()),
    "credentials.csv": "credential,customer\n" + "".join(f"key_{key},{key}\n" for key in ZONES),
    "subscriptions.csv": "subscription,customer,plan,start\n"
    + "".join(f"sub-{k},{k},basic,2026-09-01\n" for k in ZONES),
}


def log_line(moment: datetime, key: str, user: str, status: int = 200, size: int = 1000) -> str:
    """A line of the combined log with the end user as a further quoted field."""
    time = moment.strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'192.0.2.7 - key_{key} [{time}] "GET /v1/items HTTP/1.1" {status} {size} "-" "kit/1.0" "{user}"\n'


def token_event(number: str, moment: datetime, key: str, tokens: object, source: str = "/model") -> str:
    """A structured CloudEvent on one line."""
    return (
        json.dumps(
            {
                "specversion": "1.0",
                "id": number,
                "source": source,
                "type": "tokens.used",
                "time": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "subject": f"key_{key}",
                "data": {"tokens": tokens},
            }
        )
        + "\n"
    )


def month_lines(month: int, per_customer: int = 12) -> str:
    """Log lines of all customers, spread over a month of 2026, in the order of time."""
    start = datetime(2026, month, 2, tzinfo=UTC)
    return "".join(
        log_line(start + timedelta(hours=53 * n, minutes=7), key, f"{key}{n % 3}", 503 if n == 5 else 200, 900 + n)
        for n in range(per_customer)
        for key in ZONES
    )


def month_tokens(month: int, per_customer: int = 6) -> str:
    start = datetime(2026, month, 3, 4, tzinfo=UTC)
    return "".join(
        token_event(f"t{month}-{key}-{n}", start + timedelta(hours=91 * n), key, 100 + n)
        for n in range(per_customer)
        for key in ZONES
    )


def month_storage(month: int) -> str:
    rows = [f"s{month}-{key}-{n},2026-{month:02}-{n:02}T05:00:00Z,key_{key},{n}.5" for n in (4, 9) for key in ZONES]
    return "id,at,account,gb\n" + "\n".join(rows) + "\n"


class ForkServer:
    """Starts `tallystick` as a child process without paying for its imports."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "forkserver.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={k: v for k, v in os.environ.items() if not k.startswith("TALLYSTICK_")}
            | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support")])},
        )
        self._answer()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def start(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Running:
        """Start a command; it is the leader of a process group of its own."""
        log = self._logs / f"{uuid.uuid4().hex}.log"
        pid = self._ask({"argv": list(argv), "env": dict(env or {}), "log": str(log)})["pid"]
        return Running(self, pid, log)

    def wait(self, pid: int, seconds: float = 600) -> int:
        """Exit code of a command, negative for a signal. One that hangs is killed: that fails the test."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.has_ended(pid):
                return self._codes.pop(pid)
            time.sleep(0.01)
        os.killpg(pid, signal.SIGKILL)
        raise AssertionError(f"process {pid} has not ended after {seconds} s")

    def has_ended(self, pid: int) -> bool:
        if pid not in self._codes:
            code = self._ask({"wait": pid})["code"]
            if code is not None:
                self._codes[pid] = int(code)
        return pid in self._codes

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the fork server has died")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True)
class Running:
    """A started command."""

    server: ForkServer
    pid: int
    log: Path

    def wait(self) -> Done:
        code = self.server.wait(self.pid)
        return Done(code, self.log.read_text())

    def ended(self) -> bool:
        """Whether it has come to an end by itself."""
        return self.server.has_ended(self.pid)

    def kill(self) -> Done:
        """SIGKILL to the whole process group."""
        if not self.ended():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self.wait()


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code (-9 when killed) and what it said."""

    code: int
    text: str


class Box:
    """An instance folder and commands upon it."""

    def __init__(self, server: ForkServer, home: Path, now: str) -> None:
        self.server = server
        self.home = home
        self.now = now

    @classmethod
    def new(cls, server: ForkServer, home: Path, now: str, **changed: str) -> Box:
        """An empty instance. `changed` replaces catalog files: `plans__basic` stands for plans/basic.yaml."""
        box = cls(server, home, now)
        home.mkdir(parents=True)
        (home / "inbox").mkdir()
        (home / "instance.key").write_text("5a" * 32)
        (home / "instance.key").chmod(0o400)
        for name, text in CATALOG.items():
            box.catalog(name, changed.get(name.rsplit(".", 1)[0].replace("/", "__"), text))
        return box

    def copy(self, home: Path, now: str | None = None) -> Box:
        """The same instance in another folder."""
        shutil.copytree(self.home, home, symlinks=True)
        return Box(self.server, home, now or self.now)

    def copy_without_pipes(self, home: Path) -> Box:
        """A copy that leaves out pipes in the inbox, which nothing could copy."""
        shutil.copytree(
            self.home,
            home,
            symlinks=True,
            ignore=lambda folder, names: [n for n in names if (Path(folder) / n).is_fifo()],
        )
        return Box(self.server, home, self.now)

    def at(self, now: str) -> Box:
        return Box(self.server, self.home, now)

    def catalog(self, name: str, text: str) -> None:
        path = self.home / "catalog" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def put(self, path: str, content: str | bytes) -> Path:
        """Deliver a file; its time of change is always the same, so that ledgers can be compared."""
        target = self.home / "inbox" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(target, (1_790_000_000, 1_790_000_000))
        return target

    def start(self, *argv: str, **env: str) -> Running:
        now = ["--now", self.now] if argv[0] in ("run", "close", "erase") or "rotate" in argv else []
        return self.server.start([*argv, "--home", str(self.home), *now], env)

    def do(self, *argv: str, code: int = 0, **env: str) -> str:
        """Run a command, assert its exit code, return what it said."""
        done = self.start(*argv, **env).wait()
        assert done.code == code, f"{' '.join(argv)} ended with {done.code}, not {code}:\n{done.text}"
        return done.text

    # -- looking ---------------------------------------------------------------------------------------------------

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows from the published generation."""
        with self.open_published() as con:
            return con.execute(query).fetchall()

    def open_published(self) -> duckdb.DuckDBPyConnection:
        path = (self.home / "warehouse" / "current").resolve() / "tallystick.duckdb"
        return duckdb.connect(str(path), read_only=True)

    def ledger(self, query: str) -> list[tuple[Any, ...]]:
        db = sqlite3.connect(self.home / "ledger.sqlite")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for (body,) in self.ledger("SELECT body FROM documents ORDER BY journal_seq, number")]

    def lines(self, customer: str, cut_off: str, charge: str | None = None) -> list[dict[str, Any]]:
        """Lines of a customer's document at a cut-off."""
        return [
            line
            for body in self.documents()
            if (body["buyer"]["customer"], body["cut_off"]) == (customer, cut_off)
            for line in body["lines"]
            if charge in (None, line["charge"])
        ]

    def tamper(self, script: str) -> None:
        """Change the ledger as somebody with the file in hand can."""
        with tampering.unguarded(self.home / "ledger.sqlite") as db:
            db.execute(script)

    def marts(self) -> dict[str, str]:
        """Hash of the rows of every table of the published generation."""
        if not (self.home / "warehouse" / "current").exists():
            # An erasure has dropped the generation, and no run has built another.
            return {}
        tables = self.sql(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN "
            "('control', 'record', 'metering', 'marts') ORDER BY ALL"
        )
        # What was new to this generation is not what it holds.
        work = ["new_files", "touched_days", "touched_lines", "restated_days", "restated_weeks", "restated_months"]
        work += ["zone_days", "zone_hours", "window_counts"]
        passing = {("control", name) for name in ("generation", "customer_offsets", *work)}
        with self.open_published() as con:
            found = {
                f"{schema}.{table}": con.execute(f"SELECT * FROM {schema}.{table} ORDER BY ALL").fetchall()
                for schema, table in tables
                if (schema, table) not in passing
            }
        return {name: hashlib.sha256(repr(rows).encode()).hexdigest() for name, rows in found.items()}

    def ledger_dump(self) -> str:
        db = sqlite3.connect(self.home / "ledger.sqlite")
        try:
            return "\n".join(db.iterdump())
        finally:
            db.close()

    def fingerprint(self) -> dict[str, Any]:
        """Everything that two instances with the same input must agree on."""
        return {
            "raw": tree(self.home / "raw"),
            "lake": tree(self.home / "lake"),
            "ledger": self.ledger_dump(),
            "marts": self.marts(),
            "exports": tree(self.home / "exports"),
        }


def tree(folder: Path) -> dict[str, str]:
    """Hash by relative path of every file below a folder, half-written ones included; of a link, where it leads."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of what differs between two fingerprints, with the first line or file of each."""
    out: list[str] = []
    for part, want in expected.items():
        have = found[part]
        if isinstance(want, str):
            pairs = [(a, b) for a, b in zip(want.splitlines(), have.splitlines(), strict=False) if a != b]
            out += [f"{part}: {a[:300]!r} != {b[:300]!r}" for a, b in pairs[:2]]
            if not pairs and want != have:
                out.append(f"{part}: {len(want.splitlines())} != {len(have.splitlines())} lines")
        else:
            out += [f"{part}: {k}" for k in sorted({*want, *have}) if want.get(k) != have.get(k)]
    return out


def deliver_september(box: Box) -> None:
    box.put("gw/a/access.log", month_lines(9))
    box.put("tokens/2026-09.jsonl", month_tokens(9))
    box.put("storage/2026-09.csv", month_storage(9))


def deliver_october(box: Box) -> None:
    """October in every format, with broken lines, duplicates, and lines of September that come late."""
    late = log_line(datetime(2026, 9, 20, 12, tzinfo=UTC), "bengal", "latecomer") * 3
    broken = "not a log line\n\n" + "x" * 50 + "\n"
    box.put("gw/a/access.log", month_lines(9) + month_lines(10) + late + broken)
    box.put("gw/b/access.log.gz", gzip.compress(month_lines(10, 5).encode(), mtime=0))
    box.put("tokens/2026-10.jsonl", month_tokens(9)[: month_tokens(9).index("\n") + 1] + month_tokens(10) * 2)
    box.put("storage/2026-10.csv", month_storage(10))


def billed_september(server: ForkServer, home: Path) -> Box:
    box = Box.new(server, home, SEPTEMBER_NOW)
    deliver_september(box)
    box.do("run")
    box.do("close", "2026-09")
    deliver_october(box)
    return box.at(OCTOBER_NOW)


def boundary_instants(zone: str, year: int, month: int) -> list[datetime]:
    """Microsecond before, at, and after the local midnight that begins a month."""
    start = datetime(year, month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return [start + timedelta(microseconds=n) for n in (-1, 0, 1)]
