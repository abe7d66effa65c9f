"""`llm-judge-remote sleep` and `wake`, against servers with a sleep mode on real sockets."""

import contextlib
import threading

import pytest
import requests
from typer.testing import CliRunner

from llm_judge_remote.cli.main import app
from llm_judge_remote.servers.registry import register
from llm_judge_remote.testing import JudgeServer

DEAD = "http://127.0.0.1:9"


def command(*words):
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def judge():
    with JudgeServer(sleep=True) as running:
        yield running


def test_a_server_is_put_to_sleep_and_woken_and_is_left_alone_when_it_is_so_already(judge):
    first = command("sleep", "--server-url", judge.url)
    assert (first.exit_code, first.stdout) == (0, f"{judge.url} sleeps, at level 1\n")
    assert judge.sleeping
    assert command("sleep", "--server-url", judge.url).stdout == f"{judge.url} sleeps already\n"
    woken = command("wake", "--server-url", judge.url)
    assert (woken.exit_code, woken.stdout) == (0, f"{judge.url} is awake; it slept at level 1\n")
    assert not judge.sleeping
    assert command("wake", "--server-url", judge.url).stdout == f"{judge.url} is awake already\n"
    assert (judge.stats.sleeps, judge.stats.wakeups) == (1, 1)


def test_after_level_2_the_weights_are_loaded_again(judge):
    assert "at level 2" in command("sleep", "--level", "2", "--server-url", judge.url).stdout
    assert command("wake", "--level", "2", "--server-url", judge.url).exit_code == 0
    assert judge.stats.by_path["/collective_rpc"] == 1


def test_all_servers_of_a_registry_are_meant(judge, tmp_path):
    place = f"file://{tmp_path}/judges"
    with JudgeServer(sleep=True) as other, register(place, judge.url), register(place, other.url):
        assert command("sleep", "--server-url", place).exit_code == 0
        assert (judge.sleeping, other.sleeping) == (True, True)


@pytest.mark.parametrize("verb", ["sleep", "wake"])
def test_a_server_without_a_sleep_mode_ends_with_1_and_how_to_start_one(verb, server):
    result = command(verb, "--server-url", server.url)
    assert result.exit_code == 1
    assert f"{server.url} has no sleep mode: start vLLM with --enable-sleep-mode" in result.stdout


@pytest.mark.parametrize("verb", ["sleep", "wake"])
def test_one_dead_server_ends_with_1_and_the_others_are_served(verb, judge):
    judge.sleeping = verb == "wake"
    result = command(verb, "--server-url", f"{DEAD},{judge.url}")
    assert result.exit_code == 1
    assert f"{DEAD} cannot be reached" in result.stdout
    assert judge.sleeping is (verb == "sleep")


def test_a_server_that_cannot_wake_up_says_why(judge):
    judge.sleeping = True
    judge.out_of_memory = True
    result = command("wake", "--timeout", "5", "--server-url", judge.url)
    assert result.exit_code == 1
    assert "out of memory" in result.stdout


def test_a_server_with_requests_under_way_is_put_to_sleep_only_by_force():
    with JudgeServer(sleep=True, service_time=3600) as judge:

        def ask():
            with contextlib.suppress(requests.ConnectionError):
                requests.post(f"{judge.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})

        thread = threading.Thread(target=ask)
        thread.start()
        judge.wait_until(lambda stats: stats.in_service == 1)
        left_alone = command("sleep", "--server-url", judge.url)
        assert left_alone.exit_code == 1
        assert "1 request under way" in left_alone.stdout
        assert not judge.sleeping
        assert command("sleep", "--force", "--server-url", judge.url).exit_code == 0
        assert judge.sleeping
        judge.stop()
        thread.join()


@pytest.mark.parametrize("verb", ["sleep", "wake"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no address: give --server-url"),
        (("--server-url", DEAD, "--level", "3"), "--level"),
        (("--server-url", DEAD, "--set", "connect_timeot=1"), "connect_timeout"),
        (("--server-url", DEAD, "--config", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
)
def test_what_is_of_no_use_ends_with_2_and_a_reason(verb, words, said):
    result = command(verb, *words)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("verb", ["sleep", "wake"])
def test_a_registry_without_servers_ends_with_1(verb, tmp_path):
    result = command(verb, "--server-url", f"file://{tmp_path}/nobody", "--timeout", "1")
    assert result.exit_code == 1
    assert "lists no server" in result.stderr
