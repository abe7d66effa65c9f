"""Log-probabilities: vLLM's shape, and numbers that go with what the judge could have said."""

from __future__ import annotations

import math

import pytest

from llm_judge_remote.testing import JudgeServer, Reply

WANTED = {"logprobs": True, "top_logprobs": 5}
YES_NO = Reply(probabilities={"Yes": 0.7, "No": 0.2})
DIGITS = Reply(probabilities={"REWARD: 7": 0.5, "REWARD: 8": 0.2, "REWARD: 10": 0.2})


def read(response, choice=0):
    """A choice's tokens, and for each the probabilities of its alternatives."""
    assert response.status_code == 200, response.text
    content = response.json()["choices"][choice]["logprobs"]["content"]
    shares = [{each["token"]: math.exp(each["logprob"]) for each in token["top_logprobs"]} for token in content]
    for token in content:
        assert set(token) == {"token", "logprob", "bytes", "top_logprobs"}
        assert token["bytes"] == list(token["token"].encode())
    return [token["token"] for token in content], shares


def test_none_are_sent_unless_asked_for(connect, server):
    assert connect(server).chat().json()["choices"][0]["logprobs"] is None


def test_the_tokens_are_those_of_the_content_and_the_one_that_ends_it(connect):
    with JudgeServer(judge="It's so:\n REWARD: 12.5 ü") as server:
        tokens, shares = read(connect(server).chat(**WANTED))
    assert tokens == ["It", "'s", " so", ":\n", " REWARD", ":", " ", "1", "2", ".", "5", " ü", "<|im_end|>"]
    for token, share in zip(tokens, shares, strict=True):
        assert len(share) == 2
        assert share[token] == pytest.approx(math.exp(-0.01))
        assert sum(share.values()) == pytest.approx(1.0)


def test_the_alternatives_to_a_word_are_the_other_words_and_something_else(connect):
    with JudgeServer(judge=YES_NO) as server:
        response = connect(server).chat(**WANTED)
        assert response.json()["choices"][0]["message"]["content"] == "Yes"
        tokens, shares = read(response)
    assert tokens == ["Yes", "<|im_end|>"]
    assert shares[0] == pytest.approx({"Yes": 0.7, "No": 0.2, "I": 0.1})
    assert shares[1] == pytest.approx({"<|im_end|>": 1.0})


def test_at_each_token_the_shares_are_those_of_the_texts_that_begin_so(connect):
    with JudgeServer(judge=[DIGITS, Reply("REWARD: 10", probabilities=DIGITS.probabilities)]) as server:
        client = connect(server)
        tokens, shares = read(client.chat(**WANTED))
        assert tokens == ["REWARD", ":", " ", "7", "<|im_end|>"]
        assert shares[0] == pytest.approx({"REWARD": 1.0})
        assert shares[3] == pytest.approx({"7": 0.5, "8": 0.2, "1": 0.2, "I": 0.1})
        tokens, shares = read(client.chat(**WANTED))
        assert tokens == ["REWARD", ":", " ", "1", "0", "<|im_end|>"]
        assert list(shares[3]) == ["1", "7", "8", "I"]  # what was said comes first, as in vLLM
        assert shares[4] == pytest.approx({"0": 1.0})


def test_a_text_that_ends_where_another_goes_on_ends_by_a_token(connect):
    with JudgeServer(judge=Reply(probabilities={"1": 0.6, "10": 0.3, "0": 0.1})) as server:
        tokens, shares = read(connect(server).chat(**WANTED))
    assert tokens == ["1", "<|im_end|>"]
    assert shares == [pytest.approx({"1": 0.9, "0": 0.1}), pytest.approx({"<|im_end|>": 2 / 3, "0": 1 / 3})]


def test_the_shares_along_a_text_multiply_to_its_probability(connect):
    with JudgeServer(judge=DIGITS) as server:
        content = connect(server).chat(**WANTED).json()["choices"][0]["logprobs"]["content"]
    assert math.exp(sum(token["logprob"] for token in content)) == pytest.approx(0.5)


def test_a_batch_and_several_draws_have_theirs_each(connect):
    with JudgeServer(judge=lambda c: YES_NO if c.text == "a" or c.draw == 1 else "No") as server:
        client = connect(server)
        batch = client.batch(["a", "b"], **WANTED)
        drawn = client.chat("b", n=2, **WANTED)
    assert [read(batch, 0)[0][0], read(batch, 1)[0][0]] == ["Yes", "No"]
    assert [read(drawn, 0)[0][0], read(drawn, 1)[0][0]] == ["No", "Yes"]


@pytest.mark.parametrize(
    ("top", "tokens"), [(0, []), (None, []), (1, ["7"]), (2, ["7", "8"]), (20, ["7", "8", "1", "I"])]
)
def test_there_are_as_many_alternatives_as_asked_for(connect, top, tokens):
    with JudgeServer(judge=DIGITS) as server:
        assert list(read(connect(server).chat(logprobs=True, top_logprobs=top))[1][3]) == tokens


