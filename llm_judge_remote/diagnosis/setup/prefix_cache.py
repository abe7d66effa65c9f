"""Whether a server keeps the beginnings of prompts, which the rows of a group share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from llm_judge_remote.client.replies import read_json
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.errors import ServerError
from llm_judge_remote.finding import Finding

__all__ = ["look_at_prefix_cache"]

_NAME = "prefix cache"
# Prometheus' text format, 0.0.4: name{label="value",...} number
_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_INFO = "vllm:cache_config_info"
# As vLLM names them: with its first engine they were the GPU's.
_QUERIES = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")
_HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")


class _Metric(NamedTuple):
    name: str
    labels: Mapping[str, str]
    value: float


def look_at_prefix_cache(visit: Visit) -> Finding:
    """Whether it is on, by what the server tells of itself."""
    engine = visit.capabilities.engine if visit.capabilities is not None else "vllm"
    if engine == "sglang":
        return _sglang(visit)
    response = visit.session.request("GET", "/metrics", timeout=visit.timeout)
    metrics = list(_metrics(response.body.decode("utf-8", "replace"))) if response.status == 200 else []
    queries, hits = _sum(metrics, _QUERIES), _sum(metrics, _HITS)
    share = f"; so far {hits / queries:.0%} of the prompts' tokens were found in it" if queries else ""
    switches = {metric.labels.get("enable_prefix_caching", "").lower() for metric in metrics if metric.name == _INFO}
    if "false" in switches:
        fix = "start the server with --enable-prefix-caching: the rows of a group share most of their prompt"
        return Finding(_NAME, "warning", "prefix caching is off: every prompt is computed from its beginning", fix)
    if "true" in switches:
        return Finding(_NAME, "ok", f"on{share}")
    if queries:
        return Finding(_NAME, "ok", f"on, as it seems{share}")
    return Finding(_NAME, "skipped", f"the server's /metrics ({response.status}) do not tell")


def _sglang(visit: Visit) -> Finding:
    for path in ("/server_info", "/get_server_info"):
        response = visit.session.request("GET", path, timeout=visit.timeout)
        if response.status == 200:
            try:
                off = read_json(response.body, visit.address).get("disable_radix_cache")
            except ServerError:
                break
            if off is True:
                fix = "start the server without --disable-radix-cache: the rows of a group share most of their prompt"
                return Finding(_NAME, "warning", "off: every prompt is computed from its beginning", fix)
            if off is False:
                return Finding(_NAME, "ok", "on (SGLang's radix cache)")
            break
    return Finding(_NAME, "skipped", "the server does not tell")


def _metrics(text: str) -> Iterator[_Metric]:
    for name, labels, value in _LINE.findall(text):
        try:
            yield _Metric(name, dict(_LABEL.findall(labels)), float(value))
        except ValueError:  # noqa: PERF203 (each line by itself)
            continue


def _sum(metrics: list[_Metric], names: tuple[str, ...]) -> float:
    """Over all engines of a server; 0 where none counts it."""
    return sum(metric.value for metric in metrics if metric.name in names)
