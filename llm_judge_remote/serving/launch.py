"""Start an inference server as a child, wait until it is well, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import requests

from llm_judge_remote.errors import JudgeError
from llm_judge_remote.serving import guard

__all__ = ["Engine", "EngineError", "Progress", "free_port"]

Progress = Callable[[float, str], None]
"""Called while an engine starts, with the seconds that have passed and the last line of its log."""

_HEALTH_TIMEOUT_S = 5.0
_TAIL_BYTES = 16_384
_TAIL_LINES = 25


class EngineError(JudgeError):
    """The engine did not start; the message holds the end of its log."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of `host` that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


class Engine:
    """A server process with all its children, alive only inside the `with` block.

    The server gets a session of its own, so that Ctrl-C in a terminal reaches the program that uses it first, and a
    guard process (see `serving.guard`), so that it ends even if this process is killed. It ends on leaving the block
    in any way. Two things would escape: a child of the server that makes itself another session (vLLM's do not), and,
    if this process is killed, a server whose pipe a fork of this process still holds open.

    Args:
        command: Makes the command line from the port to listen on.
        log: File that takes what the server prints; it is overwritten.
        port: Port to listen on; a free one if None.
        url: Its address for clients on this machine; that of the loopback interface if None.
        environment: Variables on top of this process's.
        health_path: Path that answers 200 when the server is well.
        grace: Seconds between SIGTERM and SIGKILL.

    Raises:
        OSError: `log` cannot be written.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        log: Path,
        port: int | None = None,
        url: str | None = None,
        environment: Mapping[str, str] | None = None,
        health_path: str = "/health",
        grace: float = 15.0,
    ) -> None:
        self.log = log
        self.port = free_port() if port is None else port
        self.url = url or f"http://127.0.0.1:{self.port}"
        self._command = list(command(self.port))
        self._environment = {**os.environ, **(environment or {})}
        self._health_url = self.url + health_path
        self._grace = grace
        self._guard: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._hurried = False

    def __enter__(self) -> Engine:
        """Start the server; it needs a while to get well: see `wait_until_healthy`."""
        try:
            self.start()
        except BaseException:
            self.stop()  # Ctrl-C may come before `with` has us
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the server."""
        self.stop()

    @property
    def group(self) -> int | None:
        """The process group of the server and its children; None when not started."""
        return None if self._guard is None else self._guard.pid

    def start(self) -> None:
        """Start the server.

        Raises:
            RuntimeError: It has been started before.
        """
        if self._guard is not None:
            msg = "an engine starts once"
            raise RuntimeError(msg)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        reading, self._lifeline = os.pipe()
        try:
            self.log.write_bytes(b"")
            with self.log.open("ab") as log:  # so that it can be cut short while it is written
                self._guard = subprocess.Popen(  # noqa: S603 (the caller's own command)
                    [sys.executable, "-I", guard.__file__, str(reading), str(self._grace), *self._command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    pass_fds=(reading,),
                    start_new_session=True,
                )
        except BaseException:
            self._release()
            raise
        finally:
            os.close(reading)

    def wait_until_healthy(
        self, timeout: float = 600.0, on_progress: Progress | None = None, *, interval: float = 0.5
    ) -> float:
        """Wait until the server answers its health path.

        Args:
            timeout: Most seconds to wait.
            on_progress: Called about every `interval` seconds.
            interval: Seconds between two looks.

        Returns:
            The seconds it took.

        Raises:
            EngineError: It ended, or did not get well in time.
        """
        begin = time.monotonic()
        with requests.Session() as session:
            session.trust_env = False  # a proxy has no business between us and our child
            while True:
                if not self.is_running():
                    msg = f"the server ended while it was starting{self.told()}"
                    raise EngineError(msg)
                if self._is_healthy(session):
                    return time.monotonic() - begin
                passed = time.monotonic() - begin
                if passed > timeout:
                    msg = f"the server was not ready after {timeout:.0f} s{self.told()}"
                    raise EngineError(msg)
                if on_progress is not None:
                    on_progress(passed, self.last_lines(1))
                time.sleep(interval)

    def _is_healthy(self, session: requests.Session) -> bool:
        try:
            return session.get(self._health_url, timeout=_HEALTH_TIMEOUT_S).status_code == 200
        except requests.RequestException:
            return False

    def is_running(self) -> bool:
        """Whether the server's process has neither ended nor been stopped."""
        if self._guard is None or self._guard.returncode is not None:
            return False
        # Looking without reaping: as long as the guard is unreaped, its group's id is not given to another process.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._guard.pid, options) is None

    def stop(self) -> None:
        """End the server and its children: SIGTERM, and SIGKILL after the grace. Returns when all are gone."""
        if self._guard is None or self._guard.returncode is not None:
            self._release()
            return
        try:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + self._grace
            while self.is_running() and time.monotonic() < deadline and not self._hurried:
                time.sleep(0.05)
        finally:
            # Also when a second Ctrl-C cuts the waiting short.
            self._signal(signal.SIGKILL)
            self._guard.wait()
            while guard.group_members(self._guard.pid):  # killed, and not yet gone
                time.sleep(0.01)
            self._release()

    def hurry(self) -> None:
        """Have `stop` wait no longer for the server to end by itself; from any thread."""
        self._hurried = True

    def _signal(self, number: signal.Signals) -> None:
        # PermissionError is what macOS says of a group that holds only a zombie.
        if self._guard is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._guard.pid, number)

    def _release(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def last_lines(self, count: int = _TAIL_LINES) -> str:
        """The last `count` lines of the log that hold anything; "" when there are none yet."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                text = log.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        return "\n".join(lines[-count:])

    def told(self) -> str:
        """The end of what the server printed, to go on with in a message."""
        lines = self.last_lines()
        if not lines:
            return f", and it printed nothing; its log is {self.log}"
        return f"; the end of its log {self.log}:\n{lines}"
