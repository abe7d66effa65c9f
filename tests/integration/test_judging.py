"""What is asked of the judge, and what is made of its replies."""

import re

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.testing import JudgeServer, Reply

SAMPLE = Sample("the candidate", ("the reference",), problem="the problem")


def judged(server, sample=SAMPLE, **settings):
    with Judge(JudgeSettings(server_url=server.url, **settings)) as judge:
        return judge.score([sample])[0]


def test_a_request_carries_the_sampling_settings_and_the_thinking_switch():
    with JudgeServer(judge="REWARD: 0.5") as server:
        judged(server, temperature=0.1, top_p=0.9, max_new_tokens=33, thinking_budget=100, enable_thinking=True, seed=7)
        body = server.requests[-1].body
        assert {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed")} == {
            "temperature": 0.1,
            "top_p": 0.9,
            "max_tokens": 133,
            "seed": 7,
        }
        assert body["chat_template_kwargs"] == {"enable_thinking": True}


def test_the_judge_is_held_to_the_verdict_line_unless_that_is_off_or_something_else_is_to_be_said():
    with JudgeServer(judge="Good work. REWARD: 0.5 it is") as server:
        for wanted in ("auto", "on"):
            assert judged(server, structured_output=wanted).score == 0.5
            assert "regex" in server.requests[-1].body["structured_outputs"]
        for settings in ({"structured_output": "off"}, {"prompt_template": "detailed"}, {"enable_thinking": True}):
            judged(server, **{"structured_output": "auto", **settings})
            assert "structured_outputs" not in server.requests[-1].body


def test_a_judgement_knows_what_it_cost_and_who_gave_it():
    with JudgeServer(judge="REWARD: 0.5") as server:
        judgement = judged(server)
    assert (judgement.score, judgement.outcome, judgement.reason) == (0.5, Outcome.JUDGED, "")
    assert (judgement.server, judgement.attempts, judgement.reply) == (server.url, 1, "REWARD: 0.5")
    assert judgement.prompt_tokens > 50
    assert judgement.completion_tokens > 0
    assert 0 < judgement.latency_s < 60


def test_the_model_auto_is_the_one_that_the_server_serves_and_is_asked_for_once():
    with (
        JudgeServer(model="some/model", judge="REWARD: 0.5") as server,
        Judge(JudgeSettings(server_url=server.url, model_name="auto")) as judge,
    ):
        assert [j.outcome for j in judge.score([SAMPLE, SAMPLE])] == [Outcome.JUDGED] * 2
        assert judge.score([SAMPLE])[0].outcome is Outcome.JUDGED
        assert server.requests[-1].body["model"] == "some/model"
        assert server.stats.by_path["/v1/models"] <= 2  # two workers may ask at once


def test_a_wrong_model_falls_back_with_the_names_of_the_right_ones():
    with JudgeServer(model="right/model") as server:
        judgement = judged(server, model_name="wrong/model")
    assert judgement.outcome is Outcome.FALLBACK
    assert "wrong/model" in judgement.reason
    assert "right/model" in judgement.reason
    assert judgement.attempts == 1


def test_a_key_is_sent_and_a_wrong_one_is_said_but_not_shown():
    with JudgeServer(api_key="right", judge="REWARD: 0.5") as server:
        assert judged(server, api_key="right").outcome is Outcome.JUDGED
        refused = judged(server, api_key="wr0ng")
    assert refused.outcome is Outcome.FALLBACK
    assert "401" in refused.reason
    assert "LLM_JUDGE_SERVER_API_KEY" in refused.reason
    assert "wr0ng" not in refused.reason


def test_a_row_s_own_server_gets_the_row_s_key_or_none():
    with JudgeServer(judge="REWARD: 0.5") as operators, JudgeServer(judge="REWARD: 0.25") as rows:
        samples = [
            SAMPLE,
            Sample("c", ("r",), overrides={"server_url": rows.url}),
            Sample("c", ("r",), overrides={"server_url": rows.url, "api_key": "row-key"}),
        ]
        with Judge(JudgeSettings(server_url=operators.url, api_key="operator-key")) as judge:
            assert [j.score for j in judge.score(samples)] == [0.5, 0.25, 0.25]
        keys = {request.headers.get("authorization") for request in rows.requests}
        assert keys == {None, "Bearer row-key"}
        assert {r.headers.get("authorization") for r in operators.requests} == {"Bearer operator-key"}


def test_a_reply_without_a_verdict_is_asked_for_once_more():
    with JudgeServer(judge=["I like it.", "REWARD: 0.75"]) as server:
        judgement = judged(server)
        second = server.requests[-1].body["messages"]
    assert (judgement.score, judgement.outcome, judgement.attempts) == (0.75, Outcome.JUDGED, 2)
    assert second[-2] == {"role": "assistant", "content": "I like it."}
    assert "REWARD:" in second[-1]["content"]


