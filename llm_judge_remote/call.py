"""One call of `score`: its rows, what they wait for, and what becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.submission import Submission
from llm_judge_remote.conclusion import conclude
from llm_judge_remote.errors import DeadlineExceededError, JudgingFailedError
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.logs import logger
from llm_judge_remote.planning import Row
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import Calibrations, Fallback
from llm_judge_remote.scoring.standby import Standby
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Call"]

log = logger(__name__, most=1)

_RULE_S = 0.1  # of the time that a call may take beyond its deadline
_FEW = 32  # rows that may be concluded on an event loop without its noticing


class Call:
    """One call of `score`, under way from the moment it is made; it is waited for once, in any thread or on any loop.

    Args:
        samples: What is judged.
        rows: How; one for each.
        settings: Of the call as a whole.
        began: Monotonic time when it began.
        dispatcher: Does the work.
        calibrations: Of the process.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        rows: Sequence[Row],
        settings: JudgeSettings,
        *,
        began: float,
        dispatcher: Dispatcher,
        calibrations: Calibrations,
    ) -> None:
        self.settings = settings
        self._samples = samples
        self._rows = rows
        self._began = began
        self._until = None if settings.deadline is None else began + settings.deadline
        self._dispatcher = dispatcher
        self._calibrations = calibrations
        self._standby = Standby()
        self._met_unavailable_server = False
        tasks = [
            row.plan.task(sample, reference)
            for sample, row in zip(samples, rows, strict=True)
            if row.plan is not None
            for reference in sample.references
        ]
        linger = settings.linger if len(tasks) == 1 else 0.0
        self._submission: Submission[Ruling] = dispatcher.submit(
            tasks, settings.batch_size, began=began, linger=linger, until=self._until
        )

    def wait(self) -> list[Judgement]:
        """The judgements, when they are there; this thread waits for them.

        Raises:
            JudgingFailedError: As `Judge.score`.
        """
        try:
            self._submission.wait(self._time_to_standby())
            if not self._submission.is_over:
                self._make_standby()
                self._submission.wait(self._time_left())
        finally:
            self.cancel()
        return self._end()

    async def wait_async(self) -> list[Judgement]:
        """`wait` on an event loop; cancelling it gives up what is under way."""
        wakeups = self._dispatcher.wakeups
        off_loop = len(self._samples) > _FEW
        try:
            await self._submission.wait_async(self._time_to_standby(), wakeups)
            if not self._submission.is_over:
                if off_loop:
                    await asyncio.to_thread(self._make_standby)
                await self._submission.wait_async(self._time_left(), wakeups)
        finally:
            self.cancel()
        return await asyncio.to_thread(self._end) if off_loop else self._end()

    def cancel(self) -> None:
        """Give up what has not ended, and keep what has."""
        self._dispatcher.cancel(self._submission)

    def _end(self) -> list[Judgement]:
        judgements = self._judgements()
        unjudged = [judgement for judgement in judgements if judgement.outcome in (Outcome.FALLBACK, Outcome.FAILED)]
        if unjudged:
            summary = f"{len(unjudged)} of {len(judgements)} rows were not judged; the first: {unjudged[0].reason}"
            stopped = self.settings.on_unavailable == "raise" and self._met_unavailable_server
            if self.settings.fallback == "raise" or stopped:
                raise JudgingFailedError(summary, judgements=judgements)
            if not self._dispatcher.is_closed:
                log.warning("%s (fallback=%s)", summary, self.settings.fallback)
        return judgements

    def _time_left(self) -> float | None:
        """Seconds until the deadline, or None."""
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def _time_to_standby(self) -> float | None:
        """Seconds until it is time to make the fallback ready for the deadline, or None."""
        if self._until is None:
            return None
        needed = self._standby.seconds(self._unfinished())
        return max(self._until - needed - time.monotonic(), 0.0)

    def _make_standby(self) -> None:
        """Make the fallback of what is still under way ready."""
        self._standby.make(self._unfinished())

    def _judgements(self) -> list[Judgement]:
        now = time.monotonic()
        is_late = self._until is not None and now >= self._until
        fallback = Fallback(self._standby, self._calibrations)
        indices = iter(range(len(self._submission.results)))
        found: list[Judgement | None] = []
        open_rows: list[tuple[int, list[Ruling]]] = []
        for index, (sample, row) in enumerate(zip(self._samples, self._rows, strict=True)):
            found.append(row.done)
            if row.done is not None:
                continue
            if row.error is not None:
                own = [Ruling(error=row.error, finished_at=self._began)]
            else:
                own = [self._ruling(next(indices), row, now) for _ in sample.references]
                self._met_unavailable_server |= any(ruling.is_unavailable for ruling in own)
                if is_late and time.monotonic() < now + _RULE_S:
                    own = self._by_rule(sample, row, own)
            if any(ruling.score is None for ruling in own):
                open_rows.append((index, own))  # what stands in for the judge's score may depend on the others
                continue
            found[index] = judgement = self._conclude(index, own, fallback)
            fallback.counts(row.settings, sample, judgement.score)
            if judgement.outcome is Outcome.JUDGED:
                fallback.judged(row.settings, sample, judgement.score, learn=not is_late)
        for index, own in open_rows:
            found[index] = self._conclude(index, own, fallback)
        return [judgement for judgement in found if judgement is not None]

    @staticmethod
    def _by_rule(sample: Sample, row: Row, rulings: list[Ruling]) -> list[Ruling]:
        """What the gate decides about a row whose turn never came; else the rulings as they are."""
        if row.plan is None or all(ruling.score is not None for ruling in rulings):
            return rulings
        right = row.plan.examiner.decided(sample)
        if right is None:
            return rulings
        return [Ruling(score=float(right), gated=True, finished_at=ruling.finished_at) for ruling in rulings]

    def _conclude(self, index: int, rulings: Sequence[Ruling], fallback: Fallback) -> Judgement:
        return conclude(self._samples[index], rulings, self._rows[index].settings, self._began, fallback.score)

    def _unfinished(self) -> list[tuple[JudgeSettings, str, list[str]]]:
        """Settings, candidate and references of what is still under way."""
        results = iter(self._submission.results)
        return [
            (row.settings, sample.candidate, [text for text in sample.references if next(results) is None])
            for sample, row in zip(self._samples, self._rows, strict=True)
            if row.plan is not None
        ]

    def _ruling(self, index: int, row: Row, now: float) -> Ruling:
        result = self._submission.results[index]
        if isinstance(result, Ruling):
            return result
        if isinstance(result, Exception):
            return Ruling(error=result, finished_at=now)
        last: Exception | None = self._submission.last_errors.get(index)
        if last is None and row.plan is not None and row.plan.channel.pool.is_down:
            last = row.plan.channel.pool.unavailable()
        before = f"; before that: {last}" if last is not None else ""
        attempts, server = self._submission.given_up.get(index, (0, ""))
        error = DeadlineExceededError(f"the call's deadline passed{before}")
        return Ruling(error=error, finished_at=now, attempts=attempts, server=server)
