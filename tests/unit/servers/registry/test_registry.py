import importlib.metadata
import socket

import pytest

from llm_judge_remote.errors import ConfigError, RegistryError
from llm_judge_remote.servers.registry import Registry, lookup, open_registry
from llm_judge_remote.servers.registry import registry as registry_module


def entry_point(monkeypatch, value):
    point = importlib.metadata.EntryPoint("consul", value, registry_module.ENTRY_POINTS)
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [point] if group == point.group else [])


class Consul:
    def __init__(self, url):
        self.name = url
        self.closed = 0

    def addresses(self):
        return ["judge-1:8000", "no address at all", "http://judge-1:8000/v1", "judge-2:8000#weight=2"]

    def close(self):
        self.closed += 1


def test_the_scheme_says_which_registry_it_is(tmp_path):
    registry = open_registry(f"FILE://{tmp_path}/judge")
    assert isinstance(registry, Registry)
    assert registry.addresses() == []


def test_an_unknown_scheme_is_an_error_that_names_the_known_ones_and_no_secret(monkeypatch):
    entry_point(monkeypatch, "judge_consul:Consul")
    known = r"consul://, dns://, etcd://, file://, ray://$"
    with pytest.raises(ConfigError, match=known) as raised:
        open_registry("zookeeper://me:hunter2@host/judge?password=hunter2")
    assert "zookeeper://host/judge" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_path_without_a_scheme_is_no_registry():
    with pytest.raises(ConfigError, match="is no registry that is known here"):
        open_registry("/shared/exp/trial/judge")


def test_an_installed_package_offers_a_registry_as_an_entry_point(monkeypatch):
    entry_point(monkeypatch, f"{__name__}:Consul")
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda _: Consul)
    assert open_registry("consul://host/judge").name == "consul://host/judge"
    assert lookup("consul://host/judge") == ["http://judge-1:8000", "http://judge-2:8000#weight=2"]


def test_a_registry_that_was_handed_over_is_not_closed_by_a_lookup():
    registry = Consul("consul://host/judge")
    assert len(lookup(registry)) == 2
    assert not registry.closed


def test_an_entry_point_that_cannot_be_loaded_is_an_error_that_names_it(monkeypatch):
    entry_point(monkeypatch, "no_such_module:Consul")
    with pytest.raises(ConfigError, match=r"consul:// \(no_such_module:Consul\) cannot be loaded: No module named"):
        open_registry("consul://host/judge")


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("etcd://host:2379/judge", "etcd3gw", "etcd"),
        ("ray://judge", "ray", "ray"),
        ("dns://judge:8000?nameserver=127.0.0.1:53", "dns", "dns"),
    ],
)
def test_a_missing_package_is_an_error_that_says_how_to_install_it(monkeypatch, url, package, extra):
    def missing(module):
        msg = f"No module named '{package}'"
        raise ModuleNotFoundError(msg)

    real = registry_module.importlib.import_module
    monkeypatch.setattr(
        registry_module.importlib,
        "import_module",
        lambda module: missing(module) if module.partition(".")[0] == package else real(module),
    )
    with pytest.raises(ConfigError, match=rf"pip install 'llm-judge-remote\[{extra}\]'"):
        open_registry(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("etcd://host:2379", "write etcd://HOST:2379/NAME"),
        ("etcd:///judge", "write etcd://HOST:2379/NAME"),
        ("etcd://host:port/judge", "Port could not be cast"),
        ("etcd://me:hunter2@host/judge", "not before the host"),
        ("etcd://host/judge?username=me", "'username' is not known; there are ca, cert, key, password"),
        ("etcd://host/judge?user=me", "user is set, and password is not; LLM_JUDGE_ETCD_PASSWORD may hold it"),
        ("etcd://host/judge?cert=/nowhere/me.pem&key=/nowhere/me.key", "there is no file /nowhere/me.pem"),
        ("etcd://host/judge?timeout=soon", "timeout must be a number of seconds"),
        ("dns://judge", "the port is the one that the servers listen at"),
        ("dns://:8000", "write dns://NAME:PORT"),
        ("dns://judge:8000?family=ipv6", "family must be 4 or 6"),
        ("dns://judge:8000?nameserver=resolver.local", "nameserver must be IP:PORT"),
        ("ray://", "write ray://NAME"),
    ],
)
def test_a_url_that_its_registry_cannot_use_is_an_error_that_says_why(url, why):
    with pytest.raises(ConfigError, match=why) as raised:
        open_registry(url)
    assert "hunter2" not in str(raised.value)


def test_dns_takes_no_entries():
    registry = open_registry("dns://localhost:8000")
    for refused in (lambda: registry.add("a:1", 30), lambda: registry.keep("a", 30), lambda: registry.remove("a")):
        with pytest.raises(RegistryError, match="DNS can only be read here"):
            refused()


def test_every_address_of_a_name_is_a_server(monkeypatch):
    def resolved(host, port, family, kind):
        assert (host, port) == ("judge-headless", 8000)
        return [(family, kind, 6, "", (ip, port)) for ip in ("10.0.0.10", "10.0.0.9", "fd00::1", "10.0.0.9")]

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    assert open_registry("dns://judge-headless:8000").addresses() == [
        "http://10.0.0.9:8000",
        "http://10.0.0.10:8000",
        "http://[fd00::1]:8000",
    ]


def test_a_name_that_nobody_knows_has_no_servers_and_one_that_cannot_be_resolved_is_an_error(monkeypatch):
    said = [socket.gaierror(socket.EAI_NONAME, "Name or service not known")]

    def resolved(*_):
        raise said[-1]

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    registry = open_registry("dns://judge-headless:8000")
    assert registry.addresses() == []
    said.append(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    with pytest.raises(RegistryError, match=r"^dns://judge-headless:8000: .*Temporary failure in name resolution"):
        registry.addresses()


def test_the_system_resolves_localhost():
    assert "http://127.0.0.1:8000" in open_registry("dns://localhost:8000?family=4").addresses()
