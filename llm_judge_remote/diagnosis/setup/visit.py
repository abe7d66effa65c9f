"""A server that is being looked at, and what is known of it so far."""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.client.session import Response, Session
from llm_judge_remote.client.sessions import Connection
from llm_judge_remote.diagnosis.setup.longest_row import LongestRows
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Visit"]


@dataclasses.dataclass(slots=True)
class Visit:
    """A server, and what the looks at it leave for one another.

    Attributes:
        address: Without a weight.
        settings: All layers together.
        timeout: Seconds for each request.
        rows: The longest of a trainer's file, or None.
        trust_env: Whether requests go as the environment says; first as the settings have it.
        proxy: The one that requests go through, or "".
        places: What the host's name was resolved to, as `socket.getaddrinfo` gives it.
        health: The answer to the first request.
        asked_at: Middle of that request, in seconds since the epoch.
        capabilities: What it serves.
        reply: The first to a row.
        ruling: What came of the row.
        is_asleep: Whether it is, as vLLM in its development mode can be.
    """

    address: str
    settings: JudgeSettings
    timeout: float
    rows: LongestRows | None = None
    trust_env: bool = False
    proxy: str = ""
    places: tuple[tuple[int, Any], ...] = ()
    health: Response | None = None
    asked_at: float = 0.0
    capabilities: Capabilities | None = None
    reply: ChatReply | None = None
    ruling: Ruling | None = None
    is_asleep: bool = False
    _session: Session | None = None

    def __enter__(self) -> Visit:
        self.trust_env = self.settings.trust_env
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            self._session.close()

    @property
    def host(self) -> str:
        """A name or an IP address."""
        return urlsplit(self.address).hostname or ""

    @property
    def port(self) -> int:
        """Also where the address names none."""
        parts = urlsplit(self.address)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_tls(self) -> bool:
        """Whether the address wants TLS."""
        return self.address.startswith("https://")

    @property
    def connect_timeout(self) -> float:
        """Seconds to open a connection."""
        return min(self.settings.connect_timeout, self.timeout)

    @property
    def key(self) -> str | None:
        """The one to send."""
        return None if self.settings.api_key is None else self.settings.api_key.get_secret_value()

    @property
    def model(self) -> str:
        """The model to ask: that of the settings, or one that is served where that is not."""
        served = self.capabilities.models if self.capabilities is not None else ()
        name = self.settings.model_name
        return served[0] if served and name not in served else name

    @property
    def session(self) -> Session:
        """As the judge's client has it."""
        if self._session is None:
            self._session = self.open(self.key, trust_env=self.trust_env)
        return self._session

    def open(self, key: str | None, *, trust_env: bool) -> Session:
        """A further session, for the caller to close."""
        return Session(
            self.address, api_key=key, connect_timeout=self.connect_timeout, max_connections=2, trust_env=trust_env
        )

    def connection(self) -> Connection:
        """How the judge's own client is to talk to the server."""
        return Connection(
            api_key=self.key,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            max_connections=2,
            trust_env=self.trust_env,
            routing_header=self.settings.routing_header,
        )
