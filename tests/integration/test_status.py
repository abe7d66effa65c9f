"""`status` and its room, against servers on real sockets."""

import contextlib
import json
import os
import pty
import signal
import socketserver
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
import requests

from llm_judge_remote import Judge, Outcome, Sample
from llm_judge_remote.monitoring.fleet import WatchedFleet
from llm_judge_remote.servers.registry import register
from llm_judge_remote.settings import JudgeSettings
from llm_judge_remote.testing import JudgeServer

DEAD = "http://127.0.0.1:9"
COMMAND = [sys.executable, "-m", "llm_judge_remote", "status"]


@contextlib.contextmanager
def answering(pages, arrived=None):
    """A server with these pages: path -> (status, body); `wait` for one that does not answer before the end.

    `arrived` is an event that is set when such a page is asked for.
    """
    released = threading.Event()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            if pages.get(self.path) == "wait":
                if arrived is not None:
                    arrived.set()
                released.wait(60)
                return
            status, body = pages.get(self.path, (404, ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            released.set()
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def breakers(tmp_path_factory, monkeypatch):
    """The folder for breakers, of this test alone: other tests use the address of no server, too."""
    folder = tmp_path_factory.mktemp("breakers")
    monkeypatch.setenv("LLM_JUDGE_BREAKER_FOLDER", str(folder))
    return folder


@contextlib.contextmanager
def watched(*addresses, **options):
    with WatchedFleet(JudgeSettings(server_url=",".join(addresses)), **options) as fleet:
        yield fleet


def by_address(statuses):
    return {each.address: each for each in statuses}


def test_a_dead_server_is_a_row_and_no_error(server):
    with watched(server.url, DEAD) as fleet:
        found = by_address(fleet.look())
    assert found[server.url].state == "well"
    assert found[server.url].model == "Qwen/Qwen3-32B"
    assert (found[DEAD].state, found[DEAD].is_well, found[DEAD].running) == ("down", False, None)
    assert "refused" in found[DEAD].note


@contextlib.contextmanager
def asked(server, conversations):
    """So many conversations at a server, which are there until it stops."""

    def ask():
        with contextlib.suppress(requests.ConnectionError):
            requests.post(f"{server.url}/v1/chat/completions/batch", json=body, timeout=60)

    body = {"messages": [[{"role": "user", "content": f"{number}"}] for number in range(conversations)]}
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join()


def test_what_a_server_works_on_and_what_waits_is_told():
    with JudgeServer(slots=2, service_time=3600) as server, watched(server.url) as fleet, asked(server, 5):
        server.wait_until(lambda stats: stats.queued == 3)
        (status,) = fleet.look()
    assert (status.running, status.waiting) == (2, 3)


def test_tokens_per_second_come_from_two_looks(server):
    clock = iter(range(1000))
    with watched(server.url, clock=lambda: float(next(clock))) as fleet:
        (first,) = fleet.look()
        body = {"messages": [{"role": "user", "content": "x" * 400}]}
        assert requests.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).status_code == 200
        (second,) = fleet.look()
    assert first.prompt_tokens_per_s is None
    assert 0 < second.prompt_tokens_per_s <= server.stats.prompt_tokens
    assert second.generation_tokens_per_s > 0


def test_a_server_that_loads_its_model_is_unwell_and_says_why_and_is_well_when_it_has(server):
    server.loading = True
    with watched(server.url) as fleet:
        (loading,) = fleet.look()
        server.loading = False
        (loaded,) = fleet.look()
    assert (loading.state, "being loaded" in loading.note) == ("unwell", True)
    assert (loaded.state, loaded.note) == ("well", "")


def test_a_server_that_sleeps_is_told_apart():
    with JudgeServer(sleep=True) as server, watched(server.url) as fleet:
        server.sleeping = True
        assert fleet.look()[0].state == "asleep"
        server.sleeping = False
        assert fleet.look()[0].state == "well"


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ((404, ""), "has no /metrics"),
        ((401, ""), "answered 401 to /metrics"),
        ((200, "<html>"), "neither vLLM's nor SGLang's"),
    ],
)
def test_a_server_without_figures_is_well_and_the_note_says_what_is_missing(answer, note):
    with answering({"/health": (200, ""), "/metrics": answer}) as url, watched(url) as fleet:
        (status,) = fleet.look()
    assert (status.state, status.running) == ("well", None)
    assert note in status.note


