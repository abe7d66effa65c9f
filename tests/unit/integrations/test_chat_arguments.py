from types import SimpleNamespace

import pytest

from llm_judge_remote import JudgeSettings
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.integrations.chat_arguments import Arguments
from llm_judge_remote.integrations.chat_completion import CompletionMessage

ASK = [{"role": "user", "content": "Is it so?"}]


class NotGiven:
    """As the sentinel of the openai package, by its name."""


def made(messages=ASK, **options):
    return Arguments(messages, options, JudgeSettings(server_url="http://a:1", seed=5, temperature=0.5))


def test_what_is_not_given_is_as_in_the_settings():
    for options in ({}, {"temperature": None, "seed": None}, {"temperature": NotGiven(), "max_tokens": NotGiven()}):
        request = made(**options).request
        assert (request.temperature, request.seed, request.max_tokens, request.model) == (0.5, 5, 512, "Qwen/Qwen3-32B")


@pytest.mark.parametrize("model", ["default", "auto", "", None, "None"])
def test_a_model_that_does_not_matter_to_the_caller_is_the_setting(model):
    assert made(model=model).request.model == "Qwen/Qwen3-32B"


def test_another_model_is_taken_by_its_name():
    assert made(model="mine").request.model == "mine"


def test_thinking_has_its_room_beside_the_reply():
    request = made(extra_body={"chat_template_kwargs": {"enable_thinking": True}}).request
    assert request.enable_thinking
    assert request.max_tokens == 512 + 2048


def test_the_total_is_an_upper_bound_of_the_reply():
    assert made(max_total_tokens=100).request.max_tokens == 100
    assert made(max_total_tokens=100, max_completion_tokens=8).request.max_tokens == 8


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"stream": True}, "stream"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logprobs": True}, "logprobs"),
        ({"extra_headers": {"a": "b"}}, "extra_headers"),
        ({"temprature": 1}, "temprature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n=0"),
        ({"n": 1.5}, "n=1.5"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_completion_tokens"),
        ({"extra_body": {"temperature": 1}, "temperature": 1}, "temperature"),
        ({"extra_body": {"messages": ASK}}, "messages"),
        ({"extra_body": {"stream": True}}, "stream"),
        ({"extra_body": "no"}, "extra_body"),
        ({"extra_body": {"thing": object()}}, "JSON"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(options, name):
    with pytest.raises(ConfigError, match=name):
        made(**options)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "Is it so?",
        {"role": "user"},
        None,
        [3],
        [{"role": "tool", "content": "4"}],
        [{"role": "assistant", "content": None, "tool_calls": [{}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a"}}]}],
    ],
)
def test_messages_that_cannot_be_asked_are_refused(messages):
    with pytest.raises(ConfigError, match="messages"):
        made(messages)


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        ({"role": "user", "content": "a"}, {"role": "user", "content": "a"}),
        ({"role": "user", "content": None}, {"role": "user", "content": ""}),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}, {"role": "user", "content": "ab"}),
        ({"role": "user", "content": "\ud800"}, {"role": "user", "content": "\ufffd"}),
        ({"role": "user", "name": "me", "content": "a"}, {"role": "user", "content": "a", "name": "me"}),
        (SimpleNamespace(role="system", content="a", name=None), {"role": "system", "content": "a"}),
        (CompletionMessage("a"), {"role": "assistant", "content": "a"}),
    ],
)
def test_messages_come_in_many_kinds(message, turn):
    assert made(iter([message])).request.messages == (turn,)


def test_what_the_server_is_told_besides_sets_chunks_apart():
    one, same, other = made(stop=["a"]), made(stop=["a"]), made(stop=["b"])
    assert one.request.sampling == same.request.sampling != other.request.sampling


def test_the_same_question_drawn_twice_is_two_questions_unless_the_seed_decides():
    assert made().request.identity == made().request.identity  # the settings have a seed
    settings = JudgeSettings(server_url="http://a:1")
    one, two = (Arguments(ASK, {"temperature": 1.0}, settings).request for _ in range(2))
    assert one.identity != two.identity
    assert one.sampling == two.sampling


def test_bookkeeping_of_other_clients_is_not_sent_on():
    body = made(store=True, metadata={"a": "b"}, user="me", areal_cache={}).request.body("model")
    assert b"metadata" not in body
    assert b"store" not in body


def test_conversations_with_the_same_key_begin_alike():
    assert made(prompt_cache_key="k").key == "k"
    assert made().key == "Is it so?"
