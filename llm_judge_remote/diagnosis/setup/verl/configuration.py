"""verl's configuration as people have it: a YAML file, Hydra's list of overrides, or the script that starts verl."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from llm_judge_remote.errors import ConfigError

__all__ = ["Configuration", "Override", "read_configuration"]

_ROOTS = "custom_reward_function|data|reward|reward_manager|reward_model|sandbox_fusion"
# A word of a command line, which may stand in quotes as a whole or from the value on.
_OVERRIDE = re.compile(
    rf"""(?:^|(?<=[\s"']))(\+{{0,2}})((?:{_ROOTS})(?:\.[\w-]+)+)=("[^"]*"|'[^']*'|[^\s"']*)""", re.MULTILINE
)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Override:
    """One `KEY=VALUE` of a command line.

    Attributes:
        key: With dots.
        value: As YAML reads it.
        plus: What stands before the key: "", "+" or "++".
    """

    key: str
    value: Any
    plus: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one file says.

    Attributes:
        path: Of the file.
        values: By key; mappings within mappings.
        overrides: Those that the values were made of; none for a file of settings.
    """

    path: Path
    values: Mapping[str, Any]
    overrides: tuple[Override, ...] = ()

    def get(self, key: str) -> Any:
        """The value at a dotted key; None where there is none."""
        value: Any = self.values
        for name in key.split("."):
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """The mapping at a dotted key, without what is null; empty where there is none."""
        value = self.get(key)
        return {str(k): v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else {}


def read_configuration(path: Path) -> Configuration:
    """Read a file: `.yaml` as Hydra has it (settings, or a list of overrides), anything else as a shell script.

    Raises:
        ConfigError: It cannot be read, or holds neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text) if path.suffix.lower() in _YAML else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ConfigError(msg) from None
    if isinstance(document, Mapping):
        return Configuration(path, document)
    if isinstance(document, list):
        text = "\n".join(map(str, document))
    elif path.suffix.lower() in _YAML:
        msg = f"{path} holds no settings and no list of overrides"
        raise ConfigError(msg)
    overrides = tuple(_overrides(text))
    return Configuration(path, _nested(overrides), overrides)


def _overrides(text: str) -> Iterator[Override]:
    for plus, key, value in _OVERRIDE.findall(_COMMENT.sub("", text)):
        plain = value.strip("\"'")
        try:
            yield Override(key, yaml.safe_load(plain), plus)
        except yaml.YAMLError:
            yield Override(key, plain, plus)


def _nested(overrides: Iterable[Override]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for override in overrides:
        *folders, last = override.key.split(".")
        place = values
        for name in folders:
            below = place.get(name)
            if not isinstance(below, dict):
                below = place[name] = {}
            place = below
        place[last] = override.value
    return values
