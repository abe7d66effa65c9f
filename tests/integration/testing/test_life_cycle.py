"""Start, stop, and start again."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from llm_judge_remote.testing import Fault, JudgeServer


def descriptors():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_restarted_server_has_its_port_again_and_goes_on_counting(connect):
    server = JudgeServer(judge="REWARD: 1")
    assert server.port == 0
    client = connect(server)
    ports = set()
    for _ in range(5):
        server.start()
        ports.add(server.port)
        assert client.content() == "REWARD: 1"
        server.stop()
        with pytest.raises(requests.ConnectionError):
            client.chat()
    assert len(ports) == 1
    assert server.stats.conversations == 5


def test_starting_and_stopping_twice_changes_nothing(connect):
    server = JudgeServer()
    server.stop()
    with server:
        port = server.port
        assert server.start() is server
        assert server.port == port
        assert connect(server).get("/health").status_code == 200
        server.stop()
        server.stop()
    assert "stopped" in repr(server)


def test_a_port_that_is_taken_is_an_os_error_and_leaves_nothing_behind(server):
    threads = threading.active_count()
    other = JudgeServer(port=server.port)
    with pytest.raises(OSError, match="in use"):
        other.start()
    assert threading.active_count() == threads
    server.stop()
    with other:
        assert other.port == server.port


def test_stop_cuts_idle_connections(raw, server):
    connection = raw(server, b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
    assert connection.recv(65536)
    silent = raw(server, b"")
    server.wait_until(lambda stats: stats.open_connections == 2)
    server.stop()
    assert connection.recv(1) == b""
    assert silent.recv(1) == b""
    assert server.stats.open_connections == 0


def test_stop_leaves_no_thread_and_no_socket_behind(raw):
    threads, files = set(threading.enumerate()), descriptors()
    faults = [Fault("hang", match="hang"), Fault("drip", seconds=60, match="drip")]
    with JudgeServer(faults=faults, slots=2) as server:
        connections = [raw(server, text="drip")]
        server.wait_until(lambda stats: stats.conversations == 1)  # past the slots, before the others fill them
        connections += [raw(server, text=text) for text in ("hang", "hang", "hang in the queue")]
        server.wait_until(lambda stats: stats.faults == {"drip": 1, "hang": 3} and stats.queued == 1)
        server.stop()
        assert set(threading.enumerate()) == threads
        for connection in connections:
            connection.close()
    assert descriptors() == files


@pytest.mark.parametrize("fault", [Fault("hang"), Fault("drip", seconds=60), Fault("drip_headers", seconds=60)])
def test_stop_releases_clients_that_hang_or_are_dripped_on_at_once(raw, drain, fault):
    with JudgeServer(faults=[fault]) as server:
        connection = raw(server)
        server.wait_until(lambda stats: stats.faults.get(fault.kind) == 1)
        server.stop()
        drain(connection)
        assert server.stats.aborted == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("judge-server")]


def test_stop_releases_a_paused_server(raw):
    with JudgeServer() as server:
        server.pause()
        chat = raw(server)
        health = raw(server, b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_until(lambda stats: stats.requests == 2 and stats.in_service == 1)
        server.stop()
        assert chat.recv(1) == b""
        assert health.recv(1) == b""


def test_a_judge_may_stop_its_own_server(connect):
    def judge(conversation):
        if conversation.text == "die":
            server.stop()
        return "REWARD: 1"

    with JudgeServer(judge=judge) as server:
        client = connect(server)
        assert client.content("live") == "REWARD: 1"
        with pytest.raises(requests.ConnectionError):
            client.chat("die")
        with pytest.raises(requests.ConnectionError):
            client.chat("live")
        server.start()
        assert client.content("live again") == "REWARD: 1"


def test_a_judge_that_does_not_return_is_warned_about(raw, monkeypatch):
    monkeypatch.setattr("llm_judge_remote.testing.judge_server._PATIENCE", 0.05)
    held, release = threading.Event(), threading.Event()

    def judge(_):
        held.set()
        release.wait(20)
        return "REWARD: 1"

    server = JudgeServer(judge=judge).start()
    raw(server)
    assert held.wait(20)
    with pytest.warns(ResourceWarning, match="has not returned"):
        server.stop()
    release.set()
    monkeypatch.undo()
    server.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("judge-server")]


def test_clients_that_come_and_go_leave_no_threads(server):
    threads = threading.active_count()
    for _ in range(50):
        requests.get(server.url + "/health", timeout=20)
    server.wait_until(lambda stats: stats.open_connections == 0)
    server.stop()
    assert threading.active_count() == threads - 2  # those that accept and keep the time


def test_a_server_can_be_restarted_under_fire(connect):
    over = threading.Event()
    answered = []

    def fire(number):
        client = connect(server)
        while not over.is_set():
            with contextlib.suppress(requests.RequestException):  # cut off, or refused while it is down
                answered.append(client.chat(f"{number} {len(answered)}").status_code)

    with JudgeServer(judge="REWARD: 1", slots=2, service_time=0.002) as server:
        with ThreadPoolExecutor(6) as pool:
            clients = [pool.submit(fire, number) for number in range(6)]
            try:
                for _ in range(15):
                    before = server.stats.conversations
                    server.wait_until(lambda stats, before=before: stats.conversations >= before + 5)
                    server.stop()
                    stats = server.stats
                    assert (stats.open_connections, stats.in_service, stats.queued) == (0, 0, 0)
                    assert not [thread for thread in threading.enumerate() if thread.name.startswith("judge-server")]
                    server.start()
            finally:
                over.set()
        assert [client.result() for client in clients] == [None] * 6
        assert connect(server).content() == "REWARD: 1"
    assert set(answered) == {200}


def test_two_servers_do_not_touch_each_other(connect):
    with JudgeServer(judge="one") as one, JudgeServer(judge="two") as two:
        assert one.port != two.port
        assert (connect(one).content(), connect(two).content()) == ("one", "two")
        one.stop()
        assert connect(two).content() == "two"
        assert one.stats.requests == 1
