"""verl's reward worker: what is lost against one batched call over the same rows?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import Bench, Entry, Measured, lines
from job import BATCH, Job
from one_shot import measured_by
from processes import BenchmarkError, Stub, StubOptions
from table import Table, Target, number

__all__ = ["run"]

_SLOTS = 64
_SERVICE_MS = (500, 200, 100, 0)
_ROWS = 1000
_BATCHED = "compute_score_batched"
_ASYNC = "compute_score_async, naive"
_MANAGER = "JudgeRewardManager"
_SLEEP = "a function that sleeps, naive"
_ARMS = {_BATCHED: "batched", _ASYNC: "async", _MANAGER: "manager", _SLEEP: "sleep"}
_CLIENT = Path(__file__).parents[1] / "verl_client.py"


def run(bench: Bench) -> list[Table]:
    """A table for each of four judges, from a slow one to one that takes no time."""
    if not bench.verl_python:
        bench.failures.append("verl: name the interpreter of an environment with verl with --verl-python")
        return []
    return [_table(bench, milliseconds) for milliseconds in ((0,) if bench.quick else _SERVICE_MS)]


def _table(bench: Bench, milliseconds: int) -> Table:
    count = bench.count(_ROWS, 64)
    slots = _SLOTS if milliseconds else 0
    measured = Measured()
    try:
        with Stub(StubOptions(service=f"fixed:{milliseconds}", slots=slots), bench.stub) as stub:
            for name in bench.turns(f"verl, {milliseconds} ms", [*_ARMS]):
                found = _measure(bench.verl_python, _ARMS[name], stub.url, count, milliseconds)
                measured.runs.setdefault(name, []).append(found)
    except BenchmarkError as error:
        bench.failures.append(f"verl: {error}")

    def faster(name: str) -> float | None:
        return measured.ratio(_BATCHED, "wall_s", name)

    def cells(name: str) -> list[str]:
        return [
            number(count / (measured.median(name, "wall_s") or 1), 0),
            number(faster(name)),
            number(measured.median(name, "unjudged"), 0),
        ]

    entries = [Entry(name, Job(BATCH, "", count), StubOptions()) for name in _ARMS]
    rate = f", {_SLOTS} at once: {_SLOTS * 1000 // milliseconds} rows/s at most" if milliseconds else ""
    return Table(
        "verl",
        f"{count} rows of a RewardLoopWorker; the judge takes {milliseconds} ms{rate}",
        ("contender", "rows/s", "ratio", "not judged"),
        lines(measured, entries, cells),
        [
            f"ratio: rows a second over those of one compute_score_batched; medians of {bench.repeats} processes.",
            "naive: verl's manager of that name. The function that sleeps waits for one of the judge's places and",
            "then as long as the judge takes, without a judge: what verl itself costs, which no function can undo.",
            "Each process scores as many rows once before, and then collects the garbage of verl's imports.",
        ],
        [Target(f"ratio of {name}", faster(name), 0.9, at_least=True) for name in (_ASYNC, _MANAGER)],
        measured.runs,
    )


def _measure(python: str, arm: str, url: str, count: int, milliseconds: int) -> dict[str, Any]:
    command = [python, "-W", "ignore", str(_CLIENT), arm, url, str(count), str(milliseconds / 1000), str(_SLOTS)]
    return measured_by(command, what=arm)