def test_figures_that_do_not_come_leave_the_server_well():
    pages = {"/health": (200, ""), "/metrics": "wait"}
    with answering(pages) as url, watched(url, timeout=0.3) as fleet:
        (status,) = fleet.look()
    assert status.state == "well"
    assert "no figures" in status.note


def test_a_server_that_takes_connections_and_does_not_answer_is_down():
    with answering({"/health": "wait"}) as url, watched(url, timeout=0.2) as fleet:
        assert fleet.look()[0].state == "down"


def test_servers_of_a_registry_come_and_go_and_named_ones_stay_first(server, tmp_path):
    place = f"file://{tmp_path}/judges"
    with JudgeServer() as other, watched(place, server.url) as fleet:
        assert [each.address for each in fleet.look()] == [server.url]
        assert fleet.troubles == [f"{place} lists no server"]
        with register(place, other.url):
            found = fleet.look()
            assert [(each.address, each.source) for each in found] == [(server.url, ""), (other.url, place)]
            assert fleet.troubles == []
        assert [each.address for each in fleet.look()] == [server.url]


def test_a_registry_that_cannot_be_asked_leaves_the_servers_that_it_listed(server, tmp_path):
    folder = tmp_path / "judges"
    with watched(f"file://{folder}") as fleet, register(f"file://{folder}", server.url) as registration:
        fleet.look()
        listed = folder.rename(tmp_path / "elsewhere")
        folder.write_text("no folder")
        found = fleet.look()
        troubles = fleet.troubles
        folder.unlink()
        listed.rename(folder)
        assert registration.value == f"127.0.0.1:{server.port}"
    assert [(each.address, each.state) for each in found] == [(server.url, "well")]
    assert len(troubles) == 1


def test_the_key_of_the_settings_is_sent():
    with JudgeServer(api_key="sesame", engine="sglang") as server:
        settings = JudgeSettings(server_url=server.url, api_key="sesame")
        with WatchedFleet(settings) as fleet:
            fleet.look()
        assert {request.headers.get("authorization") for request in server.requests} == {"Bearer sesame"}


def test_ctrl_c_ends_a_watch_in_a_terminal_with_0_and_a_clean_screen(server):
    seen = b""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--watch", "--interval", "0.1", "--server-url", f"{server.url},{DEAD}"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(follower)
        try:
            while b"Ctrl-C" not in seen:
                seen += os.read(leader, 65536)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # how Linux says that a terminal's other side is closed
                while more := os.read(leader, 65536):
                    seen += more
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(leader)
    assert b"\x1b[?1049h" in seen
    left = seen.rpartition(b"\x1b[?1049l")[2]  # what is printed when the screen of its own is left
    assert b"down" in left
    assert b"\x1b[?25h" in seen.rpartition(b"\x1b[?25l")[2]