def test_two_replies_without_a_verdict_end_in_the_fallback_which_says_why():
    with JudgeServer(judge="Quite good, I would say 0.9.") as server:
        judgement = judged(server)
        assert server.stats.conversations == 2
    assert judgement.outcome is Outcome.FALLBACK
    assert "no verdict" in judgement.reason
    assert judgement.reply == "Quite good, I would say 0.9."


def test_a_reply_that_was_cut_off_is_asked_again_with_twice_the_room():
    long = "word " * 40 + "\nREWARD: 0.75"
    with JudgeServer(judge=lambda _: long) as server:
        judgement = judged(server, max_new_tokens=30)
        assert [request.body["max_tokens"] for request in server.requests] == [30, 60]
        assert len(server.requests[-1].body["messages"]) == len(server.requests[0].body["messages"])
    assert (judgement.score, judgement.outcome) == (0.75, Outcome.JUDGED)


def test_a_verdict_inside_an_unfinished_thought_is_none():
    replies = [Reply("<think>maybe REWARD: 1.0", finish_reason="length"), "<think>no</think>\nREWARD: 0.25"]
    with JudgeServer(judge=replies) as server:
        assert judged(server, enable_thinking=True).score == 0.25


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_an_answer_that_arrives_as_reasoning_is_understood_when_the_model_was_told_not_to_think(field):
    with JudgeServer(judge=lambda _: Reply(None, reasoning="REWARD: 0.5"), reasoning_field=field) as server:
        assert judged(server).score == 0.5
        thought = judged(server, enable_thinking=True)
    assert thought.outcome is Outcome.FALLBACK


def test_the_range_of_the_template_is_normalised():
    template = "---\nrange: [0, 10]\n---\n{CANDIDATE_SOLUTION}\nREWARD: <0-10>"
    with JudgeServer(judge="REWARD: 7.5") as server:
        assert judged(server, prompt_template=template).score == 0.75


def test_a_candidate_too_long_for_the_model_is_cut_in_the_middle_and_says_so():
    candidate = "HEAD " + "x" * 200_000 + " TAIL"
    with JudgeServer(judge="REWARD: 0.5", max_model_len=2000) as server:
        judgement = judged(server, Sample(candidate, ("the reference",)))
        text = server.requests[-1].body["messages"][-1]["content"]
        assert server.stats.by_path["/v1/chat/completions"] <= 6
    assert (judgement.outcome, judgement.candidate_cut, judgement.score) == (Outcome.JUDGED, True, 0.5)
    assert "HEAD" in text
    assert "TAIL" in text
    assert "the reference" in text
    assert "left out" in text
    assert len(text) > 2000  # cut to fit, not to nothing


def test_a_server_that_cuts_the_reply_instead_of_refusing_the_prompt_is_seen_through():
    """vLLM takes a prompt that leaves the reply too little room, and cuts the reply."""
    with JudgeServer(judge="a reason, at length\nREWARD: 0.5", max_model_len=8192, clamp_max_tokens=True) as server:
        overhead = judged(server, Sample("x", ("r",))).prompt_tokens
        five_tokens_left = Sample("w" * (4 * (8192 - 5 - overhead)), ("r",))
        judgement = judged(server, five_tokens_left, max_new_tokens=64)
    assert (judgement.outcome, judgement.candidate_cut, judgement.score) == (Outcome.JUDGED, True, 0.5)


def test_a_cut_keeps_about_what_fits():
    with JudgeServer(judge="REWARD: 0.5", max_model_len=4000) as server:
        judged(server, Sample("ab c" * 20_000, ("r",)))
        kept = re.search(
            r"<candidate_\w+>(.*)</candidate_", server.requests[-1].body["messages"][-1]["content"], re.DOTALL
        )
    assert (4000 - 512) * 4 * 0.6 < len(kept.group(1)) < (4000 - 512) * 4


def test_a_reference_too_long_for_the_model_falls_back():
    with JudgeServer(judge="REWARD: 0.5", max_model_len=1000) as server:
        judgement = judged(server, Sample("short", ("long " * 5000,)))
    assert judgement.outcome is Outcome.FALLBACK
    assert "maximum context length" in judgement.reason


def test_a_failed_reference_hides_no_better_score():
    def judge(conversation):
        return "REWARD: 0.4" if "first" in conversation.text else "nothing"

    with JudgeServer(judge=judge) as server:
        partly = judged(server, Sample("second words", ("first", "second words")))
        best = judged(server, Sample("abc", ("first", "zzz")), fallback=0.1)
    assert (partly.score, partly.outcome, partly.reference_index) == (1.0, Outcome.FALLBACK, -1)
    assert (best.score, best.outcome, best.reference_index) == (0.4, Outcome.FALLBACK, 0)


def test_a_perfect_score_needs_no_other_reference():
    def judge(conversation):
        return "REWARD: 1.0" if "first" in conversation.text else "nothing"

    with JudgeServer(judge=judge) as server:
        judgement = judged(server, Sample("c", ("first", "second")))
    assert (judgement.score, judgement.outcome) == (1.0, Outcome.JUDGED)
