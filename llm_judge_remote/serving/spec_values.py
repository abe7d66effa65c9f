"""How a server's values may be written in YAML and on a command line, and what they are then."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["announced_host", "as_text", "beyond_one", "engine_arguments", "option_words", "registry_name", "variables"]

# Options of the engines that have settings of their own here; a second, contrary word would be the one that counts.
_OWN = {
    "--host": "host",
    "--port": "port",
    "--model": "model",
    "--model-path": "model",
    "--served-model-name": "served_model_name",
    "--api-key": "api_key_env",
}
_BEGINNINGS = {"--api-key": "--api-k"}  # parsers take an option's beginning for it, and a key must not be seen
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def as_text(value: Any) -> Any:
    """Text for a number or a date, as YAML reads `trial_name: 7`."""
    if isinstance(value, (int, float, datetime.date)) and not isinstance(value, bool):
        return str(value)
    return value


def engine_arguments(value: Any) -> Any:
    """Further arguments given as a line, a list, or a mapping, of which true and false are switches.

    Raises:
        ValueError: One of them is a setting's, or cannot be an argument.
    """
    if isinstance(value, str):
        words = shlex.split(value)
    elif isinstance(value, Mapping):
        words = _options(value)
    elif isinstance(value, (list, tuple)):
        words = [as_text(each) for each in value]
    else:
        return value
    for word in words:
        if not isinstance(word, str):
            continue  # the type is told by whoever checks it
        option = word.partition("=")[0].replace("_", "-")
        for name, setting in _OWN.items():
            if option == name or option.startswith(_BEGINNINGS.get(name, "\n")):
                msg = f"{option} is the engine's word for {setting}: set that"
                raise ValueError(msg)
        if "\0" in word:
            msg = "holds a NUL, which no command line can carry"
            raise ValueError(msg)
    return tuple(words)


def variables(value: Any) -> Any:
    """Environment variables: names, and texts for YAML's numbers and truths; null leaves one out.

    Raises:
        ValueError: A name or a value is none.
    """
    if not isinstance(value, Mapping):
        return value
    found = {}
    for name, given in value.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            msg = f"{name!r} is no variable's name"
            raise ValueError(msg)
        if given is None:
            continue
        text = str(int(given)) if isinstance(given, bool) else as_text(given)
        if not isinstance(text, str) or "\0" in text:
            msg = f"{name}: the value of a variable is a text or a number"
            raise ValueError(msg)
        found[name] = text
    return found


def announced_host(value: Any) -> Any:
    """A host that clients can be told, without the brackets of an IPv6 literal.

    Raises:
        ValueError: It is an address with a scheme or a port, or no host at all.
    """
    if not isinstance(value, str):
        return value
    host = value.strip().removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", host):
            msg = "should be a host alone, as `gpu7.cluster` or 10.0.0.5, without scheme and port"
            raise ValueError(msg) from None
    return host


def registry_name(value: Any) -> Any:
    """The name of an experiment or a trial, as a part of a registry's URL.

    Raises:
        ValueError: It would stand for another place.
    """
    text = as_text(value)
    if isinstance(text, str) and (re.search(r"[?#%\\\s]", text) or {"", ".", ".."} & {*text.split("/")}):
        msg = "should be a name that can stand in a URL: no blanks, ?, #, % or .., and no empty part between slashes"
        raise ValueError(msg)
    return text


def beyond_one(count: int) -> int | None:
    """A count that an engine need not be told when it is one."""
    return count if count > 1 else None


def option_words(options: Mapping[str, object]) -> list[str]:
    """Options and their values as words of a command line; None leaves one out."""
    return [word for name, value in options.items() if value is not None for word in (name, str(value))]


def _options(given: Mapping[Any, Any]) -> list[str]:
    found: list[str] = []
    for name, value in given.items():
        option = str(name).strip().lstrip("-").replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            found.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, Mapping):
            found += [f"--{option}", json.dumps(value)]
        elif isinstance(value, (list, tuple)):
            found += [f"--{option}", *map(str, value)]
        else:
            found += [f"--{option}", str(value)]
    return found
