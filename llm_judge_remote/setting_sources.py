"""Where settings come from besides a call: the environment and the YAML file; and how to say what is wrong with one."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import ValidationError
from pydantic_settings import PydanticBaseSettingsSource

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.setting_types import without_secrets

__all__ = [
    "ALIASES",
    "CONFIG_VARIABLE",
    "ENVIRONMENT_ALIASES",
    "ENV_PREFIX",
    "SECRETS",
    "EnvironmentAliases",
    "Origin",
    "YamlFile",
    "canonical",
    "explain",
    "nearest",
    "origin_of",
    "origins",
    "read_config",
]

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

SECRETS = ("api_key", "environment", "extra_args", "fence_key", "routes")
"""Fields whose values are never shown: they are keys, or may hold some."""


class EnvironmentAliases(PydanticBaseSettingsSource):
    """The variables of `ENVIRONMENT_ALIASES`."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 (as the base)
        """Nothing: all fields are read at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values that are given, by field name."""
        return {field: value for name, field in ENVIRONMENT_ALIASES.items() if (value := os.environ.get(name))}


class YamlFile(EnvironmentAliases):
    """The file that `LLM_JUDGE_CONFIG` names; unlike in a call, an unknown name is an error."""

    def __call__(self) -> dict[str, Any]:
        """The values that are given, by field name."""
        name = os.environ.get(CONFIG_VARIABLE)
        return read_config(Path(name), self.settings_cls.model_fields) if name else {}


def read_config(path: Path, fields: Collection[str]) -> dict[str, Any]:
    """The settings of a YAML file, by field name.

    Args:
        path: Of the file.
        fields: The names that there are.

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
        if name not in fields and name not in ALIASES:
            msg = f"{path}: unknown setting {name!r}{nearest(str(name), (*fields, *ALIASES))}"
            raise ConfigError(msg)
    return {name: value for name, value in canonical(values).items() if value is not None}


def nearest(name: str, names: Collection[str]) -> str:
    """The hint to add to an unknown setting's name; "" when none of those that there are is near."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """Field names for second names; where both are given, the field's own counts."""
    named = {ALIASES[name]: value for name, value in values.items() if name in ALIASES}
    named.update((name, value) for name, value in values.items() if name not in ALIASES)
    # Of dicts, pydantic-settings would mix what several layers say, where the later one is to win.
    return {name: MappingProxyType(value) if isinstance(value, dict) else value for name, value in named.items()}


def explain(error: ValidationError, names: Collection[str], origin: Callable[[str], str]) -> str:
    """Which setting, its value, where it came from, and what is wrong with it; `names` are those that there are."""
    problems: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else "settings"
        if problem["type"] == "extra_forbidden":
            problems[f"unknown setting {field!r}{nearest(field, names)}"] = []
            continue
        if not problem["loc"]:
            problems[problem["msg"].removeprefix("Value error, ")] = []
            continue
        value = "(not shown)" if field in SECRETS else without_secrets(repr(_plain(problem["input"])))
        # A union reports each of its members: one line per setting, holding them all.
        found = problems.setdefault(f"{field}={value} ({origin(field)}): ", [])
        found.append(problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be"))
    return "; ".join(head + ", or ".join(found) for head, found in problems.items())


def _plain(value: object) -> object:
    """A dict as it was given, and not as `canonical` wrapped it."""
    return dict(value) if isinstance(value, MappingProxyType) else value


class Origin(NamedTuple):
    """Where a setting's value comes from.

    Attributes:
        layer: The layer that won.
        name: Of the variable, or the file's path; "" for the others.
    """

    layer: Literal["default", "environment", "file", "call"]
    name: str = ""


def origins(call: Mapping[str, Any], fields: Collection[str]) -> dict[str, Origin]:
    """Which layer each field's value comes from.

    Args:
        call: What a call gives, by field name or second name.
        fields: The names that there are.

    Raises:
        ConfigError: The YAML file is of no use.
    """
    given = canonical(call)
    path = os.environ.get(CONFIG_VARIABLE)
    in_file = read_config(Path(path), fields) if path else {}
    # pydantic takes a field's own variable in any case; the others are looked up as they are written.
    own = {name.upper(): name for name, value in os.environ.items() if value}
    others = {field: name for name, field in ENVIRONMENT_ALIASES.items() if os.environ.get(name)}

    def origin(field: str) -> Origin:
        if field in given:
            return Origin("call")
        if path and field in in_file:
            return Origin("file", path)
        found = own.get(f"{ENV_PREFIX}{field.upper()}") or others.get(field)
        return Origin("environment", found) if found else Origin("default")

    return {field: origin(field) for field in fields}


def origin_of(field: str, call: Mapping[str, Any], fields: Collection[str]) -> str:
    """Which layer a value comes from, for messages."""
    layer, name = origins(call, fields).get(field, Origin("default"))
    if layer == "call":
        return "given in the call"
    return f"from the file {name}" if layer == "file" else f"from the environment's {name or field}"
