"""`llm-judge-remote registry`: list, register and prune."""

import json
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from llm_judge_remote.cli.main import app
from llm_judge_remote.cli.terminal import INTERRUPTED
from llm_judge_remote.servers.registry import lookup, open_registry, register
from llm_judge_remote.testing import JudgeServer

DEAD = "http://127.0.0.1:9"


def command(*words):
    result = CliRunner().invoke(app, ["registry", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def place(tmp_path):
    return f"file://{tmp_path}/judges"


@pytest.fixture
def odd_entries(place):
    """One whose lease has run out, and one that is no address."""
    opened = open_registry(place)
    opened.add("10.0.0.6:8000", 1e-9)
    opened.add("not an address", 60)


def test_servers_are_listed_a_line_each_and_what_is_out_of_use_beside(place, odd_entries):
    with register(place, DEAD):
        result = command("list", place)
    assert (result.exit_code, result.stdout) == (0, f"{DEAD}\n")
    assert "http://10.0.0.6:8000: not renewed" in result.stderr
    assert "'not an address' is no address" in result.stderr


def test_programs_get_one_document(place, odd_entries):
    with register(place, DEAD):
        result = command("list", place, "--json")
    assert json.loads(result.stdout) == {
        "registry": place,
        "servers": [DEAD],
        "expired": ["http://10.0.0.6:8000"],
        "others": ["not an address"],
    }
    assert result.stderr == ""


def test_a_registry_without_servers_ends_with_1(place):
    result = command("list", place)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "lists no server" in result.stderr


@pytest.mark.parametrize("verb", [("list",), ("prune",), ("register", DEAD)])
def test_an_address_that_is_no_registry_ends_with_2(verb):
    result = command(verb[0], "gopher://a", *verb[1:])
    assert result.exit_code == 2
    assert "no registry that is known here" in result.stderr


@pytest.mark.parametrize("verb", [("prune",), ("register", DEAD)])
def test_a_registry_that_can_only_be_read_ends_with_1(verb):
    result = command(verb[0], "dns://localhost:9", *verb[1:])
    assert result.exit_code == 1
    assert "can only be read" in result.stderr


@pytest.mark.parametrize(("words", "said"), [((DEAD, "--ttl", "0"), "--ttl"), (("http://user:pw@a:1",), "password")])
def test_what_cannot_be_registered_ends_with_2(place, words, said):
    result = command("register", place, *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "pw@" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_is_registered_until_the_command_is_ended(place, number):
    words = [sys.executable, "-m", "llm_judge_remote", "registry", "register", place, DEAD, "--ttl", "60"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr.readline() == "Registered as 127.0.0.1:9; Ctrl-C takes it out again.\n"
            assert lookup(place) == [DEAD]
            process.send_signal(number)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert lookup(place) == []


def test_dead_servers_are_taken_out_and_told(place):
    opened = open_registry(place)
    with JudgeServer() as server:
        opened.add(server.url, 60)
        opened.add(DEAD, 60)
        result = command("prune", place, "--timeout", "1")
        assert (result.exit_code, result.stdout) == (0, f"{DEAD}\n")
        assert lookup(place) == [server.url]


def test_signals_are_as_before_when_it_could_not_register(place):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    command("register", place, "no address at all")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_ctrl_c_does_not_wait_for_a_server_that_does_not_answer(place):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        open_registry(place).add(f"http://127.0.0.1:{silent.getsockname()[1]}", 600)
        words = [sys.executable, "-m", "llm_judge_remote", "registry", "prune", place, "--timeout", "600"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            try:
                with silent.accept()[0]:
                    process.send_signal(signal.SIGINT)
                    assert process.wait(60) == INTERRUPTED
                assert process.stderr.read() == "Stopped.\n"
            finally:
                process.kill()
