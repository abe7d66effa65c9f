"""vllm-router's service discovery, as its manifest starts it; the API server is a stand-in that knows three pods."""

import contextlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from balanced import PATIENCE_S, judge_at, outcomes, router_arguments, samples

from llm_judge_remote import Outcome
from llm_judge_remote.serving.launch import Engine, free_port
from llm_judge_remote.testing import JudgeServer

pytestmark = pytest.mark.deploy


class _Pods(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        if "watch=" in self.path:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.close_connection = True
            self.server.over.wait(PATIENCE_S)
            return
        content = {"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "1"}}
        body = json.dumps({**content, "items": self.server.pods}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def pod(name, address, **labels):
    return {
        "metadata": {"name": name, "namespace": "training", "uid": name, "labels": labels},
        "spec": {"containers": [{"name": "vllm"}]},
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }


@pytest.fixture
def cluster(tmp_path):
    """An API server with a list of pods, and the file that tells how it is reached."""
    labels = {"app.kubernetes.io/name": "llm-judge", "app.kubernetes.io/component": "judge"}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pods) as server:
        server.asked, server.over = [], threading.Event()
        server.pods = [pod("a", "127.0.0.1", **labels), pod("b", "127.0.0.2", **labels), pod("c", "127.0.0.3", app="x")]
        server.access = tmp_path / "access"
        entries = {
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": {}}],
        }
        content = {"apiVersion": "v1", "kind": "Config", "current-context": "here", **entries}
        server.access.write_text(json.dumps(content))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def test_on_kubernetes_the_router_finds_the_judges_by_their_labels(tmp_path, cluster):
    judge_port = free_port()

    def command(port):
        metrics = str(free_port())
        own = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=8000": f"--port={port}"}
        own |= {"--prometheus-host=0.0.0.0": "--prometheus-host=127.0.0.1"}
        own |= {"--prometheus-port=29000": f"--prometheus-port={metrics}"}
        own |= {"--service-discovery-port=8000": f"--service-discovery-port={judge_port}"}
        words = [own.get(word, word).replace("$(POD_NAMESPACE)", "training") for word in router_arguments()]
        assert own.keys() <= set(router_arguments())
        return [sys.executable, "-m", "vllm_router.launch_router", *words]

    environment = {"KUBECONFIG": str(cluster.access)}
    with contextlib.ExitStack() as stack:
        for host in ("127.0.0.1", "127.0.0.2"):
            stack.enter_context(JudgeServer(judge="REWARD: 0.5", host=host, port=judge_port))
        # /readiness, as the pod's probe: no 200 before a judge is known.
        log = tmp_path / "router.log"
        engine = Engine(command, log=log, environment=environment, health_path="/readiness")
        stack.enter_context(engine)
        engine.wait_until_healthy(PATIENCE_S)
        with judge_at(engine.url, batch_endpoint="off") as judge:
            assert outcomes(judge.score(samples())) == {Outcome.JUDGED}
        found = requests.get(f"{engine.url}/list_workers", timeout=10).json()["urls"]
        cluster.over.set()
    assert sorted(found) == [f"http://127.0.0.{last}:{judge_port}" for last in (1, 2)]
    # No more than its Role allows.
    assert all(path.startswith("/api/v1/namespaces/training/pods?") for path in cluster.asked)
