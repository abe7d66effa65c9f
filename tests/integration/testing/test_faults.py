"""What goes wrong, and to whom."""

from __future__ import annotations

import socket

import pytest
import requests

from llm_judge_remote.testing import Fault, JudgeServer


def failing(*faults, **options):
    return JudgeServer(judge="REWARD: 1", faults=faults, **options)


def test_a_status_comes_with_retry_after(connect):
    with failing(Fault("status", status=503, retry_after=2)) as server:
        response = connect(server).chat()
        assert server.stats.faults == {"status": 1}
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json()["error"]["type"] == "ServiceUnavailableError"


def test_a_status_without_a_number_is_500_and_has_no_retry_after(connect):
    with failing(Fault("status")) as server:
        response = connect(server).chat()
    assert response.status_code == 500
    assert "retry-after" not in response.headers


def test_a_reset_is_a_tcp_reset(raw):
    with failing(Fault("reset")) as server:
        connection = raw(server)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_drop_ends_in_the_middle_of_the_body(raw, drain):
    with failing(Fault("drop")) as server:
        data = drain(raw(server))
    head, _, body = data.partition(b"\r\n\r\n")
    promised = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200")
    assert len(body) == promised // 2


def test_a_truncated_answer_is_whole_http_and_broken_json(connect):
    with failing(Fault("truncated", times=1)) as server:
        client = connect(server)
        response = client.chat()
        assert response.status_code == 200
        assert len(response.content) == int(response.headers["content-length"])
        with pytest.raises(requests.JSONDecodeError):
            response.json()
        assert client.content() == "REWARD: 1"
        assert server.stats.connections == 1


def test_garbage_is_a_page_of_html(connect):
    with failing(Fault("garbage")) as server:
        response = connect(server).chat()
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<html>")


def test_replies_can_lack_choices_content_or_a_verdict(connect):
    with failing(
        Fault("empty_choices", times=1), Fault("null_content", times=1), Fault("no_verdict", times=1)
    ) as server:
        client = connect(server)
        assert client.chat().json()["choices"] == []
        message = client.chat().json()["choices"][0]["message"]
        assert (message["content"], message["reasoning"]) == (None, None)
        assert "REWARD" not in client.content()
        assert client.content() == "REWARD: 1"
        assert server.stats.faults == {"empty_choices": 1, "null_content": 1, "no_verdict": 1}


def test_a_reply_without_a_verdict_ignores_structured_output(connect):
    with failing(Fault("no_verdict")) as server:
        assert "REWARD" not in connect(server).content(structured_outputs={"regex": r"REWARD: \d"})


def test_a_hang_answers_when_its_seconds_are_over(connect):
    with failing(Fault("hang", seconds=0.05)) as server:
        assert connect(server).content() == "REWARD: 1"
        assert server.stats.faults == {"hang": 1}


def test_a_hang_without_end_keeps_its_slot_until_the_client_leaves(raw, connect):
    with failing(Fault("hang", times=1), slots=1) as server:
        hanging = raw(server)
        server.wait_until(lambda stats: stats.in_service == 1)
        hanging.close()
        assert server.wait_until(lambda stats: stats.aborted == 1).in_service == 0
        assert connect(server).content() == "REWARD: 1"


@pytest.mark.parametrize("kind", ["drip", "drip_headers"])
def test_a_drip_brings_the_right_answer_byte_by_byte(connect, kind):
    with failing(Fault(kind, seconds=0)) as server:
        client = connect(server)
        assert client.content() == "REWARD: 1"
        assert client.content(structured_outputs={"regex": r"\d"}) == "1"


@pytest.mark.parametrize(("kind", "first"), [("drip", b"\r\n\r\n{"), ("drip_headers", b"H")])
def test_a_slow_drip_sends_one_byte_and_waits_until_the_server_stops(raw, drain, kind, first):
    with failing(Fault(kind, seconds=60)) as server:
        connection = raw(server)
        data = b""
        while not data.endswith(first):
            data += connection.recv(65536)
        connection.settimeout(0.1)
        with pytest.raises(socket.timeout):
            connection.recv(1)
        connection.settimeout(20)
        server.stop()
        assert drain(connection) == b""


def test_a_client_that_leaves_a_drip_counts_as_aborted(raw):
    with failing(Fault("drip", seconds=0.005)) as server:
        connection = raw(server)
        connection.recv(1)
        connection.close()
        server.wait_until(lambda stats: stats.aborted == 1)


