"""Ray Serve LLM's application, with a key, `/health`, and an entry in a registry for each node that has an ingress.

`judge_app.yaml` deploys it. All nodes need this file on their PYTHONPATH, and llm-judge-remote, which verl's
have anyway.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import ray
from fastapi import Depends, HTTPException, Request
from ray import serve
from ray.llm._internal.serve.core.configs.openai_api_models import to_model_metadata
from ray.serve.handle import DeploymentHandle
from ray.serve.llm import LLMServingArgs, build_llm_deployment
from ray.serve.llm.ingress import OpenAiIngress, make_fastapi_ingress

from llm_judge_remote.servers.registry import register

KEY = "LLM_JUDGE_API_KEY"
"""Environment variable that holds the key which requests must bring; the client reads the same one."""


def require_key(request: Request) -> None:
    """Let a request pass that brings the key.

    Raises:
        HTTPException: It does not (401), or there is none to compare with (500).
    """
    key = os.environ.get(KEY)
    if not key:
        raise HTTPException(500, f"{KEY} is not set where this server runs")
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not secrets.compare_digest(given.encode(), key.encode()):
        raise HTTPException(401, "this server wants a key")


def _own_address() -> str:
    """The address by which this node joined the cluster; on a machine with several, any other is a guess."""
    node = ray.get_runtime_context().get_node_id()
    return next(str(each["NodeManagerAddress"]) for each in ray.nodes() if each["NodeID"] == node)


class JudgeIngress(OpenAiIngress):
    """The ingress that says where it is.

    Args:
        llm_deployments: The models' servers.
        registry: Where the address of this node's proxy is announced; none: nowhere.
        port: The proxy's.
        **further: As the base class takes it.
    """

    def __init__(
        self, llm_deployments: dict[str, DeploymentHandle], *, registry: str | None, port: int, **further: Any
    ) -> None:
        super().__init__(llm_deployments, **further)
        self._registration = register(registry, f"http://{_own_address()}:{port}") if registry else None

    def __del__(self) -> None:
        """Serve calls this before it ends a replica."""
        if self._registration:
            self._registration.close()

    async def health(self) -> dict[str, str]:
        """Whether the ingress is there."""
        return {"status": "ok"}


_ENDPOINTS = {
    "health": lambda app: app.get("/health"),
    "models": lambda app: app.get("/v1/models", dependencies=[Depends(require_key)]),
    "chat": lambda app: app.post("/v1/chat/completions", dependencies=[Depends(require_key)]),
}


def build_judge_app(args: dict[str, Any]) -> serve.Application:
    """The application for `serve deploy`.

    Args:
        args: `llm` is what `ray.serve.llm:build_openai_app` takes; `registry` a registry's URL, none if not given;
            `port` that of the proxies, 8000 if not given.
    """
    serving = LLMServingArgs.model_validate(args["llm"])
    configs = serving.llm_configs
    options = {**JudgeIngress.get_deployment_options(configs), **serving.ingress_deployment_config}
    ingress = serve.deployment(make_fastapi_ingress(JudgeIngress, endpoint_map=_ENDPOINTS), **options)
    return ingress.bind(
        llm_deployments={config.model_id: build_llm_deployment(config) for config in configs},
        model_cards={config.model_id: to_model_metadata(config.model_id, config) for config in configs},
        registry=args.get("registry"),
        port=args.get("port", 8000),
    )
