"""AReaL's own name_resolve reads what we register, and we read what it registers."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from service_runs import running

from llm_judge_remote import Judge, JudgeSettings, Sample
from llm_judge_remote.servers.registry import lookup, prune, register
from llm_judge_remote.testing import JudgeServer

pytestmark = pytest.mark.fleet


class Areal:
    """AReaL's name_resolve in a process of its own."""

    def __init__(self, kind, where):
        # etcd3's generated code is of protobuf 3's time; newer releases run it in their Python implementation only.
        environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
        bridge = str(Path(__file__).with_name("areal_bridge.py"))
        command = [sys.executable, bridge, kind, where]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.file = self._read()

    def _read(self):
        line = self._process.stdout.readline()
        assert line, "AReaL's process has ended; its errors are above"
        return json.loads(line)

    def __call__(self, function, *arguments):
        print(json.dumps([function, *arguments]), file=self._process.stdin, flush=True)
        return self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"root/exp/{uuid.uuid4().hex[:8]}/judge"


@pytest.fixture(params=["nfs", "etcd3"])
def both(request, tmp_path, name):
    """AReaL, and the URL under which we know the same name."""
    if request.param == "nfs":
        where, url = str(tmp_path), f"file://{tmp_path}/{name}"
    else:
        etcd = request.getfixturevalue("etcd")
        where, url = etcd.address, etcd.url(name)
    with Areal(request.param, where) as areal:
        yield areal, url


def test_it_is_areals_own_module_that_is_asked(tmp_path):
    with Areal("nfs", str(tmp_path)) as areal:
        assert Path(areal.file).parts[-4:] == ("site-packages", "areal", "utils", "name_resolve.py")


def test_areal_reads_what_we_register(both, name):
    areal, url = both
    with register(url, "10.0.0.1:8000"):
        with register(url, "http://10.0.0.2:8000/v1"):
            assert sorted(areal("get_subtree", name)) == ["10.0.0.1:8000", "10.0.0.2:8000"]
            assert all(key.startswith(f"{name}/") for key in areal("find_subtree", name))
        assert areal("get_subtree", name) == ["10.0.0.1:8000"]
    assert areal("get_subtree", name) == []


def test_areal_reads_what_our_launcher_registered_as_long_as_the_server_lives(both, name):
    areal, url = both
    with running("--reply", "REWARD: 0.5", registry=url) as run:
        run.wait_until_said("registered as")
        assert areal("get_subtree", name) == [run.url.removeprefix("http://")]
        run.end()
    assert areal("get_subtree", name) == []


def test_a_judge_uses_what_areal_registered(both, name):
    areal, url = both
    with JudgeServer(judge="REWARD: 0.5") as server, Judge(JudgeSettings(server_url=url)) as judge:
        areal("add_subentry", name, server.url.removeprefix("http://"))
        (judgement,) = judge.score([Sample("candidate", ("reference",))])
    assert (judgement.score, judgement.server) == (0.5, server.url)


def test_we_read_what_areal_registers(both, name):
    areal, url = both
    first = areal("add_subentry", name, "10.0.0.1:8000")
    areal("add_subentry", name, "10.0.0.2:8000")
    assert sorted(lookup(url)) == ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]
    areal("delete", first)
    assert lookup(url) == ["http://10.0.0.2:8000"]


def test_what_both_have_registered_is_seen_by_both(both, name):
    areal, url = both
    areal("add_subentry", name, "10.0.0.1:8000")
    with register(url, "10.0.0.2:8000"):
        assert sorted(areal("get_subtree", name)) == ["10.0.0.1:8000", "10.0.0.2:8000"]
        assert sorted(lookup(url)) == ["http://10.0.0.1:8000", "http://10.0.0.2:8000"]


def test_a_name_with_a_single_value_is_read_too(both, name):
    areal, url = both
    areal("add", name, "10.0.0.1:8000")
    assert lookup(url) == ["http://10.0.0.1:8000"]


def test_a_trial_that_areal_clears_at_its_start_gets_our_server_again(both, name):
    areal, url = both
    with register(url, "10.0.0.1:8000") as registration:
        areal("clear_subtree", name)
        assert areal("get_subtree", name) == []
        registration.registry.keep(registration.entry, 30)
        assert areal("get_subtree", name) == ["10.0.0.1:8000"]


def test_we_prune_what_areal_registered(both, name):
    areal, url = both
    areal("add_subentry", name, "10.0.0.1:8000")
    assert prune(url, is_alive=lambda _: False) == ["http://10.0.0.1:8000"]
    assert areal("get_subtree", name) == []
