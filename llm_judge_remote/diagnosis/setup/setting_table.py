"""Every setting, and the layer that it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from llm_judge_remote.finding import Finding
from llm_judge_remote.setting_sources import (
    ALIASES,
    CONFIG_VARIABLE,
    ENV_PREFIX,
    ENVIRONMENT_ALIASES,
    SECRETS,
    nearest,
    origins,
)
from llm_judge_remote.setting_types import without_secrets
from llm_judge_remote.settings import JudgeSettings

__all__ = ["SettingLayer", "SettingValue", "setting_table", "strange_variables"]

SettingLayer = Literal["default", "environment", "config file", "verl configuration", "command line"]

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting.

    Attributes:
        name: Of the field.
        value: As a text for people; "(not shown)" for a secret that is set.
        layer: Which layer won.
        source: The variable, or the file's path; "" for a default and the command line.
    """

    name: str
    value: str
    layer: SettingLayer
    source: str = ""

    @property
    def origin(self) -> str:
        """The layer in words."""
        return " ".join(filter(None, (self.layer, self.source)))

    def to_dict(self) -> dict[str, Any]:
        """Its attributes."""
        return asdict(self)


def setting_table(
    settings: JudgeSettings, command_line: Mapping[str, Any], from_verl: Mapping[str, str] | None = None
) -> list[SettingValue]:
    """Each setting with its value and where it comes from.

    Args:
        settings: All layers together.
        command_line: What was given there, by field name.
        from_verl: By the names of what verl's configuration gives: the file that it stands in.

    Raises:
        ConfigError: The YAML file is of no use.
    """
    from_verl = {ALIASES.get(name, name): file for name, file in (from_verl or {}).items()}
    found = origins({**from_verl, **command_line}, JudgeSettings.model_fields)
    table = []
    for name, (layer, source) in found.items():
        value = _shown(name, getattr(settings, name))
        if layer != "call":
            table.append(SettingValue(name, value, "config file" if layer == "file" else layer, source))
        elif name in command_line:
            table.append(SettingValue(name, value, "command line"))
        else:
            table.append(SettingValue(name, value, "verl configuration", from_verl[name]))
    return table


def strange_variables() -> Iterator[Finding]:
    """Variables that look like settings and are none: nobody else says a word about them."""
    known = (CONFIG_VARIABLE, *(f"{ENV_PREFIX}{name.upper()}" for name in JudgeSettings.model_fields))
    known += tuple(ENVIRONMENT_ALIASES)
    for name in sorted(os.environ):
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            yield Finding(
                "variables",
                "warning",
                f"{name} is set and ignored, as it is no setting{nearest(name.upper(), known)}",
                "correct its name, or unset it",
            )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name in SECRETS:
        secret = getattr(value, "get_secret_value", None)
        return "none" if secret is not None and not secret() else "(not shown)"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    text = " ".join(without_secrets(text).split()) or "none"
    return text if len(text) <= _LONGEST or name == "server_url" else f"{text[:_LONGEST]} ..."
