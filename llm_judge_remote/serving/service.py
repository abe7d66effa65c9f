"""A judge server from its start to its end: checked, started, tried, announced, watched, drained, stopped."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.judgement import Outcome
from llm_judge_remote.serving.address import announced_url, is_loopback, local_url
from llm_judge_remote.serving.engines import Command, engine_command
from llm_judge_remote.serving.follow import Follower
from llm_judge_remote.serving.launch import Engine, EngineError, free_port
from llm_judge_remote.serving.readiness import drain, judged_sample
from llm_judge_remote.serving.spec import ServerSpec

__all__ = ["Service"]

_LOOK_S = 0.5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_SOUND_S = 600.0
"""Seconds after which a server counts as well: crashes before do not count against `restarts` any more."""


class _StoppedError(Exception):
    """The service is to end while its engine starts."""


class Service:
    """One server, run in the foreground; see `run`.

    Args:
        spec: The server; its port may be 0.
        say: Told what happens, a line at a time.
        show: Given the lines that the engine prints.
        python: The interpreter that has the engine.
        command: Makes the engine's command and environment, given the spec and a folder for files of its own.
    """

    def __init__(
        self,
        spec: ServerSpec,
        *,
        say: Callable[[str], None],
        show: Callable[[str], None],
        python: str = sys.executable,
        command: Callable[[ServerSpec, str, Path], Command] = engine_command,
    ) -> None:
        self.spec = spec if spec.port else spec.at(free_port())
        self._say = say
        self._show = lambda line: show(self._cleaned(line))
        self._python = python
        self._make_command = command
        self._stop = threading.Event()
        self._hurry = threading.Event()

    def stop(self) -> None:
        """Have `run` end: the first time drained, the second time at once; from any thread, but no signal handler."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def run(self) -> None:
        """Run the server until `stop` is called.

        An engine that crashes is started again after a pause, up to `spec.restarts` times in a row; the pause doubles
        from one second to a minute.

        Raises:
            EngineError: The engine did not start, cannot judge, or crashed once too often.
            ConfigError: Nobody could run such a server.
        """
        crashes = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._run_once()
            except EngineError as failure:
                error = EngineError(self._cleaned(str(failure)))
                crashes = 1 if time.monotonic() - began > _SOUND_S else crashes + 1
                if crashes > self.spec.restarts or self._stop.is_set():
                    raise error from None
                pause = min(_FIRST_PAUSE_S * 2 ** (crashes - 1), _LONGEST_PAUSE_S)
                self._say(f"{error}")
                self._say(f"starting it again in {pause:.0f} s ({crashes} of {self.spec.restarts})")
                self._stop.wait(pause)

    def _cleaned(self, text: str) -> str:
        """What an engine printed, without the key: SGLang prints all its settings."""
        key = self.spec.api_key()
        return text.replace(key, "***") if key else text

    def _run_once(self) -> None:
        """One life of the engine; returns when the service is to end."""
        with tempfile.TemporaryDirectory(prefix="llm-judge-serve-") as folder:
            command = self._make_command(self.spec, self._python, Path(folder))
            log = Path(folder, "engine.log")
            engine = Engine(
                lambda _: command.words,
                log=log,
                url=local_url(self.spec),
                port=self.spec.port,
                environment=command.environment,
            )
            with engine, Follower(log, self._show):
                try:
                    self._bring_up(engine)
                except _StoppedError:
                    self._say("stopping")
                    return
                self._watch(engine)
                self._say("stopping: no new requests")
                engine.unregister()
                left = drain(engine.url, self.spec.drain_timeout, self._hurry)
                self._say(f"{left} requests are cut off" if left else "nothing is under way any more")
        self._say("stopped")

    def _bring_up(self, engine: Engine) -> None:
        def interrupt(_: float, __: str) -> None:
            if self._stop.is_set():
                raise _StoppedError

        self._say(f"starting {self.spec.engine} with {self.spec.model}")
        seconds = engine.wait_until_healthy(self.spec.start_timeout, interrupt)
        self._say(f"healthy after {seconds:.0f} s; judging a first sample")
        first = judged_sample(self.spec, engine.url, self._stop)
        if self._stop.is_set():
            raise _StoppedError
        if first.outcome is not Outcome.JUDGED:
            msg = f"the server is healthy and does not judge: {first.reason}"
            raise EngineError(msg)
        self._say(f"ready: a right answer got {first.score:g} after {first.latency_s:.1f} s")
        for line in _how_to_reach(self.spec):
            self._say(line)

    def _watch(self, engine: Engine) -> None:
        """Until the service is to end: see to the registration, and that the engine runs."""
        register_at = time.monotonic() if self.spec.registry_url else float("inf")
        pause = _FIRST_PAUSE_S
        while not self._stop.is_set():
            if not engine.is_running():
                msg = f"the engine ended by itself{engine.told()}"
                raise EngineError(msg)
            if time.monotonic() >= register_at:
                if self._register(engine):
                    register_at = float("inf")
                else:
                    register_at = time.monotonic() + pause
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
            self._stop.wait(_LOOK_S)

    def _register(self, engine: Engine) -> bool:
        registry, address = self.spec.registry_url or "", announced_url(self.spec)
        try:
            engine.register(registry, self.spec.registry_ttl, address)
        except RegistryError as error:
            self._say(f"not registered yet, the server stays up: {error}")
            return False
        self._say(f"registered as {address}")
        return True


def _how_to_reach(spec: ServerSpec) -> list[str]:
    """What to tell whoever wants to use the server."""
    address = announced_url(spec)
    lines = [f"its address: {address}" + (" (from this machine only)" if is_loopback(spec.host) else "")]
    lines.append(f"export LLM_JUDGE_SERVER_URL={spec.registry_url or address}")
    if spec.api_key_env:
        lines.append(f"export LLM_JUDGE_API_KEY=...  # what {spec.api_key_env} holds here")
    return lines
