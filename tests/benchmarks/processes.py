"""The processes of a measurement: a stub server, and clients that wait for the word to go."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from job import Job

from llm_judge_remote.serving.launch import free_port

__all__ = ["BenchmarkError", "Client", "Stub", "StubOptions", "read_metrics"]

_HERE = Path(__file__).parent
_START_S = 10.0


class BenchmarkError(Exception):
    """A process did not do what it should."""


@dataclass(frozen=True, slots=True)
class StubOptions:
    """How the stub server behaves; see `stub_server.py --help`."""

    service: str = "fixed:0"
    slots: int = 0
    seed: int = 1
    faults: Mapping[str, float] = field(default_factory=dict)
    faulty_attempts: int = 1
    retry_after: str = "1"
    hang_ms: int = 3_600_000
    drip_ms: int = 40
    most: int = 0

    def arguments(self) -> list[str]:
        """The command line's options; those at their defaults are left out, as not every stub has all of them."""
        found = ["-s", str(self.slots), "-d", self.service, "-S", str(self.seed), "-A", str(self.faulty_attempts)]
        found += ["-R", self.retry_after, "-H", str(self.hang_ms), "-D", str(self.drip_ms)]
        if self.faults:
            found += ["-f", ",".join(f"{kind}:{percent:g}" for kind, percent in self.faults.items())]
        if self.most:
            found += ["-O", str(self.most)]
        return found


class Stub:
    """A stub server, alive inside the `with` block.

    Args:
        options: How it behaves.
        executable: Another server with the same options, or None for the one here.
        core: CPU to keep to, or None.
    """

    def __init__(self, options: StubOptions, executable: str | None = None, core: int | None = None) -> None:
        self._command = [executable] if executable else [sys.executable, str(_HERE / "stub_server.py")]
        self._options = options
        self._core = core
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the server)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Stub:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [*self._command, "-p", str(port), *self._options.arguments()]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                said = _tail(self._log)
                self.__exit__()
                msg = f"the stub server did not start: {' '.join(command)}\n{said}"
                raise BenchmarkError(msg)
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            _end(self._process)
        self._log.close()

    def reset(self) -> None:
        """Forget what was counted and which samples were asked for."""
        request = urllib.request.Request(self.url + "/admin/reset", data=b"", method="POST")
        with _OPENER.open(request, timeout=_START_S):
            pass

    def counts(self) -> dict[str, float]:
        """What it counted since."""
        return read_metrics(self.url)

    def _answers(self) -> bool:
        try:
            with _OPENER.open(self.url + "/health", timeout=1):
                return True
        except OSError:
            return False


class Client:
    """A process that does one job; killed on leaving the `with` block if it is not over."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process: subprocess.Popen[bytes] | None = None
        self._received = b""

    def __enter__(self) -> Client:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
        self._process = subprocess.Popen(
            [sys.executable, str(_HERE / "client.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=kept,
        )
        self._tell(self.job.to_json())
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            _end(self._process)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._log.close()

    def wait_until_ready(self, seconds: float) -> None:
        """Rows and bodies are made, connections are warm where that was asked for."""
        self._hear(seconds)

    def go(self) -> None:
        """Start the clock and the work."""
        self._tell("go")

    def result(self, seconds: float) -> dict[str, Any]:
        """What it saw; see `client.main`."""
        said: dict[str, Any] = json.loads(self._hear(seconds))
        return said

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self, seconds: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        until = time.monotonic() + seconds
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._received:
            readable, _, _ = select.select([pipe], [], [], max(until - time.monotonic(), 0))
            piece = os.read(pipe, 65_536) if readable else b""
            if not piece:
                what = "ended" if readable else f"was not done after {seconds:.0f} s"
                msg = f"{self.job.contender}: the client {what}\n{_tail(self._log)}"
                raise BenchmarkError(msg)
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()


def read_metrics(url: str) -> dict[str, float]:
    """A server's `/metrics`, by name; the values of one name with different labels are added up."""
    with _OPENER.open(url + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not name.startswith("#"):
            key = name if name.startswith("stub_fault") else name.partition("{")[0]
            found[key] = found.get(key, 0.0) + float(value)
    return found


# No proxy has any business between here and a server of ours.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-12:])


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
