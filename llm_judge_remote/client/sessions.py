"""The sessions of several servers, which may come and go."""

from __future__ import annotations

import threading
from typing import NamedTuple

from llm_judge_remote.client.session import Session
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Connection", "Sessions"]


class Connection(NamedTuple):
    """How to talk to servers.

    Attributes:
        api_key: Sent as a bearer token, or None.
        timeout: Seconds for a whole attempt.
        connect_timeout: Seconds to open a connection.
        max_connections: Kept and open at once, to each server.
        trust_env: Whether the environment's proxies and certificates count.
        routing_header: The header that tells a balancer what belongs together, or None.
    """

    api_key: str | None = None
    timeout: float = 60.0
    connect_timeout: float = 5.0
    max_connections: int = 1028
    trust_env: bool = False
    routing_header: str | None = None

    @classmethod
    def of(cls, settings: JudgeSettings) -> Connection:
        """As the settings have it."""
        return cls(
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            timeout=settings.timeout,
            connect_timeout=settings.connect_timeout,
            max_connections=settings.max_connections,
            trust_env=settings.trust_env,
            routing_header=settings.routing_header,
        )


class Sessions:
    """One session for each server, opened when it is first asked for; safe in threads.

    Args:
        connection: How to talk to servers.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._retired: set[str] = set()

    def get(self, address: str) -> Session:
        """The session of a server."""
        session = self._open.get(address)
        if session is None:
            with self._lock:
                session = self._open.get(address)
                if session is None:
                    session = self.open(address)
                    if self._closed:
                        session.close()
                    elif address in self._retired:
                        session.retire(after_next=True)  # for one that was on its way there
                    else:
                        self._open[address] = session
        return session

    def open(self, address: str) -> Session:
        """A session of its own, for the caller to close."""
        return Session(
            address,
            api_key=self._connection.api_key,
            connect_timeout=self._connection.connect_timeout,
            max_connections=self._connection.max_connections,
            trust_env=self._connection.trust_env,
        )

    def retire(self, address: str) -> None:
        """The server is used no more; its session is closed when nothing is under way there."""
        with self._lock:
            self._retired.add(address)
            session = self._open.pop(address, None)
        if session is not None:
            session.retire()

    def welcome(self, address: str) -> None:
        """The server is used, perhaps again."""
        with self._lock:
            self._retired.discard(address)

    def close(self) -> None:
        """Close all connections; requests under way end with an error."""
        with self._lock:
            self._closed = True
            sessions = list(self._open.values())
        for session in sessions:
            session.close()
