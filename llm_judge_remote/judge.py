"""The whole way of a sample, from its row to its judgement."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from llm_judge_remote.call import Call
from llm_judge_remote.client.asking import ask
from llm_judge_remote.client.awake import awake
from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.runtime import Runtime
from llm_judge_remote.client.stats import DispatchStats
from llm_judge_remote.errors import ServerError
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.planning import Planner
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import Calibrations
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Judge"]

_CLOSING_S = 2.0  # that the garbage collector, or the end of the process, waits at most


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
        self._processes: dict[int, _Process] = {}

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
        return self.begin(samples, settings, each=each).wait()

    async def score_async(
        self,
        samples: Sequence[Sample],
        settings: JudgeSettings | None = None,
        *,
        each: Sequence[JudgeSettings] | None = None,
    ) -> list[Judgement]:
        """`score` for callers on an event loop; cancelling it gives up what is under way."""
        return await self.begin(samples, settings, each=each).wait_async()

    def begin(
        self,
        samples: Sequence[Sample],
        settings: JudgeSettings | None = None,
        *,
        each: Sequence[JudgeSettings] | None = None,
    ) -> Call:
        """Begin to judge samples, as `score` does, and do not wait for the judgements.

        Returns:
            What is to be waited for, by `wait()` in any thread or `wait_async()` on any event loop, or cancelled.

        Raises:
            ConfigError: Nobody could run with these settings.
        """
        began = time.monotonic()
        samples, settings = list(samples), settings or self.settings
        process = self._process()
        planner = process.planner
        for one in {id(one): one for one in (settings, *(each or ()))}.values():
            planner.plan(one)  # nobody could run with settings that raise here
        rows = [planner.row(*row) for row in zip(samples, each or itertools.repeat(settings), strict=False)]
        return Call(
            samples,
            rows,
            settings,
            began=began,
            dispatcher=process.runtime.dispatcher,
            calibrations=process.calibrations,
        )

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
            process.finalizer.detach()
            process.runtime.close()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.settings,)

    def _process(self) -> _Process:
        # No lock, which a fork could leave locked: of two threads that come first, one wins and the other's is unused.
        pid = os.getpid()
        process = self._processes.get(pid)
        if process is None:
            process = self._processes.setdefault(pid, _Process(self._templates))
            process.finalizer = weakref.finalize(self, _Process.close_in, process, pid)
            for stale in [other for other in self._processes if other != pid]:
                self._processes.pop(stale, None)
        return process


class _Process:
    """What belongs to one process."""

    finalizer: weakref.finalize[Any, Any]

    def __init__(self, templates: TemplateLibrary) -> None:
        self.runtime = Runtime()
        self.planner = Planner(templates, self.runtime)
        self.calibrations = Calibrations()

    def close_in(self, pid: int) -> None:
        """Close what a judge that nobody has any more, or the end of the process, leaves open."""
        if os.getpid() != pid:  # in a fork's child the locks may be held by threads that it does not have
            return
        # The garbage collector works in any thread, perhaps in one that holds a lock which closing needs.
        closing = threading.Thread(target=self.runtime.close, name="judge-closing", daemon=True)
        try:
            closing.start()
        except RuntimeError:  # no threads are to be had, or no more at the end of the process
            self.runtime.close()
        else:
            closing.join(_CLOSING_S)
