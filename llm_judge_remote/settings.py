"""Everything that can be set, typed, validated and frozen.

Layers, the later ones winning: defaults < environment < YAML file < call < row. This module knows the fields and
the first four layers; `llm_judge_remote.layers` puts the call's and the row's values on top.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from llm_judge_remote.errors import ConfigError

__all__ = ["ALIASES", "CONFIG_VARIABLE", "ENVIRONMENT_ALIASES", "ENV_PREFIX", "ROW_FIELDS", "JudgeSettings", "nearest"]

ENV_PREFIX = "LLM_JUDGE_"
CONFIG_VARIABLE = "LLM_JUDGE_CONFIG"

ALIASES: Mapping[str, str] = {"model": "model_name", "max_tokens": "max_new_tokens"}
"""Second names of fields, in calls, rows and the YAML file."""

ENVIRONMENT_ALIASES: Mapping[str, str] = {
    "LLM_JUDGE_SERVER_API_KEY": "api_key",
    "LLM_JUDGE_SERVER_TIMEOUT": "timeout",
    "LLM_JUDGE_MODEL": "model_name",
    "LLM_JUDGE_MAX_TOKENS": "max_new_tokens",
}
"""Environment variables beside `LLM_JUDGE_<FIELD>`."""

_USER_INFO = re.compile(r"//[^/@]*@")
_HOST = re.compile(r"(?!https?$)[\w.:%-]*[a-zA-Z:.][\w.:%-]*|localhost")  # a bare number is a port without its host
_API_PATH = re.compile(r"/v1(?:/(?:chat/)?completions|/models)?$", re.IGNORECASE)


def _split_addresses(value: object) -> object:
    if isinstance(value, str):
        value = [part for part in (piece.strip() for piece in value.split(",")) if part]
    return value


def _distinct(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


def _address(value: str) -> str:
    address = value.strip()
    if "://" not in address:
        address = f"http://{address}"
    try:
        parts = urlsplit(address)
        usable = _HOST.fullmatch(parts.hostname or "") is not None and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that does not close
        usable = False
    if not usable or parts.scheme not in ("http", "https") or any(c.isspace() for c in address):
        msg = "is no server address; write http://HOST:PORT"
        raise ValueError(msg)
    if parts.username is not None or parts.password is not None:
        msg = "holds a user or password; addresses are logged, so set api_key instead"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = "has a query or fragment; write http://HOST:PORT"
        raise ValueError(msg)
    path = _API_PATH.sub("", parts.path.rstrip("/")).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none", "null") else value


def _on_or_off(value: object) -> object:
    # YAML reads on and off as booleans, and people write true in the environment.
    return {"true": "on", "1": "on", "false": "off", "0": "off"}.get(str(value).lower(), value)


def _off_is_none(value: object) -> object:
    return (
        None if value is False or (isinstance(value, str) and value.strip().lower() == "off") else _blank_is_none(value)
    )


def _auto_or_off(value: object) -> object:
    return {"false": "off", "0": "off", "true": "auto", "1": "auto", "on": "auto"}.get(str(value).lower(), value)


_SWITCHES = (
    "trust_env",
    "enable_thinking",
    "filter_gt_by_prompt_token",
    "structured_output",
    "return_details",
    "batch_endpoint",
    "hedging",
    "shared_limit",
    "cache",
)

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Address = Annotated[str, AfterValidator(_address)]


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
    server_url: Annotated[
        tuple[Address, ...], NoDecode, BeforeValidator(_split_addresses), AfterValidator(_distinct)
    ] = _field((), "address of the judge, or several: a comma list or a list; `host:port` means http", row=True)
    api_key: SecretStr | None = _field(None, "key sent to the servers of `server_url`, as a bearer token", row=True)
    trust_env: bool = _field(False, "obey the proxy, netrc and CA settings of the environment")

    # What it is asked
    model_name: str = _field(
        "Qwen/Qwen3-32B", "model to ask; `auto`: the one that the server serves", row=True, min_length=1
    )
    prompt_template: str = _field(
        "default", "`default`, `detailed`, `concise`, `binary`, or a template's text", row=True, min_length=1
    )
    temperature: float = _field(0.7, "sampling temperature", row=True, ge=0, le=2, allow_inf_nan=False)
    top_p: float = _field(0.8, "nucleus sampling", row=True, gt=0, le=1)
    max_new_tokens: int = _field(512, "most tokens of a reply", row=True, ge=1)
    enable_thinking: bool = _field(False, "let a reasoning model think first", row=True)
    structured_output: Annotated[Literal["on", "off"], BeforeValidator(_on_or_off)] = _field(
        "off",
        "`on`: hold the judge to the verdict line, where the template asks for nothing else (vLLM 0.11 and newer)",
        row=True,
    )
    seed: Annotated[int | None, BeforeValidator(_blank_is_none)] = _field(None, "sampling seed", row=True)
    filter_gt_by_prompt_token: bool = _field(
        False, "keep the references that hold the last word of the row's `prompt`", row=True
    )

    # How long, how much at once, how often again
    timeout: Seconds = _field(60.0, "seconds for a whole attempt")
    connect_timeout: Seconds = _field(5.0, "seconds to open a connection")
    deadline: Annotated[Seconds | None, BeforeValidator(_blank_is_none)] = _field(
        None, "seconds for a whole call; what is not judged then takes the fallback"
    )
    max_retries: int = _field(3, "further attempts after a failed one", ge=0)
    outage_grace: float = _field(
        5.0, "seconds that a call waits for servers that have all stopped answering", ge=0, allow_inf_nan=False
    )
    batch_size: int = _field(128, "samples of one call in flight at once", ge=1)
    max_in_flight: int = _field(
        256,
        "samples in flight at each server, from all calls of this process; fewer while the server is too busy",
        ge=1,
    )
    max_connections: int = _field(1028, "connections kept open to each server", ge=1)
    batch_endpoint: Annotated[Literal["auto", "off"], BeforeValidator(_auto_or_off)] = _field(
        "auto", "`auto`: send samples in chunks to servers that take them (vLLM) when that is faster; `off`: one by one"
    )
    linger: float = _field(
        0.002,
        "seconds that a single sample may wait for others to travel with; 0: none",
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    hedging: Annotated[Literal["on", "off"], BeforeValidator(_on_or_off)] = _field(
        "on", "`on`: ask once more, on another server if there is one, when a request takes far longer than others"
    )
    shared_limit: Annotated[str | None, BeforeValidator(_off_is_none)] = _field(
        None,
        "beginning of a lock file's name, on a local disk: processes of this machine that give the same have"
        " `max_in_flight` together",
    )
    cache: Annotated[str | None, BeforeValidator(_off_is_none)] = _field(
        None, "keep the judge's replies, and ask nothing twice: `memory`, or an SQLite file's path on a local disk"
    )

    # When the judge fails
    fallback: Literal["lexical", "zero", "raise"] | Annotated[float, Field(ge=0, le=1)] = _field(
        "lexical", "score of a row that was not judged: `lexical`, `zero`, a number in [0, 1], or `raise`"
    )
    fallback_metric: str = _field("word_ratio", "similarity that `fallback=lexical` uses", row=True)
    on_unavailable: Literal["fallback", "raise"] = _field(
        "fallback", "`raise`: stop the call when no server answers, instead of falling back"
    )
    return_details: bool = _field(False, "return each judgement as a flat dict instead of a float")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**_canonical(values))
        except ValidationError as error:
            raise ConfigError(_explain(error, lambda field: _origin(field, values))) from None

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
            raise ConfigError(_explain(error, lambda _: origin)) from None
        return made

    @field_validator("*", mode="before")
    @classmethod
    def _is_meant(cls, value: object, info: ValidationInfo) -> object:
        """Refuse yes and no where a number or a word is wanted: `fallback: true` must not become a score of 1.0."""
        if isinstance(value, bool) and info.field_name not in _SWITCHES:
            msg = "is a switch's value, and this is no switch"
            raise ValueError(msg)
        return value

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
        return init_settings, _YamlFile(settings_cls), env_settings, _EnvironmentAliases(settings_cls)


class _EnvironmentAliases(PydanticBaseSettingsSource):
    """The variables of `ENVIRONMENT_ALIASES`."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 (as the base)
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        return {field: value for name, field in ENVIRONMENT_ALIASES.items() if (value := os.environ.get(name))}


