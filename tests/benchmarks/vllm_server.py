"""A real vLLM server with a small model, as the benchmarks want it: small blocks, and a cache that can be emptied."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import BenchmarkError

from llm_judge_remote.serving.launch import Engine
from llm_judge_remote.serving.small_model import MODEL_NAME, small_server
from llm_judge_remote.serving.vllm import vllm_command, vllm_environment

__all__ = ["BLOCK", "MODEL_NAME", "empty_cache", "running", "small_checkpoint", "tiny_checkpoint", "tokens"]

BLOCK = 32  # the CPU backend takes multiples of 32 only
_START_S = 900
# /reset_prefix_cache is there only then.
_ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "4"}
_HERE = Path(__file__).parent


def small_checkpoint(python: str) -> Path:
    """The folder of SmolLM2-135M-Instruct, made by an interpreter that has vLLM and this package."""
    return Path(_said([python, "-m", "llm_judge_remote.serving.small_model"]).splitlines()[-1])


def tiny_checkpoint(python: str, small: Path, target: Path) -> Path:
    """A model of two layers with the small one's tokenizer."""
    _said([python, str(_HERE / "tiny_model.py"), str(small), str(target)])
    return target


@contextmanager
def running(python: str, checkpoint: Path, folder: Path, *, blocks: int | None = None) -> Iterator[str]:
    """The address of a server that is well.

    Args:
        python: An interpreter that has vLLM.
        checkpoint: The model's folder.
        folder: For the log.
        blocks: Of the KV cache, `BLOCK` tokens each; as many as fit into 4 GiB if None.
    """
    extra = ("--block-size", str(BLOCK))
    if blocks is not None:
        extra += ("--num-gpu-blocks-override", str(blocks))
    server = small_server(checkpoint).model_copy(update={"extra_args": extra})
    with Engine(
        lambda port: vllm_command(server.at(port), python=python),
        log=folder / "vllm.log",
        environment={**vllm_environment(server), **_ENVIRONMENT},
    ) as engine:
        engine.wait_until_healthy(_START_S)
        yield engine.url


def tokens(url: str, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """The tokens of a prompt, as the server makes them."""
    found: list[int] = _post(url + "/tokenize", {"messages": list(messages)})["tokens"]
    return found


def empty_cache(url: str) -> None:
    """Forget all prefixes."""
    _post(url + "/reset_prefix_cache", None)


def _post(url: str, fields: Any) -> Any:
    body = b"" if fields is None else json.dumps(fields).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def _said(command: Sequence[str]) -> str:
    # Not in this folder's parent: the package that is installed is meant.
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_HERE)
    if done.returncode:
        msg = f"{' '.join(command)} failed:\n{done.stderr[-1500:]}"
        raise BenchmarkError(msg)
    return done.stdout
