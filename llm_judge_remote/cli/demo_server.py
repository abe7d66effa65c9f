"""The judge that the demo asks: a vLLM server of its own, started for it and ended with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from llm_judge_remote.serving.launch import Engine, EngineError
from llm_judge_remote.serving.small_model import MODEL_NAME, small_server
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.vllm import is_cpu_build, is_installed, vllm_command, vllm_environment

__all__ = ["running_server"]

# "(EngineCore pid=12) INFO 01-31 12:00:00 [file.py:1] " in front of what vLLM has to say.
_LOG_PREFIX = re.compile(r"^(\([^)]*\)\s*)?[A-Z]+ [\d-]+ [\d:]+ \[[^\]]*\]\s*")
_LINE_EVERY_S = 5.0


@contextmanager
def running_server(console: Console, *, model: str | None, log: Path, start_timeout: float) -> Iterator[str]:
    """A healthy vLLM server for as long as the `with` block lasts.

    Args:
        console: Where progress is shown.
        model: A hub's name or a folder; None for SmolLM2-135M-Instruct.
        log: File that takes what the server prints.
        start_timeout: Most seconds for the server to get well: a large model may have to be downloaded first.

    Yields:
        The server's address.

    Raises:
        EngineError: It did not get well, or there is no vLLM to start.
    """
    if not is_installed():
        msg = (
            "vLLM is not installed here. `make demo` installs it; or name a server that is already there with "
            "LLM_JUDGE_SERVER_URL=http://HOST:PORT"
        )
        raise EngineError(msg)
    server = _small_server(console) if model is None else _named_server(model)
    console.print(f"Starting vLLM with {server.name} (its log: {log}). This takes a minute or so on a CPU.")
    engine = Engine(
        lambda port: vllm_command(server.at(port)),
        log=log,
        environment=vllm_environment(server),
    )
    try:
        with engine:
            seconds = _wait(console, engine, start_timeout)
            console.print(f"The server at {engine.url} is healthy after {seconds:.0f} s.", highlight=False)
            yield engine.url
    finally:
        console.print("The server is stopped.")


def _named_server(model: str) -> ServerSpec:
    cpu = is_cpu_build()
    return ServerSpec(model=model, enforce_eager=cpu, environment={"VLLM_CPU_KVCACHE_SPACE": "4"} if cpu else {})


def _small_server(console: Console) -> ServerSpec:
    console.print(f"Looking for {MODEL_NAME} in the cache folder; it is built there the first time (about 30 s) ...")
    # In a process of its own, whose memory is free again before the server starts.
    built = subprocess.run(
        [sys.executable, "-m", "llm_judge_remote.serving.small_model"],
        env={**os.environ, "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        msg = f"{MODEL_NAME} could not be built:\n{built.stderr[-4000:].strip()}"
        raise EngineError(msg)
    return small_server(Path(built.stdout.strip().splitlines()[-1]))


def _wait(console: Console, engine: Engine, timeout: float) -> float:
    """Wait, showing that something happens: a moving line in a terminal, a line now and then elsewhere."""
    if console.is_terminal:
        with console.status("starting") as status:
            return engine.wait_until_healthy(
                timeout, lambda passed, line: status.update(_progress(console, passed, line))
            )
    shown = [time.monotonic()]

    def show(passed: float, line: str) -> None:
        if time.monotonic() - shown[-1] >= _LINE_EVERY_S:
            shown.append(time.monotonic())
            console.print(f"  {_progress(console, passed, line)}")

    return engine.wait_until_healthy(timeout, show)


def _progress(console: Console, passed: float, line: str) -> str:
    said = _LOG_PREFIX.sub("", line) or "nothing said yet"
    # Brackets in a log are no markup.
    return f"{passed:4.0f} s  {said[: console.width - 16]}".replace("[", "\\[")
