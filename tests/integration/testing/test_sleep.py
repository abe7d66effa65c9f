"""Sleeping and waking up."""

from __future__ import annotations

import pytest

from llm_judge_remote.testing import JudgeServer


@pytest.fixture
def sleeper():
    with JudgeServer(judge="REWARD: 1", sleep=True) as server:
        yield server


def post(client, path, body=None):
    response = client.session.post(client.server.url + path, json=body, timeout=20)
    assert response.status_code == 200, response.text
    return response.json()


def test_it_says_whether_it_sleeps(connect, sleeper):
    client = connect(sleeper)
    assert client.get("/is_sleeping").json() == {"is_sleeping": False}
    assert post(client, "/sleep?level=1") == {"status": "sleeping", "level": 1}
    assert client.get("/is_sleeping").json() == {"is_sleeping": True}
    assert sleeper.sleeping
    assert post(client, "/wake_up") == {"status": "awake", "tags": None}
    assert client.get("/is_sleeping").json() == {"is_sleeping": False}
    assert not sleeper.sleeping


def test_without_the_option_there_is_nothing_of_it(connect, server):
    client = connect(server)
    assert client.get("/is_sleeping").status_code == 404
    for path in ("/sleep", "/wake_up", "/collective_rpc"):
        assert client.post(path, {}).status_code == 404


def test_conversations_wait_until_it_is_woken_and_all_else_is_answered(connect, at_once, sleeper):
    client = connect(sleeper)
    post(client, "/sleep")
    futures = at_once(sleeper, ["a", "b"])
    sleeper.wait_until(lambda stats: stats.in_service == 2)
    for path in ("/health", "/metrics", "/v1/models", "/version"):
        assert client.get(path).status_code == 200
    assert not any(future.done() for future in futures)
    post(client, "/wake_up")
    assert [future.result(20).status_code for future in futures] == [200, 200]


def test_a_conversation_that_is_under_way_waits_too(connect, at_once):
    with JudgeServer(judge="x", service_time=0.2, sleep=True) as server:
        (future,) = at_once(server, ["a"])
        server.wait_until(lambda stats: stats.in_service == 1)
        server.sleeping = True
        (other,) = at_once(server, ["b"])
        server.wait_until(lambda stats: stats.in_service == 2)
        with pytest.raises(TimeoutError):
            server.wait_until(lambda stats: stats.in_service < 2, timeout=0.5)
        server.sleeping = False
        assert {future.result(20).status_code, other.result(20).status_code} == {200}


def test_a_client_that_goes_away_while_it_sleeps_leaves_its_slot(raw, sleeper):
    sleeper.sleeping = True
    raw(sleeper).close()
    sleeper.wait_until(lambda stats: stats.aborted == 1 and stats.in_service == 0)


def test_what_changes_is_counted_and_what_a_test_sets_is_not(connect, sleeper):
    client = connect(sleeper)
    for path in ("/wake_up", "/sleep", "/sleep?level=2", "/wake_up", "/wake_up"):
        post(client, path)
    assert (sleeper.stats.sleeps, sleeper.stats.wakeups) == (1, 1)
    sleeper.sleeping = True
    sleeper.sleeping = False
    assert (sleeper.stats.sleeps, sleeper.stats.wakeups) == (1, 1)


def test_it_is_awake_when_it_has_all_its_memory_again(connect, sleeper):
    client = connect(sleeper)
    post(client, "/sleep")
    assert post(client, "/wake_up?tags=weights") == {"status": "sleeping", "tags": ["weights"]}
    assert sleeper.sleeping
    assert post(client, "/wake_up?tags=kv_cache") == {"status": "awake", "tags": ["kv_cache"]}
    assert (sleeper.stats.sleeps, sleeper.stats.wakeups) == (1, 1)


def test_level_0_gives_no_memory_back(connect, sleeper):
    client = connect(sleeper)
    post(client, "/sleep?level=0")
    assert sleeper.sleeping
    assert post(client, "/wake_up?tags=scheduling")["status"] == "awake"


def test_after_level_2_replies_are_gibberish_until_the_weights_are_loaded_again(connect, sleeper):
    client = connect(sleeper)
    post(client, "/sleep?level=2")
    reload = {"method": "reload_weights"}
    assert client.post("/collective_rpc", reload).status_code == 500  # there is no memory for them yet
    post(client, "/wake_up")
    assert set(client.content()) == {"!"}
    assert post(client, "/collective_rpc", reload) == {"results": [None]}
    assert client.content() == "REWARD: 1"


def test_after_level_1_replies_are_as_before(connect, sleeper):
    client = connect(sleeper)
    post(client, "/sleep?level=1")
    post(client, "/sleep?level=2")  # too late: the weights are out of its reach
    post(client, "/wake_up")
    assert client.content() == "REWARD: 1"


@pytest.mark.parametrize("level", ["3", "-1", "deep"])
def test_there_is_no_other_level(connect, sleeper, level):
    response = connect(sleeper).post(f"/sleep?level={level}", None)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "query.level"
    assert not sleeper.sleeping


def test_it_cannot_wake_up_while_somebody_else_has_its_memory(connect, sleeper):
    client = connect(sleeper)
    sleeper.out_of_memory = True
    post(client, "/wake_up")
    post(client, "/sleep")
    response = client.post("/wake_up", None)
    assert response.status_code == 500
    assert "out of memory" in response.json()["error"]["message"]
    assert sleeper.sleeping
    sleeper.out_of_memory = False
    post(client, "/wake_up")
    assert not sleeper.sleeping


def test_a_restart_wakes_it_with_its_weights(connect, sleeper):
    post(connect(sleeper), "/sleep?level=2")
    sleeper.stop()
    sleeper.start()
    assert not sleeper.sleeping
    assert connect(sleeper).content() == "REWARD: 1"


@pytest.mark.parametrize(("body", "status"), [({}, 400), ([], 400), (None, 400), ({"method": "explode"}, 500)])
def test_no_other_method_can_be_called(connect, sleeper, body, status):
    assert connect(sleeper).post("/collective_rpc", body).status_code == status
