"""What is asked and what the answers mean: exact sequences of requests and responses."""

import orjson
import pytest
import responses

from llm_judge_remote import errors
from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.exchange import Exchange, NoBatchEndpointError
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.sessions import Connection

URL = "http://judge:8000"
CHAT, MODELS, TOKENIZE = f"{URL}/v1/chat/completions", f"{URL}/v1/models", f"{URL}/tokenize"
BATCH = f"{CHAT}/batch"
REPLY = {"choices": [{"message": {"content": "REWARD: 1"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
TOO_LONG = {"error": {"message": "This model's maximum context length is 100 tokens."}}
NO_MODEL = {"error": {"message": "The model `m` does not exist."}}


@pytest.fixture
def wire():
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def connect():
    exchanges = []

    def make(*addresses, **given):
        exchanges.append(Exchange(Connection(**given)))
        return exchanges[-1]

    yield make
    for exchange in exchanges:
        exchange.close()


def asking(text="q", model="m", temperature=0.0):
    return ChatRequest(({"role": "user", "content": text},), model, temperature, 1.0, 5, enable_thinking=False)


def chunk(*texts, **given):
    return [asking(text, **given) for text in texts or ("a", "b", "c")]


def ask(exchange, *requests, address=URL, attempt=None):
    return exchange.send(address, requests or (asking(),), attempt or Attempt())


def answer_of(*contents):
    return {"choices": [{"index": n, "message": {"content": content}} for n, content in enumerate(contents)]}


def served(*names):
    return {"data": [{"id": name} for name in names]}


def sent(wire):
    return [orjson.loads(call.request.body) for call in wire.calls if call.request.body]


def asked(wire):
    return [call.request.url for call in wire.calls]


# One conversation


def test_one_request_brings_one_reply(wire, connect):
    wire.post(CHAT, json=REPLY)
    (reply,) = ask(connect(api_key="k"))
    assert (reply.content, reply.prompt_tokens, reply.server) == ("REWARD: 1", 3, URL)
    (call,) = wire.calls
    assert call.request.headers["Authorization"] == "Bearer k"
    assert call.request.headers["Content-Length"] == str(len(call.request.body))
    assert orjson.loads(call.request.body)["model"] == "m"


@pytest.mark.parametrize(
    ("status", "kind"), [(500, errors.StatusError), (503, errors.OverloadedError), (401, errors.AuthenticationError)]
)
def test_a_failure_is_told_and_nothing_is_sent_again(wire, connect, status, kind):
    wire.post(CHAT, status=status, headers={"Retry-After": "7"})
    with pytest.raises(kind) as caught:
        ask(connect())
    assert (caught.value.status, caught.value.retry_after, len(wire.calls)) == (status, 7, 1)


def test_an_answer_that_is_no_completion_is_an_error(wire, connect):
    wire.post(CHAT, body=b"<html>")
    with pytest.raises(errors.InvalidReplyError):
        ask(connect())


def test_each_server_is_asked_under_its_own_address(wire, connect):
    wire.post("http://one/v1/chat/completions", json=REPLY)
    wire.post("http://two/v1/chat/completions", json=REPLY)
    exchange = connect("http://one", "http://two")
    assert [ask(exchange, address=address)[0].server for address in ("http://two", "http://one")] == [
        "http://two",
        "http://one",
    ]


# A chunk


def test_several_conversations_are_one_request_to_the_batch_endpoint(wire, connect):
    wire.post(BATCH, json=answer_of("x", "y", "z"))
    replies = ask(connect(), *chunk("a", "b", "c", temperature=0.7))
    assert [reply.content for reply in replies] == ["x", "y", "z"]
    (body,) = sent(wire)
    assert body["messages"] == [[{"role": "user", "content": text}] for text in "abc"]
    assert (body["model"], body["temperature"]) == ("m", 0.7)


def test_what_a_chunk_s_answer_leaves_out_is_the_error_of_one_conversation(wire, connect):
    wire.post(BATCH, json=answer_of("x", "y"))
    results = ask(connect(), *chunk())
    assert [type(result) for result in results] == [ChatReply, ChatReply, errors.InvalidReplyError]


def test_a_chunk_s_answer_that_cannot_be_read_is_the_error_of_all(wire, connect):
    wire.post(BATCH, body=b"<html>")
    with pytest.raises(errors.InvalidReplyError):
        ask(connect(), *chunk())


ABSENT = {
    "not found": (404, {"detail": "Not Found"}),
    "not found, as a page": (404, None),
    "method not allowed": (405, {"detail": "Method Not Allowed"}),
    "not implemented": (501, None),
}


@pytest.mark.parametrize(("status", "body"), ABSENT.values(), ids=ABSENT)
def test_a_server_without_the_batch_endpoint_is_known_by_its_answer(wire, connect, status, body):
    wire.post(BATCH, status=status, json=body)
    with pytest.raises(NoBatchEndpointError):
        ask(connect(), *chunk())
    assert asked(wire) == [BATCH]


@pytest.mark.parametrize("status", [401, 403])
def test_a_batch_endpoint_that_the_key_does_not_reach_is_none(wire, connect, status):
    """vllm-router passes the key on to the endpoints that it knows, and this is none of them."""
    wire.post(BATCH, status=status)
    with pytest.raises(NoBatchEndpointError):
        ask(connect(api_key="k"), *chunk())


def test_a_key_that_a_batch_endpoint_took_before_is_refused_by_it(wire, connect):
    exchange = connect(api_key="k")
    wire.post(BATCH, json=answer_of("x", "y", "z"))
    ask(exchange, *chunk())
    wire.replace(responses.POST, BATCH, status=401)
    with pytest.raises(errors.AuthenticationError):
        ask(exchange, *chunk())


@pytest.mark.parametrize("status", [401, 403])
def test_without_a_key_a_batch_that_is_refused_for_the_lack_of_one_is_refused(wire, connect, status):
    wire.post(BATCH, status=status)
    with pytest.raises(errors.AuthenticationError):
        ask(connect(), *chunk())


def test_a_batch_endpoint_that_does_not_know_the_model_is_there(wire, connect):
    wire.post(BATCH, status=404, json=NO_MODEL)
    wire.get(MODELS, json=served("right"))
    with pytest.raises(errors.UnknownModelError, match=r"model_name='m', served: right"):
        ask(connect(), *chunk())


@pytest.mark.parametrize("status", [400, 413, 422])
def test_of_a_chunk_that_is_refused_nothing_is_measured_as_nobody_knows_which_it_was(wire, connect, status):
    wire.post(BATCH, status=status, json=TOO_LONG)
    with pytest.raises(errors.PromptTooLongError) as caught:
        ask(connect(), *chunk())
    assert caught.value.prompt_tokens is None
    assert asked(wire) == [BATCH]


@pytest.mark.parametrize(
    ("status", "kind"), [(500, errors.StatusError), (429, errors.OverloadedError), (403, errors.AuthenticationError)]
)
def test_a_chunk_that_fails_is_one_error_and_nothing_is_sent_again(wire, connect, status, kind):
    wire.post(BATCH, status=status)
    with pytest.raises(kind):
        ask(connect(), *chunk())
    assert len(wire.calls) == 1


# The model's name


def test_auto_asks_for_the_name_and_then_for_the_verdict(wire, connect):
    wire.get(MODELS, json=served("first", "second"))
    wire.post(CHAT, json=REPLY)
    ask(connect(), asking(model="auto"))
    assert asked(wire) == [MODELS, CHAT]
    assert sent(wire)[0]["model"] == "first"


def test_auto_asks_for_the_name_only_once(wire, connect):
    wire.get(MODELS, json=served("first"))
    wire.post(CHAT, json=REPLY)
    wire.post(BATCH, json=answer_of("x", "y"))
    exchange = connect()
    ask(exchange, asking(model="auto"))
    ask(exchange, asking(model="auto"))
    ask(exchange, *chunk("a", "b", model="auto"))
    assert asked(wire) == [MODELS, CHAT, CHAT, BATCH]
    assert sent(wire)[-1]["model"] == "first"


def test_auto_asks_each_server_for_its_own_model(wire, connect):
    for name in ("one", "two"):
        wire.get(f"http://{name}/v1/models", json=served(name))
        wire.post(f"http://{name}/v1/chat/completions", json=REPLY)
    exchange = connect("http://one", "http://two")
    for name in ("one", "two"):
        ask(exchange, asking(model="auto"), address=f"http://{name}")
    assert [body["model"] for body in sent(wire)] == ["one", "two"]


def test_auto_asks_again_when_the_server_came_back_with_another_model(wire, connect):
    wire.get(MODELS, json=served("old"))
    wire.post(CHAT, status=404, json={"error": {"message": "The model `old` does not exist."}})
    wire.get(MODELS, json=served("new"))
    wire.post(CHAT, json=REPLY)
    exchange = connect()
    with pytest.raises(errors.UnknownModelError) as caught:
        ask(exchange, asking(model="auto"))
    assert caught.value.retryable
    assert ask(exchange, asking(model="auto"))[0].content == "REWARD: 1"
    assert sent(wire)[-1]["model"] == "new"


@pytest.mark.parametrize("body", [served(), {}, {"data": None}, {"data": ["m", {"id": 1}, {}]}])
def test_auto_with_a_server_that_lists_no_model_says_what_to_set(wire, connect, body):
    wire.get(MODELS, json=body)
    with pytest.raises(errors.InvalidReplyError, match="set model_name"):
        ask(connect(), asking(model="auto"))


def test_a_server_that_could_not_name_its_model_is_asked_again_by_the_next(wire, connect):
    wire.get(MODELS, status=503)
    wire.get(MODELS, json=served("m"))
    wire.post(CHAT, json=REPLY)
    exchange = connect()
    with pytest.raises(errors.OverloadedError):
        ask(exchange, asking(model="auto"))
    assert ask(exchange, asking(model="auto"))[0].content == "REWARD: 1"


def test_a_wrong_model_is_an_error_that_names_the_right_ones(wire, connect):
    wire.post(CHAT, status=404, json={"error": {"message": "no such model"}})
    wire.get(MODELS, json=served("right", "also right"))
    with pytest.raises(
        errors.UnknownModelError, match=r"no such model.*model_name='m', served: right, also right"
    ) as e:
        ask(connect())
    assert not e.value.retryable


def test_the_right_models_are_asked_for_once_and_not_once_per_sample(wire, connect):
    wire.post(CHAT, status=404, json=NO_MODEL)
    wire.get(MODELS, json=served("right"))
    exchange = connect()
    for _ in range(3):
        with pytest.raises(errors.UnknownModelError, match="served: right"):
            ask(exchange)
    assert asked(wire).count(MODELS) == 1


def test_a_server_that_does_not_name_its_models_leaves_the_first_error(wire, connect):
    wire.post(CHAT, status=404, json=NO_MODEL)
    wire.get(MODELS, status=500)
    with pytest.raises(errors.UnknownModelError, match="does not exist"):
        ask(connect())


# The prompt's length


def test_a_prompt_that_is_too_long_is_measured_by_the_server(wire, connect):
    wire.post(CHAT, status=400, json=TOO_LONG)
    wire.post(TOKENIZE, json={"count": 250, "max_model_len": 100})
    with pytest.raises(errors.PromptTooLongError) as caught:
        ask(connect())
    assert (caught.value.prompt_tokens, caught.value.token_limit) == (250, 100)


def test_it_is_measured_with_the_model_that_the_server_serves(wire, connect):
    wire.get(MODELS, json=served("right"))
    wire.post(CHAT, status=400, json=TOO_LONG)
    wire.post(TOKENIZE, json={"count": 250, "max_model_len": 100})
    with pytest.raises(errors.PromptTooLongError):
        ask(connect(), asking(model="auto"))
    assert sent(wire)[-1]["model"] == "right"


@pytest.mark.parametrize("answer", [{"status": 404}, {"json": {}}, {"json": {"count": "x"}}, {"body": b"<html>"}])
def test_a_server_without_a_tokenizer_leaves_the_length_open_and_its_words_tell_the_limit(wire, connect, answer):
    wire.post(CHAT, status=400, json=TOO_LONG)
    wire.post(TOKENIZE, **answer)
    with pytest.raises(errors.PromptTooLongError) as caught:
        ask(connect())
    assert (caught.value.prompt_tokens, caught.value.token_limit) == (None, 100)
