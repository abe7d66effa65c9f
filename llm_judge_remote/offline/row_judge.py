"""Rows as a file has them, judged as the public calls would."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from llm_judge_remote.call import Call
from llm_judge_remote.errors import JudgingFailedError
from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.offline.layout import Row
from llm_judge_remote.routing import Route, Router
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Judged", "RowJudge", "is_judged", "offline_settings"]

_PATIENCE_S = 60.0
_PAUSE_S = 0.5  # before rows are asked for again


class Judged(NamedTuple):
    """What became of some rows.

    Attributes:
        judgements: One for each.
        why_stop: Why no more should be asked, in words; "" if all is well.
    """

    judgements: list[Judgement]
    why_stop: str = ""


def offline_settings(settings: JudgeSettings) -> JudgeSettings:
    """The settings of a call, for rows that nobody waits for.

    A deadline has no meaning here. Where no server answers the rows are left for later, and servers are waited for a
    minute before that, unless `on_unavailable` and `outage_grace` are set.
    """
    changes: dict[str, object] = {"deadline": None, "return_details": False}
    if "on_unavailable" not in settings.model_fields_set:
        changes["on_unavailable"] = "raise"
    if "outage_grace" not in settings.model_fields_set:
        changes["outage_grace"] = _PATIENCE_S
    return settings.model_copy(update=changes)


def is_judged(judgement: Judgement) -> bool:
    """Whether judge or rule gave the score."""
    return judgement.outcome not in (Outcome.FALLBACK, Outcome.FAILED)


class RowJudge:
    """Judges rows on an event loop, with the one judge of this process.

    Args:
        settings: Of all calls; see `offline_settings`.

    Raises:
        ConfigError: A route or scorer is of no use.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._router = Router(settings)
        self._judge = Judge(settings)
        self._answered = time.monotonic()
        self._closed = asyncio.Event()

    @property
    def servers(self) -> int:
        """Servers that rows can go to at once, as far as they are known."""
        return max(len(self._judge.stats().servers), len(self._settings.server_url), 1)

    async def score(self, rows: Sequence[Row]) -> Judged:
        """Judge rows, on an event loop.

        A row that a dying server has cost all its attempts is asked for again, until no server has answered for
        `outage_grace`, or the row had as long for itself: a server that is soon back ends no run.

        Raises:
            ConfigError: Nobody could run with the settings, or nobody scores a row's data source.
        """
        began = time.monotonic()
        judged = await self._once(rows)
        until = max(self._answered, began) + self._settings.outage_grace
        while judged.why_stop and self._may_ask_again(until):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._closed.wait(), _PAUSE_S)
                break
            # With its siblings, where these stand in for it.
            keeps_groups = self._settings.fallback == "group_mean"
            places = [place for place, own in enumerate(judged.judgements) if keeps_groups or not is_judged(own)]
            again = await self._once([rows[place] for place in places])
            judgements = list(judged.judgements)
            for place, own in zip(places, again.judgements, strict=True):
                judgements[place] = own
            judged = Judged(judgements, again.why_stop)
        return judged

    def _may_ask_again(self, until: float) -> bool:
        return self._settings.fallback != "raise" and time.monotonic() < until

    async def _once(self, rows: Sequence[Row]) -> Judged:
        judged = await self._asked(rows)
        if any(own.outcome is Outcome.JUDGED for own in judged.judgements):
            self._answered = time.monotonic()
        return judged

    async def _asked(self, rows: Sequence[Row]) -> Judged:
        call = self._begin(rows)
        try:
            return call.whole(await call.begun.wait_async())
        except JudgingFailedError as error:
            return call.whole(error.judgements, failed=True)

    def score_here(self, rows: Sequence[Row]) -> Judged:
        """The same, in this thread."""
        call = self._begin(rows)
        try:
            return call.whole(call.begun.wait())
        except JudgingFailedError as error:
            return call.whole(error.judgements, failed=True)

    def close(self) -> None:
        """End what is under way: rows that are not judged yet fall back at once."""
        self._closed.set()
        self._judge.close()

    def _begin(self, rows: Sequence[Row]) -> _Begun:
        filtered = self._settings.filter_gt_by_prompt_token
        samples = [Sample.from_row(*row, filter_by_prompt=filtered) for row in rows]
        if self._router.is_off:
            return _Begun(self._judge.begin(samples), rows)
        routes = [self._router.route(sample.data_source) for sample in samples]
        judged = [(sample, route) for sample, route in zip(samples, routes, strict=True) if route.scorer is None]
        each = [route.settings for _, route in judged]
        return _Begun(self._judge.begin([sample for sample, _ in judged], each=each), rows, routes)


class _Begun(NamedTuple):
    """Rows of which the judge's are under way."""

    begun: Call
    rows: Sequence[Row]
    routes: Sequence[Route] | None = None

    def whole(self, judgements: Sequence[Judgement], *, failed: bool = False) -> Judged:
        """All rows' judgements, with those of other scorers; these work here and now.

        Some rules stop themselves by a signal, which only the main thread gets; so they stay in the caller's thread.
        """
        found = list(judgements)
        why = next((each.reason for each in judgements if not is_judged(each)), "") if failed else ""
        if self.routes is not None:
            own = iter(judgements)
            pairs = zip(self.routes, self.rows, strict=True)
            found = [next(own) if route.scorer is None else route.score(*row) for route, row in pairs]
        return Judged(found, why)
