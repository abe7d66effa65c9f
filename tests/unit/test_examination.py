"""The conversation with the judge, without a wire."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote import ConfigError, JudgeSettings, PromptTooLongError, Sample
from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.errors import NoVerdictError, RequestRejectedError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.scoring.expected import Token


def reply(content, finish_reason="stop", *, reasoning="", prompt_tokens=100, completion_tokens=5):
    return ChatReply(content, reasoning, finish_reason, prompt_tokens, completion_tokens, "http://s")


def converse(*replies, candidate="c" * 1000, references=("r",), **settings):
    """The requests that were made, and the ruling, when these replies are given in order."""
    chosen = JudgeSettings(**settings)
    template = TemplateLibrary({}).get(chosen.prompt_template)
    conversation = Examiner(chosen, template).examine(Sample(candidate, references), references[0])
    requests, answers = [], iter(replies)
    try:
        request = next(conversation)
        while True:
            requests.append(request)
            answer = next(answers)
            request = conversation.throw(answer) if isinstance(answer, Exception) else conversation.send(answer)
    except StopIteration as end:
        return requests, end.value


def text_of(request):
    return request.messages[-1]["content"]


def test_a_verdict_ends_the_conversation():
    requests, ruling = converse(reply("REWARD: 0.5"))
    assert len(requests) == 1
    assert (ruling.score, ruling.error, ruling.prompt_tokens) == (0.5, None, 100)


def test_there_is_one_more_ask_and_no_third():
    requests, ruling = converse(reply("fine"), reply("still fine"))
    assert len(requests) == 2
    assert ruling.score is None
    assert isinstance(ruling.error, NoVerdictError)
    assert (ruling.attempts, ruling.prompt_tokens, ruling.completion_tokens) == (2, 200, 10)


def test_an_empty_reply_is_asked_for_again_as_it_was():
    requests, ruling = converse(reply(""), reply("REWARD: 1"))
    assert requests[0] == requests[1]
    assert ruling.score == 1.0


def test_an_error_is_the_end_and_counts_its_attempts():
    error = RequestRejectedError("no", status=400)
    error.attempts = 4
    requests, ruling = converse(error)
    assert len(requests) == 1
    assert (ruling.error, ruling.attempts) == (error, 4)


def too_long(prompt_tokens=None, limit=None):
    error = PromptTooLongError("too long", status=400)
    error.prompt_tokens, error.token_limit, error.attempts = prompt_tokens, limit, 1
    return error


def test_without_a_measure_the_candidate_is_halved_until_it_fits():
    requests, ruling = converse(too_long(), too_long(), reply("REWARD: 1"))
    lengths = [text_of(request).count("c" * 10) for request in requests]
    assert lengths[0] > lengths[1] > lengths[2] > 0
    assert (ruling.score, ruling.candidate_cut, ruling.attempts) == (1.0, True, 3)


def test_a_cut_is_made_from_the_whole_candidate_so_that_there_is_one_note_of_it():
    requests, _ = converse(too_long(), too_long(), reply("REWARD: 1"))
    assert text_of(requests[-1]).count("left out") == 1


def test_a_candidate_is_not_cut_to_nothing():
    error = too_long(1_000_000, 100)
    requests, ruling = converse(*[error] * 9)
    assert ruling.error is error
    assert len(requests) == 3  # 1000 characters, 500, 250: fewer than 200 are not worth judging


def test_the_cuts_come_to_an_end():
    requests, ruling = converse(*[too_long() for _ in range(50)], candidate="c" * 10**7)
    assert len(requests) <= 10
    assert isinstance(ruling.error, PromptTooLongError)


def test_a_reply_that_ran_into_the_model_s_limit_is_asked_for_with_a_shorter_candidate():
    cut_off = reply("The", "length", prompt_tokens=1000, completion_tokens=3)
    requests, ruling = converse(cut_off, reply("REWARD: 1"), candidate="c" * 4000, max_new_tokens=64)
    assert requests[1].max_tokens == 64
    assert len(text_of(requests[1])) < len(text_of(requests[0]))
    assert (ruling.score, ruling.candidate_cut) == (1.0, True)


def test_a_verdict_in_a_reply_that_ran_into_the_limit_counts():
    requests, ruling = converse(reply("REWARD: 0.5\nbecause it is right in all", "length", completion_tokens=3))
    assert (len(requests), ruling.score, ruling.candidate_cut) == (1, 0.5, False)


@pytest.mark.parametrize(("thinking", "score"), [(False, 0.5), (True, None)])
def test_text_under_reasoning_is_the_answer_only_if_the_model_was_told_not_to_think(thinking, score):
    _, ruling = converse(*[reply("", reasoning="REWARD: 0.5")] * 2, enable_thinking=thinking)
    assert ruling.score == score


def test_a_bug_in_a_template_ends_in_the_ruling():
    _, ruling = converse(prompt_template="{{ CANDIDATE_SOLUTION }}{{ 1 / 0 }}")
    assert "ZeroDivisionError" in str(ruling.error)


# Thinking


@pytest.mark.parametrize(
    "cut_off",
    [
        reply("", "length", reasoning="first I", completion_tokens=70),
        reply("<think>first I", "length", completion_tokens=70),
    ],
    ids=["taken out", "raw"],
)
def test_a_thought_that_was_cut_off_is_asked_again_with_thinking_closed(cut_off):
    requests, ruling = converse(
        cut_off, reply("REWARD: 0.5"), enable_thinking=True, max_new_tokens=10, thinking_budget=60
    )
    assert [(r.max_tokens, r.enable_thinking, r.grammar is None) for r in requests] == [
        (70, True, True),
        (10, False, False),
    ]
    assert requests[0].messages == requests[1].messages
    assert ruling.score == 0.5


def test_a_verdict_inside_a_thought_that_was_cut_off_is_none():
    thought = reply("<think>so maybe\nREWARD: 1\nbut", "length", completion_tokens=70)
    _, ruling = converse(thought, reply("no idea"), enable_thinking=True, max_new_tokens=10, thinking_budget=60)
    assert ruling.score is None


@pytest.mark.parametrize("thinking", [False, True])
def test_a_thought_that_was_cut_off_and_filed_under_reasoning_is_not_read(thinking):
    cut_off = reply("", "length", reasoning="Perhaps\nREWARD: 0.9\nBut wait", completion_tokens=10_000)
    _, ruling = converse(*[cut_off] * 2, enable_thinking=thinking)
    assert ruling.score is None


def test_a_verdict_in_the_middle_of_a_reply_that_was_cut_off_may_not_be_the_last():
    cut_off = reply("Let me see.\nREWARD: 0.9\nBut wait, that is", "length", completion_tokens=10_000)
    requests, ruling = converse(cut_off, reply("REWARD: 0.1"))
    assert (len(requests), ruling.score) == (2, 0.1)


# Votes


def drawn(*texts):
    first, *others = (reply(text) for text in texts)
    return replace(first, others=tuple(others))


@pytest.mark.parametrize(("how", "score"), [("mean", 0.5), ("median", 0.4), ("majority", 0.1)])
def test_votes_are_drawn_in_one_request_and_reduced(how, score):
    texts = ("REWARD: 0.1", "REWARD: 0.1", "REWARD: 0.4", "REWARD: 0.9", "REWARD: 1")
    requests, ruling = converse(drawn(*texts), votes=5, vote_reduce=how)
    assert [request.draws for request in requests] == [5]
    assert ruling.score == pytest.approx(score)
    assert ruling.votes == 5
    assert ruling.spread == pytest.approx(0.38471, abs=1e-4)


def test_a_server_that_draws_one_at_a_time_is_asked_for_the_others_with_other_seeds():
    texts = ["REWARD: 0", "REWARD: 1", "REWARD: 1"]
    requests, ruling = converse(*map(reply, texts), votes=3, vote_reduce="majority", seed=7)
    assert [(request.draws, request.seed) for request in requests] == [(3, 7), (2, 8), (1, 9)]
    assert (ruling.score, ruling.votes, ruling.attempts) == (1.0, 3, 3)


def test_votes_without_a_verdict_do_not_count_and_are_asked_again_only_where_most_are():
    requests, ruling = converse(drawn("REWARD: 1", "well", "REWARD: 0"), votes=3)
    assert (len(requests), ruling.score, ruling.votes) == (1, 0.5, 2)
    requests, ruling = converse(drawn("REWARD: 1", "well", "hm"), drawn("REWARD: 1", "REWARD: 0"), votes=3)
    assert [request.draws for request in requests] == [3, 2]
    assert (ruling.score, ruling.votes) == (pytest.approx(2 / 3), 3)


def test_too_few_votes_are_no_judgement():
    _, ruling = converse(drawn("REWARD: 1", "well", "hm"), drawn("no", "never"), votes=3)
    assert ruling.score is None
    assert "1 of 3 votes" in str(ruling.error)


def test_more_draws_than_were_asked_for_do_not_count():
    _, ruling = converse(drawn("REWARD: 0.25", "REWARD: 1", "REWARD: 1"))
    assert (ruling.score, ruling.votes) == (0.25, 1)


def test_one_vote_that_fails_does_not_lose_those_that_are_enough():
    refused = RequestRejectedError("no", status=400)
    _, ruling = converse(drawn("REWARD: 1", "REWARD: 1", "REWARD: 0.5", "REWARD: 1"), refused, votes=5)
    assert (ruling.votes, ruling.error) == (4, None)
    _, ruling = converse(drawn("REWARD: 1", "REWARD: 1"), refused, votes=5)
    assert ruling.error is refused


def test_the_votes_asked_for_again_are_drawn_as_the_first_were():
    replies = [*map(reply, ["REWARD: 1", "a", "b", "c", "d", "REWARD: 0", "e", "REWARD: 1", "REWARD: 1"])]
    requests, ruling = converse(*replies, votes=5)
    assert [request.draws for request in requests] == [5, 4, 3, 2, 1, 4, 3, 2, 1]
    assert len({request.seed for request in requests}) >= 8
    assert (ruling.score, ruling.votes) == (0.75, 4)


# Expected scores


def weighed(text, *alternatives, **options):
    """A reply of one token, with the alternatives' probabilities."""
    told = tuple((word, math.log(share)) for word, share in alternatives)
    return replace(reply(text, **options), tokens=(Token(text, told[0][1], told),))


