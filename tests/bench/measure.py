"""Measuring: a function in a process of its own, its wall and CPU time, its peak memory; and the machine it ran on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one call cost: seconds on the wall and of the processor, peak resident memory in MB; and what it returned.

    The times are those of the call, without starting Python and importing; the memory is the whole process's.
    """

    wall: float
    cpu: float
    memory: float
    result: Any


def measured(function: str, *arguments: Any) -> Measured:
    """Call `module:function` with JSON-able arguments in a new process. Raises CalledProcessError where it fails."""
    os.sync()
    command = [sys.executable, "-m", "tests.bench.measure", function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, aligned for reading as it is."""
    widths = [max(len(row[n]) for row in (heads, *rows)) for n in range(len(heads))]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)


def least_and_median(values: list[float]) -> str:
    return f"{min(values):.2f} / {median(values):.2f}"


def machine() -> str:
    """What a figure means nothing without: processor, memory, system, versions, and how busy the machine is now."""
    cpu = next((x.split(":")[1].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")), "unknown")
    memory = next((int(x.split()[1]) >> 20 for x in _lines("/proc/meminfo") if x.startswith("MemTotal")), 0)
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory} GB, Linux {platform.release()}, Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__}; load {load}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_mb() -> float:
    # Not getrusage: its maximum includes what the parent had before the child became another program.
    return next(int(x.split()[1]) for x in _lines("/proc/self/status") if x.startswith("VmHWM")) / 1024


def main() -> None:
    module, name = sys.argv[1].split(":")
    function = getattr(import_module(module), name)
    cpu, start = _cpu_seconds(), time.perf_counter()
    result = function(*json.loads(sys.argv[2]))
    wall, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": _peak_mb(), "result": result}))


if __name__ == "__main__":
    main()