def test_times_bounds_how_often_a_fault_strikes(connect):
    with failing(Fault("status", status=429, times=2)) as server:
        client = connect(server)
        assert [client.chat(str(number)).status_code for number in range(4)] == [429, 429, 200, 200]
        assert server.faults == ()


@pytest.mark.parametrize("match", ["bad", lambda conversation: conversation.text == "very bad"])
def test_a_match_spares_all_others(connect, match):
    with failing(Fault("status", match=match)) as server:
        client = connect(server)
        assert [client.chat(text).status_code for text in ("good", "very bad", "fine")] == [200, 500, 200]


def test_a_fault_of_the_first_attempt_spares_the_second(connect):
    with failing(Fault("status", first_attempt_only=True)) as server:
        client = connect(server)
        assert [client.chat(text).status_code for text in ("a", "a", "b", "a", "b")] == [500, 200, 500, 200, 200]


def statuses(connect, texts, **options):
    with failing(Fault("status", status=500, share=0.3), Fault("status", status=503, share=0.3), **options) as server:
        client = connect(server)
        return {text: client.chat(text).status_code for text in texts}


def test_a_share_strikes_the_same_conversations_in_every_run(connect):
    texts = [f"sample {number}" for number in range(200)]
    first = statuses(connect, texts, seed=1)
    assert first == statuses(connect, texts[::-1], seed=1)
    assert first != statuses(connect, texts, seed=2)
    # 0.3 and 0.7 * 0.3 of 200, each give or take five standard deviations
    assert 28 <= list(first.values()).count(500) <= 92
    assert 13 <= list(first.values()).count(503) <= 71


def test_a_share_decides_anew_for_each_attempt(connect):
    with failing(Fault("status", share=0.5)) as server:
        client = connect(server)
        assert {client.chat("the same").status_code for _ in range(40)} == {200, 500}


def test_faults_can_be_changed_while_the_server_runs(connect):
    with failing() as server:
        client = connect(server)
        assert client.chat().status_code == 200
        server.inject(Fault("status", status=502), Fault("garbage"))
        assert [fault.kind for fault in server.faults] == ["status", "garbage"]
        assert client.chat().status_code == 502
        server.faults = [Fault("status", status=429)]
        assert client.chat().status_code == 429
        server.clear_faults()
        assert client.chat().status_code == 200


@pytest.mark.parametrize("kind", ["status", "reset", "drop", "truncated", "garbage", "empty_choices"])
def test_in_a_batch_the_fault_of_one_is_the_fault_of_all(connect, kind):
    with failing(Fault(kind, match="bad")) as server:
        client = connect(server)
        try:
            response = client.batch(["good", "bad", "good too"])
            assert response.status_code != 200 or len(response.json()["choices"]) != 3
        except (requests.ConnectionError, requests.JSONDecodeError, requests.exceptions.ChunkedEncodingError):
            pass
        assert client.batch(["good", "good too"]).json()["choices"][1]["message"]["content"] == "REWARD: 1"
        assert server.stats.faults == {kind: 1}


def test_in_a_batch_a_reply_without_content_or_verdict_is_its_own_affair(connect):
    with failing(Fault("null_content", match="null"), Fault("no_verdict", match="vague")) as server:
        choices = connect(server).batch(["good", "null", "vague", "fine"]).json()["choices"]
    contents = [choice["message"]["content"] for choice in choices]
    assert contents[0] == contents[3] == "REWARD: 1"
    assert contents[1] is None
    assert "REWARD" not in contents[2]


def test_a_script_is_not_used_up_by_faults(connect):
    with JudgeServer(judge=["one"], faults=[Fault("status", times=3)]) as server:
        client = connect(server)
        assert [client.chat().status_code for _ in range(4)] == [500, 500, 500, 200]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset", Fault("reset")),
        ("hang:0.005", Fault("hang", share=0.005)),
        ("status:503", Fault("status", status=503)),
        ("status:503:0.01", Fault("status", status=503, share=0.01)),
        ("status:429:times=3:retry_after=1", Fault("status", status=429, times=3, retry_after="1")),
        ("garbage:0.1:first_attempt_only", Fault("garbage", share=0.1, first_attempt_only=True)),
        ("drip:seconds=0.5:match=hello", Fault("drip", seconds=0.5, match="hello")),
    ],
)
def test_a_fault_can_be_written_as_text(text, fault):
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "explode", "hang:2", "hang:often", "status:99", "status:200", "hang:status=500", "reset:0.1:0.2",
     "status:500:0.1:0.1", "reset:times=0", "hang:seconds=-1", "hang:colour=red"],
)  # fmt: skip
def test_a_fault_that_could_not_happen_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\S"):
        Fault.parse(text)
