"""Traffic for the benchmarks, made by the engine: `python -m tests.bench.generate FOLDER --kind combined --events N`.

The same kind, number, seed and engine give the same bytes, and more events only add lines at the end. Every 50th line
is an earlier one again: 2% of the CloudEvents are duplicates; in a log, where place is identity, it is one more line.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb

KINDS = ("cloudevents", "combined")
LINES_PER_FILE = {"cloudevents": 155_000, "combined": 265_000}
"""Files of about 45 MB."""
REPEATED = 50
BEGIN_US = 1_788_220_800_000_000
"""2026-09-01T00:00:00Z; an event follows each tenth of a second."""

_ADDRESSES = 50_000
_USERS = 50_000
_KEYS = 2_000
_MODELS = ("atlas-large-2", "atlas-small-2", "meridian-7b-instruct", "meridian-70b-instruct", "quill-embed-1")
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "python-requests/2.32.3",
    "okhttp/4.12.0",
    "curl/8.5.0",
    "Go-http-client/2.0",
    "axios/1.7.4",
    "PostmanRuntime/7.41.2",
    "-",
)


def generate(kind: str, lines: int, folder: Path, *, seed: int = 1, per_file: int | None = None) -> int:
    """Write `lines` lines of a kind as files below `folder`; how many bytes they have."""
    folder.mkdir(parents=True, exist_ok=True)
    size = per_file or LINES_PER_FILE[kind]
    starts = range(0, lines, size)
    with duckdb.connect() as con, ThreadPoolExecutor(2) as pool:
        con.execute("SET threads = 1; SET TimeZone = 'UTC'")

        def write(number: int) -> int:
            start = starts[number]
            path = folder / f"part-{number + 1:06d}.{'jsonl' if kind == 'cloudevents' else 'log'}"
            # A CSV of one column, quoted by nothing and cut by nothing, is text.
            con.cursor().execute(
                f"COPY ({_sql(kind, start, min(start + size, lines), seed)}) TO '{path}' "
                "(FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE '')"
            )
            return path.stat().st_size

        return sum(pool.map(write, range(len(starts))))


def make(kind: str, lines: int, folder: Path) -> None:
    """The same beside its place first, so that a folder that is there is whole."""
    unfinished = folder.with_name(f"{folder.name}.tmp")
    generate(kind, lines, unfinished)
    unfinished.rename(folder)


def _sql(kind: str, start: int, end: int, seed: int) -> str:
    """The lines from `start` to `end`. `m` is the line whose contents a line has: its own number, or an earlier one."""
    line = _event(seed) if kind == "cloudevents" else _combined(seed)
    earlier = f"CAST(hash(n, {seed}, 'again') % greatest(n, 1) AS BIGINT)"
    again = f"(n % {REPEATED} = {REPEATED - 1})"
    return f"""
        SELECT {line} FROM (
            SELECT CASE WHEN NOT {again} THEN n WHEN e % {REPEATED} = {REPEATED - 1} THEN e - 1 ELSE e END AS m
            FROM (SELECT n, {earlier} AS e FROM range({start}, {end}) AS numbers(n)))"""


def _pick(seed: int, what: str, among: int) -> str:
    return f"CAST(hash(m, {seed}, '{what}') % {among} AS BIGINT)"


def _text(seed: int, what: str, texts: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{text}'" for text in texts)
    return f"([{listed}])[1 + {_pick(seed, what, len(texts))}]"


def _instant(seed: int) -> str:
    return f"make_timestamp({BEGIN_US} + m * 100000 + {_pick(seed, 'time', 100_000)})"


def _event(seed: int) -> str:
    tokens = f"{_pick(seed, 'tokens', 4000)}"
    # Half of them as JSON numbers, half as text with decimals: both are told apart by nobody but a parser.
    quantity = (
        f"CASE WHEN {_pick(seed, 'quoted', 2)} = 0 THEN CAST({tokens} AS VARCHAR) "
        f"ELSE '\"' || {tokens} || '.' || {_pick(seed, 'cents', 100)} || '\"' END"
    )
    return f"""
        '{{"specversion":"1.0","id":"req_' || left(md5('{seed}-' || m), 24)
        || '","source":"/gateway/eu-' || {_pick(seed, "node", 4)}
        || '","type":"completion","time":"' || strftime({_instant(seed)}, '%Y-%m-%dT%H:%M:%S.%fZ')
        || '","subject":"ak_' || lpad(CAST({_pick(seed, "key", _KEYS)} AS VARCHAR), 6, '0')
        || '","data":{{"user":"u_' || lpad(CAST({_pick(seed, "user", _USERS)} AS VARCHAR), 8, '0')
        || '","model":"' || {_text(seed, "model", _MODELS)}
        || '","tokens":' || {quantity}
        || ',"region":"eu-west-' || {_pick(seed, "region", 3)}
        || '","latency_ms":' || {_pick(seed, "latency", 9000)} || ',"cached":false}}}}'"""


def _combined(seed: int) -> str:
    address = ", ".join(f"'{n}'" for n in (10, 31, 62, 81, 94, 109, 145, 176, 188, 203))
    host = _pick(seed, "address", _ADDRESSES)
    return f"""
        ([{address}])[1 + {host} % 10] || '.' || {host} % 251 || '.' || {host} % 199 || '.' || {host} % 241
        || ' - ' || CASE WHEN {_pick(seed, "named", 10)} = 0 THEN '-'
            ELSE 'ak_' || lpad(CAST({_pick(seed, "key", _KEYS)} AS VARCHAR), 6, '0') END
        || ' [' || strftime({_instant(seed)}, '%d/%b/%Y:%H:%M:%S') || ' +0000] "'
        || {_text(seed, "method", ("GET", "GET", "GET", "POST", "PUT"))} || ' /v1/'
        || {_text(seed, "noun", ("items", "orders", "users", "completions", "embeddings"))} || '/'
        || {_pick(seed, "item", 100_000)}
        || CASE WHEN {_pick(seed, "query", 4)} = 0 THEN '?page=' || {_pick(seed, "page", 50)} ELSE '' END
        || ' HTTP/1.1" ' || {_text(seed, "status", ("200", "200", "200", "201", "204", "304", "404", "429"))}
        || ' ' || {_pick(seed, "bytes", 90_000)} || ' "'
        || {_text(seed, "referer", ("-", "-", "https://app.example.com/console", "https://docs.example.com/api"))}
        || '" "' || {_text(seed, "agent", _AGENTS)} || '"'"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-file", type=int)
    asked = parser.parse_args()
    made = generate(asked.kind, asked.events, asked.folder, seed=asked.seed, per_file=asked.per_file)
    print(f"{asked.events} lines, {made} bytes, {made / max(asked.events, 1):.1f} bytes a line")


if __name__ == "__main__":
    main()
