"""What each endpoint answers, and how errors read."""

from __future__ import annotations

import json
import socket

import pytest
import requests

from llm_judge_remote.testing import JudgeServer, count_tokens

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def error_of(response):
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == response.status_code
    return response.json()["error"]


def test_health_is_an_empty_200(connect, server):
    response = connect(server).get("/health")
    assert (response.status_code, response.content) == (200, b"")


def test_a_loading_server_answers_503_until_it_has_loaded(connect, server):
    client = connect(server)
    server.loading = True
    assert client.get("/health").status_code == 503
    assert client.chat().status_code == 503
    assert client.get("/metrics").status_code == 200
    server.loading = False
    assert client.get("/health").status_code == 200
    assert client.chat().status_code == 200


def test_models_tells_the_name_and_the_context_length(connect):
    with JudgeServer(model="tiny", max_model_len=2048) as server:
        listing = connect(server).get("/v1/models").json()
    assert listing["object"] == "list"
    [card] = listing["data"]
    assert card["id"] == "tiny"
    assert card["object"] == "model"
    assert card["owned_by"] == "vllm"
    assert card["max_model_len"] == 2048
    assert card["permission"][0]["allow_sampling"] is True


def test_version_names_the_release_that_is_spoken(connect, server):
    assert connect(server).get("/version").json() == {"version": "0.32.0"}


def test_metrics_count_tokens_and_requests_under_vllms_names(connect):
    with JudgeServer(judge="one two three", model='a "model"') as server:
        client = connect(server)
        client.post("/v1/chat/completions", HELLO)
        client.post("/v1/chat/completions", {**HELLO, "max_tokens": 2})
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    label = r'engine="0",model_name="a \"model\""'
    assert lines[f"vllm:num_requests_running{{{label}}}"] == "0.0"
    assert lines[f"vllm:num_requests_waiting{{{label}}}"] == "0.0"
    assert lines[f"vllm:prompt_tokens_total{{{label}}}"] == "4.0"
    assert lines[f"vllm:generation_tokens_total{{{label}}}"] == "5.0"
    assert lines[f'vllm:request_success_total{{{label},finished_reason="stop"}}'] == "1.0"
    assert lines[f'vllm:request_success_total{{{label},finished_reason="length"}}'] == "1.0"


@pytest.mark.parametrize("text", ["", "a", "abcd", "abcde", "ä€😀" * 5])
def test_tokenize_counts_as_usage_does(connect, server, text):
    client = connect(server)
    messages = [{"role": "user", "content": text}]
    by_prompt = client.post("/tokenize", {"model": server_model(client), "prompt": text}).json()
    by_messages = client.post("/tokenize", {"messages": messages}).json()
    usage = client.chat(text).json()["usage"]
    assert by_prompt == by_messages
    assert by_prompt["count"] == len(by_prompt["tokens"]) == usage["prompt_tokens"] == count_tokens(text)
    assert by_prompt["max_model_len"] == 32768


def server_model(client):
    return client.get("/v1/models").json()["data"][0]["id"]


