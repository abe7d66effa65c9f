"""Attempts that are given up from another thread, or run out of time, wherever they stand."""

import socket
import threading

import pytest

from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.session import Session
from llm_judge_remote.errors import AttemptTimeoutError, ConnectionDroppedError, ServerError, ServerUnavailableError
from llm_judge_remote.testing import Fault, JudgeServer

BODY = b'{"messages": [{"role": "user", "content": "%s"}]}'


@pytest.fixture
def server():
    with JudgeServer(judge="REWARD: 1") as running:
        yield running


@pytest.fixture
def connect(server):
    sessions = []

    def make(url=server.url, **given):
        options = {"api_key": None, "connect_timeout": 5, "max_connections": 64, "trust_env": False, **given}
        sessions.append(Session(url, **options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


class Asking(threading.Thread):
    """Makes an attempt in a thread of its own."""

    def __init__(self, session, attempt, text=b"q", timeout=60.0):
        super().__init__()
        self.outcome = None
        self._ask = session, attempt, text, timeout
        self.start()

    def run(self):
        session, attempt, text, timeout = self._ask
        try:
            self.outcome = ask(session, attempt, text, timeout)
        except ServerError as error:
            self.outcome = error

    def end(self):
        self.join(30)
        assert not self.is_alive()
        return self.outcome


def ask(session, attempt, text=b"q", timeout=60.0):
    return session.request("POST", "/v1/chat/completions", BODY % text, timeout=timeout, attempt=attempt)


def in_another_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def is_given_up(outcome):
    return isinstance(outcome, ServerUnavailableError) and "given up" in str(outcome) and not outcome.retryable


def test_a_request_that_hangs_is_ended_from_another_thread_and_its_connection_closed(server, connect):
    server.inject(Fault("hang"))
    attempt = Attempt()
    asking = Asking(connect(), attempt)
    server.wait_until(lambda stats: stats.in_service == 1)
    attempt.abort()
    assert is_given_up(asking.end())
    assert attempt.aborted
    assert not attempt.expired
    server.wait_until(lambda stats: stats.aborted == 1 and not stats.open_connections)


def test_a_reply_that_drips_is_ended_as_well(server, connect):
    server.inject(Fault("drip", seconds=1.0))
    attempt = Attempt()
    asking = Asking(connect(), attempt)
    server.wait_until(lambda stats: stats.faults.get("drip") == 1 and not stats.in_service)
    attempt.abort()
    assert is_given_up(asking.end())
    server.wait_until(lambda stats: not stats.open_connections)


def test_what_is_given_up_before_it_is_sent_is_not_sent(server, connect):
    attempt = Attempt()
    attempt.abort()
    assert is_given_up(Asking(connect(), attempt).end())
    assert (server.stats.connections, server.stats.requests) == (0, 0)


def test_what_is_given_up_before_it_is_sent_leaves_a_kept_connection_closed_and_unused(server, connect):
    session = connect()
    ask(session, Attempt())
    attempt = Attempt()
    attempt.abort()
    assert is_given_up(Asking(session, attempt).end())
    assert server.stats.requests == 1


def test_what_is_given_up_while_it_is_connecting_is_not_sent(server, connect):
    attempt = Attempt(lambda: in_another_thread(attempt.abort))  # it waits for the connection first
    assert is_given_up(Asking(connect(), attempt).end())
    server.wait_until(lambda stats: stats.connections == 1 and not stats.open_connections)
    assert server.stats.requests == 0


def test_what_is_given_up_when_it_has_just_been_sent_is_ended(server, connect):
    session = connect()
    ask(session, Attempt())
    server.inject(Fault("hang"))
    attempt = Attempt(lambda: in_another_thread(attempt.abort))  # it waits for the answer first
    assert is_given_up(Asking(session, attempt).end())
    server.wait_until(lambda stats: not stats.open_connections)


def test_giving_one_up_leaves_its_neighbours_alone(server, connect):
    server.inject(Fault("hang", match="stuck"))
    session, attempt, other = connect(), Attempt(), Attempt()
    stuck = Asking(session, attempt, b"stuck")
    neighbour = Asking(session, other, b"also stuck")
    server.wait_until(lambda stats: stats.in_service == 2)
    attempt.abort()
    stuck.end()
    assert ask(session, Attempt()).status == 200
    assert neighbour.is_alive()
    other.abort()
    assert is_given_up(neighbour.end())


def test_giving_up_what_has_ended_does_nothing_to_whoever_uses_its_connection_now(server, connect):
    session, ended = connect(max_connections=1), Attempt()
    ask(session, ended)
    server.pause()
    asking = Asking(session, Attempt())
    server.wait_until(lambda stats: stats.requests == 2)
    ended.abort()
    server.resume()
    assert asking.end().status == 200
    assert server.stats.connections == 1


def test_giving_up_again_and_again_is_the_same_as_once(server, connect):
    server.inject(Fault("hang"))
    attempt = Attempt()
    asking = Asking(connect(), attempt)
    server.wait_until(lambda stats: stats.in_service == 1)
    for _ in range(5):
        attempt.abort()
    assert is_given_up(asking.end())
    attempt.abort()


def test_a_session_goes_on_after_any_number_of_attempts_were_given_up(server, connect):
    server.inject(Fault("hang", match="stuck"))
    session, attempts = connect(), [Attempt() for _ in range(24)]
    asking = [Asking(session, attempt, b"stuck %d" % number) for number, attempt in enumerate(attempts)]
    server.wait_until(lambda stats: stats.in_service == 24)
    for attempt in attempts:
        attempt.abort()
    assert all(is_given_up(each.end()) for each in asking)
    server.wait_until(lambda stats: not stats.open_connections)
    assert ask(session, Attempt()).status == 200


def test_whoever_makes_an_attempt_is_told_once_when_it_waits(connect):
    session, told = connect(), []
    for text in (b"connects", b"is connected", b"x" * 100_000):
        ask(session, Attempt(lambda text=text: told.append(text[:12])), text)
    assert told == [b"connects", b"is connected", b"x" * 12]


def test_it_is_told_in_the_thread_that_makes_the_attempt(connect):
    told = []
    asking = Asking(connect(), Attempt(lambda: told.append(threading.current_thread())))
    asking.end()
    assert told == [asking]


def test_it_is_told_before_the_answer_is_waited_for(server, connect):
    session, told = connect(), threading.Event()
    ask(session, Attempt())
    server.judge = lambda _: "REWARD: 1" if told.wait(10) else "too late"
    assert b"REWARD: 1" in ask(session, Attempt(told.set)).body


def test_it_is_told_before_a_large_request_is_sent_to_a_server_that_does_not_read(connect):
    told, in_time = threading.Event(), []

    def serve_one(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            in_time.append(told.wait(10))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one, args=(listener,))
        thread.start()
        session = connect(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        ask(session, Attempt())
        with pytest.raises(ConnectionDroppedError):
            ask(session, Attempt(told.set), b"x" * 50_000_000)  # more than the sockets' buffers hold
        thread.join()
    assert in_time == [True]


def test_an_attempt_whose_time_was_up_when_the_connection_came_about_is_not_sent(server, connect):
    attempt = Attempt(lambda: wait_for_expiry(attempt))
    with pytest.raises(AttemptTimeoutError):
        ask(connect(), attempt, timeout=0.1)
    server.wait_until(lambda stats: not stats.open_connections)
    assert server.stats.requests == 0


def wait_for_expiry(attempt):
    pause = threading.Event()
    for _ in range(1000):
        if attempt.expired or pause.wait(0.01):
            return
