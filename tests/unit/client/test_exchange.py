"""Exact sequences of requests and responses."""

import time

import orjson
import pytest
import responses

from llm_judge_remote import JudgeSettings, errors
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.client.exchange import Exchange

URL = "http://judge:8000"
CHAT, MODELS, TOKENIZE = f"{URL}/v1/chat/completions", f"{URL}/v1/models", f"{URL}/tokenize"
REPLY = {"choices": [{"message": {"content": "REWARD: 1"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
TOO_LONG = {"error": {"message": "This model's maximum context length is 100 tokens."}}


@pytest.fixture
def wire():
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def ask():
    exchanges = []

    def run(model="m", until=None, **settings):
        exchanges.append(Exchange(JudgeSettings(**{"server_url": URL, "max_retries": 2, **settings})))
        request = ChatRequest(({"role": "user", "content": "q"},), model, 0.0, 1.0, 5, enable_thinking=False)
        return exchanges[-1].ask(request, since=time.monotonic(), until=until)

    yield run
    for exchange in exchanges:
        exchange.close()


def served(*names):
    return {"data": [{"id": name} for name in names]}


def test_one_request_brings_one_reply(wire, ask):
    wire.post(CHAT, json=REPLY)
    reply = ask(api_key="k")
    assert (reply.content, reply.prompt_tokens, reply.attempts) == ("REWARD: 1", 3, 1)
    (call,) = wire.calls
    assert call.request.headers["Authorization"] == "Bearer k"
    assert call.request.headers["Content-Length"] == str(len(call.request.body))
    assert orjson.loads(call.request.body)["model"] == "m"


def test_a_passing_fault_is_followed_by_one_more_request_and_the_reply_counts_both(wire, ask):
    wire.post(CHAT, status=500)
    wire.post(CHAT, json=REPLY)
    assert ask().attempts == 2


def test_a_lasting_fault_ends_after_the_retries_and_the_error_counts_them(wire, ask):
    wire.post(CHAT, status=429, headers={"Retry-After": "0"})
    with pytest.raises(errors.OverloadedError) as caught:
        ask()
    assert caught.value.attempts == len(wire.calls) == 3


def test_auto_asks_for_the_name_and_then_for_the_verdict(wire, ask):
    wire.get(MODELS, json=served("first", "second"))
    wire.post(CHAT, json=REPLY)
    ask("auto")
    assert [call.request.url for call in wire.calls] == [MODELS, CHAT]
    assert orjson.loads(wire.calls[1].request.body)["model"] == "first"


def test_auto_asks_again_when_the_server_came_back_with_another_model(wire, ask):
    wire.get(MODELS, json=served("old"))
    wire.post(CHAT, status=404, json={"error": {"message": "The model `old` does not exist."}})
    wire.get(MODELS, json=served("new"))
    wire.post(CHAT, json=REPLY)
    assert ask("auto").content == "REWARD: 1"
    assert orjson.loads(wire.calls[-1].request.body)["model"] == "new"


def test_auto_with_a_server_that_lists_no_model_says_what_to_set(wire, ask):
    wire.get(MODELS, json={"data": []})
    with pytest.raises(errors.InvalidReplyError, match="set model_name"):
        ask("auto", max_retries=0)


def test_a_wrong_model_is_not_asked_for_again_and_the_right_ones_are_named(wire, ask):
    wire.post(CHAT, status=404, json={"error": {"message": "no such model"}})
    wire.get(MODELS, json=served("right"))
    with pytest.raises(errors.UnknownModelError, match=r"no such model.*model_name='m', served: right"):
        ask()


def test_a_prompt_that_is_too_long_is_measured_by_the_server(wire, ask):
    wire.post(CHAT, status=400, json=TOO_LONG)
    wire.post(TOKENIZE, json={"count": 250, "max_model_len": 100})
    with pytest.raises(errors.PromptTooLongError) as caught:
        ask()
    assert (caught.value.prompt_tokens, caught.value.token_limit) == (250, 100)


def test_a_server_without_a_tokenizer_leaves_the_length_open(wire, ask):
    wire.post(CHAT, status=400, json=TOO_LONG)
    wire.post(TOKENIZE, status=404)
    with pytest.raises(errors.PromptTooLongError) as caught:
        ask()
    assert (caught.value.prompt_tokens, caught.value.token_limit) == (None, None)


def test_nothing_is_sent_when_the_time_is_up(wire, ask):
    with pytest.raises(errors.DeadlineExceededError):
        ask(until=time.monotonic())


def test_a_retry_goes_to_another_server(wire, ask):
    wire.post("http://one/v1/chat/completions", status=500)
    wire.post("http://two/v1/chat/completions", json=REPLY)
    assert ask(server_url="http://one,http://two").server == "http://two"
