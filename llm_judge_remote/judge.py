"""The whole way of a sample, from its row to its judgement."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from llm_judge_remote.call import Call, Plan, Row
from llm_judge_remote.client.asking import ask
from llm_judge_remote.client.awake import awake
from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.runtime import Runtime
from llm_judge_remote.client.stats import DispatchStats
from llm_judge_remote.client.submission import Task
from llm_judge_remote.errors import ConfigError, JudgingFailedError, ServerError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.layers import settings_for_row
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.rules.degenerate import degenerate
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import Calibrations, check_fallback
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Judge"]

log = logging.getLogger(__name__)

_LOG_EVERY_S = 60.0
_MOST_PLANS = 1024
_FEW = 32  # rows that may be concluded on an event loop without its noticing


class Judge:
    """Scores samples with a remote LLM judge.

    One judge serves all threads and event loops of a process; after a fork, or unpickled elsewhere, it opens
    connections of its own. It opens them on first use, and closes them at `close()`, at the end of a `with` block, or
    with the process. What bounds the load on a server counts for one judge: have one in a process.

    Args:
        settings: Where the judge is and how to ask it; None for what the environment and the YAML file say.
    """

    def __init__(self, settings: JudgeSettings | None = None) -> None:
        self.settings = settings if settings is not None else JudgeSettings()
        self._templates = TemplateLibrary(PLACEHOLDERS)
        self._row_settings: dict[object, JudgeSettings] = {}
        self._processes: dict[int, _Process] = {}
        self._said = _Rarely(_LOG_EVERY_S)

    def score(
        self,
        samples: Sequence[Sample],
        settings: JudgeSettings | None = None,
        *,
        each: Sequence[JudgeSettings] | None = None,
    ) -> list[Judgement]:
        """Judge the samples.

        Args:
            samples: In any number.
            settings: For this call, in place of the judge's own.
            each: For each sample, where they differ; what concerns the call as a whole (`deadline`, `batch_size`,
                `linger`, `on_unavailable`, `fallback=raise`) is as in `settings`.

        Returns:
            A judgement for each sample, in order.

        Raises:
            ConfigError: Nobody could run with these settings.
            JudgingFailedError: Rows were not judged, and `fallback` or `on_unavailable` is `raise`.
        """
        call = self._begin(samples, settings or self.settings, each)
        try:
            call.submission.wait(call.time_to_standby())
            if call.is_running:
                call.make_standby()
                call.submission.wait(call.time_left())
        finally:
            call.cancel()
        return self._end(call)

    async def score_async(
        self,
        samples: Sequence[Sample],
        settings: JudgeSettings | None = None,
        *,
        each: Sequence[JudgeSettings] | None = None,
    ) -> list[Judgement]:
        """`score` for callers on an event loop; cancelling it gives up what is under way."""
        call = self._begin(samples, settings or self.settings, each)
        wakeups = call.dispatcher.wakeups
        off_loop = len(samples) > _FEW
        try:
            await call.submission.wait_async(call.time_to_standby(), wakeups)
            if call.is_running:
                if off_loop:
                    await asyncio.to_thread(call.make_standby)
                await call.submission.wait_async(call.time_left(), wakeups)
        finally:
            call.cancel()
        return await asyncio.to_thread(self._end, call) if off_loop else self._end(call)

    async def ask_async(
        self,
        request: ChatRequest,
        settings: JudgeSettings | None = None,
        *,
        key: str = "",
        timeout: float | None = None,
    ) -> ChatReply:
        """Ask the judge something of one's own, on the way that rows take: bounded, retried, with failover.

        Args:
            request: The conversation.
            settings: Where and how; None for the judge's own.
            key: Conversations with the same key begin alike, and go to the same server.
            timeout: Seconds to wait at most; None for as long as it takes.

        Raises:
            ConfigError: Nobody could run with these settings.
            ServerError: No server answered.
            DeadlineExceededError: The time was up.
        """
        return await ask(self._process().runtime, request, settings or self.settings, key, timeout)

    def capabilities(self, timeout: float = 30.0) -> dict[str, Capabilities | ServerError]:
        """What each server is, serves and can do, by address; or why it could not be found out.

        Each server is asked once, by a handful of short requests, and again when it was restarted.

        Args:
            timeout: Seconds for each server.

        Raises:
            ConfigError: Nobody could run with the judge's settings.
            ServerUnavailableError: There is no server.
        """
        runtime = self._process().runtime
        exchange = runtime.channel(self.settings).exchange

        def found(address: str) -> Capabilities | ServerError:
            try:
                return exchange.capabilities(address, timeout)
            except ServerError as error:
                return error

        return {address: found(address) for address in runtime.addresses(self.settings, timeout)}

    @contextlib.contextmanager
    def awake(self, *, level: int = 1, lock_folder: str | None = None, timeout: float = 300.0) -> Iterator[Judge]:
        """Keep servers that share their GPUs with the trainer awake for the time of a `with` block.

        Those that sleep (vLLM's sleep mode) are woken first and sleep again afterwards, unless another process or
        thread still uses them. Use it once for a training step, not for each sample.

        Args:
            level: How they sleep: 1 keeps the weights in the host's memory, 2 drops them. The same for all users.
            lock_folder: Where the users of a server agree, on a file system that all their machines share; None for
                the folder for temporary files, which does for one user's processes on one machine.
            timeout: Seconds to wait for the servers, and again for them to sleep.

        Raises:
            ServerUnavailableError: No server could be woken.
            ConfigError: Nobody could run with the judge's settings, or the folder is of no use.
        """
        runtime = self._process().runtime
        exchange = runtime.channel(self.settings).exchange
        addresses = runtime.addresses(self.settings, timeout)
        with contextlib.ExitStack() as stack:
            sessions = [exchange.open(address) for address in addresses]
            for session in sessions:
                stack.callback(session.close)
            stack.enter_context(awake(sessions, level=level, lock_folder=lock_folder, timeout=timeout))
            yield self

    def measure_with(self, tokenizer: Any) -> None:
        """Count refused prompts by this tokenizer of the judge's model, where the server does not (vLLM does)."""
        self._process().runtime.measure.tokenizer = tokenizer

    def stats(self) -> DispatchStats:
        """What was sent so far, and how the servers did."""
        return self._process().runtime.stats()

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        process = self._processes.pop(os.getpid(), None)
        if process is not None:
            process.finalizer()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.settings,)

    def _begin(self, samples: Sequence[Sample], settings: JudgeSettings, each: Sequence[JudgeSettings] | None) -> Call:
        process = self._process()
        for one in {id(one): one for one in (settings, *(each or ()))}.values():
            self._plan(one, process)  # nobody could run with settings that raise here
        call = Call(list(samples), settings, process.runtime.dispatcher, process.calibrations)
        tasks: list[Task[Ruling]] = []
        for sample, own in zip(call.samples, each or itertools.repeat(settings), strict=False):
            row = self._row(sample, own, process)
            call.rows.append(row)
            if row.plan is not None:
                tasks.extend(row.plan.task(sample, reference) for reference in sample.references)
        linger = settings.linger if len(tasks) == 1 else 0.0
        call.submission = call.dispatcher.submit(
            tasks, settings.batch_size, began=call.began, linger=linger, until=call.until
        )
        return call

    def _row(self, sample: Sample, settings: JudgeSettings, process: _Process) -> Row:
        """How a sample is judged, or why it is not."""
        if sample.defect:
            return Row(settings, done=Judgement(0.0, Outcome.FAILED, f"the row cannot be read: {sample.defect}"))
        if not sample.candidate.strip():
            return Row(settings, done=Judgement(0.0, Outcome.EMPTY_CANDIDATE, "the candidate is empty"))
        if not sample.references:
            return Row(settings, done=Judgement(0.0, Outcome.NO_REFERENCE, "the row has no reference"))
        if settings.defences and (reason := degenerate(sample.candidate, sample.references)):
            return Row(settings, done=Judgement(0.0, Outcome.DEGENERATE_CANDIDATE, reason))
        try:
            plan = self._plan(self._settings_of(sample, settings) if sample.overrides else settings, process)
        except ConfigError as error:
            return Row(settings, error=error)
        if not plan.settings.server_url:
            msg = "server_url is not set: give the judge's address, http://HOST:PORT, or set LLM_JUDGE_SERVER_URL"
            if settings.server_url:
                return Row(settings, error=ConfigError(msg))
            raise ConfigError(msg)
        return Row(plan.settings, plan)

    def _settings_of(self, sample: Sample, settings: JudgeSettings) -> JudgeSettings:
        key = (settings, repr(sorted(sample.overrides.items())))
        made = self._row_settings.get(key)
        if made is None:
            if len(self._row_settings) >= _MOST_PLANS:
                self._row_settings.clear()
            made = self._row_settings[key] = settings_for_row(settings, sample.overrides)
        return made

    def _plan(self, settings: JudgeSettings, process: _Process) -> Plan:
        """What rows with these settings share; they are told apart by identity, which is quicker than by value."""
        plan = process.plans.get(id(settings))
        if plan is None:
            examiner = Examiner(settings, self._templates.get(settings.prompt_template))
            check_fallback(settings)
            channel = process.runtime.channel(settings)
            cache = process.runtime.cache(settings)
            if len(process.plans) >= _MOST_PLANS:
                process.plans.clear()
            plan = process.plans[id(settings)] = Plan(examiner, channel, cache, examiner.request.sampling)
        return plan

    def _end(self, call: Call) -> list[Judgement]:
        judgements = call.judgements()
        unjudged = [judgement for judgement in judgements if judgement.outcome in (Outcome.FALLBACK, Outcome.FAILED)]
        if unjudged:
            summary = f"{len(unjudged)} of {len(judgements)} rows were not judged; the first: {unjudged[0].reason}"
            stopped = call.settings.on_unavailable == "raise" and call.met_unavailable_server
            if call.settings.fallback == "raise" or stopped:
                raise JudgingFailedError(summary, judgements=judgements)
            if not call.dispatcher.is_closed and self._said.now():
                log.warning("%s (fallback=%s)", summary, call.settings.fallback)
        return judgements

    def _process(self) -> _Process:
        # No lock, which a fork could leave locked: of two threads that come first, one wins and the other's is unused.
        pid = os.getpid()
        process = self._processes.get(pid)
        if process is None:
            process = self._processes.setdefault(pid, _Process())
            process.finalizer = weakref.finalize(self, _Process.close_in, process, pid)
            for stale in [other for other in self._processes if other != pid]:
                self._processes.pop(stale, None)
        return process


class _Process:
    """What belongs to one process."""

    finalizer: weakref.finalize[Any, Any]

    def __init__(self) -> None:
        self.runtime = Runtime()
        self.plans: dict[int, Plan] = {}
        self.calibrations = Calibrations()

    def close_in(self, pid: int) -> None:
        if os.getpid() == pid:  # in a fork's child the locks may be held by threads that it does not have
            self.runtime.close()


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