def test_a_grammar_masks_what_it_does_not_allow_before_shares_are_computed(connect):
    with JudgeServer(judge=Reply(probabilities={"Well.": 0.5, "Yes": 0.3, "No": 0.1})) as server:
        tokens, shares = read(connect(server).chat(**WANTED, structured_outputs={"choice": ["Yes", "No"]}))
    assert tokens == ["Yes", "<|im_end|>"]
    assert shares[0] == pytest.approx({"Yes": 0.75, "No": 0.25, "<|im_start|>": 0.0})
    assert shares[1] == pytest.approx({"<|im_end|>": 1.0, "<|im_start|>": 0.0})


def test_what_a_grammar_makes_a_judge_say_is_sure_as_nothing_else_is_allowed(connect):
    with JudgeServer(judge="Hello!") as server:
        response = connect(server).chat(**WANTED, structured_outputs={"regex": "No"})
    for token in response.json()["choices"][0]["logprobs"]["content"]:
        assert [each["logprob"] for each in token["top_logprobs"]] == [0.0, -9999.0]


def test_a_cut_reply_has_the_tokens_that_it_has_and_no_end(connect):
    with JudgeServer(judge="REWARD: 0.85 because") as server:
        assert "".join(read(connect(server).chat(max_tokens=2, **WANTED))[0]) == "REWARD: 0.85"


def test_a_reply_that_says_that_it_was_cut_has_no_end_either(connect):
    with JudgeServer(judge=Reply("REWARD: 0.", finish_reason="length")) as server:
        assert "".join(read(connect(server).chat(**WANTED))[0]) == "REWARD: 0."


@pytest.mark.parametrize("field", ["reasoning", None])
def test_the_tokens_of_a_thought_come_first_wherever_it_is_sent(connect, field):
    with JudgeServer(judge=Reply("Yes", "let me see", probabilities={"Yes": 1.0}), reasoning_field=field) as server:
        client = connect(server)
        assert "".join(read(client.chat(**WANTED))[0]) == "<think>\nlet me see\n</think>\n\nYes<|im_end|>"
        hidden = client.chat(include_reasoning=False, **WANTED).json()["choices"][0]["logprobs"]
        assert (hidden is None) == (field is not None)


@pytest.mark.parametrize(("field", "text"), [("reasoning", "<think>\nlet me"), (None, "<think>\nlet")])
def test_a_thought_that_is_cut_off_is_all_there_is(connect, field, text):
    with JudgeServer(judge=Reply("Yes", "let me see"), reasoning_field=field) as server:
        assert "".join(read(connect(server).chat(max_tokens=2, **WANTED))[0]) == text


@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        (
            {"logprobs": True, "top_logprobs": 21},
            "Requested sample logprobs of 21, which is greater than max allowed: 20 (parameter=logprobs, value=21)",
            "logprobs",
        ),
        (
            {"top_logprobs": 1},
            "when using `top_logprobs`, `logprobs` must be set to true. (parameter=top_logprobs)",
            "top_logprobs",
        ),
        (
            {"logprobs": True, "top_logprobs": -2},
            "`top_logprobs` must be a positive value or -1. (parameter=top_logprobs, value=-2)",
            "top_logprobs",
        ),
        (
            {"logprobs": True, "top_logprobs": "5"},
            "`top_logprobs` must be an integer. (parameter=top_logprobs, value=5)",
            "top_logprobs",
        ),
    ],
)
def test_a_wrong_wish_is_a_400_in_vllms_words(connect, server, fields, message, param):
    response = connect(server).chat(**fields)
    error = response.json()["error"]
    assert (response.status_code, error["message"], error["param"]) == (400, message, param)
    assert error["type"] == "BadRequestError"


@pytest.mark.parametrize("fields", [WANTED, {"logprobs": True, "top_logprobs": 99}, {"top_logprobs": 1}])
def test_a_server_can_ignore_them_in_silence(connect, fields):
    with JudgeServer(judge=YES_NO, logprobs=False) as server:
        assert connect(server).chat(**fields).json()["choices"][0]["logprobs"] is None


@pytest.mark.parametrize(
    ("content", "probabilities"), [("", {}), ("", {"a": -0.1}), ("", {"a": 0.6, "b": 0.5}), ("c", {"a": 1.0})]
)
def test_probabilities_that_are_none_are_refused(content, probabilities):
    with pytest.raises(ValueError, match="probabilit"):
        Reply(content, probabilities=probabilities)


def test_a_server_gives_no_more_replies_than_it_can(connect):
    with JudgeServer(judge=lambda c: f"draw {c.draw}", max_n=2) as server:
        choices = connect(server).chat(n=5).json()["choices"]
    assert [(each["index"], each["message"]["content"]) for each in choices] == [(0, "draw 0"), (1, "draw 1")]
