"""AReaL's own name_resolve, on a file system, and our registries."""

import getpass

import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.integrations.areal import JudgeClient, registry_url, reward_fn
from llm_judge_remote.servers.registry import lookup, register
from llm_judge_remote.testing import JudgeServer

pytestmark = pytest.mark.trainer


class Config:
    """As AReaL's NameResolveConfig, whose own file imports the trainers."""

    def __init__(self, kind, root="", address=""):
        self.type = kind
        self.nfs_record_root = root
        self.etcd3_addr = address
        self.ray_actor_name = "ray_kv_store"


@pytest.fixture
def nfs(areal, tmp_path):
    """AReaL's configuration, in force in its name_resolve."""
    config = Config("nfs", str(tmp_path / "records"))
    areal.name_resolve.reconfigure(config)
    return config


def name():
    return f"{getpass.getuser()}/exp/trial/judge"


def test_the_url_is_where_areal_keeps_the_name(nfs, areal):
    areal.name_resolve.add_subentry(name(), "127.0.0.1:8000")
    url = registry_url(nfs, "exp", "trial")
    assert lookup(url) == ["http://127.0.0.1:8000"]
    with register(url, "http://127.0.0.1:8001"):
        assert sorted(areal.name_resolve.get_subtree(name())) == ["127.0.0.1:8000", "127.0.0.1:8001"]


def test_names_begin_as_those_that_areal_makes_itself(nfs, areal):
    names = __import__("importlib").import_module("areal.utils.names")
    beside = names.gen_servers("exp", "trial")
    assert registry_url(nfs, "exp", "trial", "gen_servers") == f"file://{nfs.nfs_record_root}/{beside}"


def test_a_name_of_ones_own_is_looked_up_as_it_is(nfs, areal):
    areal.name_resolve.add_subentry("xxx/llm_judge", "127.0.0.1:8000")
    assert lookup(registry_url(nfs, name="xxx/llm_judge")) == ["http://127.0.0.1:8000"]


def test_a_whole_experiments_configuration_tells_all_by_itself(nfs):
    class Cluster:
        name_resolve = nfs

    class Experiment:
        cluster = Cluster
        experiment_name = "exp"
        trial_name = "trial"

    assert registry_url(Experiment) == registry_url(nfs, "exp", "trial")


def test_etcd_and_mappings_will_do():
    config = {"type": "etcd3", "etcd3_addr": "store:2379"}
    assert registry_url(config, "exp", "trial", user="me") == "etcd://store:2379/me/exp/trial/judge"


@pytest.mark.parametrize(
    ("config", "names", "word"),
    [
        (Config("ray"), ("exp", "trial"), "ray"),
        (Config("nfs", "relative/root"), ("exp", "trial"), "nfs_record_root"),
        (Config("etcd3"), ("exp", "trial"), "etcd3_addr"),
        (Config("nfs", "/root"), ("exp", None), "both"),
        (Config("nfs", "/root"), ("exp", "trial", "/"), "name"),
    ],
)
def test_what_cannot_be_looked_up_is_a_config_error(config, names, word):
    with pytest.raises(ConfigError, match=word):
        registry_url(config, *names)


async def test_the_client_asks_the_judge_that_areal_has_registered_and_follows_when_it_moves(nfs, areal):
    with JudgeServer(judge="one") as one, JudgeServer(judge="two") as two:
        first = areal.name_resolve.add_subentry(name(), one.url.removeprefix("http://"))
        client = JudgeClient(registry_url(nfs, "exp", "trial"), registry_refresh=0.1)
        ask = client.chat.completions.create
        assert (await ask(messages=[{"role": "user", "content": "who?"}])).choices[0].message.content == "one"
        areal.name_resolve.add_subentry(name(), two.url.removeprefix("http://"))
        areal.name_resolve.delete(first)
        said = "one"
        while said == "one":  # until it has looked again
            said = (await ask(messages=[{"role": "user", "content": "who?"}])).choices[0].message.content
        assert said == "two"


def test_the_reward_function_finds_its_judge_by_name(nfs, areal, monkeypatch):
    with JudgeServer() as server:
        areal.name_resolve.add_subentry(name(), server.url.removeprefix("http://"))
        monkeypatch.setenv("LLM_JUDGE_SERVER_URL", registry_url(nfs, "exp", "trial"))
        assert reward_fn("What is 6 * 7?", "It is 42.", [], [], answer="It is 42.") == 1.0
