"""The DNS registry against a real DNS server."""

import pytest

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry import lookup, open_registry

pytestmark = pytest.mark.fleet


def test_every_record_of_a_name_is_a_server(dns_server):
    dns_server.set(judge=["10.0.0.10", "10.0.0.9", "fd00::1"], other=["10.0.0.8"])
    every = ["http://10.0.0.9:8000", "http://10.0.0.10:8000", "http://[fd00::1]:8000"]
    assert lookup(dns_server.url("judge", 8000)) == every
    assert lookup(dns_server.url("judge", 8000, "&family=4")) == every[:2]
    assert lookup(dns_server.url("judge", 8000, "&family=6")) == every[2:]


def test_servers_come_and_go_with_their_records(dns_server):
    registry = open_registry(dns_server.url("judge", 8000))
    dns_server.set(judge=["10.0.0.1"])
    assert registry.addresses() == ["http://10.0.0.1:8000"]
    dns_server.set(judge=["10.0.0.2", "10.0.0.3"])
    assert registry.addresses() == ["http://10.0.0.2:8000", "http://10.0.0.3:8000"]


def test_a_name_without_records_has_no_servers(dns_server):
    assert lookup(dns_server.url("judge", 8000)) == []  # NXDOMAIN, as of a service without a ready pod
    dns_server.set(judge=["10.0.0.1"])
    assert lookup(dns_server.url("judge", 8000, "&family=6")) == []  # there is such a name, and no such record


def test_a_server_that_refuses_is_an_error_and_not_a_name_without_servers(dns_server):
    with pytest.raises(RegistryError, match="REFUSED"):
        lookup(f"dns://judge.example:8000?nameserver={dns_server.address}")


def test_a_server_that_does_not_answer_is_an_error(dns_server):
    dns_server.stop()
    with pytest.raises(RegistryError, match="cannot be resolved: LifetimeTimeout"):
        lookup(dns_server.url("judge", 8000, "&timeout=0.5"))
