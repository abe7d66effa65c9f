"""How etcd lets us in: TLS, and the token that it gives for a user and password."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import requests

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.servers.registry.url import bad_url

__all__ = ["EtcdAccess", "describe"]

_ENVIRONMENT = "LLM_JUDGE_ETCD_"
_STALE = ("invalid auth token", "revision of auth store is old", "user name is empty")
_NO_AUTH = "authentication is not enabled"


class EtcdAccess:
    """A session with etcd that knows its user.

    Args:
        session: What carries the token.
        protocol: `http` or `https`.
        user: The user, or "" to go without.
        password: Theirs.
    """

    def __init__(self, session: requests.Session, *, protocol: str, user: str, password: str) -> None:
        self.session = session
        self.protocol = protocol
        self._user = user
        self._password = password
        self._lock = threading.Lock()
        self._logged_in = not user

    @classmethod
    def of(cls, url: str, query: Mapping[str, str]) -> EtcdAccess:
        """What a URL's query and the environment say; the query goes first.

        Raises:
            ConfigError: Half of a pair is missing, or a file.
        """
        said = {
            word: query.get(word) or os.environ.get(_ENVIRONMENT + word.upper(), "")
            for word in ("user", "password", "ca", "cert", "key")
        }
        for one, other in (("password", "user"), ("user", "password"), ("cert", "key"), ("key", "cert")):
            if said[one] and not said[other]:
                raise bad_url(url, f"{one} is set, and {other} is not; {_ENVIRONMENT}{other.upper()} may hold it")
        for word in ("ca", "cert", "key"):
            if said[word] and not os.path.isfile(said[word]):  # noqa: PTH113 (`Path` refuses some text that people set)
                raise bad_url(url, f"{word}: there is no file {said[word]}")
        session = requests.Session()
        session.trust_env = (
            False  # no proxy stands between a cluster's own services, and no netrc takes the token's place
        )
        session.max_redirects = 0  # what we send is for this server alone
        if said["ca"]:
            session.verify = said["ca"]
        if said["cert"]:
            session.cert = (said["cert"], said["key"])
        tls = query.get("tls", "").lower() in ("1", "true", "on", "yes") or any(said[w] for w in ("ca", "cert"))
        protocol = "https" if tls else "http"
        return cls(session, protocol=protocol, user=said["user"], password=said["password"])

    def log_in(self, post: Callable[[str, Mapping[str, Any]], Any], *, again: bool = False) -> None:
        """Get a token, unless there is one.

        Args:
            post: Asks etcd.
            again: The token that there is was not taken.
        """
        with self._lock:
            if not self._user or (self._logged_in and not again):
                return
            self.session.headers.pop("Authorization", None)
            try:
                answer = post("/auth/authenticate", {"name": self._user, "password": self._password})
            except Exception as error:
                if _NO_AUTH not in describe(error):
                    raise
            else:
                self.session.headers["Authorization"] = answer["token"]
            self._logged_in = True

    def is_stale(self, error: Exception) -> bool:
        """Whether an error says that our token is one no longer."""
        return bool(self._user) and any(words in describe(error) for words in _STALE)


def describe(error: Exception) -> str:
    """An error in its own words; for one that etcd answered with, in etcd's."""
    if isinstance(error, ConfigError):
        return str(error)
    detail = getattr(error, "detail_text", None) or str(error)
    try:
        answer = json.loads(detail)
        detail = answer.get("message") or answer.get("error") or detail
    except (ValueError, AttributeError):
        pass
    return f"{type(error).__name__}: {detail}" if str(detail).strip() else type(error).__name__
