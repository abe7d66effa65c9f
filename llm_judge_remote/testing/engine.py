"""What a server tells of itself, as each engine words it; from the sources of vLLM 0.32 and SGLang 0.5."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal, get_args

from llm_judge_remote.testing.wire import Answer, json_answer

__all__ = ["EngineKind", "SelfDescription", "schema"]

EngineKind = Literal["vllm", "sglang", "other"]
"""Whose words a server uses for itself."""

_VERSIONS = {"vllm": "0.32.0", "sglang": "0.5.15"}


class SelfDescription:
    """The answers to `GET` requests that ask what is served, and by what.

    Args:
        engine: Whose words to use.
        model: The model's name.
        max_model_len: Tokens of prompt and reply together.

    Raises:
        ValueError: There is no such engine.
    """

    def __init__(self, engine: EngineKind, model: str, max_model_len: int) -> None:
        if engine not in get_args(EngineKind):
            msg = f"{engine=} is none of {', '.join(get_args(EngineKind))}"
            raise ValueError(msg)
        self._engine = engine
        self._model = model
        self._max_model_len = max_model_len
        self._started = int(time.time())

    def answers(self) -> Mapping[str, Answer]:
        """The answers, by path."""
        found = {"/v1/models": json_answer({"object": "list", "data": [self._card()]})}
        if self._engine == "vllm":
            found["/version"] = json_answer({"version": _VERSIONS["vllm"]})
        if self._engine == "sglang":
            about_server, about_model = json_answer(self._server_info()), json_answer(self._model_info())
            # The names with `get_` are the older ones; a server of today warns in its log when it is asked by them.
            found.update(dict.fromkeys(("/server_info", "/get_server_info"), about_server))
            found.update(dict.fromkeys(("/model_info", "/get_model_info"), about_model))
        return found

    def is_guarded(self, path: str) -> bool:
        """Whether a request for this path must carry the key, where there is one."""
        if self._engine == "sglang":
            return not path.startswith(("/health", "/metrics"))
        return path.startswith("/v1")  # whether it is there or not, and nothing else

    def _card(self) -> dict[str, Any]:
        card = {
            "id": self._model,
            "object": "model",
            "created": self._started,
            "owned_by": "organization" if self._engine == "other" else self._engine,
        }
        if self._engine == "other":
            return card
        card |= {"root": self._model, "parent": None, "max_model_len": self._max_model_len}
        return card | {"permission": [self._permission()]} if self._engine == "vllm" else card

    def _permission(self) -> dict[str, Any]:
        return {
            "id": f"modelperm-{uuid.uuid4().hex}",
            "object": "model_permission",
            "created": self._started,
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }

    def _server_info(self) -> dict[str, Any]:
        return {
            "model_path": self._model,
            "tokenizer_path": self._model,
            "served_model_name": self._model,
            "context_length": self._max_model_len,
            "tp_size": 1,
            "dp_size": 1,
            "status": "ready",
            "max_total_num_tokens": self._max_model_len * 16,
            "max_req_input_len": self._max_model_len - 6,
            "internal_states": [{}],
            "version": _VERSIONS["sglang"],
        }

    def _model_info(self) -> dict[str, Any]:
        return {
            "model_path": self._model,
            "tokenizer_path": self._model,
            "is_generation": True,
            "preferred_sampling_params": None,
            "weight_version": "default",
        }


def schema(routes: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """The body of `/openapi.json`, as FastAPI makes it.

    Args:
        routes: Something for each method of each path.
    """
    paths = {
        path: {method.lower(): {"responses": {"200": {"description": "Successful Response"}}} for method in methods}
        for path, methods in routes.items()
        if path != "/openapi.json"
    }
    return {"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": paths}
