"""A judge server as plain values: from a YAML file, with changes from a command line on top."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.serving.spec_values import announced_host, as_text, engine_arguments, registry_name, variables
from llm_judge_remote.setting_sources import explain, nearest
from llm_judge_remote.setting_types import usable_key

__all__ = ["ROLE", "ServerSpec", "read_assignments"]

ROLE = "judge"
"""Last part of the name under which a server of an experiment's trial is registered."""

_Count = Annotated[int, Field(ge=1)]
_Name = Annotated[str, BeforeValidator(registry_name)]
_TEXTS = ("model", "served_model_name")


class ServerSpec(BaseModel):
    """A server to be started. What is None is left to the engine.

    Raises:
        ValidationError: A value is of no use; `load` and `make` turn it into a `ConfigError` that names the setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    engine: Literal["vllm", "sglang"] = Field("vllm", description="What serves the model.")
    model: str = Field(min_length=1, description="A checkpoint's folder, or its name on a hub.")
    served_model_name: str | None = Field(None, description="Name that requests use; the model's own if not given.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free one.")
    tensor_parallel_size: _Count = Field(1, description="GPUs that each replica's layers are split over.")
    pipeline_parallel_size: _Count = Field(1, description="Groups of GPUs that each replica's layers are dealt out to.")
    data_parallel_size: _Count = Field(1, description="Replicas behind this one address.")
    dtype: str = Field("auto", description="Of weights and activations: auto, bfloat16, float16, float32.")
    quantization: str | None = Field(None, description="How weights are quantised when they are loaded: fp8, awq, ...")
    max_model_len: _Count | None = Field(None, description="Most tokens of prompt and reply together.")
    max_num_seqs: _Count | None = Field(None, description="Most requests that are worked on at once, for each replica.")
    max_num_batched_tokens: _Count | None = Field(None, description="Most tokens in one step of the engine.")
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="Part of each GPU's memory to use; for sglang, of weights and KV cache alone."
    )
    prefix_caching: bool | None = Field(None, description="Whether what prompts begin with alike is computed once.")
    chunked_prefill: bool | None = Field(None, description="Whether long prompts are computed piece by piece.")
    reasoning_parser: str | None = Field(None, description="What tells thinking from the answer: qwen3, ...")
    sleep_mode: bool = Field(
        False, description="Whether the server can be put to sleep; opens vLLM's development endpoints to all clients."
    )
    enforce_eager: bool = Field(False, description="Start faster and run slower: no graphs are compiled.")
    seed: int | None = Field(None, description="Of the engine's random numbers.")
    distributed_executor_backend: str | None = Field(None, description="vLLM's way to run several GPUs: mp, ray, ...")
    worker_extension_cls: str | None = Field(None, description="vLLM's class to mix into its workers.")
    trust_remote_code: bool = Field(False, description="Whether to run code that comes with the model.")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key which requests must bring.",
    )
    insecure: bool = Field(False, description="Listen beyond this machine without a key.")
    experiment_name: _Name | None = Field(None, description="With `trial_name`: where in the registry.")
    trial_name: _Name | None = Field(None, description="With `experiment_name`: where in the registry.")
    registry: str | None = Field(None, min_length=1, description="Where to announce the address: file://, etcd://, ...")
    registry_ttl: float = Field(
        30.0, ge=1, allow_inf_nan=False, description="Seconds that the announcement outlives this process."
    )
    advertise_host: Annotated[str | None, BeforeValidator(announced_host)] = Field(
        None, description="Host to announce; found out if not given."
    )
    restarts: int = Field(0, ge=0, description="How often in a row a crashed engine is started again.")
    start_timeout: float = Field(
        1800.0, gt=0, allow_inf_nan=False, description="Seconds for the engine to load its model."
    )
    drain_timeout: float = Field(
        30.0, ge=0, allow_inf_nan=False, description="Seconds for requests under way to end before it is stopped."
    )
    extra_args: Annotated[tuple[str, ...], BeforeValidator(engine_arguments)] = Field(
        (), description="Further arguments as the engine spells them: a list, or a mapping."
    )
    environment: Annotated[Mapping[str, str], BeforeValidator(variables)] = Field(
        default_factory=dict, repr=False, description="Variables for the engine."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_meant(cls, value: object, info: ValidationInfo) -> object:
        """Refuse yes and no where a number is wanted: `port: on` must not become 1."""
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and bool not in (kind, *get_args(kind)):
            msg = "is a switch's value, and this is no switch"
            raise ValueError(msg)
        return as_text(value) if info.field_name in _TEXTS else value

    @model_validator(mode="after")
    def _belongs_together(self) -> ServerSpec:
        if (self.experiment_name is None) != (self.trial_name is None):
            msg = "experiment_name and trial_name are given both or not at all"
            raise ValueError(msg)
        if self.experiment_name is not None and self.registry is None:
            msg = "experiment_name and trial_name name a place in a registry: set registry too"
            raise ValueError(msg)
        return self

    @classmethod
    def make(cls, values: Mapping[str, Any], origin: str = "given") -> ServerSpec:
        """A server from values by name.

        Args:
            values: As in a YAML file.
            origin: Where they come from, for messages.

        Raises:
            ConfigError: A name is none of a server's, or a value is of no use.
        """
        try:
            return cls(**{str(name): value for name, value in values.items()})
        except ValidationError as error:
            raise ConfigError(explain(error, cls.model_fields, lambda _: origin)) from None

    @classmethod
    def load(cls, path: Path | None, changes: Mapping[str, Any] | None = None) -> ServerSpec:
        """A server from a YAML file.

        Args:
            path: Of the file; None for changes alone.
            changes: Values by name, in place of the file's; None takes the file's back.

        Raises:
            ConfigError: The file cannot be read, or holds a name or a value of no use.
        """
        values: dict[str, Any] = {} if path is None else _read(path)
        values.update(changes or {})
        known = {name: value for name, value in values.items() if value is not None or name not in cls.model_fields}
        return cls.make(known, "given" if path is None else f"in {path} or given")

    def at(self, port: int) -> ServerSpec:
        """The same server on another port."""
        return self.model_copy(update={"port": port})

    def engine_argument(self, *names: str) -> str | None:
        """The value of an option among the engine's further arguments; the last one counts."""
        found = None
        for index, word in enumerate(self.extra_args):
            option, mark, value = word.partition("=")
            if option.replace("_", "-") in names:
                found = value if mark else "".join(self.extra_args[index + 1 : index + 2])
        return found

    def has_engine_argument(self, *names: str) -> bool:
        """Whether any of these options is among the engine's further arguments."""
        return self.engine_argument(*names) is not None

    @property
    def name(self) -> str:
        """What requests call the model."""
        return self.served_model_name or self.model

    @property
    def gpus(self) -> int:
        """How many GPUs it takes, on all machines together."""
        return self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size

    @property
    def registry_url(self) -> str | None:
        """Where its address is announced, experiment, trial and role included; what a client is given."""
        if self.registry is None or self.experiment_name is None or self.trial_name is None:
            return self.registry
        address, mark, query = self.registry.partition("?")
        separator = "" if address.endswith("/") else "/"
        return f"{address}{separator}{self.experiment_name}/{self.trial_name}/{ROLE}{mark}{query}"

    def api_key(self) -> str | None:
        """The key, from the environment.

        Raises:
            ConfigError: The variable is named and not set, or holds what no header can carry.
        """
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            msg = f"api_key_env={self.api_key_env!r}: the environment has no such variable, or it is empty; export it"
            raise ConfigError(msg)
        try:
            return usable_key(key)
        except ValueError as error:
            msg = f"api_key_env={self.api_key_env!r}: the key {error}"
            raise ConfigError(msg) from None


def read_assignments(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as values by name; values are read as YAML: `a=[1, 2]`, `b=true`.

    Raises:
        ConfigError: A word is no assignment, names nothing of a server's, or its value is no YAML.
    """
    found = {}
    for word in words:
        name, mark, text = word.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not mark:
            msg = f"{word!r}: write NAME=VALUE"
            raise ConfigError(msg)
        if name not in ServerSpec.model_fields:
            msg = f"{word!r}: a server has no {name!r}{nearest(name, ServerSpec.model_fields)}"
            raise ConfigError(msg)
        try:
            found[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            msg = f"{word!r}: the value cannot be read: {error}"
            raise ConfigError(msg) from None
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ConfigError(msg) from None
    if not isinstance(values, dict):
        msg = f"{path} holds no `name: value` lines"
        raise ConfigError(msg)
    return values
