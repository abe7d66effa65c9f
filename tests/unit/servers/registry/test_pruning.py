import socket
import threading

import pytest

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry import open_registry, prune
from llm_judge_remote.testing import JudgeServer


@pytest.fixture
def url(tmp_path):
    return f"file://{tmp_path}/judge"


@pytest.fixture
def refusing():
    """An address at which nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


class Listener:
    """Takes connections, and gives each the same answer."""

    def __init__(self, answer):
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.taken = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            connection, _ = self._socket.accept()
            self.taken.append(connection)
            if connection.recv(1000) == b"end":
                return
            if self._answer:
                connection.sendall(self._answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.create_connection(self._socket.getsockname()) as last:
            last.sendall(b"end")
            self._thread.join()
        for connection in (*self.taken, self._socket):
            connection.close()


def test_the_entry_of_a_dead_server_goes_and_that_of_a_live_one_stays(url, refusing):
    registry = open_registry(url)
    with JudgeServer() as server:
        registry.add(server.url, 30)
        registry.add(refusing, 30)
        assert prune(url) == [f"http://{refusing}"]
        assert registry.addresses() == [server.url]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Loading\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://nowhere.invalid/\r\n\r\n",
    ],
)
def test_a_server_that_answers_anything_is_alive(url, answer):
    registry = open_registry(url)
    with Listener(answer) as server:
        registry.add(server.address, 30)
        assert prune(registry) == []
    assert registry.addresses() == [server.address]


def test_a_server_that_does_not_answer_is_asked_twice(url):
    registry = open_registry(url)
    with Listener(b"") as server:
        registry.add(server.address, 30)
        assert prune(registry, timeout=0.2) == [f"http://{server.address}"]
        asked = len(server.taken)
    assert asked == 2
    assert registry.addresses() == []


def test_a_proxy_is_not_asked(url, refusing, monkeypatch):
    registry = open_registry(url)
    with Listener(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        registry.add(refusing, 30)
        assert prune(registry) == [f"http://{refusing}"]


def test_a_value_that_is_no_address_is_left_alone(url):
    registry = open_registry(url)
    registry.add("not ready", 30)
    assert prune(registry) == []
    assert registry.addresses() == ["not ready"]


def test_whoever_prunes_may_say_who_is_alive(url):
    registry = open_registry(url)
    for address in ("a:1", "a:1", "b:2#weight=3", "c:3"):
        registry.add(address, 30)
    asked = []
    dead = prune(registry, is_alive=lambda address: asked.append(address) or address == "http://c:3")
    assert sorted(dead) == ["http://a:1", "http://b:2"]
    assert sorted(asked) == ["http://a:1", "http://b:2", "http://c:3"]
    assert registry.addresses() == ["c:3"]


def test_a_registry_that_can_only_be_read_says_so_when_there_is_something_to_remove():
    assert prune("dns://localhost:8000", is_alive=lambda _: True) == []
    with pytest.raises(RegistryError, match="can only be read"):
        prune("dns://localhost:8000", is_alive=lambda _: False)
