"""The exchange where threads and sockets meet, against a real server."""

import threading

import pytest

from llm_judge_remote import errors
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.client.exchange import Exchange, NoBatchEndpointError
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.sessions import Connection
from llm_judge_remote.testing import Fault, JudgeServer


@pytest.fixture
def server():
    with JudgeServer(judge="REWARD: 1", model="m") as running:
        yield running


@pytest.fixture
def connect():
    exchanges = []

    def make(*addresses, **given):
        exchanges.append(Exchange(Connection(**given)))
        return exchanges[-1]

    yield make
    for exchange in exchanges:
        exchange.close()


def asking(text="q", model="m"):
    return ChatRequest(({"role": "user", "content": text},), model, 0.0, 1.0, 5, enable_thinking=False)


def chunk(*texts):
    return [asking(text) for text in texts or ("a", "b", "c")]


def ask(exchange, *requests, address, attempt=None):
    return exchange.send(address, requests or (asking(),), attempt or Attempt())


class Asking(threading.Thread):
    """Asks in a thread of its own; `waits` is set when the server has the next word."""

    def __init__(self, exchange, address, *requests):
        super().__init__()
        self.waits = threading.Event()
        self.attempt = Attempt(self.waits.set)
        self.outcome = None
        self._ask = exchange, address, requests
        self.start()

    def run(self):
        exchange, address, requests = self._ask
        try:
            self.outcome = exchange.send(address, requests, self.attempt)
        except errors.ServerError as error:
            self.outcome = error

    def end(self):
        self.join(30)
        assert not self.is_alive()
        return self.outcome


def test_auto_asks_once_although_many_threads_want_to_know_at_the_same_time(server, connect):
    exchange = connect(server.url)
    server.pause()
    threads = [Asking(exchange, server.url, asking(str(number), model="auto")) for number in range(12)]
    for thread in threads:
        assert thread.waits.wait(10)
    server.resume()
    assert [thread.end()[0].content for thread in threads] == ["REWARD: 1"] * 12
    assert server.stats.by_path["/v1/models"] == 1


def test_a_server_that_does_not_name_its_model_keeps_nobody_waiting_for_longer_than_one_attempt(server, connect):
    exchange = connect(server.url, timeout=1.0)
    server.pause()
    threads = [Asking(exchange, server.url, asking(str(number), model="auto")) for number in range(6)]
    outcomes = [thread.end() for thread in threads]
    assert {type(outcome) for outcome in outcomes} == {errors.AttemptTimeoutError}
    assert len(set(map(id, outcomes))) == 6
    assert server.stats.requests <= 2


def test_a_server_that_does_not_name_its_model_keeps_no_other_server_waiting(server, connect):
    with JudgeServer(model="n") as hanging:
        exchange = connect(hanging.url, server.url)
        hanging.pause()
        stuck = Asking(exchange, hanging.url, asking(model="auto"))
        hanging.wait_until(lambda stats: stats.requests == 1)
        fine = Asking(exchange, server.url, asking(model="auto"))
        assert fine.end()[0].content == "REWARD: 1"
        assert stuck.is_alive()
        hanging.resume()
        assert stuck.end()[0].server == hanging.url


@pytest.mark.parametrize("requests", [[asking()], chunk(), [asking(model="auto")]], ids=["single", "chunk", "auto"])
def test_those_who_prepare_requests_are_let_go_on_before_the_wait_for_the_server(server, connect, requests):
    server.pause()
    thread = Asking(connect(server.url), server.url, *requests)
    assert thread.waits.wait(10)
    assert thread.is_alive()
    server.resume()
    assert len(thread.end()) == len(requests)


def test_they_are_let_go_on_once_by_each_attempt(server, connect):
    exchange, told = connect(server.url), []
    requests = {"first": asking(model="auto"), "kept": asking(), "large": asking("x" * 100_000), "last": asking()}
    for name, request in requests.items():
        ask(exchange, request, address=server.url, attempt=Attempt(lambda name=name: told.append(name)))
    assert told == list(requests)


def test_they_are_let_go_on_when_the_server_does_not_even_take_connections(connect):
    with JudgeServer() as gone:
        url = gone.url
    thread = Asking(connect(url), url, asking())
    assert isinstance(thread.end(), errors.ServerUnavailableError)
    assert thread.waits.is_set()


def test_a_request_that_hangs_ends_with_its_timeout_and_its_neighbours_do_not(server, connect):
    server.inject(Fault("hang", match="stuck"))
    exchange = connect(server.url, timeout=2.0)
    stuck = Asking(exchange, server.url, asking("stuck"))
    server.wait_until(lambda stats: stats.in_service == 1)
    assert ask(exchange, address=server.url)[0].content == "REWARD: 1"
    assert isinstance(stuck.end(), errors.AttemptTimeoutError)


def test_closing_ends_what_is_under_way_and_what_comes_after(server, connect):
    server.inject(Fault("hang"))
    exchange = connect(server.url)
    stuck = Asking(exchange, server.url, asking())
    server.wait_until(lambda stats: stats.in_service == 1)
    exchange.close()
    assert "closed" in str(stuck.end())
    with pytest.raises(errors.ServerUnavailableError, match="closed"):
        ask(exchange, address=server.url)
    assert server.stats.requests == 1


def test_a_real_server_answers_a_chunk_in_order(server, connect):
    server.judge = lambda conversation: conversation.text.upper()
    replies = ask(connect(server.url), *chunk("a", "b", "c"), address=server.url)
    assert [reply.content for reply in replies] == ["A", "B", "C"]


def test_a_real_server_without_the_endpoint_says_so(connect):
    with JudgeServer(model="m", batch_endpoint=False) as old, pytest.raises(NoBatchEndpointError):
        ask(connect(old.url), *chunk(), address=old.url)
