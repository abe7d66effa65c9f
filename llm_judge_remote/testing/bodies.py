"""vLLM's JSON and metrics; from the sources of vLLM 0.32."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from llm_judge_remote.testing.generation import Generated
from llm_judge_remote.testing.stats import ServerStats
from llm_judge_remote.testing.wire import Answer

__all__ = ["completion", "metrics"]


def completion(model: str, choices: Sequence[Generated], *, prompt_tokens: int, reasoning_field: str) -> dict[str, Any]:
    """A chat completion.

    Args:
        model: The model's name.
        choices: In the order of their `index`.
        prompt_tokens: Of all conversations together.
        reasoning_field: The name under which thinking is sent.
    """
    generated = sum(choice.completion_tokens for choice in choices)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [_choice(index, each, reasoning_field) for index, each in enumerate(choices)],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + generated,
            "completion_tokens": generated,
            "prompt_tokens_details": None,
        },
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "kv_transfer_params": None,
    }


def _choice(index: int, generated: Generated, reasoning_field: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": generated.content,
        "refusal": None,
        "annotations": None,
        "audio": None,
        "function_call": None,
        reasoning_field: generated.reasoning,
    }
    return {
        "index": index,
        "message": message,
        "logprobs": generated.logprobs,
        "finish_reason": generated.finish_reason,
        "stop_reason": None,
        "token_ids": None,
    }


def metrics(model: str, stats: ServerStats) -> Answer:
    """The body of `/metrics`: those of vLLM's figures that this server has."""
    label = 'engine="0",model_name="' + model.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'
    lines: list[str] = []

    def add(name: str, kind: str, words: str, values: Mapping[str, float]) -> None:
        lines.extend((f"# HELP {name} {words}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{{{label}{more}}} {float(value)}" for more, value in values.items())

    add(
        "vllm:num_requests_running",
        "gauge",
        "Number of requests in model execution batches.",
        {"": stats.in_service},
    )
    add(
        "vllm:num_requests_waiting",
        "gauge",
        "Number of requests waiting to be processed.",
        {"": stats.queued},
    )
    add(
        "vllm:prompt_tokens_total",
        "counter",
        "Number of prefill tokens processed.",
        {"": stats.prompt_tokens},
    )
    generated = {"": stats.generation_tokens}
    add("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", generated)
    reasons = {"stop": 0, "length": 0, **stats.finished}
    success = {f',finished_reason="{reason}"': count for reason, count in reasons.items()}
    add("vllm:request_success_total", "counter", "Count of successfully processed requests.", success)
    body = "\n".join([*lines, ""]).encode()
    return Answer(200, body, content_type="text/plain; version=0.0.4; charset=utf-8")
