"""The Ray registry against a real local Ray cluster."""

import subprocess
import sys
import textwrap
import time
import uuid

import pytest
import ray

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry import lookup, open_registry, prune, register
from llm_judge_remote.servers.registry import ray as ray_registry

pytestmark = pytest.mark.fleet

PATIENCE_S = 60.0


@pytest.fixture
def url(ray_address):
    """A name that no other test uses."""
    return f"ray://exp/{uuid.uuid4().hex[:8]}/judge"


def actor_of(url):
    return ray.get_actor(url.removeprefix("ray://"), namespace=ray_registry.NAMESPACE)


def elsewhere(program, *arguments):
    """What another process prints."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def reached(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_servers_are_registered_and_removed(url):
    with register(url, "10.0.0.1:8000"):
        with register(url, "10.0.0.2:8000#weight=2"):
            assert lookup(url) == ["http://10.0.0.1:8000", "http://10.0.0.2:8000#weight=2"]
        assert lookup(url) == ["http://10.0.0.1:8000"]
    assert lookup(url) == []


def test_a_lookup_makes_no_actor(url):
    assert lookup(url) == []
    with pytest.raises(ValueError, match="Failed to look up actor"):
        actor_of(url)


def test_the_same_address_twice_is_two_entries(url):
    with register(url, "10.0.0.1:8000"):
        with register(url, "10.0.0.1:8000"):
            pass
        assert lookup(url) == ["http://10.0.0.1:8000"]


def test_an_entry_that_nobody_keeps_runs_out_and_one_that_is_kept_comes_back(url):
    registry = open_registry(url)
    entry = registry.add("10.0.0.1:8000", 0.5)
    reached(lambda: registry.addresses() == [])
    registry.keep(entry, 30)
    assert registry.entries() == {entry: "10.0.0.1:8000"}
    assert prune(registry, is_alive=lambda _: False) == ["http://10.0.0.1:8000"]
    assert registry.addresses() == []


def test_an_actor_that_was_restarted_says_so_until_the_servers_had_time_to_register_again(url, monkeypatch):
    monkeypatch.setattr(ray_registry, "_SETTLING_S", 4.0)
    with register(url, "10.0.0.1:8000", ttl=3):
        ray.kill(actor_of(url), no_restart=False)
        said = [""]

        def looked():
            try:
                said.append(str(lookup(url)))
            except RegistryError as error:
                said.append(str(error))
            return said[-1]

        reached(lambda: "was restarted a moment ago" in looked())
        reached(lambda: looked() == "['http://10.0.0.1:8000']")
        assert "[]" not in said


def test_another_process_finds_the_server_after_its_own_connection(url, ray_address):
    program = """
        import sys
        from llm_judge_remote.errors import RegistryError
        from llm_judge_remote.servers.registry import lookup
        try:
            lookup(sys.argv[1])
        except RegistryError as error:
            print("first:", error)
        print(lookup(sys.argv[1] + "?address=" + sys.argv[2]))
    """
    with register(url, "10.0.0.1:8000"):
        said = elsewhere(program, url, ray_address)
    assert said.startswith(f"first: {url}: this process is not connected to Ray; call ray.init() first")
    assert said.endswith("['http://10.0.0.1:8000']")


def test_what_one_driver_registered_outlives_it(url, ray_address):
    program = """
        import sys
        from llm_judge_remote.servers.registry import open_registry
        open_registry(sys.argv[1] + "?address=" + sys.argv[2]).add("10.0.0.1:8000", 600)
    """
    elsewhere(program, url, ray_address)
    assert lookup(url) == ["http://10.0.0.1:8000"]


def test_the_actors_code_runs_where_this_package_is_not_installed():
    program = """
        import pickle, sys
        sys.modules["llm_judge_remote"] = None
        print(pickle.loads(bytes.fromhex(sys.argv[1])).__name__)
    """
    assert elsewhere(program, ray.cloudpickle.dumps(ray_registry._address_book()).hex()) == "JudgeAddresses"


def test_a_local_cluster_is_started_where_that_is_asked_for():
    program = """
        from llm_judge_remote.servers.registry import lookup, register
        with register("ray://judge?start=1", "10.0.0.1:8000"):
            print(lookup("ray://judge"))
    """
    assert elsewhere(program) == "['http://10.0.0.1:8000']"
