"""Calls whose rows are not all the judge's: some belong to scorers that follow rules."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from llm_judge_remote.errors import JudgingFailedError
from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.routing import Route
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__all__ = ["MixedCall", "Row"]

Row = tuple[Any, Any, Any, Any]
"""data_source, solution, ground truth and extra_info, as a trainer hands them over."""


class MixedCall:
    """The rows of one call, on their ways; the judge's are under way from the moment it is made.

    Args:
        rows: As the trainer has them.
        samples: What became of them.
        routes: Where they go; one for each.
        settings: Of the call as a whole.
        judge: Gets those that no route gives to a scorer.

    Raises:
        ConfigError: Nobody could run with these settings.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        samples: Sequence[Sample],
        routes: Sequence[Route],
        settings: JudgeSettings,
        judge: Judge,
    ) -> None:
        self.settings = settings
        self._until = math.inf if settings.deadline is None else time.monotonic() + settings.deadline
        self._rows = rows
        self._others = {index: route for index, route in enumerate(routes) if route.scorer is not None}
        self._places = [index for index in range(len(rows)) if index not in self._others]
        self._found: list[Judgement | None] = [None] * len(rows)
        self._judged = judge.begin(
            [samples[index] for index in self._places],
            settings,
            each=[routes[index].settings for index in self._places],
        )

    def wait(self) -> list[Judgement]:
        """The judgements, when they are there.

        Raises:
            JudgingFailedError: As `Judge.score`; it carries all rows of the call.
        """
        if not self._others:
            return self._judged.wait()
        with ThreadPoolExecutor(1) as beside, self._whole():
            judged = beside.submit(self._judged.wait)
            try:
                # Rules stay in the caller's thread: some stop themselves by a signal, which only the main thread gets.
                self._score_others()
            finally:
                self._put(judged.result())
        return self._all()

    async def wait_async(self) -> list[Judgement]:
        """`wait` on an event loop; cancelling it gives up what the judge has not done."""
        if not self._others:
            return await self._judged.wait_async()
        rules = asyncio.ensure_future(asyncio.to_thread(self._score_others))
        with self._whole():
            try:
                self._put(await self._judged.wait_async())
            finally:
                await rules
        return self._all()

    def cancel(self) -> None:
        """Give up what the judge has not done."""
        self._judged.cancel()

    def _score_others(self) -> None:
        """Have the rows scored that are not the judge's, as far as the call's deadline lets."""
        for index, route in self._others.items():
            if time.monotonic() >= self._until:
                reason = "the call's deadline passed before its scorer's turn"
                self._found[index] = Judgement(0.0, Outcome.FAILED, reason)
            else:
                self._found[index] = route.score(*self._rows[index])

    def _put(self, judgements: Sequence[Judgement]) -> None:
        """Note what became of the rows that are the judge's."""
        for index, judgement in zip(self._places, judgements, strict=True):
            self._found[index] = judgement

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """See to it that an error that carries the judge's rows carries all rows of the call."""
        try:
            yield
        except JudgingFailedError as error:
            self._put(error.judgements)
            error.judgements = self._all()
            raise

    def _all(self) -> list[Judgement]:
        return [judgement for judgement in self._found if judgement is not None]
