"""The client's side of a measurement, in a process of its own: `run.py` starts it, nobody else.

It reads a job as a line of JSON, gets ready, says so, waits for a line, does the work with the clock running, and
prints what it saw as a line of JSON.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import alternatives
import prompts
import rows as rows_module
from job import BATCH, Job
from rows import Rows
from service import expected_score

from llm_judge_remote import compute_score, compute_score_async, compute_score_batched

__all__: list[str] = []

_NOT_JUDGED = 0.123  # a score that no stub gives: the fallback's, so that what was lost can be told
Scores = list[float | None]


def main() -> None:
    """One job."""
    job = Job.from_json(sys.stdin.readline())
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})  # before there are threads, which inherit it
    before_rows = _resident()
    rows = _rows(job, job.first, job.count)
    size = rows.size()
    rows_after = _resident()
    work = _work(job, rows)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        return
    seen = [_timed(work) for _ in range(job.rounds)]
    scores, last_wall, _, began = seen[-1]
    said = {
        "count": len(scores),
        "wall_s": statistics.median(wall for _, wall, _, _ in seen),
        "cpu_s": statistics.median(cpu for _, _, cpu, _ in seen),
        "began": began,
        "ended": began + last_wall,
        "lost": sum(score is None for score in scores),
        "wrong": 0 if job.rows_file else _wrong(job, scores),
        "rows_mb": size / 1e6,
        "rows_resident_mb": rows_after - before_rows,
        "growth_mb": _peak() - before_rows,
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _rows(job: Job, first: int, count: int) -> Rows:
    if job.rows_file:
        rows = rows_module.from_file(Path(job.rows_file), count)
    else:
        rows = rows_module.made(count, first, job.row_bytes, job.group)
    return rows if job.shuffle is None else rows.shuffled(job.shuffle)


def _timed(work: Callable[[], Scores]) -> tuple[Scores, float, float, float]:
    """Scores, seconds, CPU seconds of this process with all its threads, and when it began."""
    getattr(work, "get_ready", bool)()
    usage, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    scores = work()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    return scores, wall, after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime, began


def _work(job: Job, rows: Rows) -> Callable[[], Scores]:
    """What is done with the clock running; all else has been done."""
    # A real client's warm-up asks for what it will ask again; here each sample is to be new to the server.
    spare = rows_module.made(job.warmup, job.first + 50_000_000, job.row_bytes, job.group)
    if job.is_ours:
        if job.warmup:
            _ours_batched(job, spare)
        if job.call == "threads":
            return _OursInThreads(job, rows)
        score = {"batched": _ours_batched, "async": _ours_async}[job.call]
        return functools.partial(score, job, rows)
    model = job.settings.get("model_name", prompts.MODEL)
    own = _PLAIN | {name: value for name, value in job.settings.items() if name in _SHAPING}
    client = alternatives.ALTERNATIVES[job.contender](job, model)
    made = client.ready(prompts.chat_requests(rows, **own))
    if job.warmup:
        client.run(client.ready(prompts.chat_requests(spare, **own)))
    return lambda: client.run(made)


_PLAIN = {"structured_output": "off"}  # the stub server holds no reply to anything
_SHAPING = ("model_name", "prompt_template", "temperature", "top_p", "max_new_tokens", "structured_output")


def _settings(job: Job) -> dict[str, Any]:
    return {
        "server_url": job.url,
        "timeout": job.timeout,
        "max_retries": job.retries,
        "batch_size": job.in_flight,
        "max_in_flight": job.in_flight,
        "batch_endpoint": "auto" if job.contender == BATCH else "off",
        "fallback": _NOT_JUDGED,
        **_PLAIN,
        **job.settings,
    }


def _ours_batched(job: Job, rows: Rows) -> Scores:
    return _judged(compute_score_batched(*rows.columns, **_settings(job)))


def _ours_async(job: Job, rows: Rows) -> Scores:
    settings = _settings(job)

    async def all_at_once() -> list[float]:
        calls = (compute_score_async(*row, **settings) for row in zip(*rows.columns, strict=True))
        return list(await asyncio.gather(*calls))

    return _judged(asyncio.run(all_at_once()))


class _OursInThreads:
    """A thread for each row, all let go at once."""

    def __init__(self, job: Job, rows: Rows) -> None:
        self._settings = _settings(job)
        self._rows = list(zip(*rows.columns, strict=True))
        self._gate = threading.Barrier(len(rows) + 1)
        self._pool = ThreadPoolExecutor(len(rows))
        self._calls: list[Future[float]] = []

    def get_ready(self) -> None:
        self._calls = [self._pool.submit(self._one, row) for row in self._rows]
        while self._gate.n_waiting < len(self._rows):
            time.sleep(0.001)

    def __call__(self) -> Scores:
        self._gate.wait()
        return _judged([call.result() for call in self._calls])

    def _one(self, row: Any) -> float:
        self._gate.wait()
        return float(compute_score(*row, **self._settings))


def _judged(scores: list[float]) -> Scores:
    return [None if score == _NOT_JUDGED else score for score in scores]


def _wrong(job: Job, scores: Scores) -> int:
    """Scores that are not what the server said about the row."""
    return sum(
        score is not None and round(100 * score) != expected_score(job.first + index)
        for index, score in enumerate(scores)
    )


def _resident() -> float:
    """Megabytes of memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
