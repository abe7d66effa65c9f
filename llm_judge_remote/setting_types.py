"""The kinds of values that settings have, and the many ways in which people write them."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr
from pydantic_settings import NoDecode

__all__ = [
    "ENTRY_POINTS",
    "REGISTRIES",
    "Addresses",
    "AutoOrOff",
    "OnOrOff",
    "OptionalHeader",
    "OptionalKey",
    "OptionalPath",
    "OptionalRoutes",
    "OptionalSeconds",
    "OptionalSeed",
    "Routes",
    "Seconds",
    "is_registry",
    "or_off",
    "server_address",
    "split_weight",
    "usable_key",
    "without_secrets",
]

REGISTRIES = ("file", "etcd", "ray", "dns")
"""Schemes of the registries that are built in."""

ENTRY_POINTS = "llm_judge_remote.registries"
"""The group of entry points for further ones: the name is the scheme, the object is called with the URL."""

_HOST = re.compile(r"(?!https?$)[\w.:%-]*[a-zA-Z:.][\w.:%-]*|localhost")  # a bare number is a port without its host
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_WEIGHT = re.compile(r"weight=([0-9]*\.?[0-9]+)")
_USER_INFO = re.compile(r"//[^/@]*@")
_SECRET = re.compile(r"(?i)((?:password|api[_-]?key|token|secret)=)[^&'#\s]+")
_QUERY = re.compile(r"""(?i)(https?://[^\s'",?#]*\?)[^\s'",]+""")  # a server has none: who gives one may mean a key
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of RFC 9110, 5.6.2
_OTHER_HEADERS = ("authorization", "connection", "content-length", "content-type", "host", "transfer-encoding")
_API_PATH = re.compile(r"/v1(?:/(?:chat/)?completions|/models)?$", re.IGNORECASE)


def _split_addresses(value: object) -> object:
    if isinstance(value, str):
        value = [part for part in (piece.strip() for piece in value.split(",")) if part]
    if isinstance(value, Mapping):  # weights by address, as YAML reads best
        return [f"{address}#weight={_weight(weight)}" for address, weight in value.items()]
    return value


def _distinct(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({split_weight(address)[0]: address for address in addresses}.values())


def is_registry(address: str) -> bool:
    """Whether an element of `server_url` says where servers are looked up, and is not one itself."""
    scheme = _SCHEME.match(address)
    return scheme is not None and scheme[1].lower() not in ("http", "https")


def split_weight(address: str) -> tuple[str, float]:
    """A server's address without its weight, and the weight: 1 unless it ends in `#weight=...`."""
    plain, _, fragment = address.partition("#")
    weight = _WEIGHT.fullmatch(fragment)
    return (plain, float(weight[1])) if weight else (address, 1.0)


def server_address(value: str) -> str:
    """A server's address in its one form: with a scheme, without the API's path, and with the weight that it has.

    Raises:
        ValueError: It is no address of a server.
    """
    address, weight = split_weight(value.strip())
    if "://" not in address:
        address = f"http://{_bracketed(address)}"
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
        msg = "has a query or fragment; write http://HOST:PORT, or http://HOST:PORT#weight=2"
        raise ValueError(msg)
    if not weight:
        msg = "has no weight; leave a server out that is to get nothing"
        raise ValueError(msg)
    path = _API_PATH.sub("", parts.path.rstrip("/")).rstrip("/")
    plain = f"{parts.scheme}://{parts.netloc}{path}"
    return plain if weight == 1 else f"{plain}#weight={_weight(weight)}"


def _weight(value: object) -> str:
    """A weight as an address carries it."""
    try:
        number = 1.0 if value is None else float(str(value))
    except ValueError:
        number = math.nan
    if not 1e-6 <= number <= 1e9:
        msg = f"has the weight {value!r}; give a number above 0, or leave the server out"
        raise ValueError(msg)
    return f"{number:.6f}".rstrip("0").rstrip(".")


def usable_key(key: str) -> str:
    """A key as it can be sent: without the blanks and line ends that a file had around it.

    Raises:
        ValueError: It holds what no HTTP header can carry; the message does not show it.
    """
    stripped = key.strip()
    if not stripped or not all(" " <= letter <= "~" for letter in stripped):
        msg = "is empty, or holds a character that no header can carry"
        raise ValueError(msg)
    return stripped


def without_secrets(text: str) -> str:
    """A text that holds addresses, without the passwords and keys in them."""
    text = _QUERY.sub(r"\1***", text)
    return _SECRET.sub(r"\1***", _USER_INFO.sub("//***@", text))


def _bracketed(host: str) -> str:
    """An IPv6 literal in the brackets that a URL wants."""
    try:
        return f"[{ipaddress.IPv6Address(host)}]"
    except ValueError:
        return host


def _address(value: str) -> str:
    """A server's address, or a registry's as it stands: who opens it knows what it may look like."""
    address = value.strip()
    if not is_registry(address):
        return server_address(address)
    scheme = address.partition("://")[0].lower()
    if scheme not in REGISTRIES and scheme not in {point.name.lower() for point in entry_points(group=ENTRY_POINTS)}:
        known = ", ".join(f"{each}://" for each in REGISTRIES)
        msg = f"is neither a server nor a registry that is known here; write http://HOST:PORT, or one of {known}"
        raise ValueError(msg)
    if any(c.isspace() for c in address):
        msg = "is no registry's address: it holds a space"
        raise ValueError(msg)
    if "@" in urlsplit(address).netloc:
        msg = "holds a user or password; give them in the environment, or as ?user=NAME&password=WORD"
        raise ValueError(msg)
    return address


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value) or value.lower() in _OTHER_HEADERS:
        msg = "is no name for a header of one's own"
        raise ValueError(msg)
    return value


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


def _key(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value().strip():
        return None
    return SecretStr(usable_key(value.get_secret_value()))


OptionalKey = Annotated[SecretStr | None, AfterValidator(_key)]
OptionalSeconds = Annotated[Seconds | None, BeforeValidator(_blank_is_none)]
OptionalSeed = Annotated[int | None, BeforeValidator(_blank_is_none)]
OnOrOff = Annotated[Literal["on", "off"], BeforeValidator(or_off)]
AutoOrOff = Annotated[Literal["auto", "off"], BeforeValidator(_auto_or_off)]
OptionalPath = Annotated[str | None, BeforeValidator(_off_is_none)]


class Routes(Mapping[str, Mapping[str, Any]]):
    """Settings by prefix of `data_source`; never changes, and can be told from others by its hash."""

    def __init__(self, profiles: Mapping[str, Mapping[str, Any]]) -> None:
        self._profiles = {prefix: dict(profile) for prefix, profile in profiles.items()}
        self._identity = repr(sorted((prefix, sorted(profile.items())) for prefix, profile in self._profiles.items()))

    def __getitem__(self, prefix: str) -> Mapping[str, Any]:
        return self._profiles[prefix]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Routes) and self._identity == other._identity

    def __repr__(self) -> str:
        return f"Routes({', '.join(self._profiles)})"  # the rest may hold keys


def _routes(value: object) -> object:
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value) if value.strip() else None
        except yaml.YAMLError:  # whose words would show what it could not read
            msg = "is no mapping of prefixes to settings, in YAML or JSON"
            raise ValueError(msg) from None
    if value is None or isinstance(value, Routes):
        return value
    if not isinstance(value, Mapping):
        msg = "is no mapping of prefixes to settings"
        raise ValueError(msg)
    for prefix, profile in value.items():
        is_profile = profile is None or (
            isinstance(profile, Mapping) and all(isinstance(name, str) for name in profile)
        )
        if not isinstance(prefix, str) or not prefix or not is_profile:
            msg = f"holds {prefix!r}, which is no prefix of a data_source with a mapping of settings"
            raise ValueError(msg)
    return Routes({prefix: profile or {} for prefix, profile in value.items()})


OptionalRoutes = Annotated[
    Annotated[Any, PlainSerializer(lambda routes: None if routes is None else list(routes))],
    NoDecode,
    BeforeValidator(_routes),
]
OptionalHeader = Annotated[Annotated[str, AfterValidator(_header)] | None, BeforeValidator(_off_is_none)]
Addresses = Annotated[
    tuple[Annotated[str, AfterValidator(_address)], ...],
    NoDecode,
    BeforeValidator(_split_addresses),
    AfterValidator(_distinct),
]
