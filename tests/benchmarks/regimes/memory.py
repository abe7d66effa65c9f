"""A whole epoch in one call: how much memory beyond the rows does it take?"""

from __future__ import annotations

from dataclasses import replace

from bench import Bench, Entry, Measured, lines
from job import AIOHTTP, BATCH, Job
from processes import StubOptions
from table import Table, Target, number

__all__ = ["run"]

_ROW_BYTES = 4_000
_BEYOND_MB = 150


def run(bench: Bench) -> list[Table]:
    """One table."""
    count = bench.count(100_000, 5_000)
    job = Job(BATCH, "", count, row_bytes=_ROW_BYTES, warmup=64)
    entries = [Entry(name, replace(job, contender=name), StubOptions()) for name in (AIOHTTP, BATCH)]
    measured = bench.measure("memory", entries, together="runs", seconds=600)

    def cells(name: str) -> list[str]:
        return [
            number(measured.median(name, "rows_mb"), 0),
            number(measured.median(name, "growth_mb"), 0),
            number(_allowed(measured, name), 0),
            number(measured.ratio(name, "growth_mb", name, "rows_mb")),
            number(measured.median(name, "lost"), 0),
            number(measured.median(name, "wrong"), 0),
        ]

    table = Table(
        "memory",
        f"{count} samples of {_ROW_BYTES} bytes in one call; the server answers at once",
        ("contender", "rows MB", "peak MB", "allowed MB", "peak / rows", "lost", "wrong"),
        lines(measured, entries, cells),
        [
            "rows: sys.getsizeof of all texts, dicts and lists; allowed: 1.5 x rows + 150 MB.",
            "peak: the process's highest resident memory less what it had before the rows were made,",
            f"median of {bench.repeats}; {AIOHTTP} holds ready-made bodies beside the rows.",
            "All runs at once, as memory is measured and not time.",
        ],
        [Target(f"peak / allowed of {BATCH}", _share(measured, BATCH), 1.0)],
        measured.runs,
    )
    return [table]


def _allowed(measured: Measured, name: str) -> float | None:
    rows = measured.median(name, "rows_mb")
    return None if rows is None else 1.5 * rows + _BEYOND_MB


def _share(measured: Measured, name: str) -> float | None:
    peak, allowed = measured.median(name, "growth_mb"), _allowed(measured, name)
    return None if peak is None or not allowed else peak / allowed
