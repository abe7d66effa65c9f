"""`python -m llm_judge_remote.testing`."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "llm_judge_remote.testing"]


class Url(str):
    """Looks like a server to the client fixture."""

    @property
    def url(self):
        return str(self)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_serves_and_ends_well_on_a_signal(connect, tmp_path, number):
    command = [*COMMAND, "--port", "0", "--model", "tiny", "--fault", "status:503:retry_after=3:times=1"]
    command += ["--service-time", "lognormal:0.001,0.5", "--slots", "4", "--reply", "REWARD: 0.25"]
    command += ["--constraint", "regex", "--no-logprobs", "--max-n", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            first = process.stdout.readline()
            assert first.startswith("listening on http://127.0.0.1:")
            assert "not an LLM" in process.stdout.readline()
            client = connect(Url(first.removeprefix("listening on ").strip()))
            assert client.get("/v1/models").json()["data"][0]["id"] == "tiny"
            assert client.chat(model="tiny").headers["retry-after"] == "3"
            assert client.content(model="tiny", logprobs=True, top_logprobs=99, n=9) == "REWARD: 0.25"
            process.send_signal(number)
            assert process.wait(20) == 0
            assert "3 requests, 2 conversations" in process.stdout.read()
        finally:
            process.kill()


def test_it_can_be_another_engine_and_sleep(connect, tmp_path):
    command = [*COMMAND, "--port", "0", "--engine", "sglang", "--no-openapi", "--sleep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            client = connect(Url(process.stdout.readline().removeprefix("listening on ").strip()))
            assert client.get("/v1/models").json()["data"][0]["owned_by"] == "sglang"
            assert client.get("/openapi.json").status_code == 404
            assert client.post("/sleep?level=1", None).status_code == 200
            assert client.get("/is_sleeping").json() == {"is_sleeping": True}
        finally:
            process.kill()


def run(*arguments, cwd):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fault", "explode"), "no kind of fault"),
        (("--service-time", "soon"), "no service time"),
        (("--slots", "0"), "greater than or equal to 1"),
        (("--max-n", "0"), "greater than or equal to 1"),
        (("--constraint", "guided_json"), "invalid choice"),
        (("--engine", "tgi"), "invalid choice"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_with_a_reason(tmp_path, arguments, words):
    done = run("--port", "0", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_in_one_line(server, tmp_path):
    done = run("--port", str(server.port), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{server.port}: ")


def test_the_help_says_that_it_is_not_an_llm(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "not an LLM" in done.stdout


def test_importing_the_package_does_not_import_the_server(tmp_path):
    code = "import sys, llm_judge_remote; sys.exit('llm_judge_remote.testing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, cwd=tmp_path, check=False).returncode == 0
