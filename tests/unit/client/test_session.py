"""The session against raw sockets, where requests' own timeouts would not help."""

import socket
import threading
import time

import pytest
from urllib3.connection import HTTPConnection, HTTPSConnection

from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.session import Session
from llm_judge_remote.errors import AttemptTimeoutError, ConnectionDroppedError, ServerUnavailableError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class RawServer:
    """Answers each request on each connection with what `answer(connection, number)` does."""

    def __init__(self, answer):
        self.answer = answer
        self.stopping = threading.Event()
        self.connections = 0
        self.seen = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        with connection:
            number = 0
            while True:
                try:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        piece = connection.recv(65536)
                        if not piece:
                            return
                        request += piece
                    head, _, body = request.partition(b"\r\n\r\n")
                    length = next(
                        (
                            int(line.split(b":")[1])
                            for line in head.split(b"\r\n")
                            if line.lower().startswith(b"content-length")
                        ),
                        0,
                    )
                    while len(body) < length:
                        body += connection.recv(65536)
                    self.seen.append((head, body))
                    if self.answer(self, connection, number) is False:
                        return
                except OSError:
                    return
                number += 1

    def close(self):
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(RawServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect():
    sessions = []

    def make(url, **given):
        options = {"api_key": None, "connect_timeout": 5, "max_connections": 8, "trust_env": False, **given}
        sessions.append(Session(url, **options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


def ok(server, connection, number, body=b'{"a":1}'):
    connection.sendall(HEAD % len(body) + body)


def drip(server, connection, data, seconds=0.05):
    for byte in data:
        if server.stopping.wait(seconds):
            return
        connection.sendall(bytes([byte]))


def test_an_answer_comes_with_status_headers_and_body(serve, connect):
    response = connect(serve(ok).url).request("POST", "/x", b"{}", timeout=10)
    assert (response.status, response.body, response.headers["content-type"]) == (200, b'{"a":1}', "application/json")


SLOW = {
    "nothing at all": lambda server, connection, _: server.stopping.wait(60),
    "a body that drips": lambda server, connection, _: (
        connection.sendall(HEAD % 1000),
        drip(server, connection, b"x" * 1000),
    ),
    "a head that drips": lambda server, connection, _: drip(server, connection, HEAD % 1000),
    "a body without a length": lambda server, connection, _: (
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
        drip(server, connection, b"x" * 1000),
    ),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW)
def test_the_timeout_bounds_the_whole_attempt(answer, serve, connect):
    session = connect(serve(answer).url)
    began = time.monotonic()
    with pytest.raises(AttemptTimeoutError, match=r"had not answered after 0\.4 s"):
        session.request("POST", "/x", b"{}", timeout=0.4)
    assert time.monotonic() - began < 10  # the drips take 50 s


def test_an_attempt_that_ran_out_of_time_leaves_its_neighbours_alone(serve, connect):
    def answer(server, connection, number):
        if b"/slow" in server.seen[-1][0]:
            return server.stopping.wait(60)
        return ok(server, connection, number)

    session = connect(serve(answer).url)
    failed = []

    def slow():
        try:
            session.request("POST", "/slow", b"{}", timeout=0.5)
        except AttemptTimeoutError as error:
            failed.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    while thread.is_alive():
        assert session.request("POST", "/fast", b"{}", timeout=10).status == 200
    assert len(failed) == 1


def test_connections_are_kept_and_used_again(serve, connect):
    server = serve(ok)
    session = connect(server.url)
    for _ in range(20):
        session.request("POST", "/x", b"{}", timeout=10)
    assert server.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_unseen(serve, connect):
    def once(server, connection, number):
        ok(server, connection, number)
        return False

    server = serve(once)
    session = connect(server.url)
    for _ in range(5):
        assert session.request("POST", "/x", b"{}", timeout=10).status == 200
        time.sleep(0.05)  # for the end of the connection to arrive
    assert server.connections == 5


def test_a_connection_that_lay_idle_close_to_the_server_s_cut_is_not_used_again(serve, connect, monkeypatch):
    monkeypatch.setattr("llm_judge_remote.client.guard._IDLE_LIMIT_S", 0.0)
    server = serve(ok)
    session = connect(server.url)
    for _ in range(3):
        session.request("POST", "/x", b"{}", timeout=10)
    assert server.connections == 3


def test_a_connection_that_ends_before_the_answer_is_said_to_be_dropped(serve, connect):
    halves = [b"", b"HTT", HEAD % 100 + b"half"]
    for half in halves:
        server = serve(lambda server, connection, _, half=half: bool(connection.sendall(half)))
        with pytest.raises(ConnectionDroppedError, match="ended the connection"):
            connect(server.url).request("POST", "/x", b"{}", timeout=10)


def test_a_server_that_is_not_there_is_unavailable(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServerUnavailableError, match=r"cannot be reached.*refused"):
        connect(f"http://127.0.0.1:{port}").request("GET", "/health", timeout=10)


def test_a_name_that_does_not_resolve_is_unavailable(connect):
    with pytest.raises(ServerUnavailableError, match="cannot be reached"):
        connect("http://judge.invalid:8000").request("GET", "/health", timeout=10)


def test_the_key_goes_in_the_header_and_not_to_a_redirect(serve, connect):
    other = serve(ok)
    server = serve(
        lambda server, connection, _: connection.sendall(
            b"HTTP/1.1 307 T\r\nLocation: " + other.url.encode() + b"/x\r\nContent-Length: 0\r\n\r\n"
        )
    )
    response = connect(server.url, api_key="s3cret").request("POST", "/x", b"{}", timeout=10)
    assert response.status == 307
    assert b"authorization: bearer s3cret" in server.seen[0][0].lower()
    assert other.seen == []


def test_the_environment_s_proxy_counts_only_when_asked_for(serve, connect, monkeypatch):
    proxy, server = serve(ok), serve(ok)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    connect(server.url).request("GET", "/direct", timeout=10)
    assert (len(server.seen), len(proxy.seen)) == (1, 0)
    connect(server.url, trust_env=True).request("GET", "/through", timeout=10)
    assert (len(server.seen), len(proxy.seen)) == (1, 1)


def test_over_tls_too_a_connection_is_opened_once_and_kept(serve, connect, monkeypatch):
    def without_encryption(connection):
        HTTPConnection.connect(connection)
        connection.is_verified = True

    monkeypatch.setattr(HTTPSConnection, "connect", without_encryption)
    server = serve(ok)
    session = connect(server.url.replace("http:", "https:"))
    for _ in range(5):
        assert session.request("POST", "/x", b"{}", timeout=10).status == 200
    assert server.connections == 1


def test_over_tls_too_it_is_told_before_the_wait_for_a_connection(connect):
    told = threading.Event()

    def shake_no_hands(listener):
        connection, _ = listener.accept()
        with connection:
            told.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=shake_no_hands, args=(listener,))
        thread.start()
        session = connect(f"https://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=30)
        with pytest.raises((ServerUnavailableError, ConnectionDroppedError)):
            session.request("POST", "/x", b"{}", timeout=30, attempt=Attempt(told.set))
        assert told.is_set()
        thread.join()


def test_nothing_is_sent_after_the_close(serve, connect):
    server = serve(ok)
    session = connect(server.url)
    session.request("POST", "/x", b"{}", timeout=10)
    session.close()
    with pytest.raises(ServerUnavailableError, match="closed"):
        session.request("POST", "/x", b"{}", timeout=10)
    assert len(server.seen) == 1


def test_closing_ends_what_is_under_way(serve, connect):
    server = serve(lambda server, connection, _: server.stopping.wait(60))
    session = connect(server.url)
    failed = threading.Event()

    def ask():
        try:
            session.request("POST", "/x", b"{}", timeout=60)
        except ServerUnavailableError as error:
            if "closed" in str(error):
                failed.set()

    thread = threading.Thread(target=ask)
    thread.start()
    while not server.seen:
        time.sleep(0.01)
    session.close()
    assert failed.wait(10)
    thread.join()


@pytest.mark.parametrize(("status", "is_refused"), [(200, False), (400, True), (401, True), (500, True)])
def test_an_answer_that_refuses_a_request_comes_with_it_and_without_the_key(serve, connect, status, is_refused):
    said = b"no: sk-1234567890"
    head = (HEAD % len(said)).replace(b"200 OK", b"%d Said" % status)
    server = serve(lambda _, connection, __: connection.sendall(head + said))
    session = connect(server.url, api_key="sk-1234567890")
    answer = session.request("POST", "/v1/chat/completions", b"{}", timeout=30)
    assert (answer.body, answer.sent) == ((b"no: ***", b"{}") if is_refused else (said, b""))


def test_every_request_can_be_followed_in_the_log_without_its_texts(serve, connect, caplog):
    caplog.set_level("DEBUG", "llm_judge_remote")
    server = serve(lambda _, connection, __: connection.sendall(HEAD % 2 + b"{}"))
    connect(server.url, api_key="sk-1234567890").request("POST", "/v1/x", b'{"messages": "a text"}', timeout=30)
    (record,) = (each for each in caplog.records if each.name == "llm_judge_remote.client.session")
    assert record.getMessage().startswith(f"POST {server.url}/v1/x: 200 after 0.")
