"""What a server says of a request that it did not take, without the request's rows and key."""

import json

import orjson
import pytest

from llm_judge_remote.client.echo import without_echo, without_key, without_reply

PROBLEM = 'How many "sheep" are there\nin Zoë\'s field, if 12 of 30 leave? $\\frac{1}{2}$'
SENT = orjson.dumps(
    {
        "model": "/models/checkpoints/Qwen3-32B-Instruct",
        "messages": [{"role": "user", "content": f"Grade this. {PROBLEM}"}],
    }
)
OWN = "1 validation error: the field may not be of this type"


@pytest.mark.parametrize(
    "answer",
    [
        f"{OWN}: {PROBLEM}",
        orjson.dumps({"error": {"message": f"{OWN}: {PROBLEM}"}}).decode(),
        json.dumps({"error": {"message": f"{OWN}: {PROBLEM}"}}),
        orjson.dumps({"error": {"message": f"{OWN}: {[{'content': PROBLEM}]}"}}).decode(),
        orjson.dumps({"detail": [{"msg": OWN, "input": orjson.loads(SENT)["messages"]}]}).decode(),
    ],
    ids=["plain", "JSON", "ASCII JSON", "Python in JSON", "pydantic's input"],
)
def test_what_an_answer_repeats_of_a_row_is_cut_out_and_its_own_words_stay(answer):
    cut = without_echo(answer, SENT)
    assert OWN in cut
    assert "[...]" in cut
    for word in ("sheep", "field, if 12", "frac"):
        assert word not in cut
    if answer.startswith("{"):
        assert json.loads(cut)


@pytest.mark.parametrize(
    "answer",
    [
        "The model `/models/checkpoints/Qwen3-32B-Instruct` does not exist.",
        "This model's maximum context length is 4096 tokens.",
        "user",
        "Grade this",
        "",
    ],
)
def test_what_is_no_row_is_left_as_it_is(answer):
    assert without_echo(answer, SENT) == answer


def test_chunks_and_parts_of_messages_are_rows_too():
    text = "a candidate of more than sixteen characters"
    for messages in ([[{"content": "x"}], [{"content": text}]], [{"content": [{"type": "text", "text": text}]}]):
        assert without_echo(f"bad: {text}!", orjson.dumps({"messages": messages})) == "bad: [...]!"
    assert without_echo(text, orjson.dumps({"prompt": text})) == "[...]"


@pytest.mark.parametrize("sent", [b"", b"no JSON", b"[]", b"{}", b'{"messages": 3}'])
def test_a_request_without_rows_leaves_the_answer(sent):
    assert without_echo("an answer that is long enough", sent) == "an answer that is long enough"


def test_the_key_is_never_shown_and_rows_are_for_who_asks_for_them(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_LOG_TEXTS", "1")
    assert without_key(b"Incorrect API key: sk-1234567890", "sk-1234567890") == b"Incorrect API key: ***"
    assert without_echo(PROBLEM, SENT) == PROBLEM


def test_a_key_that_may_be_a_word_is_left():
    assert without_key(b"EMPTY body", "EMPTY") == b"EMPTY body"
    assert without_key(b"body", None) == b"body"


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ('{"choices":[{"message":{"content":"It \\"is\\" so', '{"choices":[{"message":{"content":"[...]'),
        ('{"reasoning": "hm", "content": "so"}', '{"reasoning": "[...]", "content": "[...]"}'),
        ('{"text":"","id":"text"}', '{"text":"","id":"text"}'),
        ("<html>content</html>", "<html>content</html>"),
    ],
)
def test_a_quoted_reply_is_cut_out_and_the_shape_of_the_answer_stays(quoted, shown, monkeypatch):
    assert without_reply(quoted) == shown
    monkeypatch.setenv("LLM_JUDGE_LOG_TEXTS", "1")
    assert without_reply(quoted) == quoted
