"""nginx with our configuration, the real one, in front of two servers that speak vLLM's API."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import requests
from balanced import DEPLOY, KEY, PATIENCE_S, groups_at, judge_at, outcomes, samples, two_judges

from llm_judge_remote import Outcome
from llm_judge_remote.serving.launch import Engine
from llm_judge_remote.testing import Fault, JudgeServer

pytestmark = pytest.mark.deploy

NGINX = DEPLOY / "router" / "nginx.conf"


@pytest.fixture
def judges():
    with two_judges() as both:
        yield both


def nginx_program():
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "nginx is not installed (Debian: nginx-light)"
    return found


def render(folder, port, *judges):
    """The configuration as a user edits it: other judges, and another port; nothing else."""
    text = NGINX.read_text()
    for example, judge in zip(("127.0.0.1:8001", "127.0.0.1:8002"), judges, strict=True):
        assert text.count(f"server {example} ") == 1
        text = text.replace(f"server {example} ", f"server {judge.url.removeprefix('http://')} ")
    assert text.count("listen 127.0.0.1:8080 ") == 1
    path = folder / "nginx.conf"
    path.write_text(text.replace("listen 127.0.0.1:8080 ", f"listen 127.0.0.1:{port} "))
    return path


@contextlib.contextmanager
def behind_nginx(*judges):
    def command(port):
        return [nginx_program(), "-e", "stderr", "-p", str(folder), "-c", str(render(folder, port, *judges))]

    # Not pytest's own folder: started by root, nginx works as `nobody`, who must get into it.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Engine(command, log=folder / "nginx.log") as engine:
            engine.wait_until_healthy(PATIENCE_S)
            yield engine.url


def test_nginx_takes_the_configuration_as_it_is(tmp_path):
    command = [nginx_program(), "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(NGINX)]
    done = subprocess.run(command, check=False, text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_behind_nginx_a_group_is_judged_by_one_server_and_both_judge(judges):
    with behind_nginx(*judges) as url, judge_at(url, api_key=KEY) as judge:
        judgements = judge.score(samples())
    assert outcomes(judgements) == {Outcome.JUDGED}
    ours, theirs = map(groups_at, judges)
    assert ours
    assert theirs
    assert not ours & theirs


def test_behind_nginx_rows_are_judged_though_a_server_dies(judges):
    with behind_nginx(*judges) as url, judge_at(url, api_key=KEY) as judge:
        judge.score(samples())
        judges[1].stop()
        assert outcomes(judge.score(samples(word="another"))) == {Outcome.JUDGED}


def test_a_server_that_cannot_be_reached_costs_nginx_s_clients_no_request(judges):
    body = {"model": "Qwen/Qwen3-32B", "messages": [{"role": "user", "content": "Hello"}]}
    with behind_nginx(*judges) as url:
        judges[0].stop()
        for session in range(8):
            headers = {"Authorization": f"Bearer {KEY}", "X-Session-ID": f"session {session}"}
            response = requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=10)
            assert response.status_code == 200


def test_nginx_sends_no_request_to_a_second_server_once_the_first_one_has_it():
    body = {"model": "Qwen/Qwen3-32B", "messages": [{"role": "user", "content": "Hello"}]}
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(JudgeServer(faults=[Fault("reset")])) for _ in range(2)]
        url = stack.enter_context(behind_nginx(*both))
        assert requests.post(f"{url}/v1/chat/completions", json=body, timeout=10).status_code == 502
        assert sum(each.path == "/v1/chat/completions" for server in both for each in server.requests) == 1


def test_nginx_serves_what_clients_need_and_nothing_that_steers_a_server(judges):
    with behind_nginx(*judges) as url:
        for path, status in (
            *(("/health", 200), ("/version", 200), ("/v1/models", 401), ("/openapi.json", 200)),
            *(("/metrics", 404), ("/sleep", 404), ("/wake_up", 404), ("/collective_rpc", 404), ("/", 404)),
        ):
            assert requests.get(url + path, timeout=10).status_code == status
        judges[0].stop()
        assert requests.get(f"{url}/health", timeout=10).status_code == 200
        judges[1].stop()
        assert requests.get(f"{url}/health", timeout=10).status_code == 502


def test_nginx_takes_a_batch_of_many_megabytes():
    body = {"model": "Qwen/Qwen3-32B", "messages": [[{"role": "user", "content": "a" * 1_000_000}]] * 24}
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(JudgeServer(max_model_len=10_000_000)) for _ in range(2)]
        url = stack.enter_context(behind_nginx(*both))
        response = requests.post(f"{url}/v1/chat/completions/batch", json=body, timeout=PATIENCE_S)
    assert response.status_code == 200
    assert len(response.json()["choices"]) == 24
