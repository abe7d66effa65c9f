"""The upper two layers of the settings: what a call gives, and what a row gives.

A call's keyword arguments come from a trainer's `reward_kwargs` among things that the trainer adds by itself, so a
name that is no setting is ignored, and said once. A row's `extra_info` holds whatever the data set holds: only the
fields of `ROW_FIELDS` are looked at.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.setting_sources import ALIASES, CONFIG_VARIABLE, ENV_PREFIX, ENVIRONMENT_ALIASES, nearest
from llm_judge_remote.setting_types import is_registry
from llm_judge_remote.settings import ROW_FIELDS, JudgeSettings

__all__ = ["CallSettings", "is_missing", "plain", "row_overrides", "settings_for_route", "settings_for_row"]

log = logging.getLogger(__name__)

_NAMES = frozenset((*JudgeSettings.model_fields, *ALIASES))
_VARIABLES = (
    CONFIG_VARIABLE,
    *(f"{ENV_PREFIX}{name.upper()}" for name in JudgeSettings.model_fields),
    *ENVIRONMENT_ALIASES,
)
_STORED_NAMES = tuple(map(os.environ.encodekey, _VARIABLES)) if hasattr(os.environ, "encodekey") else ()
_ROW_NAMES = (*sorted(ROW_FIELDS), *(alias for alias, field in ALIASES.items() if field in ROW_FIELDS))
_PLAIN_TYPES = frozenset((str, int, float, bool, type(None)))
_MAX_CACHED = 256


class CallSettings:
    """Settings by what a call was given; made once for each different set of values.

    A change of the `LLM_JUDGE_*` environment counts from the next call on. The YAML file is read again only when a
    new set of values is met, so that it cannot change the rewards of a run halfway.
    """

    def __init__(self) -> None:
        self._made: dict[object, JudgeSettings] = {}
        self._said: set[str] = set()

    def __call__(self, given: Mapping[str, Any]) -> JudgeSettings:
        """The settings of a call with these keyword arguments.

        Raises:
            ConfigError: A value is of no use; the message names the setting, the value and where it came from.
        """
        known = {}
        for name, value in given.items():
            if name in _NAMES:
                if value is not None:
                    known[name] = plain(value)
            elif name not in self._said:
                self._said.add(name)
                log.warning("ignored: %r is no setting of the judge%s", name, nearest(name, _NAMES))
        key = (_identity(known), _environment())
        settings = self._made.get(key)
        if settings is None:
            if len(self._made) >= _MAX_CACHED:
                self._made.clear()
            settings = self._made[key] = JudgeSettings(**known)
        return settings


def _identity(known: Mapping[str, Any]) -> object:
    """What tells values apart, and their types, too: 1 and True are different things to ask for."""
    if all(type(value) in _PLAIN_TYPES for value in known.values()):
        return frozenset((name, type(value), value) for name, value in known.items())
    return repr(sorted(known.items()))


def _environment() -> tuple[object, ...]:
    """What the variables say that settings are made of.

    Each call asks for all of them: what `os.environ` keeps behind its encoding is asked where it is there.
    """
    stored = getattr(os.environ, "_data", None)
    if _STORED_NAMES and type(stored) is dict:
        return tuple(map(stored.get, _STORED_NAMES))
    return tuple(map(os.environ.get, _VARIABLES))


def row_overrides(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a row's `extra_info` holds; None, NaN and "", as tables have it, stand for "not given"."""
    given = [(name, plain(value)) for name in _ROW_NAMES if (value := extra.get(name)) is not None]
    return {name: value for name, value in given if not (is_missing(value) or value in ("", []))}


def settings_for_row(settings: JudgeSettings, overrides: Mapping[str, Any]) -> JudgeSettings:
    """The call's settings with a row's on top.

    A row that names its own server brings its own key, or none: the operator's key goes only where the operator
    pointed it.

    Raises:
        ConfigError: A value is of no use.
    """
    if not overrides:
        return settings
    unknown = [name for name in overrides if name not in _ROW_NAMES]
    if unknown:
        msg = f"a row cannot change {unknown[0]!r}; it can change {', '.join(_ROW_NAMES)}"
        raise ConfigError(msg)
    given = dict(overrides)
    if "server_url" in given:
        given.setdefault("api_key", None)
    elif "api_key" in given:
        msg = "a row that brings api_key must name its server_url too"
        raise ConfigError(msg)
    merged = {name: getattr(settings, name) for name in JudgeSettings.model_fields}
    merged.update((ALIASES.get(name, name), value) for name, value in given.items())
    made = JudgeSettings.complete(merged, "in the row's extra_info")
    if "server_url" in given and any(map(is_registry, made.server_url)):
        msg = f"server_url={given['server_url']!r} (in the row's extra_info): a row may name servers, and no registry"
        raise ConfigError(msg)
    return made


def settings_for_route(settings: JudgeSettings, prefix: str) -> JudgeSettings:
    """The call's settings with those of one of its routes on top.

    A route that names its own server brings its own key, or none.

    Raises:
        ConfigError: A value is of no use.
    """
    given = dict((settings.routes or {})[prefix])
    if "server_url" in given:
        given.setdefault("api_key", None)
    merged = {name: getattr(settings, name) for name in JudgeSettings.model_fields}
    merged.update((ALIASES.get(name, name), value) for name, value in given.items())
    return JudgeSettings.complete(merged, f"in routes: {prefix}")


def is_missing(value: object) -> bool:
    """Whether a plain value is None or NaN, which tables hold where there is nothing."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def plain(value: Any) -> Any:
    """Builtin containers and scalars for OmegaConf nodes, numpy arrays and numpy scalars."""
    kind = type(value)
    if kind in _PLAIN_TYPES:
        return value
    if kind is dict:
        return {plain(name): plain(item) for name, item in value.items()}
    if kind is list:
        return [plain(item) for item in value]
    if kind.__name__ in ("NAType", "NaTType"):  # pandas' own kinds of nothing
        return None
    if kind.__module__.partition(".")[0] == "omegaconf":
        from omegaconf import OmegaConf  # noqa: PLC0415 (only there when the trainer uses it)

        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    if hasattr(value, "tolist"):  # numpy arrays and scalars, without importing numpy
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return plain(dict(value.items()))
    if isinstance(value, (list, tuple)):
        return plain(list(value))
    return value
