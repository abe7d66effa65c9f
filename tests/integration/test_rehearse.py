"""`llm-judge-remote rehearse`: a stand-in without a GPU, from a shell."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys

import pytest
import requests

from llm_judge_remote import compute_score
from llm_judge_remote.servers.registry import lookup

COMMANDS = {
    "rehearse": [sys.executable, "-m", "llm_judge_remote", "rehearse"],
    "testing": [sys.executable, "-m", "llm_judge_remote.testing"],
}
COMMAND = COMMANDS["rehearse"]


@contextlib.contextmanager
def rehearsing(*options, command=COMMAND, **more):
    """The process, and its server's URL."""
    words = [*command, "--port", "0", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **more) as process:
        try:
            first = process.stdout.readline()
            assert first.startswith("listening on http://"), first
            assert "not an LLM" in process.stdout.readline()
            yield process, first.removeprefix("listening on ").strip()
        finally:
            process.kill()


def chat(url, content="hello", *, key=None, **more):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {"messages": [{"role": "user", "content": content}], **more}
    return requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_judges_and_ends_well_on_a_signal(command, number):
    with rehearsing(command=command) as (process, url):
        settings = {"server_url": url, "extra_info": {"problem": "6 times 7?"}, "return_details": True}
        details = compute_score("x", "It is 42.", "It is 42.", **settings)
        assert (details["judge_outcome"], details["score"]) == ("judged", 1.0)
        process.send_signal(number)
        assert process.wait(20) == 0
        assert "stopped: " in process.stdout.read()


def test_name_key_reply_and_faults_are_as_told():
    options = ("--model", "tiny", "--reply", "REWARD: 0.25", "--fault", "status:503:retry_after=3:times=1")
    options += ("--latency", "lognormal:0.001,0.5", "--slots", "4", "--api-key", "sesame")
    with rehearsing(*options) as (process, url):
        assert chat(url).status_code == 401
        assert chat(url, key="sesame").headers["retry-after"] == "3"
        answer = chat(url, key="sesame", model="tiny").json()
        assert answer["choices"][0]["message"]["content"] == "REWARD: 0.25"
        assert chat(url, key="sesame", model="huge").status_code == 404
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "4 requests, 2 conversations, faults {'status': 1}" in process.stdout.read()


def test_it_can_be_another_engine_with_other_ways():
    options = ("--engine", "sglang", "--no-openapi", "--sleep", "--no-batch-endpoint", "--max-model-len", "100")
    options += ("--constraint", "regex", "--no-logprobs", "--max-n", "1", "--reasoning-field", "none")
    options += ("--seed", "7", "--keepalive", "2", "--service-time", "0", "--host", "localhost")
    with rehearsing(*options) as (_, url):
        assert requests.get(f"{url}/v1/models", timeout=60).json()["data"][0]["owned_by"] == "sglang"
        assert requests.get(f"{url}/openapi.json", timeout=60).status_code == 404
        assert requests.post(f"{url}/v1/chat/completions/batch", json={}, timeout=60).status_code == 404
        assert chat(url, "x" * 1000).status_code == 400
        (choice,) = chat(url, n=5, logprobs=True, regex="(yes|no)").json()["choices"]
        assert choice["logprobs"] is None
        assert choice["message"]["content"] in ("yes", "no")
        assert requests.post(f"{url}/sleep?level=1", timeout=60).status_code == 200
        assert requests.get(f"{url}/is_sleeping", timeout=60).json() == {"is_sleeping": True}


def test_the_key_may_come_from_the_environment_where_no_list_of_processes_shows_it(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_REHEARSAL_KEY", "sesame")
    with rehearsing() as (_, url):
        assert chat(url).status_code == 401
        assert chat(url, key="sesame").status_code == 200


@pytest.mark.parametrize(("more", "listed"), [((), None), (("--address", "http://judge-7:80"), "http://judge-7:80")])
def test_it_is_registered_for_as_long_as_it_runs(tmp_path, more, listed):
    place = f"file://{tmp_path}/judges"
    with rehearsing("--register", place, *more) as (process, url):
        assert "registered as" in process.stdout.readline()
        assert lookup(place) == [listed or url]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert lookup(place) == []


def run(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_port_that_is_taken_is_said_in_one_line_and_ends_with_1(server):
    done = run("--port", str(server.port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{server.port}: ")


def test_a_registry_that_takes_no_entries_ends_with_1_and_what_it_said():
    done = run("--port", "0", "--register", "dns://judge:8000")
    assert done.returncode == 1
    assert "can only be read" in done.stderr


def test_importing_the_package_does_not_import_the_server():
    code = "import sys, llm_judge_remote; sys.exit('llm_judge_remote.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
