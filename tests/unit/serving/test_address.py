import socket
from typing import ClassVar

import pytest

from llm_judge_remote.serving import address
from llm_judge_remote.serving.address import announced_url, is_loopback, local_url
from llm_judge_remote.serving.spec import ServerSpec


def spec(**values):
    return ServerSpec(model="m", port=8000, **values)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("gpu7", False)),
    ],
)
def test_what_is_reached_from_this_machine_only_is_told_apart(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
    ],
)
def test_from_here_a_server_on_all_interfaces_is_reached_by_the_loopback(host, url):
    assert local_url(spec(host=host)) == url


def test_the_host_that_is_given_to_be_announced_counts():
    assert announced_url(spec(host="0.0.0.0", advertise_host="gpu7.cluster")) == "http://gpu7.cluster:8000"
    assert announced_url(spec(host="0.0.0.0", advertise_host="fd00::7")) == "http://[fd00::7]:8000"


def test_a_host_that_is_listened_on_is_announced_as_it_is():
    assert announced_url(spec(host="gpu7")) == "http://gpu7:8000"


class Interfaces(socket.socket):
    """As on a machine with two networks: which one leads where, without one."""

    ways: ClassVar = {"etcd": "192.168.7.7", "192.0.2.1": "10.0.0.7"}

    def connect(self, to):
        if to[0] not in self.ways:
            raise OSError("no route")
        self.to = to[0]

    def getsockname(self):
        return (self.ways[self.to], 5)


def test_on_all_interfaces_the_one_towards_the_registry_is_announced(monkeypatch):
    monkeypatch.setattr(address.socket, "socket", Interfaces)
    on_all = {"host": "0.0.0.0"}
    assert announced_url(spec(**on_all, registry="etcd://etcd:2379/judges")) == "http://192.168.7.7:8000"
    assert announced_url(spec(**on_all, registry="etcd://elsewhere:2379/judges")) == "http://10.0.0.7:8000"
    assert announced_url(spec(**on_all, registry="file:///shared/judges")) == "http://10.0.0.7:8000"
    assert announced_url(spec(**on_all)) == "http://10.0.0.7:8000"


def test_a_machine_without_a_network_announces_its_name(monkeypatch):
    monkeypatch.setattr(address.socket, "socket", Interfaces)
    monkeypatch.setattr(Interfaces, "ways", {"192.0.2.1": "127.0.0.1"})
    monkeypatch.setattr(address.socket, "getfqdn", lambda: "gpu7.cluster")
    assert announced_url(spec(host="0.0.0.0")) == "http://gpu7.cluster:8000"
