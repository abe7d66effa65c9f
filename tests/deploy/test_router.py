"""run_vllm_router.sh and the real vllm-router, in front of two servers that speak vLLM's API."""

import subprocess
import sys

import pytest
import requests
import yaml
from balanced import (
    DEPLOY,
    KEY,
    PATIENCE_S,
    ROUTER,
    groups_at,
    judge_at,
    outcomes,
    routed,
    router_arguments,
    samples,
)
from vllm_router.launch_router import parse_router_args

from llm_judge_remote import Outcome
from llm_judge_remote.servers.registry import register

pytestmark = pytest.mark.deploy


def script(*options, python=sys.executable):
    command = [str(ROUTER), "--python", python, *options]
    return subprocess.run(command, check=False, text=True, capture_output=True, timeout=PATIENCE_S)


def test_behind_the_router_a_group_is_judged_by_one_server_and_both_judge(tmp_path, judges):
    # This router takes the key off batches: the client must see that, and ask one by one.
    with (
        routed(tmp_path, *(each.url for each in judges)) as url,
        judge_at(url, api_key=KEY) as judge,
    ):
        judgements = judge.score(samples())
    assert outcomes(judgements) == {Outcome.JUDGED}
    ours, theirs = map(groups_at, judges)
    assert ours
    assert theirs
    assert not ours & theirs


def test_behind_the_router_rows_are_judged_though_a_server_dies(tmp_path, judges):
    with (
        routed(tmp_path, *(each.url for each in judges)) as url,
        judge_at(url, api_key=KEY) as judge,
    ):
        judge.score(samples())
        judges[1].stop()
        assert outcomes(judge.score(samples(word="another"))) == {Outcome.JUDGED}


def test_the_router_lets_nobody_pass_without_the_judges_key(tmp_path, judges):
    body = {"model": "Qwen/Qwen3-32B", "messages": [{"role": "user", "content": "Hello"}]}
    with routed(tmp_path, *(each.url for each in judges)) as url:
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {KEY}"}, 200)):
            response = requests.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=10)
            assert response.status_code == status


def test_the_router_finds_the_judges_of_a_registry(tmp_path, judges):
    registry = f"file://{tmp_path}/experiment/trial/judge"
    with register(registry, judges[0].url), register(registry, judges[1].url):
        done = script("--dry-run", registry)
    assert done.returncode == 0, done.stderr
    assert all(each.url in done.stdout for each in judges)
    empty = script("--dry-run", registry)
    assert empty.returncode == 1
    assert "lists no server" in empty.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "which judges?"),
        (["--prot", "1", "http://a:8000"], "there is no option --prot"),
        (["--port"], "--port needs a value"),
        (["--host", "0.0.0.0", "http://a:8000"], "say --insecure"),
        (["http://a:8000", "--", "--api-key", KEY], "the router would put it on requests that came without a key"),
    ],
)
def test_a_wrong_option_of_the_router_s_script_is_named(options, words):
    done = script(*options)
    assert done.returncode != 0
    assert words in done.stderr
    assert KEY not in done.stderr


def test_a_missing_router_is_named_with_what_installs_it(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert f"{python} -m pip install 'vllm-router>=0.1.17'" in script("http://a:8000", python=str(python)).stderr


@pytest.mark.parametrize("name", ["compose", "kubernetes"])
def test_the_router_takes_the_arguments_of_the_manifests_and_they_are_the_script_s(name):
    if name == "compose":
        words = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"]["router"]["command"]
    else:
        words = router_arguments()
    given, own = parse_router_args(words), parse_router_args(script("--dry-run", "http://a:8000").stdout.split()[3:])
    for setting in ("policy", "request_timeout_secs", "retry_max_retries", "log_level"):
        assert getattr(given, setting) == getattr(own, setting)
    for setting in (each for each in vars(own) if each.startswith(("health_", "cb_"))):
        assert getattr(given, setting) == getattr(own, setting)
    assert given.policy == "consistent_hash"