def test_a_watch_for_programs_is_a_line_of_json_for_each_look(server):
    command = [*COMMAND, "--watch", "--json", "--interval", "0.1", "--server-url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            looks = [json.loads(process.stdout.readline()) for _ in range(3)]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert [look["servers"][0]["state"] for look in looks] == ["well"] * 3
    assert looks[0]["time"] < looks[2]["time"]


def test_ctrl_c_does_not_wait_for_a_server_that_does_not_answer():
    arrived = threading.Event()
    with answering({"/health": "wait"}, arrived) as url:
        command = [*COMMAND, "--watch", "--server-url", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert arrived.wait(60)
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0
                assert process.stdout.read() == ""  # it did not wait for the look to end
            finally:
                process.kill()


def test_ctrl_c_before_anything_is_shown_ends_with_130():
    arrived = threading.Event()
    with answering({"/health": "wait"}, arrived) as url:
        words = [*COMMAND, "--server-url", url]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert arrived.wait(60)
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
                assert process.stderr.read() == "Stopped.\n"
            finally:
                process.kill()


CLIENT = """
import sys
from llm_judge_remote import Judge, JudgeSettings, Sample
judge = Judge(JudgeSettings(server_url=sys.argv[1], startup_timeout=0, outage_grace=0, max_retries=0))
row = Sample("4", ("4",))
print(judge.score([row])[0].outcome, flush=True)
for _ in sys.stdin:
    print(judge.score([row])[0].outcome, flush=True)
"""


@contextlib.contextmanager
def client(url):
    """A process with a judge that asks `url` at its start, and again for each line that it is sent."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CLIENT, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def looked_until(fleet, fits):
    until = time.monotonic() + 60
    while not fits(statuses := fleet.look()):
        assert time.monotonic() < until, statuses
        time.sleep(0.02)
    return statuses


def test_a_breaker_that_opens_in_another_process_is_shown_until_it_closes(server):
    url, port = server.url, server.port
    server.stop()
    with client(url) as process, watched(url) as fleet:
        assert process.stdout.readline() == "fallback\n"
        (status,) = looked_until(fleet, lambda statuses: statuses[0].open_breakers)
        (opened,) = status.open_breakers
        assert (opened.pid, opened.address) == (process.pid, url)
        assert "refused" in opened.error
        shown = subprocess.run(
            [*COMMAND, "--interval", "0.1", "--server-url", url], capture_output=True, text=True, check=False
        )
        assert "open 1" in shown.stdout
        assert f"breaker of process {process.pid} on" in " ".join(shown.stdout.split())
        with JudgeServer(port=port):

            def is_closed(statuses):
                process.stdin.write("again\n")
                process.stdin.flush()
                process.stdout.readline()
                return not statuses[0].open_breakers

            looked_until(fleet, is_closed)


def test_a_client_that_ends_leaves_no_open_breaker_behind(server, breakers):
    server.stop()
    with client(server.url) as process, watched(server.url) as fleet:
        looked_until(fleet, lambda statuses: statuses[0].open_breakers)
        process.stdin.close()
        assert process.wait(60) == 0
        assert fleet.look()[0].open_breakers == ()
    assert not list(breakers.iterdir())


def test_a_folder_for_breakers_that_cannot_be_read_is_said_and_the_servers_are_shown(server, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_BREAKER_FOLDER", "/nowhere/breakers")
    with watched(server.url) as fleet:
        (status,) = fleet.look()
        assert status.state == "well"
        assert fleet.troubles == ["breaker_folder='/nowhere/breakers' cannot be read: no such folder"]


def test_a_server_that_leaves_its_registry_takes_its_open_breaker_along(server, tmp_path, breakers):
    server.stop()
    place = f"file://{tmp_path}/judges"
    settings = JudgeSettings(server_url=place, startup_timeout=0, outage_grace=0, registry_refresh=0.05, max_retries=0)
    with Judge(settings) as judge, watched(server.url) as fleet:
        with register(place, server.url):
            assert judge.score([Sample("4", ("4",))])[0].outcome is Outcome.FALLBACK
            looked_until(fleet, lambda statuses: statuses[0].open_breakers)
        looked_until(fleet, lambda statuses: not statuses[0].open_breakers)
    assert not list(breakers.iterdir())


def test_where_breakers_are_not_to_be_noted_none_are_written_nor_read(server, breakers, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_BREAKER_FOLDER", "off")
    monkeypatch.setattr("tempfile.tempdir", str(breakers))
    server.stop()
    with Judge(JudgeSettings(server_url=server.url, startup_timeout=0, outage_grace=0, max_retries=0)) as judge:
        assert judge.score([Sample("4", ("4",))])[0].outcome is Outcome.FALLBACK
        assert not judge.stats().servers[0].is_up
        with watched(server.url) as fleet:
            assert fleet.look()[0].open_breakers == ()
            assert fleet.troubles == []
    assert not list(breakers.iterdir())
