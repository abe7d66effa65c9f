"""What the tests of both balancers share: two judges, rows in groups, and who was asked about which."""

import contextlib
from pathlib import Path

import yaml

from llm_judge_remote import Judge, JudgeSettings, Sample
from llm_judge_remote.testing import JudgeServer

__all__ = [
    "DEPLOY",
    "KEY",
    "PATIENCE_S",
    "groups_at",
    "judge_at",
    "outcomes",
    "router_arguments",
    "samples",
    "two_judges",
]

DEPLOY = Path(__file__).parents[2] / "deploy"
PATIENCE_S = 60.0
KEY = "the-key-of-this-test"


@contextlib.contextmanager
def two_judges():
    """Two servers that want a key."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(JudgeServer(judge="REWARD: 0.5", api_key=KEY)) for _ in range(2)]


def samples(groups=16, size=4, word="candidate"):
    return [
        Sample(f"{word} {group} {row}", (f"reference {group}",), problem=f"problem {group}")
        for group in range(groups)
        for row in range(size)
    ]


def judge_at(url, **settings):
    return Judge(JudgeSettings(server_url=url, hedging="off", **settings))


def groups_at(server):
    """The groups whose requests came to a server, by the header for balancers."""
    return {each.headers["x-session-id"] for each in server.requests if "x-session-id" in each.headers}


def outcomes(judgements):
    return {each.outcome for each in judgements}


def router_arguments():
    """The words after `vllm-router` in its manifest."""
    path = DEPLOY / "kubernetes/components/router/deployment.yaml"
    (container,) = yaml.safe_load(path.read_text())["spec"]["template"]["spec"]["containers"]
    return container["args"]
