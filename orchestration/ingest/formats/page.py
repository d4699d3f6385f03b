"""The page of formats, `docs/formats.md`, made from the formats themselves: `make schemas` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from orchestration.catalog.sources import Source
from orchestration.ingest.formats import FORMATS
from orchestration.ingest.formats.base import LATENCY, Format
from orchestration.ingest.formats.detect import AUTO

EXAMPLES = Path(__file__).parent / "examples"
"""A short file in each format that is text, `<format>.txt`."""

_NO_REQUESTS = (AUTO, "error_log")
_HEAD = """# Formats

`format` of a source is one of these; `auto` finds it by a file's first lines. Files may be plain or compressed with
gzip, zstd or bzip2, whatever their names. A source's `fields` say which raw field fills what is billed by (id, time,
credential, user, method, path, status, bytes, ...), in place of the usual mapping below; its `properties` keep further
raw fields exactly as they were written. How long a request took is kept in whole microseconds, finer ones cut off;
`latency: {field: took, unit: ms}` of a source (s, ms, us or ns) says where it stands, in place of what the format
knows. A time that is missing or no number sets no line aside. This page is made from the code by `make schemas`.
"""
_TIMES = {
    "iso": "RFC 3339, or ISO 8601 with the source's `zone`",
    "clf": "`06/Oct/2026:12:00:00 +0000`, or as RFC 3339",
    "epoch_s": "seconds since 1970, or as RFC 3339",
    "epoch_ms": "milliseconds since 1970, or as RFC 3339",
    "epoch_us": "microseconds since 1970, or as RFC 3339",
    "epoch_ns": "nanoseconds since 1970, or as RFC 3339",
}
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *(line for name in sorted(FORMATS) for line in _section(FORMATS[name]))])


def _section(form: Format) -> Iterator[str]:
    module = import_module(f"{__package__}.{'detect' if form.name == AUTO else form.name}")
    said = (module.__doc__ or "").strip()
    yield f"## {form.name}\n\n{said}\n"
    example = EXAMPLES / f"{form.name}.txt"
    if example.exists():
        yield f"```\n{example.read_text()}```\n"
    if form.name in _NO_REQUESTS:
        return
    fields = getattr(form, "fields", ())
    yield f"- Ids: {_ids(form)}."
    yield f"- Time: {_TIMES[form.time_style]}."
    mapped = ", ".join(f"{t} from `{raw}`" for t, raw in form.defaults.items() if not t.startswith(LATENCY))
    yield f"- Usual mapping: {mapped or 'none, the source names its columns or fields'}."
    yield f"- Latency: {_latency(form)}."
    if fields and "Raw fields" not in said:
        yield f"- Raw fields: {', '.join(fields)}."
    yield ""


def _latency(form: Format) -> str:
    parts = {target: raw for target, raw in form.defaults.items() if target.startswith(LATENCY)}
    if not parts:
        return "none unless the source maps one"
    return " + ".join(f"`{raw}`" for raw in parts.values()) + f", in {_UNITS[min(parts).split('_')[1]]}"


def _ids(form: Format) -> str:
    plain = Source.model_validate({"name": "s", "path": "*", "format": form.name})
    if not form.positional(plain):
        return "the event's own"
    mapped = plain.model_copy(update={"fields": {"id": next(iter(getattr(form, "fields", ()) or ["id"]))}})
    if any(problem.code == "no_id" for problem in form.check(mapped)):
        return "none, a line is known by its place in its log"
    return "none unless the source maps one, a line is known by its place"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
