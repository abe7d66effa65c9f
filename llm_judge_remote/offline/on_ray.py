"""A file judged by the actors of a Ray cluster: tasks read it piece by piece, actors judge, this process writes.

The input is on a file system that all machines see. Each actor has a judge of its own; what `max_in_flight` allows at a
server is divided among the machines, and the actors of one machine have its part together (`shared_limit`).
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa

from llm_judge_remote.errors import DatasetError, JudgeError
from llm_judge_remote.offline.layout import Row
from llm_judge_remote.offline.local import Stopped
from llm_judge_remote.offline.record import encoded
from llm_judge_remote.offline.row_judge import Judged, RowJudge, is_judged
from llm_judge_remote.offline.table import Table
from llm_judge_remote.offline.work import Columns, Part, Work
from llm_judge_remote.settings import JudgeSettings

__all__ = ["judge_on_ray"]

_BLOCK_BYTES = 128 << 10  # what an actor judges in one call: some dozens of rows
_CALL_ROWS = 32
_MOST_CALLS = 32
_CPUS = 0.25  # actors and readers mostly wait
_END = -1  # in place of a row's number: what ends the run


def judge_on_ray(
    work: Work,
    settings: JudgeSettings,
    *,
    actors: int | None = None,
    on_look: Callable[[], None] = lambda: None,
) -> None:
    """Judge all rows that are left on the Ray cluster of the environment, or on one of this machine, and write them.

    Args:
        work: What is left.
        settings: Of all calls.
        actors: How many; None for one on each machine.
        on_look: Called with each block of rows that comes back.

    Raises:
        Stopped: Not all rows are judged.
        ConfigError: Nobody could run with these settings.
        DatasetError: The input cannot be read, the work not written, or Ray does not work.
    """
    try:
        import ray  # noqa: PLC0415 (heavy, and an extra)
    except ImportError as error:
        msg = f"--engine ray needs Ray: pip install 'llm-judge-remote[ray-data]' ({error})"
        raise DatasetError(msg) from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)  # a plan in Ray's words helps nobody here
    try:
        with _ended_by_signals():
            _judge(work, settings, actors, on_look)
    except ray.exceptions.RayError as error:
        msg = f"Ray did not do it: {error}"
        raise DatasetError(msg) from error


def _judge(work: Work, settings: JudgeSettings, actors: int | None, on_look: Callable[[], None]) -> None:
    import ray  # noqa: PLC0415

    parts = work.parts()
    part = _write_complete(work, parts, next(parts, None))
    if part is None:
        return
    size = work.table.part_rows
    for block in _results(work, settings, actors):
        lines: dict[int, list[bytes]] = {}
        ends: list[Exception] = []
        for row, line in zip(block["row"].to_pylist(), block["line"].to_pylist(), strict=True):
            if row == _END:
                ends.append(ray.cloudpickle.loads(line))
                continue
            lines.setdefault(row // size, []).append(line)
        for number, own in lines.items():
            work.add_lines(number, own)
        work.flush()
        if ends:
            raise ends[0]
        part = _write_complete(work, parts, part)
        on_look()
    if part is not None:
        msg = f"{work.table.path}: the actors ended, and rows from {part.first} on are missing"
        raise DatasetError(msg)


def _write_complete(work: Work, parts: Iterator[Part], part: Part | None) -> Part | None:
    """Write the parts that are complete; the first that is not."""
    while part is not None and not part.left:
        work.write(part)
        part = next(parts, None)
    return part


def _results(work: Work, settings: JudgeSettings, actors: int | None) -> Iterator[pa.Table]:
    import ray  # noqa: PLC0415

    machines = sum(bool(node["Alive"]) for node in ray.nodes())
    count = actors or machines
    own = _shared(settings, machines)
    calls = min(max(math.ceil(2 * own.max_in_flight / _CALL_ROWS), 2), _MOST_CALLS)
    starts = [*work.table.starts(), work.table.row_count]
    pieces = [{"start": max(start, work.written), "end": end} for start, end in pairwise(starts) if end > work.written]
    context = ray.data.DataContext.get_current()
    before = context.target_max_block_size, context.enable_progress_bars
    context.target_max_block_size, context.enable_progress_bars = _BLOCK_BYTES, False
    try:
        rows = ray.data.from_items(pieces, override_num_blocks=len(pieces)).map_batches(
            _read,
            fn_args=(work.table, work.columns, work.known()),
            batch_size=1,
            num_cpus=_CPUS,
        )
        pool = ray.data.ActorPoolStrategy(
            size=count,
            max_tasks_in_flight_per_actor=2 * calls,
            max_concurrent_calls_per_actor=calls,
            enable_true_multi_threading=True,
        )
        judged = rows.map_batches(
            _Actor,
            fn_constructor_args=(own,),
            batch_size=None,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=_CPUS,
        )
        yield from judged.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    finally:
        context.target_max_block_size, context.enable_progress_bars = before


def _shared(settings: JudgeSettings, machines: int) -> JudgeSettings:
    """The settings of one actor."""
    prefix = Path(tempfile.gettempdir()) / f"llm_judge_score_{uuid.uuid4().hex[:12]}"
    changes = {
        "max_in_flight": math.ceil(settings.max_in_flight / max(machines, 1)),
        "shared_limit": settings.shared_limit or str(prefix),
    }
    return settings.model_copy(update=changes)


def _read(piece: dict[str, Any], table: Table, columns: Columns, known: frozenset[int]) -> Iterator[dict[str, Any]]:
    """The rows of a piece that are to be judged."""
    from ray import cloudpickle  # noqa: PLC0415

    row, end = int(piece["start"][0]), int(piece["end"][0])
    for chunk in table.chunks(row, _CALL_ROWS):
        earlier = columns.earlier(chunk)
        rows = columns.layout.rows(chunk)
        places = [
            place for place in range(min(len(rows), end - row)) if place not in earlier and row + place not in known
        ]
        if places:
            yield {
                "row": [row + place for place in places],
                "value": [cloudpickle.dumps(rows[place]) for place in places],
            }
        row += len(rows)
        if row >= end:
            return


class _Actor:
    """Judges blocks of rows, many at once, with one judge."""

    def __init__(self, settings: JudgeSettings) -> None:
        self._judge = RowJudge(settings)

    def __call__(self, block: pa.Table) -> pa.Table:
        from ray import cloudpickle  # noqa: PLC0415

        rows: list[Row] = [cloudpickle.loads(value) for value in block["value"].to_pylist()]
        end: Exception | None = None
        try:
            judged = self._judge.score_here(rows)
        except JudgeError as error:  # Ray would tell of it in words of its own
            judged, end = Judged([]), error
        found = list(zip(block["row"].to_pylist(), judged.judgements, strict=False))
        if judged.why_stop:
            end = Stopped(judged.why_stop)
            found = [(row, own) for row, own in found if is_judged(own)]
        numbers, lines = [row for row, _ in found], [encoded(row, own) for row, own in found]
        if end is not None:
            numbers, lines = [*numbers, _END], [*lines, cloudpickle.dumps(end)]
        return pa.table({"row": pa.array(numbers, pa.int64()), "line": pa.array(lines, pa.binary())})


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    before = {}

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the signal module's contract)
        raise Stopped("interrupted" if number == signal.SIGINT else "terminated", number)

    with contextlib.suppress(ValueError):  # not the main thread: somebody else's affair
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