EXPECTED = {"prompt_template": "yes_no", "scoring": "expected"}


def test_the_expected_score_weighs_the_options_by_their_probability():
    requests, ruling = converse(weighed("Yes", ("Yes", 0.6), ("No", 0.2), ("Maybe", 0.1)), **EXPECTED)
    assert (requests[0].top_logprobs, requests[0].max_tokens, requests[0].grammar) == (20, 1, None)
    assert requests[0].temperature == 0.0
    assert ruling.score == pytest.approx(0.75)
    assert ruling.mass == pytest.approx(0.8)


def test_a_word_that_the_judge_did_not_say_counts_by_its_probability():
    said_otherwise = weighed("The", ("The", 0.4), (" Yes", 0.3), ("no", 0.2), finish_reason="length")
    requests, ruling = converse(said_otherwise, mass_floor=0.4, **EXPECTED)
    assert (len(requests), ruling.score, ruling.mass) == (1, pytest.approx(0.6), pytest.approx(0.5))


def test_where_a_held_reply_is_insisted_on_the_word_is_read_from_it():
    requests, ruling = converse(weighed("Yes", ("Yes", 0.6), ("No", 0.2)), structured_output="on", **EXPECTED)
    assert requests[0].needs_grammar
    assert requests[0].max_tokens > 1
    assert ruling.score == pytest.approx(0.75)


