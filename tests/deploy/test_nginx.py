"""nginx with our configuration, the real one, in front of two servers that speak vLLM's API."""

import contextlib
import subprocess

import pytest
import requests
from balanced import (
    KEY,
    NGINX,
    PATIENCE_S,
    behind_nginx,
    groups_at,
    judge_at,
    nginx_program,
    outcomes,
    samples,
)

from llm_judge_remote import Outcome
from llm_judge_remote.testing import Fault, JudgeServer

pytestmark = pytest.mark.deploy


def test_nginx_takes_the_configuration_as_it_is(tmp_path):
    command = [nginx_program(), "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(NGINX)]
    done = subprocess.run(command, check=False, text=True, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_behind_nginx_a_group_is_judged_by_one_server_and_both_judge(judges):
    with behind_nginx(*(each.url for each in judges)) as url, judge_at(url, api_key=KEY) as judge:
        judgements = judge.score(samples())
    assert outcomes(judgements) == {Outcome.JUDGED}
    ours, theirs = map(groups_at, judges)
    assert ours
    assert theirs
    assert not ours & theirs


def test_behind_nginx_rows_are_judged_though_a_server_dies(judges):
    with behind_nginx(*(each.url for each in judges)) as url, judge_at(url, api_key=KEY) as judge:
        judge.score(samples())
        judges[1].stop()
        assert outcomes(judge.score(samples(word="another"))) == {Outcome.JUDGED}


def test_a_server_that_cannot_be_reached_costs_nginx_s_clients_no_request(judges):
    body = {"model": "Qwen/Qwen3-32B", "messages": [{"role": "user", "content": "Hello"}]}
    with behind_nginx(*(each.url for each in judges)) as url:
        judges[0].stop()
        for session in range(8):
            headers = {"Authorization": f"Bearer {KEY}", "X-Session-ID": f"session {session}"}
            response = requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=10)
            assert response.status_code == 200


def test_nginx_sends_no_request_to_a_second_server_once_the_first_one_has_it():
    body = {"model": "Qwen/Qwen3-32B", "messages": [{"role": "user", "content": "Hello"}]}
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(JudgeServer(faults=[Fault("reset")])) for _ in range(2)]
        url = stack.enter_context(behind_nginx(*(each.url for each in both)))
        assert requests.post(f"{url}/v1/chat/completions", json=body, timeout=10).status_code == 502
        assert sum(each.path == "/v1/chat/completions" for server in both for each in server.requests) == 1


def test_nginx_serves_what_clients_need_and_nothing_that_steers_a_server(judges):
    with behind_nginx(*(each.url for each in judges)) as url:
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
        url = stack.enter_context(behind_nginx(*(each.url for each in both)))
        response = requests.post(f"{url}/v1/chat/completions/batch", json=body, timeout=PATIENCE_S)
    assert response.status_code == 200
    assert len(response.json()["choices"]) == 24
