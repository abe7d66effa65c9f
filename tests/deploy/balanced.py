"""What the tests of both balancers share: two judges, rows in groups, and who was asked about which."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from llm_judge_remote import Judge, JudgeSettings, Sample
from llm_judge_remote.serving.launch import Engine, free_port
from llm_judge_remote.testing import JudgeServer

__all__ = [
    "DEPLOY",
    "KEY",
    "NGINX",
    "PATIENCE_S",
    "ROUTER",
    "behind_nginx",
    "groups_at",
    "judge_at",
    "nginx_program",
    "outcomes",
    "routed",
    "router_arguments",
    "samples",
    "two_judges",
]

DEPLOY = Path(__file__).parents[2] / "deploy"
ROUTER = DEPLOY / "router" / "run_vllm_router.sh"
NGINX = DEPLOY / "router" / "nginx.conf"
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


def nginx_program():
    """The program, or an error that says where it comes from."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "nginx is not installed (Debian: nginx-light)"
    return found


def render_nginx(folder, port, *urls):
    """The configuration as a user edits it: other judges, and another port; nothing else."""
    text = NGINX.read_text()
    for example, url in zip(("127.0.0.1:8001", "127.0.0.1:8002"), urls, strict=True):
        assert text.count(f"server {example} ") == 1
        text = text.replace(f"server {example} ", f"server {url.removeprefix('http://')} ")
    assert text.count("listen 127.0.0.1:8080 ") == 1
    path = folder / "nginx.conf"
    path.write_text(text.replace("listen 127.0.0.1:8080 ", f"listen 127.0.0.1:{port} "))
    return path


@contextlib.contextmanager
def behind_nginx(*urls):
    """nginx with our configuration in front of two servers; its address."""

    def command(port):
        return [nginx_program(), "-e", "stderr", "-p", str(folder), "-c", str(render_nginx(folder, port, *urls))]

    # Not pytest's own folder: started by root, nginx works as `nobody`, who must get into it.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Engine(command, log=folder / "nginx.log") as engine:
            engine.wait_until_healthy(PATIENCE_S)
            yield engine.url


@contextlib.contextmanager
def routed(folder, *judges, options=()):
    """The start script with the real router; its address.

    Judges are addresses, or a registry's URL.
    """

    def command(port):
        own = ["--port", str(port), "--metrics-port", str(free_port()), "--python", sys.executable]
        return [str(ROUTER), *own, *judges, *(["--", *options] if options else [])]

    with Engine(command, log=folder / "router.log") as engine:
        engine.wait_until_healthy(PATIENCE_S)
        yield engine.url