def test_a_held_reply_in_json_is_read_wherever_its_lines_break():
    text = '{\n"REWARD"\n\n: "0.5"\n\n}'
    _, ruling = converse(replace(reply(text), is_held=True))
    assert ruling.score == 0.5


def test_no_probability_at_all_is_no_judgement_whatever_the_floor():
    _, ruling = converse(weighed("Maybe", ("Maybe", 0.9)), mass_floor=0, **EXPECTED)
    assert ruling.score is None


def test_too_little_probability_on_the_options_is_no_judgement_and_is_not_asked_again():
    requests, ruling = converse(weighed("Yes", ("Yes", 0.2), ("Maybe", 0.7)), mass_floor=0.3, **EXPECTED)
    assert (len(requests), ruling.score) == (1, None)
    assert "mass_floor=0.3" in str(ruling.error)
    assert ruling.mass == pytest.approx(0.2)


def test_a_server_that_sends_no_probabilities_gives_no_expected_score():
    requests, ruling = converse(reply("Yes"), **EXPECTED)
    assert (len(requests), ruling.score) == (1, None)
    assert "log-probabilities" in str(ruling.error)


def test_the_tokens_of_a_thought_that_the_server_took_out_are_passed_over():
    answer = weighed("Yes", ("Yes", 0.6), ("No", 0.2), reasoning="Is it Yes?")
    thought = tuple(Token(word, -0.1, ((word, -0.1),)) for word in ("<think>", "Is it ", "Yes", "?</think>\n"))
    _, ruling = converse(replace(answer, tokens=thought + answer.tokens), enable_thinking=True, **EXPECTED)
    assert ruling.score == pytest.approx(0.75)


