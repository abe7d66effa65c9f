"""The parts of a registry's URL."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.servers.registry.registry import shown_url

__all__ = ["bad_url", "entry_name", "number", "parts_of", "query_of"]


def parts_of(url: str) -> SplitResult:
    """The URL in parts.

    Raises:
        ConfigError: It cannot be read, or holds a user or password before its host.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise bad_url(url, str(error)) from None
    if "@" in parts.netloc:
        raise bad_url(url, "users and passwords go in the query or the environment, not before the host")
    return parts


def query_of(url: str, known: Collection[str]) -> dict[str, str]:
    """What follows the `?`.

    Raises:
        ConfigError: There is something that this registry does not know.
    """
    query = dict(parse_qsl(parts_of(url).query, keep_blank_values=True))
    for word in query:
        if word not in known:
            raise bad_url(url, f"{word!r} is not known; there are {', '.join(sorted(known)) or 'none'}")
    return query


def entry_name(path: str) -> str:
    """The name that a path spells, in the form that AReaL gives its keys: no slash around it, no `.` or `..` in it."""
    name = posixpath.normpath(unquote(path)).strip("/")
    return "" if name == "." else name


def number(url: str, query: dict[str, str], key: str, default: float) -> float:
    """A positive number in the query.

    Raises:
        ConfigError: It is none.
    """
    try:
        value = float(query.get(key, default))
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise bad_url(url, f"{key} must be a number of seconds")
    return value


def bad_url(url: str, why: str) -> ConfigError:
    """The error for a URL that is not as its registry wants it."""
    return ConfigError(f"{shown_url(url)}: {why}")
