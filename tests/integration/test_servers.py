"""Several servers, or a registry that lists them: like one server that does not fail."""

import contextlib
import logging
import socket
import threading
import time
from collections import defaultdict

import pytest

from llm_judge_remote import ConfigError, Judge, JudgeSettings, Outcome, Sample, compute_score_batched
from llm_judge_remote.servers.registry import register
from llm_judge_remote.testing import Fault, JudgeServer
from llm_judge_remote.testing.wire import Answer

CHAT = "/v1/chat/completions"


def samples(groups, size=8):
    return [
        Sample(f"candidate {group} {row}", (f"reference {group}",), problem=f"problem {group}")
        for group in range(groups)
        for row in range(size)
    ]


@contextlib.contextmanager
def servers(count, **options):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(JudgeServer(judge="REWARD: 0.5", **options)) for _ in range(count)]


def judge_of(*urls, **settings):
    return Judge(JudgeSettings(server_url=urls, **settings))


def outcomes(judgements):
    return {judgement.outcome for judgement in judgements}


def asked(server, path=CHAT):
    return [request for request in server.requests if request.path.startswith(path)]


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# Which one


def test_a_group_is_judged_by_one_server_and_all_servers_judge():
    with servers(3) as all_of_them, judge_of(*(each.url for each in all_of_them), hedging="off") as judge:
        judgements = judge.score(samples(60))
    places = defaultdict(set)
    for sample, judgement in zip(samples(60), judgements, strict=True):
        places[sample.problem].add(judgement.server)
    assert outcomes(judgements) == {Outcome.JUDGED}
    assert sum(len(found) == 1 for found in places.values()) >= 50
    assert len(set.union(*places.values())) == 3


def test_siblings_that_come_in_calls_of_their_own_meet_at_one_server():
    with servers(3) as all_of_them:
        urls = [each.url for each in all_of_them]
        found = set()
        for sample in samples(1, size=4):
            with judge_of(*urls) as judge:  # as another process would
                found.add(judge.score([sample])[0].server)
        assert len(found) == 1


def test_the_header_for_balancers_is_the_same_for_siblings_and_another_for_others():
    with servers(1) as (server,), judge_of(server.url, batch_endpoint="off") as judge:
        judge.score(samples(3, size=4))
        keys = defaultdict(set)
        for request in asked(server):
            keys[request.body["messages"][-1]["content"].partition("</problem>")[0]].add(
                request.headers["x-session-id"]
            )
    assert all(len(values) == 1 for values in keys.values())
    assert len(set.union(*keys.values())) == 3


def test_the_header_has_another_name_or_none_if_so_wanted():
    with servers(1) as (server,):
        with judge_of(server.url, routing_header="X-Route") as judge:
            judge.score(samples(1, size=1))
        with judge_of(server.url, routing_header="off") as judge:
            judge.score(samples(1, size=1))
        first, second = asked(server)
    assert "x-route" in first.headers
    assert not {"x-route", "x-session-id"} & set(second.headers)


def test_weights_say_how_much_each_server_gets():
    with servers(2, service_time=0.01) as (one, other):
        weights = {one.url: 3, other.url: 1}
        with Judge(JudgeSettings(server_url=weights, batch_endpoint="off", hedging="off")) as judge:
            judge.score(samples(240, size=1))
        assert 2 < len(asked(one)) / len(asked(other)) < 4.5


def test_an_address_may_be_an_ipv6_literal():
    try:
        server = JudgeServer(host="::1", judge="REWARD: 0.5").start()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with server, judge_of(server.url) as judge:
        assert outcomes(judge.score(samples(1, size=2))) == {Outcome.JUDGED}


# Failover