def test_a_vote_of_which_nothing_is_known_does_not_count_as_zero():
    digits = tuple((digit, math.log(0.09)) for digit in "012345678")
    sure = replace(reply("REWARD: 9"), tokens=(Token("REWARD: ", -0.1), Token("9", math.log(0.1), digits)))
    unknown = replace(reply("REWARD: 8"), tokens=(Token("REWARD: ", -0.1), Token("8", math.nan)))
    settings = {"prompt_template": "digit", "scoring": "expected", "enable_thinking": True, "votes": 3}
    _, ruling = converse(replace(sure, others=(sure, unknown)), **settings)
    assert (ruling.votes, ruling.mass) == (2, pytest.approx(0.91))
    assert ruling.score == pytest.approx((0.1 * 9 + 0.09 * 36) / 9 / 0.91)


def test_a_template_without_verdicts_to_weigh_is_refused():
    with pytest.raises(ConfigError, match="scoring=expected weighs numerals"):
        converse(prompt_template="---\nverdict: 'good|bad'\n---\n{CANDIDATE_SOLUTION}", scoring="expected")


# What is decided without a request, and what is insisted on


@pytest.mark.parametrize(
    ("gate", "answer", "score"),
    [
        ("accept", "7", 1.0),
        ("accept", "8", None),
        ("reject", "7", None),
        ("reject", "8", 0.0),
        ("both", "7", 1.0),
        ("both", "8", 0.0),
        ("off", "7", None),
    ],
)
def test_the_gate_decides_what_it_is_to_decide_without_a_request(gate, answer, score):
    requests, ruling = converse(
        reply("REWARD: 0.5"), candidate=f"so it is \\boxed{{{answer}}}", references=("#### 7",), gate=gate
    )
    assert (len(requests), ruling.gated) == ((1, False) if score is None else (0, True))
    assert ruling.score == (0.5 if score is None else score)


def test_a_template_that_lets_the_judge_say_more_cannot_insist_on_a_verdict_alone():
    with pytest.raises(ConfigError, match=r"structured_output=on.*'detailed'"):
        converse(prompt_template="detailed", structured_output="on")
    requests, _ = converse(reply("REWARD: 1"), prompt_template="detailed")
    assert requests[0].grammar is None


@pytest.mark.parametrize(
    ("settings", "grammar", "needed"),
    [({}, True, False), ({"structured_output": "on"}, True, True), ({"structured_output": "off"}, False, False)],
)
def test_a_verdict_only_template_has_the_reply_held_to_its_grammar(settings, grammar, needed):
    requests, _ = converse(reply("REWARD: 1"), **settings)
    assert (requests[0].grammar is not None, requests[0].needs_grammar) == (grammar, needed)


def test_a_missing_word_is_asked_for_by_name():
    requests, ruling = converse(reply("Hard to say"), reply("No"), prompt_template="yes_no")
    assert "Yes or No" in text_of(requests[1])
    assert ruling.score == 0.0


# Anything at all

TEMPLATES = st.sampled_from(["default", "detailed", "binary", "digit", "yes_no"])
REPLIES = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(["REWARD: ", "1", "0.5", "9", "Yes", "No", "\n", "<think>", "</think>", "."])).map(
        "".join
    ),
)


@given(
    st.text(st.characters(exclude_categories=[]), max_size=300),
    TEMPLATES,
    st.lists(REPLIES, min_size=2, max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_any_candidate_and_any_reply_give_a_score_that_the_reply_holds_or_none(
    candidate, template, replies, thinking, cut_off
):
    answers = [reply(text, "length" if cut_off else "stop", completion_tokens=10_000) for text in replies]
    requests, ruling = converse(
        *answers, candidate=candidate, prompt_template=template, enable_thinking=thinking, gate="both"
    )
    for request in requests:
        for message in request.messages:
            message["content"].encode()
    if ruling.score is None:
        assert isinstance(ruling.error, NoVerdictError)
    elif not ruling.gated:
        assert 0.0 <= ruling.score <= 1.0
        stated = replies[len(requests) - 1]
        word = {1.0: "yes", 0.0: "no"}.get(ruling.score, "?")
        assert word in stated.lower() if template == "yes_no" else any(sign.isdigit() for sign in stated)
