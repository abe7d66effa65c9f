import os
import socket
from pathlib import Path

import pytest

from llm_judge_remote.serving.checks.ports import listener, port_finding
from llm_judge_remote.serving.launch import free_port

linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at sockets through /proc")


@pytest.fixture
def taken():
    """A port that this process listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_free_port_is_free_and_stays_so():
    port = free_port()
    for _ in range(2):
        finding = port_finding("127.0.0.1", port)
        assert (finding.level, finding.message) == ("ok", f"{port} on 127.0.0.1 is free")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_port_in_use_is_an_error_that_says_what_to_do(taken, host):
    finding = port_finding(host, taken)
    assert finding.level == "error"
    assert f"port={taken} is in use" in finding.message
    assert "port=0" in finding.message


@linux
def test_the_process_that_listens_is_named(taken):
    assert f"(process {os.getpid()})" in listener(taken)
    assert f"(process {os.getpid()})" in port_finding("127.0.0.1", taken).message


@linux
def test_one_that_listens_on_ipv6_is_named_too():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        assert f"(process {os.getpid()})" in listener(server.getsockname()[1])


def test_a_process_that_cannot_be_seen_is_said_to_be_so(taken, tmp_path):
    assert "a process that cannot be seen" in port_finding("127.0.0.1", taken, proc=tmp_path).message


@linux
def test_a_connection_from_a_port_is_no_listener(taken):
    with socket.create_connection(("127.0.0.1", taken)) as client:
        assert listener(client.getsockname()[1]) is None


def test_any_port_is_free():
    assert port_finding("127.0.0.1", 0).level == "ok"


def test_an_address_of_another_machine_is_an_error():
    finding = port_finding("192.0.2.1", 8000)  # TEST-NET-1
    assert finding.level == "error"
    assert "no address of this machine" in finding.message


def test_a_host_that_is_no_name_is_an_error():
    finding = port_finding("h" * 64, 8000)  # longer than a name can be, so nobody is asked
    assert finding.level == "error"
    assert "no name or address" in finding.message
