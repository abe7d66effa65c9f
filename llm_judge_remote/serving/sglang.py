"""How an SGLang server is started: its command line, its environment and the file that holds its key."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.spec_values import beyond_one, option_words

__all__ = ["sglang_command", "sglang_environment", "write_key_file"]

_MODULE = "sglang.launch_server"
_ADMIN_KEY = "--admin-api-key"  # the other one no spec takes


def sglang_command(spec: ServerSpec, *, python: str = sys.executable, key_file: Path | None = None) -> list[str]:
    """The command that starts the server with the interpreter `python`.

    Not all is alike in the two engines (SGLang 0.5.23):

    - `gpu_memory_utilization` becomes `--mem-fraction-static`: the weights' and the KV cache's part of the memory that
      is free at the start. Activations and graphs come on top, where vLLM counts them in: SGLang needs a smaller one.
    - `max_num_batched_tokens` bounds a step of prefill; SGLang decodes in steps of their own.
    - `sleep_mode` needs the package torch-memory-saver. The weights are kept in the host's memory meanwhile, as
      vLLM's sleep of level 1 does; the endpoints are SGLang's `/release_memory_occupation` and
      `/resume_memory_occupation`.

    Args:
        spec: Of the server.
        python: An interpreter that has SGLang.
        key_file: What `write_key_file` returned; needed if the spec names a key's variable. The file is not looked at,
            so any path will do where the command is only shown.

    Raises:
        ConfigError: The spec asks for what SGLang does not have, or for a key without `key_file`.
    """
    _refuse(spec, key_file)
    command = [python, "-m", _MODULE, "--model-path", spec.model, "--host", spec.host, "--port", str(spec.port)]
    if key_file is not None:
        command += ["--config", str(key_file)]
    options = {
        "--served-model-name": spec.served_model_name,
        "--dtype": spec.dtype,
        "--quantization": spec.quantization,
        "--tensor-parallel-size": beyond_one(spec.tensor_parallel_size),
        "--pipeline-parallel-size": beyond_one(spec.pipeline_parallel_size),
        "--data-parallel-size": beyond_one(spec.data_parallel_size),
        "--context-length": spec.max_model_len,
        "--max-running-requests": spec.max_num_seqs,
        "--chunked-prefill-size": -1 if spec.chunked_prefill is False else spec.max_num_batched_tokens,
        "--max-prefill-tokens": spec.max_num_batched_tokens,
        "--mem-fraction-static": spec.gpu_memory_utilization,
        "--reasoning-parser": spec.reasoning_parser,
        "--random-seed": spec.seed,
    }
    command += option_words(options)
    switches = {
        "--enable-metrics": True,  # vLLM's are always on
        "--disable-radix-cache": spec.prefix_caching is False,
        "--enable-memory-saver": spec.sleep_mode,
        "--enable-weights-cpu-backup": spec.sleep_mode,  # without it the weights are gone after the sleep
        "--use-ray": spec.distributed_executor_backend == "ray",
        "--trust-remote-code": spec.trust_remote_code,
    }
    command += [name for name, wanted in switches.items() if wanted]
    if spec.enforce_eager:  # --disable-cuda-graph is deprecated
        command += ["--cuda-graph-backend-decode", "disabled", "--cuda-graph-backend-prefill", "disabled"]
    return [*command, *spec.extra_args]


def sglang_environment(spec: ServerSpec) -> Mapping[str, str]:
    """The variables that the server needs on top of the environment: those that the spec names.

    The key is not among them: SGLang reads it from its arguments only. See `write_key_file`.
    """
    return dict(spec.environment)


def write_key_file(spec: ServerSpec, folder: Path) -> Path | None:
    """Write the key to a file that SGLang reads as its `--config`.

    A command line can be read by every user of the machine, and SGLang has no variable for the key. It reads the file
    once, while it starts, and in its first process only: keep it until the server is well or has ended, delete it
    then, and write another one to start the server again::

        with tempfile.TemporaryDirectory() as folder:
            key_file = write_key_file(spec, Path(folder))
            with Engine(lambda port: sglang_command(spec.at(port), key_file=key_file), log=log) as engine:
                engine.wait_until_healthy(spec.start_timeout)

    SGLang also writes all its settings, the key among them, to its log when it starts: nobody else may read that log,
    and what is shown of it must be cleaned of the key.

    Args:
        spec: Of the server.
        folder: Where to write it; it must exist.

    Returns:
        A new file, with a name of its own, that only this user can read (mode 0600); None if the spec has no key.

    Raises:
        ConfigError: The key's variable is not set, or SGLang would take the key for an option.
        OSError: The file cannot be written.
    """
    key = spec.api_key()
    if key is None:
        return None
    if key.startswith("-"):
        msg = f"api_key_env={spec.api_key_env!r}: SGLang takes a key that begins with '-' for an option; use another"
        raise ConfigError(msg)
    # mkstemp makes it 0600 from the start, and never follows what somebody else has put there.
    handle, name = tempfile.mkstemp(prefix="sglang-", suffix=".yaml", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump({"api-key": key}, file)
    except BaseException:
        path.unlink()
        raise
    return path


def _refuse(spec: ServerSpec, key_file: Path | None) -> None:
    names = [word.partition("=")[0] for word in spec.extra_args]
    if spec.worker_extension_cls is not None:
        msg = f"worker_extension_cls={spec.worker_extension_cls!r} is vLLM's; SGLang has none: leave it out"
        raise ConfigError(msg)
    if spec.distributed_executor_backend not in (None, "mp", "ray"):
        msg = (
            f"distributed_executor_backend={spec.distributed_executor_backend!r}: SGLang starts processes ('mp', its "
            "own way) or Ray actors ('ray')"
        )
        raise ConfigError(msg)
    if _ADMIN_KEY in names:
        msg = f"extra_args: {_ADMIN_KEY} can be read by every user of the machine; set api_key_env"
        raise ConfigError(msg)
    if spec.api_key_env is not None and key_file is None:
        msg = f"api_key_env={spec.api_key_env!r}: SGLang takes its key from a file; call write_key_file first"
        raise ConfigError(msg)
    if key_file is not None and "--config" in names:
        msg = "extra_args: --config is taken by the file with the key; put what yours holds into extra_args"
        raise ConfigError(msg)
