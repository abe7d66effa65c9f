"""The whole way of a sample, from its row to its judgement."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.client.dispatcher import Dispatcher
from llm_judge_remote.client.exchange import Exchange
from llm_judge_remote.conclusion import conclude
from llm_judge_remote.errors import (
    ConfigError,
    DeadlineExceededError,
    JudgingFailedError,
    ServerError,
    ServerUnavailableError,
)
from llm_judge_remote.examination import Ruling, examine
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.layers import settings_for_row
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import check_fallback
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Judge"]

log = logging.getLogger(__name__)

_LOG_EVERY_S = 60.0


class Judge:
    """Scores samples with a remote LLM judge.

    One judge serves all threads and event loops of a process; after a fork, or unpickled elsewhere, it opens
    connections of its own. It opens them on first use, and closes them at `close()`, at the end of a `with` block, or
    with the process.

    Args:
        settings: Where the judge is and how to ask it; None for what the environment and the YAML file say.
    """

    def __init__(self, settings: JudgeSettings | None = None) -> None:
        self.settings = settings if settings is not None else JudgeSettings()
        self._templates = TemplateLibrary(PLACEHOLDERS)
        self._row_settings: dict[object, JudgeSettings] = {}
        self._runtimes: dict[int, _Runtime] = {}
        self._said = _Rarely(_LOG_EVERY_S)

    def score(self, samples: Sequence[Sample], settings: JudgeSettings | None = None) -> list[Judgement]:
        """Judge the samples.

        Args:
            samples: In any number.
            settings: For this call, in place of the judge's own.

        Returns:
            A judgement for each sample, in order.

        Raises:
            ConfigError: Nobody could run with these settings.
            JudgingFailedError: Rows were not judged, and `fallback` or `on_unavailable` is `raise`.
        """
        call = self._begin(samples, settings or self.settings)
        try:
            concurrent.futures.wait(call.futures, timeout=call.time_left())
        finally:
            call.cancel()
        return self._end(call)

    async def score_async(self, samples: Sequence[Sample], settings: JudgeSettings | None = None) -> list[Judgement]:
        """`score` for callers on an event loop; cancelling it drops what has not begun."""
        call = self._begin(samples, settings or self.settings)
        waiting = [asyncio.wrap_future(future) for future in call.futures]
        try:
            if waiting:
                await asyncio.wait(waiting, timeout=call.time_left())
        finally:
            call.cancel()
            for future in waiting:  # what is still under way must not call back into a loop that may be closed
                future.cancel()
        return self._end(call)

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        runtime = self._runtimes.pop(os.getpid(), None)
        if runtime is not None:
            runtime.finalizer()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.settings,)

    def _begin(self, samples: Sequence[Sample], settings: JudgeSettings) -> _Call:
        self._templates.get(settings.prompt_template)
        check_fallback(settings)
        call = _Call(list(samples), settings)
        runtime = self._runtime()
        try:
            for sample in samples:
                call.rows.append(self._start(sample, call, runtime))
        except BaseException:
            call.cancel()
            raise
        return call

    def _start(self, sample: Sample, call: _Call, runtime: _Runtime) -> _Row:
        """Send a sample on its way, or say why it needs none."""
        if sample.defect:
            return _Row(call.settings, done=Judgement(0.0, Outcome.FAILED, f"the row cannot be read: {sample.defect}"))
        if not sample.candidate.strip():
            return _Row(call.settings, done=Judgement(0.0, Outcome.EMPTY_CANDIDATE, "the candidate is empty"))
        if not sample.references:
            return _Row(call.settings, done=Judgement(0.0, Outcome.NO_REFERENCE, "the row has no reference"))
        try:
            settings = self._settings_of(sample, call.settings)
            template = self._templates.get(settings.prompt_template)
            check_fallback(settings)
        except ConfigError as error:
            return _Row(call.settings, rulings=[Ruling(error=error, finished_at=call.began)])
        if not settings.server_url:
            msg = "server_url is not set: give the judge's address, http://HOST:PORT, or set LLM_JUDGE_SERVER_URL"
            if call.settings.server_url:
                return _Row(call.settings, rulings=[Ruling(error=ConfigError(msg), finished_at=call.began)])
            raise ConfigError(msg)
        ask = functools.partial(runtime.exchange(settings).ask, since=call.began, until=call.until)
        submit = functools.partial(runtime.dispatcher.submit, ask=ask, width=call.settings.batch_size)
        return _Row(settings, futures=[submit(examine(sample, text, settings, template)) for text in sample.references])

    def _settings_of(self, sample: Sample, settings: JudgeSettings) -> JudgeSettings:
        if not sample.overrides:
            return settings
        key = (settings, repr(sorted(sample.overrides.items())))
        made = self._row_settings.get(key)
        if made is None:
            if len(self._row_settings) >= 1024:
                self._row_settings.clear()
            made = self._row_settings[key] = settings_for_row(settings, sample.overrides)
        return made

    def _end(self, call: _Call) -> list[Judgement]:
        judgements = [
            row.done or conclude(sample, row.rulings, row.settings, call.began)
            for sample, row in zip(call.samples, call.rows, strict=True)
        ]
        unjudged = [judgement for judgement in judgements if judgement.outcome in (Outcome.FALLBACK, Outcome.FAILED)]
        if unjudged:
            summary = f"{len(unjudged)} of {len(judgements)} rows were not judged; the first: {unjudged[0].reason}"
            stopped = call.settings.on_unavailable == "raise" and any(row.unavailable for row in call.rows)
            if call.settings.fallback == "raise" or stopped:
                raise JudgingFailedError(summary, judgements=judgements)
            if self._said.now():
                log.warning("%s (fallback=%s)", summary, call.settings.fallback)
        return judgements

    def _runtime(self) -> _Runtime:
        # No lock, which a fork could leave locked: of two threads that come first, one wins and the other's is unused.
        pid = os.getpid()
        runtime = self._runtimes.get(pid)
        if runtime is None:
            runtime = self._runtimes.setdefault(pid, _Runtime())
            runtime.finalizer = weakref.finalize(self, _Runtime.close_in, runtime, pid)
            for stale in [other for other in self._runtimes if other != pid]:
                self._runtimes.pop(stale, None)
        return runtime


class _Runtime:
    """What belongs to one process: threads and connections."""

    finalizer: weakref.finalize[Any, Any]

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self._lock = threading.Lock()
        self._exchanges: dict[tuple[object, ...], Exchange] = {}

    def exchange(self, settings: JudgeSettings) -> Exchange:
        key = (
            settings.server_url,
            settings.api_key,
            settings.trust_env,
            settings.timeout,
            settings.connect_timeout,
            settings.max_retries,
            settings.max_connections,
            settings.outage_grace,
        )
        exchange = self._exchanges.get(key)
        if exchange is None:
            with self._lock:
                exchange = self._exchanges.get(key) or self._exchanges.setdefault(key, Exchange(settings))
        return exchange

    def close_in(self, pid: int) -> None:
        if os.getpid() == pid:  # in a fork's child the locks may be held by threads that it does not have
            self.close()

    def close(self) -> None:
        self.dispatcher.close()
        for exchange in self._exchanges.values():
            exchange.close()


@dataclass(slots=True)
class _Row:
    """One sample under way: concluded already, or with a future (later a ruling) for each of its references."""

    settings: JudgeSettings
    futures: Sequence[Future[Ruling]] = ()
    rulings: Sequence[Ruling] = ()
    done: Judgement | None = None

    @property
    def unavailable(self) -> bool:
        return any(isinstance(ruling.error, ServerError) and not ruling.error.answered for ruling in self.rulings)


class _Call:
    """One call of `score`."""

    def __init__(self, samples: Sequence[Sample], settings: JudgeSettings) -> None:
        self.samples = samples
        self.settings = settings
        self.began = time.monotonic()
        self.until = None if settings.deadline is None else self.began + settings.deadline
        self.rows: list[_Row] = []

    @property
    def futures(self) -> list[Future[Ruling]]:
        return [future for row in self.rows for future in row.futures]

    def time_left(self) -> float | None:
        return None if self.until is None else max(self.until - time.monotonic(), 0.0)

    def cancel(self) -> None:
        """Give up what has not begun, and keep what has ended; what is under way ends by its own time limit."""
        now = time.monotonic()
        for row in self.rows:
            if row.futures:
                row.rulings = [_ruling_of(future, now) for future in row.futures]
                row.futures = ()


def _ruling_of(future: Future[Ruling], now: float) -> Ruling:
    if future.cancelled():
        return Ruling(error=ServerUnavailableError("the judge was closed", sent=False), finished_at=now)
    if future.done() and not future.cancel():
        return future.result()
    future.cancel()
    return Ruling(error=DeadlineExceededError("the call's deadline passed"), finished_at=now)


class _Rarely:
    """True at most once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def now(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
