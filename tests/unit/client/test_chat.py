"""What goes over the wire and what comes back, as servers of several makes and ages write it."""

import re
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote import errors
from llm_judge_remote.client.chat import ChatReply, ChatRequest, Passage
from llm_judge_remote.client.constraint import Grammar
from llm_judge_remote.client.replies import read_batch, read_reply


def asking(*texts, **given):
    messages = tuple({"role": "user", "content": text} for text in texts)
    return replace(ChatRequest(messages, "m", 0.0, 1.0, 5, enable_thinking=False), **given)


def completion(message, **choice):
    return orjson.dumps({"choices": [{"message": message, **choice}]})


REPLIES = {
    "plain": (completion({"content": "a"}, finish_reason="stop"), ("a", "", "stop")),
    "thought apart": (completion({"content": "a", "reasoning": "t"}), ("a", "t", "")),
    "thought apart, older": (completion({"content": "a", "reasoning_content": "t"}), ("a", "t", "")),
    "null content": (completion({"content": None, "reasoning": "t"}), ("", "t", "")),
    "null finish reason": (completion({"content": "a"}, finish_reason=None), ("a", "", "")),
    "content in parts": (completion({"content": [{"type": "text", "text": "a"}]}), ("", "", "")),
    "cut off": (completion({"content": "a"}, finish_reason="length"), ("a", "", "length")),
}


@pytest.mark.parametrize(("body", "expected"), REPLIES.values(), ids=REPLIES)
def test_a_completion_is_read(body, expected):
    reply = read_reply(body, "http://s")
    assert (reply.content, reply.reasoning, reply.finish_reason) == expected
    assert (reply.prompt_tokens, reply.completion_tokens, reply.server) == (0, 0, "http://s")


