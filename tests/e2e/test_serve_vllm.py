"""`llm-judge-remote serve` with the real vLLM: found by its registry alone, balanced, and gone when it is to be."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
import requests
import services
from balanced import behind_nginx, routed
from serving_process import Serving

from llm_judge_remote import compute_score_batched
from llm_judge_remote.servers.registry import lookup
from llm_judge_remote.serving.guard import group_members
from llm_judge_remote.serving.launch import free_port
from llm_judge_remote.serving.small_model import MODEL_NAME, small_model
from llm_judge_remote.serving.vllm import is_installed

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.skipif(not is_installed(), reason="vLLM is not installed here: `make test-real` installs it"),
]

PRESET = Path(__file__).parents[2] / "deploy" / "presets" / "cpu.yaml"
KEY = "the-key-of-these-servers"
TTL_S = 4
SETTINGS = {
    "api_key": KEY,
    "model_name": MODEL_NAME,
    "temperature": 0,
    "timeout": 600,
    "max_new_tokens": 16,
    "structured_output": "on",
    "return_details": True,
}
ROWS = [("math", f"It is {2 * number}.", f"{2 * number}", {"problem": f"{number} + {number}?"}) for number in range(16)]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory):
    with services.Etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(etcd, tmp_path_factory):
    """Two servers from a preset, each with its registry: one on a shared folder's list, one in etcd."""
    os.environ["KEY_OF_THE_FLEET"] = KEY
    registries = [f"file://{tmp_path_factory.mktemp('shared')}", f"etcd://{etcd.address}"]
    offline = "environment={VLLM_CPU_KVCACHE_SPACE: 1, HF_HUB_OFFLINE: 1}"
    common = (PRESET, f"model={small_model()}", offline, "--api-key-env", "KEY_OF_THE_FLEET", "--registry-ttl", TTL_S)
    names = ("--experiment-name", "math", "--trial-name", "run7")
    servers = [
        Serving(*common, *names, "--registry", registry, "--port", free_port(), patience=600) for registry in registries
    ]
    try:
        for server in servers:
            server.wait_until_said("registered as")
        yield list(zip(servers, [f"{registry}/math/run7/judge" for registry in registries], strict=True))
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.process.terminate()
        for server in servers:
            server.process.wait(120)
            server.__exit__()


def score(server_url):
    return compute_score_batched(*zip(*ROWS, strict=True), server_url=server_url, **SETTINGS)


def test_a_client_with_nothing_but_the_registry_s_url_gets_its_rows_judged(fleet):
    for server, registry in fleet:
        [url] = lookup(registry)
        assert f"==> export LLM_JUDGE_SERVER_URL={registry}" in server.lines
        found = score(registry)
        assert {(row["judge_outcome"], row["judge_server"]) for row in found} == {("judged", url)}
    assert [row["score"] for row in score(fleet[0][1])] == [row["score"] for row in score(fleet[1][1])]


@pytest.mark.parametrize("balancer", ["vllm-router", "nginx"])
def test_behind_a_balancer_both_judge_and_one_address_is_enough(fleet, balancer, tmp_path):
    urls = [lookup(registry)[0] for _, registry in fleet]
    before = [_answered(url) for url in urls]
    with routed(tmp_path, *urls) if balancer == "vllm-router" else behind_nginx(*urls) as url:
        assert {row["judge_outcome"] for row in score(url)} == {"judged"}
    assert all(_answered(url) > count for url, count in zip(urls, before, strict=True))


def test_stopped_it_leaves_the_list_and_no_process_and_the_other_goes_on(fleet):
    server, registry = fleet[0]
    groups = {os.getpgid(pid) for pid in _descendants(server.process.pid)}
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(120) == 0
    assert lookup(registry) == []
    assert [group_members(group) for group in groups] == [[] for _ in groups]
    assert {row["judge_outcome"] for row in score(fleet[1][1])} == {"judged"}


def test_killed_its_engine_ends_and_its_lease_runs_out(fleet):
    server, registry = fleet[1]
    groups = {os.getpgid(pid) for pid in _descendants(server.process.pid)}
    assert any(group_members(group) for group in groups)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(30)
    _wait_for(lambda: not any(group_members(group) for group in groups))
    _wait_for(lambda: lookup(registry) == [])
    assert {row["judge_outcome"] for row in score(registry)} == {"fallback"}


def _answered(url):
    text = requests.get(f"{url}/metrics", timeout=30).text
    return sum(float(count) for count in re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", text, re.MULTILINE))


def _descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _wait_for(condition):
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)
