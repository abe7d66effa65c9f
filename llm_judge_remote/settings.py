"""Everything that can be set, typed, validated and frozen.

Layers, the later ones winning: defaults < environment < YAML file < call < row. This module knows the fields and
the first four layers; `llm_judge_remote.layers` puts the call's and the row's values on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.setting_sources import (
    ALIASES,
    ENV_PREFIX,
    EnvironmentAliases,
    YamlFile,
    canonical,
    explain,
    nearest,
    origin_of,
)
from llm_judge_remote.setting_types import (
    Addresses,
    AutoOrOff,
    OnOrOff,
    OptionalHeader,
    OptionalKey,
    OptionalPath,
    OptionalRoutes,
    OptionalSeconds,
    OptionalSeed,
    Seconds,
    or_off,
    without_secrets,
)

__all__ = ["ROW_FIELDS", "JudgeSettings"]

_SWITCHES = (
    "trust_env",
    "enable_thinking",
    "filter_gt_by_prompt_token",
    "structured_output",
    "return_details",
    "gate",
    "defences",
    "batch_endpoint",
    "hedging",
    "affinity",
    "routing_header",
    "shared_limit",
    "breaker_folder",
    "cache",
)


def _field(default: Any, description: str, *, row: bool = False, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"row": row}, **limits)


class JudgeSettings(BaseSettings):
    """How to reach the judge, what to ask it, and what to do when it fails.

    `JudgeSettings(temperature=0)` reads the environment and the YAML file named by `LLM_JUDGE_CONFIG` for all that is
    not given. Each field's meaning is in its `description`, and in the README's table.

    Raises:
        ConfigError: A value is of no use, or a name is unknown; the message says which, from where, and what to do.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, protected_namespaces=()
    )

    # Where the judge is
    server_url: Addresses = _field(
        (),
        "address of the judge, or several: a comma list, a list, or a mapping to weights; `host:port` means http; or"
        " where to look them up: `file:///folder`, `etcd://`, `ray://`, `dns://host:port`",
        row=True,
    )
    api_key: OptionalKey = _field(None, "key sent to the servers of `server_url`, as a bearer token", row=True)
    registry_refresh: Seconds = _field(5.0, "seconds between two looks into a registry")
    affinity: OnOrOff = _field(
        "on",
        "`on`: samples with the same problem and references go to the same server, as far as `affinity_slack` lets",
    )
    affinity_slack: float = _field(
        0.25, "how far above its fair share a server may be filled for that", ge=0, allow_inf_nan=False
    )
    routing_header: OptionalHeader = _field(
        "X-Session-ID", "header that tells a balancer which samples belong together (vllm-router's); `off`: none"
    )
    trust_env: bool = _field(False, "obey the proxy, netrc and CA settings of the environment")

    # What it is asked
    model_name: str = _field(
        "Qwen/Qwen3-32B", "model to ask; `auto`: the one that the server serves", row=True, min_length=1
    )
    prompt_template: str = _field(
        "default",
        "`default`, `detailed`, `concise`, `binary`, `digit`, `yes_no`, or a template's text",
        row=True,
        min_length=1,
    )
    temperature: float = _field(0.7, "sampling temperature", row=True, ge=0, le=2, allow_inf_nan=False)
    top_p: float = _field(0.8, "nucleus sampling", row=True, gt=0, le=1)
    max_new_tokens: int = _field(512, "most tokens of a reply", row=True, ge=1)
    enable_thinking: bool = _field(False, "let a reasoning model think first", row=True)
    thinking_budget: int = _field(
        2048,
        "most tokens of a thought, beside those of the reply; after one that is cut off it is asked again without",
        row=True,
        ge=1,
    )
    structured_output: Annotated[Literal["auto", "on", "off"], BeforeValidator(or_off)] = _field(
        "auto",
        "hold the judge to the verdict, where the template asks for nothing else: `auto`: on servers that can; "
        "`on`: always, and a server that cannot gives no score; `off`; a thought is never held",
        row=True,
    )
    scoring: Literal["text", "expected"] = _field(
        "text",
        "`text`: the verdict that the judge wrote; `expected`: the mean of all verdicts, by the judge's probabilities",
        row=True,
    )
    mass_floor: float = _field(
        0.5, "least probability of all verdicts together for `scoring=expected` to count", row=True, ge=0, le=1
    )
    votes: int = _field(1, "replies drawn for each reference", row=True, ge=1, le=64)
    vote_reduce: Literal["mean", "median", "majority"] = _field(
        "mean", "the score of several votes: `mean`, `median`, `majority`", row=True
    )
    seed: OptionalSeed = _field(None, "sampling seed", row=True)
    filter_gt_by_prompt_token: bool = _field(
        False, "keep the references that hold the last word of the row's `prompt`", row=True
    )

    # Which rows it gets, and what becomes of the others
    routes: OptionalRoutes = _field(
        None,
        "settings by prefixes of `data_source`, of which the longest counts: rows with such a prefix are judged, with"
        " these settings; the others are for `scorer`; none: all rows are judged",
    )
    scorer: OptionalPath = _field(
        None, "`MODULE:FUNCTION` that scores rows without a route; none: verl's own rules, where verl is installed"
    )

    # What is decided without it, and what it is protected from
    gate: Annotated[Literal["off", "accept", "reject", "both"], BeforeValidator(or_off)] = _field(
        "off",
        "let a rule compare final answers first, and decide what is surely right (`accept`), surely wrong (`reject`) "
        "or `both` without a request",
        row=True,
    )
    defences: bool = _field(
        True, "fence and neutralise candidates, and score degenerate ones by rule; off only to measure what that does"
    )
    fence_key: SecretStr = _field(
        SecretStr(""), "secret of a run, the same in all its processes: makes the fence's code unforeseeable"
    )

    # How long, how much at once, how often again
    timeout: Seconds = _field(60.0, "seconds for a whole attempt")
    connect_timeout: Seconds = _field(5.0, "seconds to open a connection")
    deadline: OptionalSeconds = _field(None, "seconds for a whole call; what is not judged then takes the fallback")
    max_retries: int = _field(3, "further attempts after a failed one", ge=0)
    outage_grace: float = _field(
        5.0, "seconds that a call waits for servers that have all stopped answering", ge=0, allow_inf_nan=False
    )
    startup_timeout: float = _field(
        60.0,
        "seconds that a process waits once for a server that has yet to load its model (refused, 503)",
        ge=0,
        allow_inf_nan=False,
    )
    batch_size: int = _field(128, "samples of one call in flight at once", ge=1)
    max_in_flight: int = _field(
        256,
        "samples in flight at each server, from all calls of this process; fewer while the server is too busy",
        ge=1,
    )
    max_connections: int = _field(1028, "connections kept open to each server", ge=1)
    batch_endpoint: AutoOrOff = _field(
        "auto", "`auto`: send samples in chunks to servers that take them (vLLM) when that is faster; `off`: one by one"
    )
    linger: float = _field(
        0.002,
        "seconds that a single sample may wait for others to travel with; 0: none",
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    hedging: OnOrOff = _field(
        "on", "`on`: ask once more, on another server if there is one, when a request takes far longer than others"
    )
    shared_limit: OptionalPath = _field(
        None,
        "beginning of a lock file's name, on a local disk: processes of this machine that give the same have"
        " `max_in_flight` together",
    )
    breaker_folder: OptionalPath = _field(
        "auto",
        "folder in which processes note the servers that they take for down, as `status` shows them; `auto`: one of"
        " this user's on this machine; `off`: none",
    )
    cache: OptionalPath = _field(
        None, "keep the judge's replies, and ask nothing twice: `memory`, or an SQLite file's path on a local disk"
    )

    # When the judge fails
    fallback: Literal["lexical", "calibrated", "group_mean", "zero", "raise"] | Annotated[float, Field(ge=0, le=1)] = (
        _field(
            "lexical",
            "score of a row that was not judged: `lexical`; `calibrated`: that, on the judge's own scale; `group_mean`:"
            " of the judged rows with the same problem and references; `zero`; a number in [0, 1]; or `raise`",
        )
    )
    fallback_metric: str = _field("word_ratio", "similarity that the lexical fallback uses", row=True)
    on_unavailable: Literal["fallback", "raise"] = _field(
        "fallback", "`raise`: stop the call when no server answers, instead of falling back"
    )
    return_details: bool = _field(False, "return each judgement as a flat dict instead of a float")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**canonical(values))
        except ValidationError as error:
            fields = type(self).model_fields
            raise ConfigError(explain(error, _names(), lambda field: origin_of(field, values, fields))) from None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        shown = tuple(map(without_secrets, self.server_url))
        hidden = {"server_url": shown, "routes": None if self.routes is None else list(self.routes)}
        return [(name, hidden.get(name or "", value)) for name, value in super().__repr_args__()]

    @classmethod
    def complete(cls, values: Mapping[str, Any], origin: str) -> JudgeSettings:
        """Settings from a value for every field: no other layer is read.

        Args:
            values: By field name.
            origin: Where they come from, for messages.

        Raises:
            ConfigError: A value is of no use.
        """
        made = cls.__new__(cls)
        try:
            cls.__pydantic_validator__.validate_python(dict(values), self_instance=made)
        except ValidationError as error:
            raise ConfigError(explain(error, _names(), lambda _: origin)) from None
        return made

    @field_validator("*", mode="before")
    @classmethod
    def _is_meant(cls, value: object, info: ValidationInfo) -> object:
        """Refuse yes and no where a number or a word is wanted: `fallback: true` must not become a score of 1.0."""
        if isinstance(value, bool) and info.field_name not in _SWITCHES:
            msg = "is a switch's value, and this is no switch"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _routes_are_settings(self) -> JudgeSettings:
        """Refuse names in `routes` that are no settings, before a run has begun."""
        for prefix, profile in (self.routes or {}).items():
            for name in profile:
                if name not in _names() or name in ("routes", "scorer"):
                    msg = f"routes: {prefix}: unknown setting {name!r}{nearest(name, _names())}"
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _votes_differ(self) -> JudgeSettings:
        """Refuse votes that can only agree."""
        if self.votes > 1 and self.temperature == 0:
            msg = f"votes={self.votes} with temperature=0 draws the same reply each time; set a temperature"
            raise ValueError(msg)
        if self.votes > 1 and self.scoring == "expected" and not self.enable_thinking:
            msg = (
                f"votes={self.votes} with scoring=expected draws nothing but the same probabilities; "
                "set one of them, or enable_thinking"
            )
            raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the base class fixes the signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is named first wins."""
        return init_settings, YamlFile(settings_cls), env_settings, EnvironmentAliases(settings_cls)


ROW_FIELDS: frozenset[str] = frozenset(
    name
    for name, field in JudgeSettings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["row"]
)
"""Fields that a row's `extra_info` may change."""


def _names() -> tuple[str, ...]:
    """Those that a setting may be given by."""
    return (*JudgeSettings.model_fields, *ALIASES)