def test_a_chat_completion_has_vllms_shape(connect):
    with JudgeServer(judge="REWARD: 0.5") as server:
        body = connect(server).chat("12345").json()
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert body["model"] == "Qwen/Qwen3-32B"
    [choice] = body["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == "REWARD: 0.5"
    assert choice["message"]["reasoning"] is None
    usage = {name: body["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    assert usage == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def test_n_gives_as_many_choices_for_one_prompt(connect):
    with JudgeServer(judge=["first", "second one"]) as server:
        body = connect(server).chat("1234", n=2).json()
        assert server.stats.conversations == 1
    assert [(c["index"], c["message"]["content"]) for c in body["choices"]] == [(0, "first"), (1, "second one")]
    assert body["usage"]["prompt_tokens"] == 1
    assert body["usage"]["completion_tokens"] == 3


def test_content_in_parts_counts_like_a_string(connect, server):
    client = connect(server)
    parts = [{"type": "text", "text": "hello world"}]
    body = client.post("/v1/chat/completions", {"messages": [{"role": "user", "content": parts}]}).json()
    assert body["usage"]["prompt_tokens"] == count_tokens("hello world")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic sesame"}])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/v1/no-such-thing"])
def test_without_the_key_all_below_v1_is_unauthorized(connect, headers, path):
    with JudgeServer(api_key="sesame") as server:
        response = connect(server).get(path, headers=headers)
        assert server.stats.unauthorized == 1
    assert response.status_code == 401
    assert response.json() == {"error": "Unauthorized"}


def test_the_key_opens_and_health_and_metrics_need_none(connect):
    with JudgeServer(api_key="sesame") as server:
        client = connect(server)
        assert client.get("/health").status_code == 200
        assert client.get("/metrics").status_code == 200
        assert client.get("/v1/models", headers={"Authorization": "Bearer sesame"}).status_code == 200
        client.session.headers["Authorization"] = "bearer sesame"
        assert client.chat().status_code == 200
        assert server.stats.unauthorized == 0


def test_a_model_that_is_not_served_is_a_404_in_vllms_words(connect, server):
    client = connect(server)
    for path in ("/v1/chat/completions", "/tokenize"):
        error = error_of(client.post(path, {**HELLO, "model": "gpt-5"}))
        assert error["message"] == "The model `gpt-5` does not exist."
        assert (error["type"], error["code"], error["param"]) == ("NotFoundError", 404, "model")


def test_a_request_that_names_no_model_is_answered(connect, server):
    assert connect(server).post("/v1/chat/completions", HELLO).status_code == 200


def test_unknown_paths_and_wrong_methods_are_errors(connect, server):
    client = connect(server)
    assert error_of(client.get("/v2/nothing?x=1"))["code"] == 404
    assert error_of(client.get("/v1/chat/completions"))["code"] == 405
    assert error_of(client.post("/health", {}))["code"] == 405
    assert server.stats.by_path == {"(unknown)": 1, "/v1/chat/completions": 1, "/health": 1}


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"messages": [{"role": "user", "content": "\\ud800"}]}', b"\xff", b"[1]", b'"text"']
)
def test_a_body_that_is_no_json_object_is_a_400(connect, server, data):
    response = connect(server).session.post(
        server.url + "/v1/chat/completions", data=data, headers={"Content-Type": "application/json"}, timeout=20
    )
    assert response.status_code == 400
    assert "1 validation error" in error_of(response)["message"]


def test_a_body_that_is_not_called_json_is_a_400(connect, server):
    response = connect(server).session.post(server.url + "/v1/chat/completions", data=json.dumps(HELLO), timeout=20)
    assert response.status_code == 400
    assert "Unsupported Media Type" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/chat/completions", {"messages": None}, "body.messages"),
        ("/v1/chat/completions", {"messages": []}, "body.messages"),
        ("/v1/chat/completions", {"messages": "hello"}, "body.messages"),
        ("/v1/chat/completions", {"messages": [{"content": "hello"}]}, "body.messages.0.role"),
        ("/v1/chat/completions", {"max_tokens": 0}, "max_tokens"),
        ("/v1/chat/completions", {"max_tokens": "many"}, "max_tokens"),
        ("/v1/chat/completions", {"n": -1}, "n"),
        ("/v1/chat/completions", {"stream": True}, "stream"),
        ("/v1/chat/completions/batch", {}, "body.messages.0"),
        ("/v1/chat/completions/batch", {"messages": None}, "body.messages"),
        ("/v1/chat/completions/batch", {"messages": []}, "body.messages"),
        ("/v1/chat/completions/batch", {"messages": [[{"role": "user", "content": "x"}], []]}, "body.messages.1"),
        ("/v1/chat/completions/batch", {"messages": [[{"role": "user", "content": "x"}]], "n": 2}, "n"),
        ("/tokenize", {"messages": None}, "body.messages"),
    ],
)
def test_a_missing_or_wrong_field_is_a_400_that_names_it(connect, server, path, fields, param):
    response = connect(server).post(path, {**HELLO, **fields})
    assert response.status_code == 400
    assert error_of(response)["param"] == param
    assert server.stats.conversations == 0