USELESS = [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": "x"}, [], "much"]


@pytest.mark.parametrize("usage", USELESS)
def test_a_usage_that_says_nothing_counts_as_zero(usage):
    body = orjson.dumps({"choices": [{"message": {"content": "a"}}], "usage": usage})
    assert (read_reply(body, "s").prompt_tokens, read_reply(body, "s").completion_tokens) == (0, 0)


BROKEN = [b"", b"<html>", b"null", b"[]", b"1", b"{}", b'{"choices": null}', b'{"choices": {"0": 1}}', b"\xff\xfe"]
BROKEN += [b'{"choices": [{"message": {"content": "a"}}']
BROKEN_SINGLE = [b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": [null]}', b'{"choices": [{"message": null}]}']


@pytest.mark.parametrize("body", BROKEN + BROKEN_SINGLE)
def test_an_answer_that_is_no_completion_is_an_error_that_shows_it(body):
    with pytest.raises(errors.InvalidReplyError, match="http://s answered 200 with no"):
        read_reply(body, "http://s")


def test_the_body_holds_what_was_set_and_no_more():
    assert orjson.loads(asking("é\x00").body("served")) == {
        "model": "served",
        "messages": [{"role": "user", "content": "é\x00"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 5,
        "chat_template_kwargs": {"enable_thinking": False},
    }


GRAMMAR = Grammar("REWARD: ([01])", "[01]")


def test_what_was_set_beside_is_sent():
    sent = orjson.loads(asking("q", seed=0, draws=3, top_logprobs=5).body("served"))
    assert (sent["seed"], sent["n"], sent["logprobs"], sent["top_logprobs"]) == (0, 3, True, 5)


@pytest.mark.parametrize(
    ("dialect", "field", "value"),
    [
        ("structured_outputs", "structured_outputs", {"regex": "REWARD: ([01])"}),
        ("guided_regex", "guided_regex", "REWARD: ([01])"),
        ("regex", "regex", "REWARD: ([01])"),
    ],
)
def test_a_grammar_is_told_in_the_server_s_dialect(dialect, field, value):
    plain = orjson.loads(asking("q").body("served"))
    sent = orjson.loads(asking("q", grammar=GRAMMAR).body("served", dialect))
    assert sent == {**plain, field: value}
    assert orjson.loads(asking("q", grammar=GRAMMAR).body("served")) == plain


def test_a_server_of_openai_s_kind_is_told_a_schema_whose_one_property_is_the_verdict():
    sent = orjson.loads(asking("q", grammar=GRAMMAR).body("served", "response_format"))["response_format"]
    schema = sent["json_schema"]["schema"]
    assert (sent["type"], list(schema["properties"]), schema["required"]) == ("json_schema", ["REWARD"], ["REWARD"])
    assert re.fullmatch(schema["properties"]["REWARD"]["pattern"], "1")
    assert not re.fullmatch(schema["properties"]["REWARD"]["pattern"], "2")


OTHER = {
    "model": "n",
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 6,
    "enable_thinking": True,
    "seed": 1,
    "grammar": GRAMMAR,
    "needs_grammar": True,
    "top_logprobs": 5,
    "draws": 2,
}


@pytest.mark.parametrize("field", OTHER)
def test_requests_may_travel_together_only_when_all_but_their_messages_is_equal(field):
    assert asking("a").sampling == asking("b", "c").sampling
    assert asking("a").sampling != asking("a", **{field: OTHER[field]}).sampling


@pytest.mark.parametrize("field", OTHER)
def test_requests_ask_the_same_only_when_nothing_differs(field):
    assert asking("a", "b").identity == asking("a", "b").identity
    assert hash(asking("a").identity) == hash(asking("a").identity)
    assert asking("a").identity != asking("a", **{field: OTHER[field]}).identity


@pytest.mark.parametrize("other", [(), ("b",), ("a", "b"), ("b", "a"), ("ab",)])
def test_requests_with_other_messages_do_not_ask_the_same(other):
    assert asking("a").identity != asking(*other).identity


def test_who_speaks_is_part_of_what_is_asked():
    system = replace(asking("a"), messages=({"role": "system", "content": "a"},))
    assert system.identity != asking("a").identity


def test_a_chunk_is_one_request_with_a_list_of_conversations_in_order():
    first, *others = (asking(text, temperature=0.7, seed=3, grammar=GRAMMAR) for text in "abc")
    alone, chunk = (
        orjson.loads(body) for body in (first.body("served", "regex"), first.batch_body(others, "served", "regex"))
    )
    assert chunk["regex"] == GRAMMAR.reply
    assert chunk.pop("messages") == [[{"role": "user", "content": text}] for text in "abc"]
    del alone["messages"]
    assert chunk == alone


def choice(index, content="a", finish_reason="stop", **message):
    return {"index": index, "message": {"content": content, **message}, "finish_reason": finish_reason}


def read(choices, count, **payload):
    body = orjson.dumps({"choices": choices, **payload})
    return read_batch(body, "http://s", [asking("q") for _ in range(count)])


def contents(results):
    return [result.content if isinstance(result, ChatReply) else None for result in results]


def test_the_replies_of_a_chunk_go_by_their_index():
    results = read([choice(2, "c"), choice(0, "a", reasoning="t"), choice(1, "b", finish_reason="tool_calls")], 3)
    assert contents(results) == ["a", "b", "c"]
    assert [reply.reasoning for reply in results] == ["t", "", ""]
    assert [reply.finish_reason for reply in results] == ["stop", "tool_calls", "stop"]
    assert {reply.server for reply in results} == {"http://s"}


def test_what_a_chunk_s_answer_leaves_out_is_an_error_of_its_own():
    results = read([choice(2, "c"), choice(0, "a")], 3)
    assert contents(results) == ["a", None, "c"]
    assert isinstance(results[1], errors.InvalidReplyError)
    assert str(results[1]) == "http://s sent no reply to one of 3 conversations of a chunk"


def test_an_empty_reply_is_a_reply_and_not_left_out():
    results = read([choice(0, None), choice(1, "b")], 2)
    assert contents(results) == ["", "b"]


def test_a_reply_that_was_cut_off_in_a_chunk_is_to_be_asked_for_alone():
    results = read([choice(0, "a"), choice(1, "half", finish_reason="length")], 2)
    assert contents(results) == ["a", None]
    assert "cut off" in str(results[1])


def test_of_two_replies_to_one_conversation_the_first_counts():
    assert contents(read([choice(0, "first"), choice(0, "second"), choice(1, "b")], 2)) == ["first", "b"]


UNREADABLE = {
    "no index": {"message": {"content": "x"}},
    "null index": choice(None),
    "index in words": choice("first"),
    "index beyond the chunk": choice(7),
    "index below zero": choice(-1),
    "huge index": choice(1e308),
    "no message": {"index": 1},
    "null message": {"index": 1, "message": None},
    "message is a text": {"index": 1, "message": "x"},
    "null": None,
    "a text": "x",
    "a list": [1],
    "a number": 1,
}


@pytest.mark.parametrize("broken", UNREADABLE.values(), ids=UNREADABLE)
def test_a_choice_that_cannot_be_read_spoils_no_other(broken):
    assert contents(read([choice(0, "a"), broken, choice(2, "c")], 3)) == ["a", None, "c"]


@pytest.mark.parametrize("body", BROKEN)
def test_an_answer_that_is_none_of_the_batch_endpoint_is_an_error_that_shows_it(body):
    with pytest.raises(errors.InvalidReplyError, match="http://s answered 200 with no"):
        read_batch(body, "http://s", [asking("a"), asking("b")])


def test_an_answer_without_choices_leaves_out_every_conversation():
    assert contents(read([], 2)) == [None, None]


def test_the_tokens_of_a_chunk_are_shared_out_by_length():
    requests = [asking("x" * length) for length in (100, 200, 100)]
    body = {"choices": [choice(0, "x"), choice(1, "xx", reasoning="xx"), choice(2, "x" * 5)]}
    body["usage"] = {"prompt_tokens": 40, "completion_tokens": 20}
    results = read_batch(orjson.dumps(body), "s", requests)
    assert [reply.prompt_tokens for reply in results] == [10, 20, 10]
    assert [reply.completion_tokens for reply in results] == [2, 8, 10]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
def test_the_tokens_of_a_chunk_add_up_whatever_the_lengths(lengths, prompt_tokens, completion_tokens):
    requests = [asking("x" * length) for length, _ in lengths]
    choices = [choice(number, "y" * length) for number, (_, length) in enumerate(lengths)]
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    results = read_batch(orjson.dumps({"choices": choices, "usage": usage}), "s", requests)
    assert sum(reply.prompt_tokens for reply in results) == prompt_tokens
    assert sum(reply.completion_tokens for reply in results) == completion_tokens
    assert min(min(reply.prompt_tokens, reply.completion_tokens) for reply in results) >= 0


@pytest.mark.parametrize("usage", USELESS)
def test_a_chunk_s_usage_that_says_nothing_counts_as_zero(usage):
    results = read([choice(0), choice(1)], 2, usage=usage)
    assert [(reply.prompt_tokens, reply.completion_tokens) for reply in results] == [(0, 0), (0, 0)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "index", "message", "content", "reasoning", "finish_reason", "usage"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_refused_with_our_own_error(payload):
    body = orjson.dumps(payload)
    for read_it in (lambda: [read_reply(body, "s")], lambda: read_batch(body, "s", [asking("a"), asking("b")])):
        try:
            results = read_it()
        except errors.InvalidReplyError:
            continue
        assert all(isinstance(result, (ChatReply, errors.InvalidReplyError)) for result in results)


def test_a_reply_can_be_told_how_it_came_about():
    reply = read_reply(completion({"content": "a"}), "s")
    told = reply.after(Passage(attempts=2, hedged=True))
    assert (reply.passage, told.passage) == (Passage(), Passage(attempts=2, hedged=True))
    assert replace(told, passage=Passage()) == reply
