"""The processes of a run, as the one that started them sees them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from events import Event

__all__ = ["ChaosError", "Child", "Judging"]

_HERE = Path(__file__).parent
_START_S = 60.0


class ChaosError(Exception):
    """A process did what no event explains."""


class Child:
    """A Python process that reads stdin and writes stdout; what else it says goes to a file.

    Args:
        script: In this folder.
        arguments: Its own.
        log: File that takes its stderr, at the end.
    """

    def __init__(self, script: str, arguments: list[str], log: Path) -> None:
        self.log = log
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")}
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(_HERE / script), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=kept,
            )

    def tell(self, line: str) -> None:
        """Write a line to it."""
        pipe = _open(self.process.stdin)
        # Who does not read any more has ended, which is noticed elsewhere.
        with contextlib.suppress(BrokenPipeError):
            pipe.write(line.encode() + b"\n")
            pipe.flush()

    def hear(self, seconds: float) -> str:
        """The next line that it writes.

        Raises:
            ChaosError: None came in time, or it ended.
        """
        until = time.monotonic() + seconds
        pipe = _open(self.process.stdout).fileno()
        received = b""
        while b"\n" not in received:
            readable, _, _ = select.select([pipe], [], [], max(until - time.monotonic(), 0))
            piece = os.read(pipe, 65_536) if readable else b""
            if not piece:
                raise ChaosError(f"{self.log.stem} {'ended' if readable else f'said nothing in {seconds:.0f} s'}")
            received += piece
        return received.decode().partition("\n")[0]

    def end(self) -> None:
        """Kill it if it runs, and close its pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class Judging:
    """One judge server through its lives.

    Args:
        number: Its own.
        seed: Of ports, service times, and the shares of faults.
        folder: For its log.
        registry: URL to register at, or "".
    """

    def __init__(self, number: int, seed: int, folder: Path, registry: str) -> None:
        self._number = number
        self._arguments = ["--number", str(number), "--seed", str(seed)]
        if registry:
            self._arguments += ["--registry", registry]
        self._log = folder / f"server{number}.log"
        # By the seed too: which server a group goes to depends on the addresses.
        self._chance = random.Random(f"{seed}.{number}")
        self._port = _free_port(self._chance)
        self._is_killed = False
        self._child = self._start()

    def _start(self) -> Child:
        return Child("judge_process.py", [*self._arguments, "--port", str(self._port)], self._log)

    def wait_until_ready(self) -> str:
        """Its address, when it listens."""
        return self._child.hear(_START_S)

    def begin(self, event: Event) -> None:
        """Let something go wrong."""
        if event.kind in ("kill", "move"):
            self._is_killed = True
            self._child.end()
        elif event.kind == "freeze":
            self._child.process.send_signal(signal.SIGSTOP)
        elif event.kind in ("pause", "loading"):
            self._command(**{event.kind: True})
        else:
            self._command(faults=[event.fault])

    def finish(self, event: Event) -> None:
        """Let it be over."""
        if event.kind in ("kill", "move"):
            if event.kind == "move":
                self._port = _free_port(self._chance)
            self._child = self._start()
            self._is_killed = False
        elif event.kind == "freeze":
            self._child.process.send_signal(signal.SIGCONT)
        elif event.kind in ("pause", "loading"):
            self._command(**{event.kind: False})
        else:
            self._command(faults=[])

    def check(self) -> None:
        """Notice a death that is nobody's doing.

        Raises:
            ChaosError: It ended by itself.
        """
        if not self._is_killed and self._child.process.poll() is not None:
            raise ChaosError(f"server {self._number} ended by itself with {self._child.process.returncode}")

    def end(self) -> None:
        """End it for good."""
        self._is_killed = True
        self._child.end()

    def _command(self, **command: Any) -> None:
        self._child.tell(json.dumps(command))


def _free_port(chance: random.Random) -> int:
    """A port that nobody listens on, outside the range from which clients get theirs: it must be free again later."""
    while True:
        port = chance.randrange(20_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
