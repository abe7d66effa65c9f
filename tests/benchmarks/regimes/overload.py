"""Many processes send more than the server takes: how much of its capacity is used, and how much is turned away?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from bench import Bench, Entry, Measured, lines
from job import AIOHTTP, BATCH, OPENAI, REQUESTS, SINGLE, Job
from processes import StubOptions
from table import Table, Target, number

__all__ = ["run"]

_AT_ONCE = 64
_SERVICE_MS = 200
_PROCESSES = 16
_IN_FLIGHT = 128
_SHARED = ", shared limit"


def run(bench: Bench) -> list[Table]:
    """One table."""
    processes = 2 if bench.quick else _PROCESSES
    count = bench.count(200, 40)
    capacity = _AT_ONCE * 1000 / _SERVICE_MS
    # Nothing says how long to wait: a server that is full seldom knows.
    server = StubOptions(service=f"fixed:{_SERVICE_MS}", most=_AT_ONCE, retry_after="")
    job = Job(REQUESTS, "", count, in_flight=_IN_FLIGHT, retries=10, warmup=1)
    fewer = replace(job, count=count // 4)
    with tempfile.TemporaryDirectory(prefix="llm-judge-bench-") as folder:
        entries = [
            *(Entry(name, replace(fewer, contender=name), server, processes) for name in (REQUESTS, AIOHTTP, OPENAI)),
            *(_ours(name, job, server, processes) for name in (SINGLE, BATCH)),
            _ours(BATCH, job, server, processes, Path(folder) / "limit"),
        ]
        measured = bench.measure("overload", entries)

    def cells(name: str) -> list[str]:
        return [
            number(measured.median(name, "wall_s")),
            number(_goodput(measured, name), 0),
            number((_goodput(measured, name) or 0) / capacity),
            number(_retries(measured, name), 1),
            number(100 * (measured.ratio(name, "lost", name, "count") or 0), 1),
            number(measured.median(name, "cpu_s"), 1),
        ]

    ours = [entry.name for entry in entries if entry.job.is_ours]
    table = Table(
        "overload",
        f"{processes} processes with {count} samples each at a server that takes {_AT_ONCE} of {_SERVICE_MS} ms at "
        f"once and answers 503 beyond; {_IN_FLIGHT} in flight asked for in each process",
        ("contender", "wall s", "goodput/s", "of capacity", "retries %", "lost %", "CPU s"),
        lines(measured, entries, cells),
        [
            "goodput: samples scored, over the time from the first process's start to the last one's end;",
            f"capacity {capacity:.0f}/s; medians of {bench.repeats}.",
            "retries %: conversations sent beyond one for each sample, in percent of the samples.",
            f"All retry {job.retries} times, the alternatives with a pause that doubles; `shared limit`: all processes",
            f"name one file in `shared_limit`. The alternatives have {fewer.count} samples in each process.",
        ],
        [
            target
            for name in ours
            for target in (
                Target(f"goodput of {name}", _share(measured, name, capacity), 0.9, at_least=True),
                Target(f"retries % of {name}", _retries(measured, name), 15, digits=1),
            )
        ],
        measured.runs,
    )
    return [table]


def _ours(name: str, job: Job, server: StubOptions, processes: int, limit: Path | None = None) -> Entry:
    settings = {} if limit is None else {"shared_limit": str(limit)}
    return Entry(name + (_SHARED if limit else ""), replace(job, contender=name, settings=settings), server, processes)


def _goodput(measured: Measured, name: str) -> float | None:
    wall, lost, count = (measured.median(name, key) for key in ("wall_s", "lost", "count"))
    return None if wall is None or lost is None or count is None else (count - lost) / wall


def _share(measured: Measured, name: str, capacity: float) -> float | None:
    goodput = _goodput(measured, name)
    return None if goodput is None else goodput / capacity


def _retries(measured: Measured, name: str) -> float | None:
    sent = measured.ratio(name, "stub_conversations_total", name, "count")
    return None if sent is None else 100 * (sent - 1)
