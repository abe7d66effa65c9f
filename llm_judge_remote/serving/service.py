"""A judge server from its start to its end: checked, started, tried, announced, watched, drained, stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.judgement import Outcome
from llm_judge_remote.serving.address import announced_url, is_loopback, local_url
from llm_judge_remote.serving.announcing import Announcement
from llm_judge_remote.serving.engines import Command, engine_command
from llm_judge_remote.serving.follow import Follower
from llm_judge_remote.serving.launch import Engine, EngineError, free_port
from llm_judge_remote.serving.readiness import drain, judged_sample
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.setting_types import without_secrets

__all__ = ["Service"]

_LOOK_S = 0.5
_AT_ONCE_S = 2.0
_SHORTEST_SECRET = 4  # what is shorter stands in any text
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_SOUND_S = 600.0
"""Seconds at work after which a server counts as well: earlier crashes do not count against `restarts` any more."""
_LEAST_SAMPLE_S = 120.0  # the first request compiles what is not compiled yet


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

    Raises:
        ConfigError: The key's variable is not set, or holds none.
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
        key = self.spec.api_key()
        self._secrets = {key, repr(key)[1:-1]} if key and len(key) >= _SHORTEST_SECRET else set()
        self._say = say
        self._show = lambda line: show(self._cleaned(line))
        self._python = python
        self._make_command = command
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._stopped_at = 0.0
        self._engine: Engine | None = None
        self._ready_at: float | None = None

    def stop(self) -> None:
        """Have `run` end: the first time drained, the second time at once; from any thread, but no signal handler.

        What comes within two seconds counts as once: Slurm signals a job's script, which passes it on, and the job.
        """
        now = time.monotonic()
        if self._stop.is_set() and now - self._stopped_at > _AT_ONCE_S:
            self._hurry.set()
            if self._engine is not None:
                self._engine.hurry()
        elif not self._stop.is_set():
            self._stopped_at = now
            self._stop.set()

    def run(self) -> None:
        """Run the server until `stop` is called.

        An engine that crashes is started again after a pause, up to `spec.restarts` times in a row; the pause doubles
        from one second to a minute.

        Raises:
            EngineError: The engine did not start, cannot judge, or crashed once too often.
            ConfigError: Nobody could run such a server, or another one is being run at its port.
        """
        crashes = 0
        with _only_one_at(self.spec.port):
            while not self._stop.is_set():
                failure = self._life()
                if failure is None or self._stop.is_set():  # whoever stopped us may have stopped the engine, too
                    break
                was_sound = self._ready_at is not None and time.monotonic() - self._ready_at > _SOUND_S
                crashes = 1 if was_sound else crashes + 1
                if crashes > self.spec.restarts:
                    raise failure
                pause = min(_FIRST_PAUSE_S * 2 ** (crashes - 1), _LONGEST_PAUSE_S)
                self._say(f"{failure}")
                self._say(f"starting it again in {pause:.0f} s ({crashes} of {self.spec.restarts})")
                self._stop.wait(pause)
        self._say("stopped")

    def _cleaned(self, text: str) -> str:
        """What an engine printed, without the key: SGLang prints all its settings."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _life(self) -> EngineError | None:
        """One life of the engine; what ended it before the service was to end, or None."""
        self._ready_at = None
        with tempfile.TemporaryDirectory(prefix="llm-judge-serve-") as folder:
            command = self._make_command(self.spec, self._python, Path(folder))
            log = Path(folder, "engine.log")
            self._engine = engine = Engine(
                lambda _: command.words,
                log=log,
                url=local_url(self.spec),
                port=self.spec.port,
                environment=command.environment,
            )
            with engine, Follower(log, self._show):
                try:
                    self._bring_up(engine, command.key_file)
                    self._work(engine)
                except _StoppedError:
                    self._say("stopping")
                except EngineError as error:
                    # The file is gone with this life; what it said has been shown.
                    said = str(error).replace(f"; its log is {log}", "").replace(f" its log {log}", " its log")
                    return EngineError(self._cleaned(said))
        return None

    def _bring_up(self, engine: Engine, key_file: Path | None) -> None:
        """Wait until the engine is well and has judged a sample."""

        def interrupt(_: float, __: str) -> None:
            if self._stop.is_set():
                raise _StoppedError

        self._say(f"starting {self.spec.engine} with {self.spec.model}")
        seconds = engine.wait_until_healthy(self.spec.start_timeout, interrupt)
        if key_file is not None:
            key_file.unlink(missing_ok=True)
        self._say(f"healthy after {seconds:.0f} s; judging a first sample")
        patience = max(self.spec.start_timeout - seconds, _LEAST_SAMPLE_S)
        first = judged_sample(self.spec, engine.url, patience, self._stop)
        interrupt(0.0, "")
        if not engine.is_running():
            msg = f"the engine ended while it judged its first sample{engine.told()}"
            raise EngineError(msg)
        if first.outcome is not Outcome.JUDGED:
            msg = f"the server is healthy and does not judge: {first.reason}{engine.told()}"
            raise EngineError(msg)
        self._ready_at = time.monotonic()
        self._say(f"ready: a right answer got {first.score:g} after {first.latency_s:.1f} s")
        for line in _how_to_reach(self.spec):
            self._say(line)

    def _work(self, engine: Engine) -> None:
        """Until the service is to end: be on the registry's list, and see that the engine runs; then drain it."""
        registry = self.spec.registry_url
        entry = (
            Announcement(registry, announced_url(self.spec), self.spec.registry_ttl, self._say) if registry else None
        )
        try:
            while not self._stop.wait(_LOOK_S):
                if not engine.is_running():
                    msg = f"the engine ended by itself{engine.told()}"
                    raise EngineError(msg)
            self._say("stopping: no new requests")
        finally:
            if entry is not None:
                entry.close(self._hurry)
        left = drain(engine.url, self.spec.drain_timeout, self._hurry)
        if left is None:
            self._say("it does not say whether requests are under way; they would be cut off")
        else:
            self._say(f"{left} requests are cut off" if left else "nothing is under way any more")


@contextlib.contextmanager
def _only_one_at(port: int) -> Iterator[None]:
    """Nobody else of this user starts a server at the port: it is minutes until an engine listens there."""
    path = Path(tempfile.gettempdir(), f"llm-judge-serve-{os.getuid()}-{port}.lock")
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = (
                f"port={port}: another server is being started there, or runs; choose another, or port=0 for a free one"
            )
            raise ConfigError(msg) from None
        yield


def _how_to_reach(spec: ServerSpec) -> list[str]:
    """What to tell whoever wants to use the server."""
    address = announced_url(spec)
    lines = [f"its address: {address}" + (" (from this machine only)" if is_loopback(spec.host) else "")]
    lines.append(f"export LLM_JUDGE_SERVER_URL={shlex.quote(without_secrets(spec.registry_url or address))}")
    if spec.api_key_env:
        lines.append(f"export LLM_JUDGE_API_KEY=...  # what {spec.api_key_env} holds here")
    return lines