def test_a_prompt_that_does_not_fit_with_its_reply_is_a_400_in_vllms_words(connect):
    with JudgeServer(max_model_len=2048) as server:
        client = connect(server)
        fits, too_long = "abcd" * 1536, "abcd" * 1536 + "e"
        assert client.chat(fits, max_tokens=512).status_code == 200
        error = error_of(client.chat(too_long, max_tokens=512))
        assert error["message"] == (
            "This model's maximum context length is 2048 tokens. However, you requested 512 output tokens and your "
            "prompt contains at least 1537 input tokens, for a total of at least 2049 tokens. Please reduce the "
            "length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=1537)"
        )
        assert (error["type"], error["code"], error["param"]) == ("BadRequestError", 400, "input_tokens")
        assert client.batch(["short", too_long], max_tokens=512).status_code == 400
        # Without a budget, the reply may be as short as need be.
        assert client.chat(too_long).status_code == 200
        assert "even without any output tokens" in error_of(client.chat("abcd" * 2049))["message"]
        assert "cannot be greater than max_model_len=2048" in error_of(client.chat("x", max_tokens=2049))["message"]


def test_a_clamping_server_lowers_the_budget_instead(connect):
    with JudgeServer(max_model_len=10, clamp_max_tokens=True, judge="one two three four") as server:
        client = connect(server)
        body = client.chat("abcd" * 8, max_tokens=9).json()
        assert body["choices"][0]["message"]["content"] == "one two"
        assert body["choices"][0]["finish_reason"] == "length"
        assert "even without any output tokens" in error_of(client.chat("abcd" * 11, max_tokens=2))["message"]


def test_a_batch_answers_each_conversation_at_its_index(connect):
    with JudgeServer(judge=lambda conversation: f"{conversation.index}: {conversation.text}") as server:
        body = connect(server).batch(["abcd", "abcdefgh", "x"]).json()
        stats = server.stats
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert [c["message"]["content"] for c in body["choices"]] == ["0: abcd", "1: abcdefgh", "2: x"]
    assert body["usage"]["prompt_tokens"] == 1 + 2 + 1
    assert body["usage"]["completion_tokens"] == 6
    assert (stats.requests, stats.conversations) == (1, 3)


def test_without_a_batch_endpoint_a_batch_is_a_404(connect):
    with JudgeServer(batch_endpoint=False) as server:
        client = connect(server)
        assert error_of(client.batch(["a"]))["message"] == "Not Found"
        assert client.chat().status_code == 200


def test_requests_are_kept_with_lower_case_headers_and_parsed_bodies(connect):
    with JudgeServer(keep_requests=2) as server:
        client = connect(server)
        client.get("/health")
        client.post("/v1/chat/completions", HELLO, headers={"X-Request-Id": "7"})
        client.session.post(server.url + "/tokenize", data=b"{", timeout=20)
        chat, tokenize = server.requests
    assert (chat.method, chat.path, chat.body) == ("POST", "/v1/chat/completions", HELLO)
    assert chat.headers["x-request-id"] == "7"
    assert (tokenize.path, tokenize.body) == ("/tokenize", b"{")


def test_connections_are_kept_and_counted(connect, server):
    client = connect(server)
    for _ in range(5):
        client.chat()
    stats = server.stats
    assert (stats.requests, stats.connections, stats.open_connections) == (5, 1, 1)
    assert stats.statuses == {200: 5}
    client.session.close()
    assert server.wait_until(lambda stats: stats.open_connections == 0).connections == 1


def test_an_idle_connection_is_closed_after_the_keepalive(raw, drain):
    with JudgeServer(keepalive=0.05) as server:
        data = drain(raw(server, b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n"))
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close" not in data


def test_a_client_that_asks_for_it_gets_its_connection_closed(raw, drain, server):
    data = drain(raw(server, b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    assert b"\r\nconnection: close\r\n" in data


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /tokenize HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /tokenize HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"what is this\r\n\r\n",
    ],
)
def test_a_request_whose_end_is_unknown_is_refused_and_the_connection_closed(raw, drain, server, request_head):
    assert drain(raw(server, request_head)).split()[1] in (b"400", b"411")


def test_two_requests_sent_at_once_are_answered_in_order(raw):
    with JudgeServer(service_time=0.05) as server:
        body = json.dumps(HELLO).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection = raw(server, head % len(body) + body + b"GET /version HTTP/1.1\r\n\r\n")
        data = b""
        while b'"version"' not in data:
            data += connection.recv(65536)
        assert data.index(b"chat.completion") < data.index(b'"version"')
        assert server.stats.aborted == 0


def test_the_server_listens_on_ipv6_too(connect):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
    with JudgeServer(host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert connect(server).get("/health").status_code == 200


def test_a_stopped_server_refuses_connections(server):
    server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url + "/health", timeout=20)
