"""Sockets: accepting, reading requests, sending answers, and going wrong while doing so."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from llm_judge_remote.testing.faults import Fault
from llm_judge_remote.testing.reading import parse
from llm_judge_remote.testing.routes import Api
from llm_judge_remote.testing.slots import ClientGoneError, CutError, ServerStoppedError
from llm_judge_remote.testing.stats import Counters, RecordedRequest
from llm_judge_remote.testing.wire import Answer, phrase

__all__ = ["HttpConnection", "Listener"]

_DRIP_SECONDS = 0.05


class HttpConnection(BaseHTTPRequestHandler):
    """One client's connection: requests one after the other, until either side has enough.

    Args:
        client: The connection.
        address: Whose it is.
        api: Answers requests.
        counters: For answers sent and clients gone.
        stopped: Set when the server stops.
        keepalive: Seconds that an idle connection stays open after an answer.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(
        self,
        client: socket.socket,
        address: object,
        *,
        api: Api,
        counters: Counters,
        stopped: threading.Event,
        keepalive: float | None,
    ) -> None:
        self._client = client
        self._api = api
        self._counters = counters
        self._stopped = stopped
        self._keepalive = keepalive
        super().__init__(client, address, None)  # type: ignore[arg-type]  # kept, never used

    def handle_one_request(self) -> None:
        """Read a request and answer it."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
        except TimeoutError:  # idle for too long
            self.raw_requestline = b""
        self._client.settimeout(None)
        if not self.raw_requestline.strip():
            self.close_connection = True
            return
        if not self.parse_request():  # it has said so
            return
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.close_connection = True  # nobody knows where the next request starts
            self._send(Answer(411))
            return
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise CutError
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        request = RecordedRequest(self.command, path, headers, parse(data), query)
        try:
            self._send(self._api.answer(request, self._client))
        except (ClientGoneError, OSError):
            if not self._stopped.is_set():
                self._counters.add(aborted=1)
            raise
        self._client.settimeout(self._keepalive)

    def _send(self, answer: Answer) -> None:
        if self._stopped.is_set():
            raise ServerStoppedError
        fault = answer.fault
        kind = None if fault is None else fault.kind
        if kind == "reset":
            # With a linger time of zero, close() sends a reset and no end of stream.
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise CutError
        head = self._head(answer)
        if kind == "drop":
            self._client.sendall(head + answer.body[: len(answer.body) // 2])
            raise CutError
        self._counters.sent(answer.status)  # before it is, so that who has an answer finds it counted
        if fault is not None and kind == "drip":
            self._client.sendall(head)
            self._drip(answer.body, fault)
        elif fault is not None and kind == "drip_headers":
            self._drip(head + answer.body, fault)
        else:
            self._client.sendall(head + answer.body)

    def _head(self, answer: Answer) -> bytes:
        headers = {
            "date": self.date_time_string(),
            "server": "llm-judge-remote-testing",
            "content-length": str(len(answer.body)),
            **({"content-type": answer.content_type} if answer.body else {}),
            **({"connection": "close"} if self.close_connection else {}),
            **answer.headers,
        }
        lines = [
            f"HTTP/1.1 {answer.status} {phrase(answer.status)}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _drip(self, data: bytes, fault: Fault) -> None:
        pause = _DRIP_SECONDS if fault.seconds is None else fault.seconds
        for place in range(len(data)):
            self._client.sendall(data[place : place + 1])
            if self._stopped.wait(pause):
                raise ServerStoppedError

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class could not read, in plain text, and close the connection."""
        self.close_connection = True
        text = message or explain or phrase(code)
        self._send(Answer(code, text.encode("utf-8", "replace"), content_type="text/plain; charset=utf-8"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing; `JudgeServer.stats` tells."""


class Listener:
    """A listening socket, and a thread for each of its connections.

    Args:
        host: Address to listen on.
        port: Port; 0 for a free one.
        serve: Serves one connection; may raise `OSError` and `CutError`, which end it.
        counters: For the connections.

    Raises:
        OSError: The port is taken.
    """

    def __init__(
        self, host: str, port: int, serve: Callable[[socket.socket, object], object], counters: Counters
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # SO_REUSEADDR is set: a restart need not wait for the connections of the run before.
        self._socket = socket.create_server((host, port), family=family, backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self._serve = serve
        self._counters = counters
        self._live: dict[threading.Thread, socket.socket] = {}
        self._ended: deque[threading.Thread] = deque()  # or about to end: done with everything but ending
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="judge-server-accept", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Stop listening and cut all connections; their threads end soon."""
        self._closing.set()
        # shutdown, not close alone: it wakes accept(), and reaches copies of the socket in forked processes.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        with self._counters.changed:
            clients = list(self._live.values())
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def join(self, patience: float) -> bool:
        """Wait for the connections' threads, after `cut`.

        Args:
            patience: Seconds to wait for each.

        Returns:
            Whether all have ended: false if one is held up for longer, in a judge that does not return.
        """
        with self._counters.changed:
            threads = [*self._live, *self._ended]
        for thread in threads:
            thread.join(patience)
        return not any(thread.is_alive() for thread in threads)

    def serves_here(self) -> bool:
        """Whether the caller runs in a connection's thread: a judge that stops its own server."""
        with self._counters.changed:
            return threading.current_thread() in self._live

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, address = self._socket.accept()
            except OSError:  # closed, or out of descriptors: then later
                self._closing.wait(0.01)
                continue
            thread = threading.Thread(target=self._run, args=(client, address), name="judge-server-client", daemon=True)
            with self._counters.changed:
                self._live[thread] = client
                self._counters.numbers["connections"] += 1
                self._counters.numbers["open_connections"] += 1
                self._counters.changed.notify_all()
            thread.start()
            while self._ended:
                self._ended.popleft().join()

    def _run(self, client: socket.socket, address: object) -> None:
        try:
            with client, contextlib.suppress(OSError, CutError):
                self._serve(client, address)
        finally:
            with self._counters.changed:
                del self._live[threading.current_thread()]
                self._ended.append(threading.current_thread())
                self._counters.numbers["open_connections"] -= 1
                self._counters.changed.notify_all()