def test_a_server_that_dies_in_the_middle_costs_no_row_its_judge_and_a_returning_one_is_used_again():
    with (
        servers(3, service_time=0.02) as (one, two, three),
        judge_of(one.url, two.url, three.url, batch_size=48) as judge,
    ):
        killer = threading.Thread(target=lambda: (one.wait_until(lambda s: s.conversations > 20), one.stop()))
        killer.start()
        judgements = judge.score(samples(60))
        killer.join()
        assert outcomes(judgements) == {Outcome.JUDGED}
        before = one.stats.conversations
        one.start()
        deadline = time.monotonic() + 20
        while one.stats.conversations == before and time.monotonic() < deadline:
            assert outcomes(judge.score(samples(20))) == {Outcome.JUDGED}
        assert one.stats.conversations > before


def test_a_server_that_is_down_is_asked_whether_it_is_well_and_gets_no_row_until_it_is(free_port):
    dead = f"http://127.0.0.1:{free_port}"
    with servers(1, service_time=0.01) as (server,), judge_of(server.url, dead, batch_size=16) as judge:
        assert outcomes(judge.score(samples(40))) == {Outcome.JUDGED}
        with JudgeServer(port=free_port, judge="REWARD: 0.5", faults=[Fault("reset")]) as sick:
            sick.loading = True
            for _ in range(40):
                assert outcomes(judge.score(samples(8))) == {Outcome.JUDGED}
                if sick.stats.by_path.get("/health", 0) >= 2:
                    break
            assert sick.stats.by_path.get("/health", 0) >= 2
            assert not asked(sick)
            sick.loading = False
            sick.clear_faults()
            for _ in range(40):
                judge.score(samples(8))
                if asked(sick):
                    break
            assert asked(sick)


def test_what_one_server_does_not_serve_is_asked_of_one_that_does(caplog):
    caplog.set_level(logging.WARNING)
    with JudgeServer(model="other") as wrong, JudgeServer(model="right", judge="REWARD: 0.5") as right:
        with judge_of(wrong.url, right.url, model_name="right") as judge:
            judgements = judge.score(samples(10))
        assert outcomes(judgements) == {Outcome.JUDGED}
        assert {judgement.server for judgement in judgements} == {right.url}
        assert len(asked(wrong)) <= len(judgements) / 2
    assert len([record for record in caplog.records if "passed over" in record.message]) == 1


def test_a_model_that_no_server_serves_is_an_error_that_lists_what_is_served():
    with (
        JudgeServer(model="one") as one,
        JudgeServer(model="two") as two,
        judge_of(one.url, two.url, model_name="three") as judge,
    ):
        judgements = judge.score(samples(3))
    assert outcomes(judgements) == {Outcome.FALLBACK}
    assert all("model_name='three', served: " in judgement.reason for judgement in judgements)


def test_a_server_with_another_key_is_passed_over():
    with (
        JudgeServer(api_key="k1") as wrong,
        JudgeServer(api_key="k2", judge="REWARD: 0.5") as right,
        judge_of(wrong.url, right.url, api_key="k2") as judge,
    ):
        assert outcomes(judge.score(samples(10))) == {Outcome.JUDGED}


def test_with_all_servers_down_each_row_falls_back_in_time_and_the_log_says_so_once(caplog):
    caplog.set_level(logging.WARNING)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        dead = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in (one, other)]
    rows = samples(200)
    began = time.monotonic()
    for _ in range(3):
        found = compute_score_batched(
            "d",
            [row.candidate for row in rows],
            [row.references[0] for row in rows],
            server_url=dead,
            deadline=2.0,
            outage_grace=30.0,
            startup_timeout=30.0,
            return_details=True,
        )
        assert {row["judge_outcome"] for row in found} == {"fallback"}
        assert all("cannot be reached" in row["judge_reason"] for row in found)
    assert time.monotonic() - began < 3 * 2.0 + 6
    assert len([record for record in caplog.records if "not judged" in record.message]) == 1
    assert len(caplog.records) <= 5  # and a line for each server, and one for the waiting


# Starting


