"""The etcd registry against a real etcd."""

import threading
import time
import uuid
from contextlib import closing
from urllib.parse import quote

import pytest

from llm_judge_remote.errors import RegistryError
from llm_judge_remote.servers.registry import Watch, lookup, open_registry, prune, register

pytestmark = pytest.mark.fleet

PATIENCE_S = 60.0


@pytest.fixture
def name():
    """A name that no other test uses."""
    return f"exp/{uuid.uuid4().hex[:8]}/judge"


@pytest.fixture
def guarded_url(guarded_etcd):
    return f"{guarded_etcd.url('exp/trial/judge')}?user=root&password={quote(guarded_etcd.password)}"


def reached(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_server_is_registered_under_a_key_of_eight_hex_digits_with_a_lease(etcd, name):
    with register(etcd.url(name), "10.0.0.1:8000", ttl=20) as registration:
        assert lookup(etcd.url(name)) == ["http://10.0.0.1:8000"]
        assert registration.entry.startswith(f"{name}/")
        assert int(registration.entry.removeprefix(f"{name}/"), 16) >= 0
        assert etcd.keys()[registration.entry] == 20
    assert lookup(etcd.url(name)) == []


def test_the_name_itself_and_what_is_below_it_counts_and_its_neighbours_do_not(etcd, name):
    for key, value in ((name, "a:1"), (f"{name}/x/y", "b:2"), (f"{name}2/x", "c:3"), (f"{name}-old", "d:4")):
        etcd.put(key, value)
    assert sorted(lookup(etcd.url(name))) == ["http://a:1", "http://b:2"]
    assert sorted(lookup(etcd.url(f"/{name}/./"))) == ["http://a:1", "http://b:2"]


def test_names_in_other_scripts_work(etcd, name):
    with register(etcd.url(f"{name}/судья é"), "a:1"):
        assert lookup(etcd.url(f"{name}/{quote('судья é')}")) == ["http://a:1"]
        assert f"{name}/судья é" in "\n".join(etcd.keys())


def test_an_entry_that_nobody_keeps_runs_out(etcd, name):
    with closing(open_registry(etcd.url(name))) as registry:
        registry.add("10.0.0.1:8000", 1)
        assert registry.addresses() == ["10.0.0.1:8000"]
        reached(lambda: registry.addresses() == [])


def test_an_entry_that_is_kept_stays_for_longer_than_its_lease(etcd, name):
    with closing(open_registry(etcd.url(name))) as registry:
        entry = registry.add("10.0.0.1:8000", 2)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            registry.keep(entry, 2)
            assert registry.addresses() == ["10.0.0.1:8000"]
            time.sleep(0.3)


def test_keeping_an_entry_whose_key_or_lease_is_gone_adds_it_again(etcd, name):
    with closing(open_registry(etcd.url(name))) as registry, closing(open_registry(etcd.url(name))) as other:
        entry = registry.add("10.0.0.1:8000", 30)
        other.remove(entry)
        assert registry.addresses() == []
        registry.keep(entry, 30)
        assert other.entries() == {entry: "10.0.0.1:8000"}
        etcd.post("lease/revoke", {"ID": registry._leases[entry]})
        assert registry.addresses() == []
        registry.keep(entry, 30)
        assert other.entries() == {entry: "10.0.0.1:8000"}
        registry.remove(entry)
        registry.remove(entry)


def test_pruning_removes_what_is_dead(etcd, name):
    etcd.put(f"{name}/1", "a:1")
    etcd.put(f"{name}/2", "b:2")
    assert prune(etcd.url(name), is_alive=lambda address: address == "http://b:2") == ["http://a:1"]
    assert lookup(etcd.url(name)) == ["http://b:2"]


def test_an_outage_keeps_the_known_list_and_brings_the_server_back(own_etcd):
    url = own_etcd.url("exp/trial/judge")
    events = threading.Semaphore(0)
    with register(url, "10.0.0.1:8000", ttl=3):
        watch = Watch(open_registry(url), 0.2, events.release)
        try:
            assert events.acquire(timeout=PATIENCE_S)
            assert watch.addresses == ("http://10.0.0.1:8000",)
            own_etcd.stop()
            assert events.acquire(timeout=PATIENCE_S)
            assert "cannot be asked" in watch.error
            assert watch.addresses == ("http://10.0.0.1:8000",)
            own_etcd.start()
            reached(lambda: not watch.error and watch.addresses == ("http://10.0.0.1:8000",))
        finally:
            watch.close()
        reached(lambda: lookup(url) == ["http://10.0.0.1:8000"])


def test_an_etcd_that_lost_everything_gets_the_server_again(own_etcd):
    url = own_etcd.url("exp/trial/judge")
    with register(url, "10.0.0.1:8000", ttl=1):
        own_etcd.stop()
        (own_etcd.folder / "data").rename(own_etcd.folder / "lost")
        own_etcd.start()
        reached(lambda: lookup(url) == ["http://10.0.0.1:8000"])


def test_an_etcd_that_is_not_there_is_an_error_that_names_it(own_etcd):
    own_etcd.stop()
    with pytest.raises(RegistryError, match=rf"^etcd://{own_etcd.address}/judge: etcd cannot be asked: .*refused"):
        lookup(own_etcd.url("judge"))


def test_a_proxy_of_the_environment_is_not_asked(etcd, name, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with register(etcd.url(name), "a:1"):
        assert lookup(etcd.url(name)) == ["http://a:1"]


def test_a_user_and_password_let_us_in(guarded_url):
    with register(guarded_url, "10.0.0.1:8000"):
        assert lookup(guarded_url) == ["http://10.0.0.1:8000"]
    assert lookup(guarded_url) == []


def test_a_user_and_password_may_be_in_the_environment(guarded_etcd, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_ETCD_USER", "root")
    monkeypatch.setenv("LLM_JUDGE_ETCD_PASSWORD", guarded_etcd.password)
    with register(guarded_etcd.url("judge"), "10.0.0.1:8000"):
        assert lookup(guarded_etcd.url("judge")) == ["http://10.0.0.1:8000"]


def test_a_token_that_is_no_longer_taken_is_replaced(guarded_etcd, guarded_url):
    with register(guarded_url, "10.0.0.1:8000", ttl=3600) as registration:
        registry = registration.registry
        tokens = [registry._access.session.headers["Authorization"]]
        guarded_etcd.stop()  # it keeps its tokens in memory only
        guarded_etcd.start()
        assert registry.addresses() == ["10.0.0.1:8000"]
        registry.keep(registration.entry, 3600)
        tokens.append(registry._access.session.headers["Authorization"])
        assert tokens[0] != tokens[1]


@pytest.mark.parametrize(
    ("query", "why"),
    [("", "user name is empty|permission denied|PERMISSION"), ("?user=root&password=hunter2", "authentication failed")],
)
def test_without_the_right_password_it_is_an_error_without_the_password(guarded_etcd, caplog, query, why):
    with pytest.raises(RegistryError, match=why) as raised:
        lookup(guarded_etcd.url("judge") + query)
    registry = open_registry(guarded_etcd.url("judge") + query)
    shown = [str(raised.value), repr(registry), registry.name, str(raised.value.__cause__), caplog.text]
    registry.close()
    assert "hunter2" not in "\n".join(shown)


def test_certificates_let_us_in(tls_etcd, monkeypatch):
    certificate, key = (quote(str(path)) for path in tls_etcd.certificate)
    url = f"{tls_etcd.url('judge')}?ca={certificate}&cert={certificate}&key={key}"
    with register(url, "10.0.0.1:8000"):
        assert lookup(url) == ["http://10.0.0.1:8000"]
        for word, path in zip(("CA", "CERT", "KEY"), (*tls_etcd.certificate[:1], *tls_etcd.certificate), strict=True):
            monkeypatch.setenv(f"LLM_JUDGE_ETCD_{word}", str(path))
        assert lookup(tls_etcd.url("judge")) == ["http://10.0.0.1:8000"]


def test_a_certificate_that_nobody_vouches_for_is_an_error(tls_etcd):
    with pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
        lookup(f"{tls_etcd.url('judge')}?tls=1")


def test_an_etcd_without_passwords_is_asked_all_the_same(etcd, name):
    url = f"{etcd.url(name)}?user=root&password=hunter2"
    with register(url, "a:1"):
        assert lookup(url) == ["http://a:1"]
