"""The kinds of values that settings have, and the many ways in which people write them."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

__all__ = ["Addresses", "AutoOrOff", "OnOrOff", "OptionalPath", "OptionalSeconds", "OptionalSeed", "Seconds", "or_off"]

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


def or_off(value: object) -> object:
    """`on` and `off` for what YAML and people write in their place."""
    written = str(value).strip().lower()
    plain = written if isinstance(value, str) else value
    return {"true": "on", "1": "on", "false": "off", "0": "off"}.get(written, plain)


def _off_is_none(value: object) -> object:
    return (
        None if value is False or (isinstance(value, str) and value.strip().lower() == "off") else _blank_is_none(value)
    )


def _auto_or_off(value: object) -> object:
    return {"false": "off", "0": "off", "true": "auto", "1": "auto", "on": "auto"}.get(str(value).lower(), value)


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OptionalSeconds = Annotated[Seconds | None, BeforeValidator(_blank_is_none)]
OptionalSeed = Annotated[int | None, BeforeValidator(_blank_is_none)]
OnOrOff = Annotated[Literal["on", "off"], BeforeValidator(or_off)]
AutoOrOff = Annotated[Literal["auto", "off"], BeforeValidator(_auto_or_off)]
OptionalPath = Annotated[str | None, BeforeValidator(_off_is_none)]
Addresses = Annotated[
    tuple[Annotated[str, AfterValidator(_address)], ...],
    NoDecode,
    BeforeValidator(_split_addresses),
    AfterValidator(_distinct),
]
