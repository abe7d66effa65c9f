"""Trainers that call for one sample at a time, hundreds of times at once: what is lost against one batched call?"""

from __future__ import annotations

from dataclasses import replace

from bench import Bench, Entry, lines
from job import AIOHTTP, BATCH, OPENAI, REQUESTS, SINGLE, Job
from processes import StubOptions
from table import Table, Target, number

__all__ = ["run"]

_MANY = 600
_THREADS = 64
_IN_FLIGHT = 256
_ROUNDS = 5


def run(bench: Bench) -> list[Table]:
    """A table for a server that answers at once, and one for a server that takes 50 ms."""
    return [_table(bench, milliseconds) for milliseconds in ((0,) if bench.quick else (0, 50))]


def _table(bench: Bench, milliseconds: int) -> Table:
    many, few = bench.count(_MANY, 200), min(bench.count(_THREADS, _THREADS), _THREADS)
    rounds = 1 if bench.quick else _ROUNDS
    server = StubOptions(service=f"fixed:{milliseconds}")
    at_many = Job(BATCH, "", many, in_flight=_IN_FLIGHT, warmup=many, rounds=rounds)
    at_few = replace(at_many, count=few, rounds=3 * rounds)
    entries = [
        Entry(f"{REQUESTS}, {few}", replace(at_few, contender=REQUESTS, in_flight=few), server),
        Entry(f"{AIOHTTP}, {many}", replace(at_many, contender=AIOHTTP, in_flight=many), server),
        Entry(f"{OPENAI}, {many}", replace(at_many, contender=OPENAI, in_flight=many, rounds=1, warmup=32), server),
    ]
    targets: list[tuple[str, str]] = []
    for name in (SINGLE, BATCH):
        for job, call, what in (
            (at_many, "async", f"{many} async calls"),
            (at_few, "threads", f"{few} threads"),
        ):
            rows = f"{name}: one call, {job.count} rows"
            calls = f"{name}: {what}"
            entries.append(Entry(rows, replace(job, contender=name), server))
            entries.append(Entry(calls, replace(job, contender=name, call=call), server))
            targets.append((calls, rows))
    measured = bench.measure(f"async_and_threads, {milliseconds} ms", entries)
    compared = dict(targets)

    def cells(name: str) -> list[str]:
        return [
            number(1000 * (measured.median(name, "wall_s") or 0), 1),
            number(measured.ratio(name, "wall_s", compared[name])) if name in compared else "",
            number(1000 * (measured.median(name, "cpu_s") or 0), 1),
            number(
                (measured.median(name, "stub_conversations_total") or 0)
                / (measured.median(name, "stub_requests_total") or 1),
                1,
            ),
            number(measured.median(name, "lost"), 0),
            number(measured.median(name, "wrong"), 0),
        ]

    return Table(
        "async_and_threads",
        f"the server takes {milliseconds} ms" if milliseconds else "the server answers at once",
        ("contender", "wall ms", "ratio", "CPU ms", "per request", "lost", "wrong"),
        lines(measured, entries, cells),
        [
            f"wall: of a round; median of {rounds} to {3 * rounds} rounds and {bench.repeats} processes, warmed up.",
            "ratio: wall time over that of one compute_score_batched over the same rows with the same settings,",
            f"of which batch_size = max_in_flight = {_IN_FLIGHT}.",
            "async calls: that many compute_score_async on one event loop, gathered.",
            "threads: that many compute_score, let go at once. The alternatives have all in flight at once.",
        ],
        [Target(f"ratio of {calls}", measured.ratio(calls, "wall_s", rows), 1.2) for calls, rows in targets],
        measured.runs,
    )
