"""A server's own figures: vLLM's and SGLang's names for the same things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llm_judge_remote.monitoring.exposition import Sample, samples

__all__ = ["Figures", "read_figures"]

# From vllm/v1/metrics/loggers.py of vLLM 0.32 (a counter's name ends in _total where it is sent), and, for those that
# begin with gpu_, of vLLM before 0.10; from sglang/srt/observability/metrics_collector.py of SGLang 0.5. The first name
# that is there counts.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running", "sglang:num_running_reqs"),
    "waiting": ("vllm:num_requests_waiting", "sglang:num_queue_reqs"),
    "kv_cache": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"),
    "prefix_queries": (
        "vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_queries",
        "vllm:gpu_prefix_cache_queries_total",
        "sglang:prompt_tokens_total",
    ),
    "prefix_hits": (
        "vllm:prefix_cache_hits_total",
        "vllm:prefix_cache_hits",
        "vllm:gpu_prefix_cache_hits_total",
        "sglang:cached_tokens_total",
    ),
    "prompt_tokens": ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total"),
    "generation_tokens": ("vllm:generation_tokens_total", "sglang:generation_tokens_total"),
    "preemptions": ("vllm:num_preemptions_total", "sglang:num_retracted_requests_total"),
}
_SLEEP = "vllm:engine_sleep_state"
_WANTED = frozenset({_SLEEP, *(name for names in _NAMES.values() for name in names)})


@dataclass(frozen=True, slots=True)
class Figures:
    """What `/metrics` said; None for what it did not.

    Attributes:
        model: The name under which the model is served, or "".
        running: Requests that are worked on now.
        waiting: Requests that wait for that.
        kv_cache: Share of the KV cache in use, in [0, 1]; of several engines, that of the fullest.
        prefix_queries: Prompt tokens that were looked for in the prefix cache, since the server started.
        prefix_hits: Those of them that were found.
        prompt_tokens: Since the server started.
        generation_tokens: The same for replies.
        preemptions: Requests that lost their place in the KV cache to others, since the server started.
        sleep_level: 0 awake; 1 with the weights in the host's memory; 2 without weights.
    """

    model: str = ""
    running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    preemptions: float | None = None
    sleep_level: int | None = None


def read_figures(text: str) -> Figures:
    """The figures in the body of `/metrics`."""
    found: dict[str, list[Sample]] = {}
    for sample in samples(text, _WANTED):
        if _counts(sample):
            found.setdefault(sample.name, []).append(sample)
    values = {figure: _value(names, found, max if figure == "kv_cache" else sum) for figure, names in _NAMES.items()}
    models = [each.labels["model_name"] for of_one in found.values() for each in of_one if "model_name" in each.labels]
    return Figures(model=models[0] if models else "", sleep_level=_sleep_level(found.get(_SLEEP, ())), **values)


def _counts(sample: Sample) -> bool:
    """Whether a sample is no part of another: SGLang's ranks say the same, and its priorities add up to a total."""
    labels = sample.labels
    return labels.get("tp_rank", "0") == "0" and labels.get("pp_rank", "0") == "0" and not labels.get("priority")


def _value(
    names: Iterable[str], found: Mapping[str, list[Sample]], together: Callable[[list[float]], float]
) -> float | None:
    for name in names:
        if name in found:
            return together([sample.value for sample in found[name]])
    return None


def _sleep_level(states: Iterable[Sample]) -> int | None:
    """The level of the engine that sleeps deepest."""
    true = {sample.labels.get("sleep_state") for sample in states if sample.value == 1}
    return next(
        (level for name, level in (("discard_all", 2), ("weights_offloaded", 1), ("awake", 0)) if name in true), None
    )
