"""What goes over the wire and what comes back, as servers of several makes and ages write it."""

import orjson
import pytest

from llm_judge_remote import errors
from llm_judge_remote.client.chat import ChatRequest, read_reply, status_error


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


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": -1, "completion_tokens": "x"}, [], "much"]
)
def test_a_usage_that_says_nothing_counts_as_zero(usage):
    body = orjson.dumps({"choices": [{"message": {"content": "a"}}], "usage": usage})
    assert read_reply(body, "s").prompt_tokens == 0


BROKEN = [b"", b"<html>", b"null", b"[]", b"1", b"{}", b'{"choices": []}', b'{"choices": [{}]}', b'{"choices": [null]}']
BROKEN += [b'{"choices": [{"message": null}]}', b'{"choices": {"0": 1}}', b'{"choices": [{"message": {"content": "a"}}']


@pytest.mark.parametrize("body", BROKEN)
def test_an_answer_that_is_no_completion_is_an_error_that_shows_it(body):
    with pytest.raises(errors.InvalidReplyError, match="http://s answered 200 with no"):
        read_reply(body, "http://s")


VLLM_TOO_LONG = (
    b'{"error":{"message":"This model\'s maximum context length is 4096 tokens. However, your prompt contains at least '
    b'4097 input tokens, which exceeds this limit.","type":"BadRequestError","param":"input_tokens","code":400}}'
)
STATUSES = {
    "too long, vLLM": (400, VLLM_TOO_LONG, errors.PromptTooLongError, "maximum context length is 4096"),
    "too long, older vLLM": (
        400,
        b'{"object":"error","message":"This model\'s maximum context length is 10 tokens.","code":400}',
        errors.PromptTooLongError,
        "maximum context length is 10",
    ),
    "too long, SGLang": (
        400,
        b'{"object":"error","message":"The input (9000 tokens) is longer than the model\'s context length of 8192."}',
        errors.PromptTooLongError,
        "context length of 8192",
    ),
    "other 400": (400, b'{"error":{"message":"temperature"}}', errors.RequestRejectedError, "temperature"),
    "no key": (401, b'{"error":"Unauthorized"}', errors.AuthenticationError, "Unauthorized"),
    "forbidden": (403, b"", errors.AuthenticationError, "an empty body"),
    "wrong model": (404, b'{"error":{"message":"The model `x` does not exist."}}', errors.UnknownModelError, "`x`"),
    "wrong path": (404, b'{"detail":"Not Found"}', errors.UnknownModelError, "Not Found"),
    "timeout of a gateway": (408, b"", errors.StatusError, "408"),
    "unprocessable": (422, b'{"detail":[{"loc":["body"]}]}', errors.RequestRejectedError, "loc"),
    "too many": (429, b"slow down", errors.OverloadedError, "slow down"),
    "server error": (500, b"\xff\xfe", errors.StatusError, "500"),
    "overloaded": (503, b"{}", errors.OverloadedError, "503"),
    "redirect": (307, b"", errors.RequestRejectedError, "elsewhere"),
}


@pytest.mark.parametrize(("status", "body", "kind", "words"), STATUSES.values(), ids=STATUSES)
def test_a_status_becomes_an_error_in_the_server_s_own_words(status, body, kind, words):
    error = status_error(status, {"location": "http://elsewhere"}, body, "http://s")
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith(f"http://s answered {status}: ")


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("3", 3, 3), ("0.5", 0.5, 0.5), ("-1", 0, 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)],
)
def test_retry_after_is_read_in_both_its_forms(header, least, most):
    assert least <= status_error(429, {"retry-after": header}, b"", "s").retry_after <= most


@pytest.mark.parametrize("header", [None, "", "soon", "nan"])
def test_a_retry_after_of_no_use_is_none(header):
    assert status_error(429, {"retry-after": header} if header is not None else {}, b"", "s").retry_after is None


def test_the_body_holds_what_was_set_and_no_more():
    request = ChatRequest(({"role": "user", "content": "é\x00"},), "m", 0.0, 1.0, 5, enable_thinking=False)
    assert orjson.loads(request.body("served")) == {
        "model": "served",
        "messages": [{"role": "user", "content": "é\x00"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 5,
        "chat_template_kwargs": {"enable_thinking": False},
    }