@pytest.mark.parametrize("how", ["refused", "503"])
def test_a_server_that_still_loads_is_waited_for_once_and_with_a_word(how, free_port, caplog):
    caplog.set_level(logging.WARNING)
    server = JudgeServer(port=free_port, judge="REWARD: 0.5")
    server.loading = True
    if how == "503":
        server.start()

    def load():
        time.sleep(2.5)  # more than the grace for an outage
        server.loading = False
        server.start()

    url = f"http://127.0.0.1:{free_port}"
    settings = {"startup_timeout": 60, "outage_grace": 0.2, "timeout": 0.5, "max_retries": 0}
    loader = threading.Thread(target=load)
    loader.start()
    with judge_of(url, **settings) as judge:
        assert outcomes(judge.score(samples(4))) == {Outcome.JUDGED}
        loader.join()
        server.stop()
        assert outcomes(judge.score(samples(1))) == {Outcome.FALLBACK}  # it has answered: now it is an outage
    assert len([record for record in caplog.records if "startup_timeout" in record.message]) == 1


def test_a_server_that_never_comes_is_waited_for_once_in_a_process(free_port):
    with judge_of(f"http://127.0.0.1:{free_port}", startup_timeout=2.0, outage_grace=0.0) as judge:
        assert outcomes(judge.score(samples(2))) == {Outcome.FALLBACK}
        began = time.monotonic()
        for _ in range(5):
            assert outcomes(judge.score(samples(2))) == {Outcome.FALLBACK}
        assert time.monotonic() - began < 5 * 2.0  # not once for each call


# Registries


def test_servers_are_found_in_a_shared_folder_as_they_come_and_go(tmp_path):
    url = f"file://{tmp_path}/experiment/trial/judge"
    with (
        servers(2, service_time=0.01) as (one, two),
        judge_of(url, registry_refresh=0.2, startup_timeout=30) as judge,
        register(url, two.url),
    ):
        with register(url, one.url):
            judgements = judge.score(samples(40))
        assert outcomes(judgements) == {Outcome.JUDGED}
        deadline = time.monotonic() + 30
        while {judgement.server for judgement in judgements} != {two.url} and time.monotonic() < deadline:
            judgements = judge.score(samples(40))
        assert {judgement.server for judgement in judgements} == {two.url}
        assert [server.address for server in judge.stats().servers] == [two.url]


def test_a_judge_that_is_there_before_its_servers_waits_for_one_to_register(tmp_path, server):
    url = f"file://{tmp_path}/judge"
    server.judge = "REWARD: 0.5"
    comes = threading.Timer(1.0, lambda: entries.append(register(url, server.url)))
    entries = []
    comes.start()
    with judge_of(url, registry_refresh=0.2, startup_timeout=60, outage_grace=0.1) as judge:
        assert outcomes(judge.score(samples(2))) == {Outcome.JUDGED}
    comes.join()
    entries[0].close()


def test_a_registry_that_lists_nobody_is_named_in_the_reason(tmp_path):
    with judge_of(f"file://{tmp_path}/judge", startup_timeout=0.5, outage_grace=0.1) as judge:
        (judgement,) = judge.score(samples(1, size=1))
    assert judgement.outcome is Outcome.FALLBACK
    assert f"{tmp_path}/judge lists none" in judgement.reason


def test_named_servers_and_registries_mix(tmp_path):
    with (
        servers(2) as (named, listed),
        register(f"file://{tmp_path}/judge", listed.url),
        judge_of(named.url, f"file://{tmp_path}/judge", registry_refresh=0.2) as judge,
    ):
        judge.capabilities()  # which waits for the first look into the registry
        judgements = judge.score(samples(40))
    assert {judgement.server for judgement in judgements} == {named.url, listed.url}


def test_a_row_may_not_bring_a_registry(tmp_path):
    row = Sample("c", ("r",), overrides={"server_url": f"file://{tmp_path}/judge"})
    with judge_of("http://127.0.0.1:9") as judge:
        (judgement,) = judge.score([row])
    assert judgement.outcome is Outcome.FALLBACK
    assert "a row may name servers, and no registry" in judgement.reason


