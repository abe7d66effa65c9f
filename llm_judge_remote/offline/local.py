"""A file judged by this process: a window of rows that slides over it, so that no server is ever idle."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.offline.layout import Row
from llm_judge_remote.offline.row_judge import RowJudge, is_judged
from llm_judge_remote.offline.work import Part, Work
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Stopped", "judge_locally"]

_MOST_PARTS = 4  # read and not written: one row that takes long holds up no others
_BATCH_S = 0.02
_LONG_S = 0.5
_MOST_ROWS = 64  # of a batch, which the event loop has to itself meanwhile
_MOST_SIBLINGS = 1024
_IN_LINE = 512
_LOOK_S = 0.1
_SYNC_S = 1.0
_IN_VAIN = 200


class Stopped(Exception):  # noqa: N818 (no error: an end before the end)
    """The run was ended before all rows were judged; those that are judged are kept.

    Attributes:
        why: In words.
        signal: By which signal, or 0.
    """

    def __init__(self, why: str, number: int = 0) -> None:
        super().__init__(why, number)  # all of them, for it to be pickled
        self.why = why
        self.signal = number


def judge_locally(
    work: Work, settings: JudgeSettings, *, stop_in_vain: bool = True, on_look: Callable[[], None] = lambda: None
) -> None:
    """Judge all rows that are left, and write them.

    SIGINT and SIGTERM end it within a second, if this is the main thread.

    Args:
        work: What is left.
        settings: Of all calls.
        stop_in_vain: Stop when a few hundred rows one after the other were not judged.
        on_look: Called a few times a second.

    Raises:
        Stopped: Not all rows are judged.
        ConfigError: Nobody could run with these settings.
        DatasetError: The input cannot be read, or the work not written.
    """
    asyncio.run(_Window(work, settings, stop_in_vain, on_look).run())


class _Window:
    """Batches of rows under way.

    A batch is what is judged in a fiftieth of a second, or more if the judge answers in less than half a second. So
    with a judge that takes its time rows are handed over one by one, and what is judged is kept at once; and with a
    fast one the calls cost little.
    """

    def __init__(self, work: Work, settings: JudgeSettings, stop_in_vain: bool, on_look: Callable[[], None]) -> None:
        self._work = work
        self._judge = RowJudge(settings)
        self._in_flight = settings.max_in_flight
        self._keeps_groups = settings.fallback == "group_mean"
        self._stop_in_vain = stop_in_vain
        self._on_look = on_look
        self._batch_rows = 8
        self._begun = self._done = self._in_vain = 0
        self._limit = self._most_begun()
        self._tasks: dict[asyncio.Task[None], int] = {}  # with the rows of each
        self._waiting: list[Part] = []
        self._stopped: Exception | None = None
        self._changed = asyncio.Event()
        self._added = asyncio.Event()

    async def run(self) -> None:
        with self._signals():
            helpers = [self._begin(each) for each in (self._write(), self._look(), self._keep())]
            try:
                await self._feed()
                while self._tasks:
                    await asyncio.wait(self._tasks)
                if self._stopped is None:
                    await asyncio.wait(helpers[:1])
            finally:
                self._judge.close()
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, *self._tasks, return_exceptions=True)
        if self._stopped is not None:
            raise self._stopped

    async def _feed(self) -> None:
        """Hand rows over while there is room for them."""
        parts = self._work.parts()
        coming = asyncio.create_task(asyncio.to_thread(next, parts, None))
        while (part := await coming) is not None and self._stopped is None:
            self._waiting.append(part)
            coming = asyncio.create_task(asyncio.to_thread(next, parts, None))
            self._changed.set()  # all its rows may be known
            for batch in self._batches(part):
                while self._begun >= self._limit and self._stopped is None:
                    await self._change()
                if self._stopped is not None:
                    break
                self._begun += len(batch)
                task = self._begin(self._score(part, batch))
                self._tasks[task] = len(batch)
                task.add_done_callback(self._tasks.pop)
            while len(self._waiting) >= _MOST_PARTS and self._stopped is None:
                await self._change()
        coming.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody asks for it any more

    def _batches(self, part: Part) -> Iterator[range]:
        """Rows of a part that are judged in one call, by their places among those to be judged."""
        first = 0
        while first < len(part.rows):
            end = min(first + self._batch_rows, len(part.rows))
            while self._keeps_groups and end < len(part.rows) and end - first < _MOST_SIBLINGS:
                if _group(part.rows[end]) != _group(part.rows[end - 1]):
                    break
                end += 1
            yield range(first, end)
            first = end

    async def _score(self, part: Part, batch: range) -> None:
        try:
            judged = await self._judge.score([part.rows[number] for number in batch])
            if judged.why_stop:
                self._stop(Stopped(judged.why_stop))
            self._look_for_success(judged.judgements)
            found = zip((part.places[number] for number in batch), judged.judgements, strict=True)
            # What a stop has kept from being judged is not there: the next run asks for it.
            kept = [(place, own) for place, own in found if self._stopped is None or is_judged(own)]
            if kept:
                self._work.add(part, kept)
                self._done += len(kept)
                self._added.set()
        finally:
            self._begun -= len(batch)
            self._changed.set()

    def _look_for_success(self, judgements: Sequence[Judgement]) -> None:
        for judgement in judgements:
            if judgement.outcome is Outcome.JUDGED:
                self._in_vain = 0
            elif not is_judged(judgement):
                self._in_vain += 1
                if self._in_vain >= _IN_VAIN and self._stop_in_vain:
                    self._stop(Stopped(f"{_IN_VAIN} rows in a row were not judged: {judgement.reason}"))
                    return

    async def _write(self) -> None:
        """Write parts, in their order, when they are complete."""
        written = 0
        while written < self._work.table.row_count:
            while not self._waiting or self._waiting[0].left:
                await self._change()
            part = self._waiting[0]
            await asyncio.to_thread(self._work.write, part)
            written = self._work.written
            self._waiting.remove(part)
            self._changed.set()

    async def _look(self) -> None:
        """See how fast it goes, and have the disk take what is there."""
        began = synced = then = time.monotonic()
        done = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            if self._done > done:
                rate = (self._done - done) / (now - then)
                took = self._work.tally().quantile(0.5) or _LONG_S
                self._batch_rows = min(max(round(rate * _BATCH_S), round(_LONG_S / took), 1), _MOST_ROWS)
            done, then = self._done, now
            self._on_look()
            is_time = now - synced >= _SYNC_S
            if is_time or now - began < _SYNC_S:  # a registry lists its servers soon after the start
                self._limit = self._most_begun()
            if is_time:
                await asyncio.to_thread(self._work.sync)
                synced = now

    async def _keep(self) -> None:
        """Write what was judged to the journal, as soon as the writing of what came before is done."""
        while True:
            await self._added.wait()
            self._added.clear()
            await asyncio.to_thread(self._work.flush)

    def _most_begun(self) -> int:
        """Rows that may be begun: those that are in flight, and enough to make chunks of."""
        return self._in_flight * self._judge.servers + _IN_LINE

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have it done beside; if it ends with an error, everything does."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._stop(error)

    def _stop(self, why: Exception) -> None:
        """Begin nothing more, and let what is under way end with what it has."""
        if self._stopped is None:
            self._stopped = why
            for task, rows in self._tasks.items():
                if rows == 1 and task is not asyncio.current_task():
                    task.cancel()  # there is nothing to be kept of it, and nobody needs its fallback
            self._judge.close()
        self._changed.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        before = {}
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: somebody else's affair
            for number, word in ((signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")):
                handler = signal.getsignal(number)
                loop.add_signal_handler(number, self._stop, Stopped(word, number))
                before[number] = handler
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)


def _group(row: Row) -> tuple[object, object]:
    _, _, reference, extra = row
    return reference, extra.get("problem") or extra.get("question") if isinstance(extra, dict) else extra
