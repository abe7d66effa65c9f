"""Answers that are no replies, as servers of several makes and ages write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote import errors
from llm_judge_remote.client.refusal import status_error

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
    "too long for a gateway": (413, b"Request Entity Too Large", errors.RequestRejectedError, "Too Large"),
    "other 400": (400, b'{"error":{"message":"temperature"}}', errors.RequestRejectedError, "temperature"),
    "no key": (401, b'{"error":"Unauthorized"}', errors.AuthenticationError, "Unauthorized"),
    "forbidden": (403, b"", errors.AuthenticationError, "an empty body"),
    "wrong model": (404, b'{"error":{"message":"The model `x` does not exist."}}', errors.UnknownModelError, "`x`"),
    "wrong path": (404, b'{"detail":"Not Found"}', errors.UnknownModelError, "Not Found"),
    "timeout of a gateway": (408, b"", errors.StatusError, "408"),
    "unprocessable": (422, b'{"detail":[{"loc":["body"]}]}', errors.RequestRejectedError, "loc"),
    "too many": (429, b"slow down", errors.OverloadedError, "slow down"),
    "server error": (500, b"\xff\xfe", errors.StatusError, "500"),
    "bad gateway": (502, b"<html>", errors.StatusError, "<html>"),
    "overloaded": (503, b"{}", errors.OverloadedError, "503"),
    "redirect": (307, b"", errors.RequestRejectedError, "elsewhere"),
}


@pytest.mark.parametrize(("status", "body", "kind", "words"), STATUSES.values(), ids=STATUSES)
def test_a_status_becomes_an_error_in_the_server_s_own_words(status, body, kind, words):
    error = status_error(status, {"location": "http://elsewhere"}, body, "http://s")
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith(f"http://s answered {status}: ")
    assert (error.status, error.server) == (status, "http://s")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_retryable(status):
    assert status_error(status, {}, b"", "s").retryable


@pytest.mark.parametrize("status", [204, 301, 307, 400, 401, 403, 404, 413, 422, 451])
def test_what_would_fail_again_is_not_retryable(status):
    assert not status_error(status, {}, b"", "s").retryable


@pytest.mark.parametrize(("status", "answered"), [(400, True), (404, True), (429, True), (503, True), (500, False)])
def test_a_server_that_refuses_or_is_busy_is_there_and_one_that_breaks_is_not(status, answered):
    assert status_error(status, {}, b"", "s").answered is answered


def test_a_long_answer_is_cut():
    assert len(str(status_error(500, {}, b"x" * 100_000, "http://s"))) < 400
    assert len(str(status_error(500, {}, b'{"detail": "%s"}' % (b"x" * 100_000), "http://s"))) < 400


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("3", 3, 3), ("0.5", 0.5, 0.5), ("-1", 0, 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)],
)
def test_retry_after_is_read_in_both_its_forms(header, least, most):
    assert least <= status_error(429, {"retry-after": header}, b"", "s").retry_after <= most


@pytest.mark.parametrize("header", [None, "", "soon", "nan"])
def test_a_retry_after_of_no_use_is_none(header):
    assert status_error(429, {"retry-after": header} if header is not None else {}, b"", "s").retry_after is None


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [-+A-Z0-9]{1,5}"))
def test_whatever_retry_after_says_it_is_read_or_ignored(header):
    wait = status_error(429, {"retry-after": header}, b"", "s").retry_after
    assert wait is None or wait >= 0


ROW = b'{"messages": [{"content": "a candidate that speaks of its maximum context length"}]}'


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (
            b'{"error": {"message": "bad: a candidate that speaks of its nature"}}',
            errors.RequestRejectedError,
            "bad: [...]",
        ),
        (b'{"error": {"message": "the maximum context length is 4096"}}', errors.PromptTooLongError, "[...]"),
    ],
)
def test_a_row_is_not_repeated_and_what_it_says_hides_nothing(body, kind, words):
    error = status_error(400, {}, body, "http://judge:8000", ROW)
    assert type(error) is kind
    assert words in str(error)
    assert "candidate that speaks" not in str(error)