class _YamlFile(_EnvironmentAliases):
    """The file that `LLM_JUDGE_CONFIG` names; unlike in a call, an unknown name is an error."""

    def __call__(self) -> dict[str, Any]:
        name = os.environ.get(CONFIG_VARIABLE)
        return read_config(Path(name)) if name else {}


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a YAML file, by field name.

    Raises:
        ConfigError: The file cannot be read, is not a mapping, or holds a name that is no setting.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{CONFIG_VARIABLE}={str(path)!r} cannot be read: {error}"
        raise ConfigError(msg) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        msg = f"{CONFIG_VARIABLE}={str(path)!r} holds a {type(values).__name__}; write `setting: value` lines"
        raise ConfigError(msg)
    for name in values:
        if name not in JudgeSettings.model_fields and name not in ALIASES:
            msg = f"{path}: unknown setting {name!r}{nearest(str(name))}"
            raise ConfigError(msg)
    return {name: value for name, value in _canonical(values).items() if value is not None}


def nearest(name: str) -> str:
    """The hint to add to an unknown setting's name; "" when nothing is near."""
    close = difflib.get_close_matches(name, [*JudgeSettings.model_fields, *ALIASES], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """Field names for second names; where both are given, the field's own counts."""
    named = {ALIASES[name]: value for name, value in values.items() if name in ALIASES}
    named.update((name, value) for name, value in values.items() if name not in ALIASES)
    return named


def _explain(error: ValidationError, origin: Callable[[str], str]) -> str:
    """Which setting, its value, where it came from, and what is wrong with it."""
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else "settings"
        if problem["type"] == "extra_forbidden":
            problems[f"unknown setting {field!r}{nearest(field)}"] = []
            continue
        value = "(not shown)" if field == "api_key" else _USER_INFO.sub("//***@", repr(problem["input"]))
        # A union reports each of its members: one line per setting, holding them all.
        found = problems.setdefault(f"{field}={value} ({origin(field)}): ", [])
        found.append(problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be"))
    return "; ".join(head + ", or ".join(found) for head, found in problems.items())


def _origin(field: str, call: Mapping[str, Any]) -> str:
    if field in _canonical(call):
        return "given in the call"
    path = os.environ.get(CONFIG_VARIABLE)
    if path and field in read_config(Path(path)):
        return f"from the file {path}"
    variables = [f"{ENV_PREFIX}{field.upper()}", *(n for n, f in ENVIRONMENT_ALIASES.items() if f == field)]
    return f"from the environment's {next((name for name in variables if os.environ.get(name)), field)}"


ROW_FIELDS: frozenset[str] = frozenset(
    name
    for name, field in JudgeSettings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["row"]
)
"""Fields that a row's `extra_info` may change."""