def test_a_registry_that_cannot_be_is_an_error_of_the_settings():
    with pytest.raises(ConfigError, match="neither a server nor a registry"):
        JudgeSettings(server_url="zookeeper://host/judge")
    with judge_of("etcd://host:none/judge") as judge, pytest.raises(ConfigError, match="etcd"):
        judge.score(samples(1))


# What they are, and sleep


def test_what_each_server_is_and_can_do_is_asked_once_and_again_when_it_was_restarted():
    with (
        JudgeServer(engine="sglang", constraint="regex", model="m1") as one,
        JudgeServer(model="m2") as two,
        judge_of(one.url, two.url) as judge,
    ):
        found = judge.capabilities()
        count = one.stats.requests
        assert judge.capabilities() == found
        assert one.stats.requests == count
    assert (found[one.url].engine, found[one.url].models) == ("sglang", ("m1",))
    assert (found[two.url].engine, found[two.url].batch_endpoint) == ("vllm", True)
    assert found[one.url].structured_output == "regex"
    assert found[two.url].structured_output == "structured_outputs"


def test_what_cannot_be_asked_is_told_beside_the_others(free_port):
    with servers(1) as (server,), judge_of(server.url, f"http://127.0.0.1:{free_port}") as judge:
        found = judge.capabilities()
    assert found[server.url].max_model_len == 32768
    assert "cannot be reached" in str(found[f"http://127.0.0.1:{free_port}"])


def test_sleeping_servers_are_woken_for_a_block_and_sleep_again(tmp_path):
    with servers(2, sleep=True) as (one, two), judge_of(one.url, two.url) as judge:
        one.sleeping = two.sleeping = True
        with judge.awake(lock_folder=str(tmp_path)):
            assert (one.sleeping, two.sleeping) == (False, False)
            assert outcomes(judge.score(samples(8))) == {Outcome.JUDGED}
        assert (one.sleeping, two.sleeping) == (True, True)


def test_a_server_that_refuses_is_not_hammered_while_those_that_would_not_are_down(free_port):
    with JudgeServer(model="other") as refuses:
        settings = {"model_name": "right", "outage_grace": 2.0, "startup_timeout": 0.0}
        with judge_of(refuses.url, f"http://127.0.0.1:{free_port}", **settings) as judge:
            judgements = judge.score(samples(1))
        assert outcomes(judgements) == {Outcome.FALLBACK}
        assert all("404" in judgement.reason for judgement in judgements)
        assert len(asked(refuses)) <= 6 * len(judgements)


@pytest.mark.parametrize("status", [404, 500, 502])
def test_a_server_whose_health_nobody_can_ask_is_used_all_the_same(status):
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server.url, outage_grace=10.0) as judge:
        server._api._routes["/health"] = {"GET": lambda *_: Answer(status)}
        server.inject(Fault("status", status=502, times=8))
        assert outcomes(judge.score(samples(2))) <= {Outcome.JUDGED, Outcome.FALLBACK}
        assert outcomes(judge.score(samples(2))) == {Outcome.JUDGED}


def test_servers_that_come_and_go_leave_nothing_behind(tmp_path):
    url, limits = f"file://{tmp_path}/judge", str(tmp_path / "limit")
    settings = {"registry_refresh": 0.1, "startup_timeout": 30, "shared_limit": limits}
    with judge_of(url, **settings) as judge, servers(4) as all_of_them:
        for server in all_of_them:
            with register(url, server.url):
                deadline = time.monotonic() + 30
                while [each.address for each in judge.stats().servers] != [server.url]:
                    assert outcomes(judge.score(samples(1))) == {Outcome.JUDGED}
                    assert time.monotonic() < deadline
        (process,) = judge._processes.values()
        (channel,) = process.runtime._channels.values()
        assert len(channel.exchange._sessions._open) <= 1
        assert len(process.runtime._shared_limits) == len(channel.shared_limits) == 1
