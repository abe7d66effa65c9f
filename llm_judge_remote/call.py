"""One call of `score`: its rows, what they wait for, and what becomes of them."""

from __future__ import annotations

import functools
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from llm_judge_remote.client.cache import ReplyCache, remembering
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.submission import Job, Submission, Task
from llm_judge_remote.conclusion import conclude
from llm_judge_remote.errors import ConfigError, DeadlineExceededError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import Calibrations, Fallback
from llm_judge_remote.scoring.standby import Standby
from llm_judge_remote.setting_types import is_registry
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Call", "Plan", "Row"]

_RULE_S = 0.1  # of the time that a call may take beyond its deadline


@dataclass(frozen=True, slots=True)
class Plan:
    """How rows with the same settings are judged."""

    examiner: Examiner
    channel: Channel
    cache: ReplyCache | None
    kind: Hashable

    @property
    def settings(self) -> JudgeSettings:
        """Those of the rows."""
        return self.examiner.settings

    def task(self, sample: Sample, reference: str) -> Task[Ruling]:
        """The job of judging a sample against one of its references."""
        start = functools.partial(self._job, sample, reference)
        group = (self.kind, self.examiner.template.name, sample.problem, reference)
        # The candidate has no part in it: siblings begin alike up to there.
        prefix = (self.examiner.settings.prompt_template, sample.problem, *sample.references)
        return Task(start, self.channel, self.kind, group, prefix, alone=self.examiner.request.draws > 1)

    def _job(self, sample: Sample, reference: str) -> Job[Ruling]:
        job = self.examiner.examine(sample, reference)
        # Behind a registry nobody can tell which model `auto` stands for, now and the next time.
        is_unclear = self.settings.model_name == "auto" and any(map(is_registry, self.settings.server_url))
        if self.cache is None or is_unclear:
            return job
        return remembering(job, self.cache, self.settings.server_url, lambda ruling: ruling.score is not None)


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of a call: concluded already, impossible, or to be judged by a plan."""

    settings: JudgeSettings
    plan: Plan | None = None
    done: Judgement | None = None
    error: ConfigError | None = None


class Call:
    """One call of `score`."""

    submission: Submission[Ruling]

    def __init__(
        self, samples: Sequence[Sample], settings: JudgeSettings, dispatcher: Dispatcher, calibrations: Calibrations
    ) -> None:
        self.samples = samples
        self.settings = settings
        self.dispatcher = dispatcher
        self.began = time.monotonic()
        self.until = None if settings.deadline is None else self.began + settings.deadline
        self.rows: list[Row] = []
        self.met_unavailable_server = False
        self._standby = Standby()
        self._fallback = Fallback(self._standby, calibrations)

    @property
    def is_running(self) -> bool:
        """Whether jobs are under way; asked before it is cancelled."""
        return not self.submission.is_over

    def time_left(self) -> float | None:
        """Seconds until the deadline, or None."""
        return None if self.until is None else max(self.until - time.monotonic(), 0.0)

    def time_to_standby(self) -> float | None:
        """Seconds until it is time to make the fallback ready for the deadline, or None."""
        if self.until is None:
            return None
        needed = self._standby.seconds(self._unfinished())
        return max(self.until - needed - time.monotonic(), 0.0)

    def make_standby(self) -> None:
        """Make the fallback of what is still under way ready."""
        self._standby.make(self._unfinished())

    def cancel(self) -> None:
        """Give up what has not ended, and keep what has."""
        self.dispatcher.cancel(self.submission)

    def judgements(self) -> list[Judgement]:
        """What became of the rows."""
        now = time.monotonic()
        is_late = self.until is not None and now >= self.until
        indices = iter(range(len(self.submission.results)))
        found: list[Judgement | None] = []
        open_rows: list[tuple[int, list[Ruling]]] = []
        for index, (sample, row) in enumerate(zip(self.samples, self.rows, strict=True)):
            found.append(row.done)
            if row.done is not None:
                continue
            if row.error is not None:
                own = [Ruling(error=row.error, finished_at=self.began)]
            else:
                own = [self._ruling(next(indices), row, now) for _ in sample.references]
                self.met_unavailable_server |= any(ruling.is_unavailable for ruling in own)
                if is_late and time.monotonic() < now + _RULE_S:
                    own = self._by_rule(sample, row, own)
            if any(ruling.score is None for ruling in own):
                open_rows.append((index, own))  # what stands in for the judge's score may depend on the others
                continue
            found[index] = judgement = self._conclude(index, own)
            self._fallback.counts(row.settings, sample, judgement.score)
            if judgement.outcome is Outcome.JUDGED:
                self._fallback.judged(row.settings, sample, judgement.score, learn=not is_late)
        for index, own in open_rows:
            found[index] = self._conclude(index, own)
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

    def _conclude(self, index: int, rulings: Sequence[Ruling]) -> Judgement:
        return conclude(self.samples[index], rulings, self.rows[index].settings, self.began, self._fallback.score)

    def _unfinished(self) -> list[tuple[JudgeSettings, str, list[str]]]:
        """Settings, candidate and references of what is still under way."""
        results = iter(self.submission.results)
        return [
            (row.settings, sample.candidate, [text for text in sample.references if next(results) is None])
            for sample, row in zip(self.samples, self.rows, strict=True)
            if row.plan is not None
        ]

    def _ruling(self, index: int, row: Row, now: float) -> Ruling:
        result = self.submission.results[index]
        if isinstance(result, Ruling):
            return result
        if isinstance(result, Exception):
            return Ruling(error=result, finished_at=now)
        last: Exception | None = self.submission.last_errors.get(index)
        if last is None and row.plan is not None and row.plan.channel.pool.is_down:
            last = row.plan.channel.pool.unavailable()
        before = f"; before that: {last}" if last is not None else ""
        attempts, server = self.submission.given_up.get(index, (0, ""))
        error = DeadlineExceededError(f"the call's deadline passed{before}")
        return Ruling(error=error, finished_at=now, attempts=attempts, server=server)
