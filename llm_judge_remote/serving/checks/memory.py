"""Whether a model fits: its weights and one request's KV cache against the memory that an engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_judge_remote.finding import Finding, Level
from llm_judge_remote.serving.checks.devices import Device
from llm_judge_remote.serving.checks.weights import ModelWeights
from llm_judge_remote.serving.spec import ServerSpec

__all__ = ["memory", "shape"]

_GIB = 2**30
_VLLM_PART = 0.92  # gpu_memory_utilization of vLLM 0.32
# SGLang 0.5.23 leaves free 512 MiB, 1.5 MiB for each token of a chunk (2048 on small GPUs, 8192 on large ones) and
# room for graphs: 0.8 to 0.86 of a GPU is what remains (arg_groups/memory_hook.py).
_SGLANG_PART = 0.83
# An estimate: the CUDA context and NCCL take about 0.5 GiB, the activations of a step and graphs 0.5 to 2 GiB.
# What hangs on it is a warning, never an error: the engine measures it when it starts.
_ENGINE_BYTES = 2 * _GIB
_OFFLOADS = ("--cpu-offload-gb", "--kv-offloading-size")
_OWN_KV_SIZE = ("--kv-cache-memory-bytes", "--kv-cache-memory")


def memory(
    spec: ServerSpec, weights: ModelWeights | None, devices: Sequence[Device], environment: Mapping[str, str]
) -> list[Finding]:
    """Whether the memory is free that the engine takes, and whether the model fits into it.

    An error needs no estimate but that of quantisation on load: the weights and the KV cache of one request of
    `max_model_len` alone are too much.

    Args:
        spec: The server.
        weights: The model's; None if they are not known.
        devices: What the engine gets.
        environment: The engine's.
    """
    known = [(device.name, device.total, device.used or 0) for device in devices if device.total is not None]
    if not known:
        return [Finding("memory", "warning", "it is not known how much memory there is")] if devices else []
    own_size = spec.has_engine_argument(*_OWN_KV_SIZE) or bool(environment.get("VLLM_CPU_KVCACHE_SPACE"))
    findings = [] if own_size else _in_use(spec, known)
    if weights is not None:
        name, total, used = min(known, key=lambda each: _budget(spec, each[1], each[2], own_size=own_size))
        budget = _budget(spec, total, used, own_size=own_size)
        # Where SGLang is to choose the part itself, only what is free is certain.
        certain = budget if spec.engine == "vllm" or spec.gpu_memory_utilization else float(total - used)
        where = f"{name}, {_given(spec, total, used, own_size=own_size)}"
        findings.append(_fits(spec, weights, budget, certain, where))
    return findings


def shape(spec: ServerSpec, weights: ModelWeights) -> list[Finding]:
    """Whether the model can be split and made as long as the spec says."""
    findings = []
    if weights.heads is not None and weights.heads % spec.tensor_parallel_size:
        message = (
            f"tensor_parallel_size={spec.tensor_parallel_size} does not divide the model's {weights.heads} attention "
            f"heads; try {_divisor(weights.heads, spec.tensor_parallel_size)}"
        )
        findings.append(Finding("split", "error", message))
    longest = weights.max_position_embeddings
    if spec.max_model_len is not None and longest is not None and spec.max_model_len > longest:
        message = (
            f"max_model_len={spec.max_model_len} is more than the {longest} tokens that the model was made for: "
            "the engine refuses it unless the model's config scales its positions (YaRN)"
        )
        findings.append(Finding("length", "warning", message))
    return findings


def _part(spec: ServerSpec) -> float:
    return spec.gpu_memory_utilization or (_VLLM_PART if spec.engine == "vllm" else _SGLANG_PART)


def _budget(spec: ServerSpec, total: int, used: int, *, own_size: bool) -> float:
    """Bytes for weights and KV cache; vLLM's are a part of all memory, SGLang's of what is free."""
    if own_size:
        return float(total - used)
    return _part(spec) * (total if spec.engine == "vllm" else total - used)


def _given(spec: ServerSpec, total: int, used: int, *, own_size: bool) -> str:
    if own_size:
        return f"{_gib(total - used)} free"
    of = _gib(total) if spec.engine == "vllm" else f"{_gib(total - used)} free"
    origin = "" if spec.gpu_memory_utilization else ", the engine's default"
    return f"{of} x {_part(spec):g} (gpu_memory_utilization{origin})"


def _in_use(spec: ServerSpec, known: Sequence[tuple[str, int, int]]) -> list[Finding]:
    """Whether the part that vLLM takes is free, else it does not start; SGLang takes a part of what is free."""
    if spec.engine != "vllm":
        return []
    part = _part(spec)
    return [
        Finding(
            "free memory",
            "error",
            f"{name}: {_gib(used)} of {_gib(total)} are in use by others, and vLLM takes {_gib(part * total)} "
            f"({part:g} of it): end what uses it, or set gpu_memory_utilization to less than "
            f"{(total - used) / total:.2f}",
        )
        for name, total, used in known
        if total - used < part * total
    ]


def _fits(spec: ServerSpec, weights: ModelWeights, budget: float, certain: float, where: str) -> Finding:
    tensor, pipeline = spec.tensor_parallel_size, spec.pipeline_parallel_size
    loaded = weights.loaded_bytes(spec.dtype, spec.quantization)
    ways = tensor * pipeline
    if weights.experts and spec.engine == "vllm":
        ways *= spec.data_parallel_size  # vLLM's replicas of a mixture share the experts: that many at most
    each = loaded / ways
    sums = f"weights {_gib(each)}" + (f" ({_gib(loaded)} on {ways} GPUs)" if ways > 1 else "")
    tokens = spec.max_model_len or weights.max_position_embeddings
    dtype = spec.engine_argument("--kv-cache-dtype") or "auto"
    dtype = weights.compute_dtype(spec.dtype) if dtype == "auto" else dtype
    cache = None
    if tokens is not None:
        cache = weights.kv_bytes(tokens, dtype, tensor_parallel=tensor, pipeline_parallel=pipeline)
    sums += " + KV cache unknown" if cache is None else f" + KV cache {_gib(cache)} (one request of {tokens} tokens)"
    needed = each + (cache or 0)
    level: Level = "ok"
    # SGLang's part is for weights and cache alone.
    engine = _ENGINE_BYTES if spec.engine == "vllm" else 0
    if needed > certain:
        level = "warning" if spec.has_engine_argument(*_OFFLOADS) else "error"
    elif needed + engine > budget:
        level = "warning"
    if engine:
        sums += f" + about {_gib(engine)} for the engine itself"
    sums += f" = {_gib(needed + engine)} of {_gib(budget)} ({where})"
    if level != "ok":
        sums += (
            "; lower max_model_len, split it over more GPUs (tensor_parallel_size), set quantization: fp8, "
            "or take a smaller model"
        )
    elif cache:
        sums += f"; there is room for {int((budget - each - engine) // cache)} such requests at once"
    return Finding("memory", level, sums)


def _divisor(heads: int, most: int) -> int:
    return next(count for count in range(min(most, heads), 0, -1) if heads % count == 0)


def _gib(size: float) -> str:
    return f"{size / _GIB:.1f} GiB"
