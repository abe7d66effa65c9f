"""The server answers at once: what does a judgement cost the client?"""

from __future__ import annotations

from dataclasses import replace

from bench import Bench, Entry, five, lines
from job import BATCH, REQUESTS, SINGLE, Job
from processes import StubOptions
from rows import PROMPT_FRAME
from table import Table, Target, number

__all__ = ["run"]

_ROW_BYTES = 2_000 - PROMPT_FRAME
_THREADS = 16  # with more of them the requests pool costs more: 0.56 ms with 16, 0.60 with 32, 0.70 with 128


def run(bench: Bench) -> list[Table]:
    """One table."""
    count = bench.count(4_096, 512)
    job = Job(REQUESTS, "", count, row_bytes=_ROW_BYTES, in_flight=128, warmup=min(512, count))
    entries = [_at_its_best(entry) for entry in five(job, StubOptions())]
    measured = bench.measure("client_bound", entries)

    def cells(name: str) -> list[str]:
        cpu, wall, requests = (measured.median(name, key) or 0 for key in ("cpu_s", "wall_s", "stub_requests_total"))
        return [
            number(1000 * cpu / count, 3),
            number(measured.ratio(name, "cpu_s", REQUESTS)),
            number(count / wall, 0),
            number(count / requests, 1),
            number(measured.median(name, "lost"), 0),
            number(measured.median(name, "wrong"), 0),
        ]

    table = Table(
        "client_bound",
        f"{count} samples, prompts of 2 kB, groups of {job.group}; the server answers at once",
        ("contender", "CPU ms/sample", "CPU ratio", "samples/s", "per request", "lost", "wrong"),
        lines(measured, entries, cells),
        [
            f"CPU: user and system time of the client's process, all threads; after a warm-up of {job.warmup} samples.",
            f"CPU ratio: over that of the requests pool, medians of {bench.repeats}.",
            "Ours goes from rows to scores; the others post ready-made bodies (openai: messages) and look for a score.",
            f"In flight: {job.in_flight}; the requests pool has {_THREADS} threads, with which it costs least.",
            "per request: samples in one HTTP request; lost: without the judge's score; wrong: with another score.",
        ],
        [
            Target(f"CPU ratio of {BATCH}", measured.ratio(BATCH, "cpu_s", REQUESTS), 0.25),
            Target(f"CPU ratio of {SINGLE}", measured.ratio(SINGLE, "cpu_s", REQUESTS), 1.3),
        ],
        measured.runs,
    )
    return [table]


def _at_its_best(entry: Entry) -> Entry:
    return replace(entry, job=replace(entry.job, in_flight=_THREADS)) if entry.name == REQUESTS else entry
