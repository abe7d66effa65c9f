"""The conversation with the judge, without a wire."""

import pytest

from llm_judge_remote import JudgeSettings, PromptTooLongError, Sample
from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.errors import NoVerdictError, RequestRejectedError
from llm_judge_remote.examination import examine
from llm_judge_remote.prompts.library import TemplateLibrary


def reply(content, finish_reason="stop", *, reasoning="", prompt_tokens=100, completion_tokens=5):
    return ChatReply(content, reasoning, finish_reason, prompt_tokens, completion_tokens, "http://s")


def converse(*replies, candidate="c" * 1000, **settings):
    """The requests that were made, and the ruling, when these replies are given in order."""
    given = JudgeSettings(**settings)
    template = TemplateLibrary({}).get(given.prompt_template)
    conversation = examine(Sample(candidate, ("r",)), "r", given, template)
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
