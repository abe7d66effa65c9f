"""Expected scores, votes, rules before the judge, and fallbacks that know the judge, through real sockets."""

import random
import re

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.scoring.lexical import similarity
from llm_judge_remote.testing import Fault, JudgeServer, Reply


def judge_of(server, **settings):
    return Judge(JudgeSettings(**{"server_url": server.url, "linger": 0, "max_retries": 0, **settings}))


def sample(text="a candidate", problem="problem", reference="reference"):
    return Sample(text, (reference,), problem=problem)


# Expected scores


@pytest.mark.parametrize("batch_endpoint", ["auto", "off"])
def test_the_expected_score_is_the_mean_over_the_verdicts_by_their_probability(batch_endpoint):
    def judge(conversation):
        share = int(conversation.text.partition("candidate #")[2].split("#")[0]) / 200
        return Reply(probabilities={"Yes": share, "No": 0.9 - share})

    settings = {"prompt_template": "yes_no", "scoring": "expected", "batch_endpoint": batch_endpoint}
    with JudgeServer(judge=judge) as server, judge_of(server, **settings) as made:
        for _ in range(3):
            judgements = made.score([sample(f"candidate #{n}#") for n in range(180)])
        for number, judgement in enumerate(judgements):
            assert judgement.score == pytest.approx(number / 200 / 0.9, abs=1e-3)
            assert judgement.mass == pytest.approx(0.9, abs=1e-3)


def test_digits_are_weighed_on_the_template_s_scale():
    reply = Reply(probabilities={"REWARD: 9": 0.5, "REWARD: 0": 0.25, "REWARD: 3": 0.25})
    with (
        JudgeServer(judge=lambda _: reply) as server,
        judge_of(server, prompt_template="digit", scoring="expected") as judge,
    ):
        (judgement,) = judge.score([sample()])
    assert judgement.score == pytest.approx((0.5 * 9 + 0.25 * 3) / 9, abs=1e-3)


def test_a_judge_that_would_rather_say_something_else_does_not_count():
    with (
        JudgeServer(judge=lambda _: Reply(probabilities={"Yes": 0.3, "No": 0.1})) as server,
        judge_of(server, prompt_template="yes_no", scoring="expected") as judge,
    ):
        (judgement,) = judge.score([sample()])
    assert judgement.outcome is Outcome.FALLBACK
    assert "0.400" in judgement.reason


def test_a_server_without_probabilities_is_named():
    with (
        JudgeServer(judge="Yes", logprobs=False) as server,
        judge_of(server, prompt_template="yes_no", scoring="expected") as judge,
    ):
        (judgement,) = judge.score([sample()])
    assert judgement.outcome is Outcome.FALLBACK
    assert server.url in judgement.reason


@pytest.mark.parametrize("cache", ["memory", "file"])
def test_an_expected_score_comes_out_of_the_cache_as_it_went_in(cache, tmp_path):
    where = cache if cache == "memory" else str(tmp_path / "replies.sqlite")
    with (
        JudgeServer(judge=lambda _: Reply(probabilities={"Yes": 0.6, "No": 0.2})) as server,
        judge_of(server, prompt_template="yes_no", scoring="expected", cache=where) as judge,
    ):
        ((first,), (second,)) = (judge.score([sample()]) for _ in range(2))
        assert (second.cached, second.score, second.mass) == (True, first.score, first.mass)
        assert server.stats.conversations == 1


# Votes


@pytest.mark.parametrize(("most", "requests"), [(None, 1), (2, 3), (1, 5)])
def test_votes_take_as_many_requests_as_the_server_needs(most, requests):
    said = [f"REWARD: {n / 4}" for n in range(5)]
    with JudgeServer(judge=list(said), max_n=most) as server, judge_of(server, votes=5) as judge:
        (judgement,) = judge.score([sample()])
        assert (judgement.score, judgement.votes) == (0.5, 5)
        assert server.stats.requests == requests
        assert judgement.attempts == requests


def test_a_server_that_refuses_several_draws_is_asked_for_them_one_by_one_from_then_on():
    fault = Fault("status", status=400, match=lambda conversation: "n" in conversation.body)
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server, votes=3) as judge:
        for number in range(4):
            (judgement,) = judge.score([sample(f"candidate {number}")])
            assert (judgement.outcome, judgement.votes) == (Outcome.JUDGED, 3)
        assert server.stats.faults["status"] == 1


def test_votes_do_not_travel_in_chunks():
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, votes=2) as judge:
        for _ in range(3):
            assert {each.votes for each in judge.score([sample(f"candidate {n}") for n in range(100)])} == {2}
        assert {len(request.conversations) for request in server.requests} == {1}


# Rules


def test_what_the_gate_decides_is_not_asked_and_says_so():
    rows = [
        sample("so \\boxed{7}", reference="#### 7"),
        sample("so \\boxed{8}", reference="#### 7"),
        sample("no idea", reference="#### 7"),
    ]
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, gate="both") as judge:
        judgements = judge.score(rows)
        assert server.stats.conversations == 1
    assert [(each.outcome, each.score) for each in judgements] == [
        (Outcome.GATED, 1.0),
        (Outcome.GATED, 0.0),
        (Outcome.JUDGED, 0.5),
    ]
    assert judgements[0].to_dict()["judge_ok"] == 0


def test_what_the_gate_decides_does_not_wait_for_a_server_s_place():
    rows = [sample(f"no idea {n}", reference="#### 7") for n in range(3)]
    rows.append(sample("so \\boxed{7}", reference="#### 7"))
    options = {"gate": "both", "max_in_flight": 1, "deadline": 0.5, "fallback": "zero"}
    with JudgeServer(faults=[Fault("hang")]) as server, judge_of(server, **options) as judge:
        judgements = judge.score(rows)
    assert [each.outcome for each in judgements] == [Outcome.FALLBACK] * 3 + [Outcome.GATED]


def test_a_row_with_several_references_is_right_if_it_has_the_answer_of_one():
    row = Sample("so \\boxed{7}", ("#### 6", "#### 7"))
    with JudgeServer(judge="REWARD: 0.5") as server, judge_of(server, gate="both") as judge:
        (judgement,) = judge.score([row])
        assert (judgement.outcome, judgement.score, server.stats.conversations) == (Outcome.GATED, 1.0, 0)


@pytest.mark.parametrize("candidate", ["Solution:", ":", "Thought process:", "<think>", "解"])
def test_a_candidate_that_says_nothing_is_scored_by_rule_unless_the_defences_are_down(candidate):
    with JudgeServer(judge="REWARD: 1") as server, judge_of(server) as judge:
        (judgement,) = judge.score([sample(candidate)])
        assert (judgement.outcome, judgement.score) == (Outcome.DEGENERATE_CANDIDATE, 0.0)
        assert server.stats.conversations == 0
        with judge_of(server, defences=False) as bare:
            assert bare.score([sample(candidate)])[0].score == 1.0


# Fallbacks


def rows_of(count, seed=0):
    """Candidates that share more or fewer words with the reference."""
    chance, words = random.Random(seed), [f"word{n}" for n in range(20)]
    made = []
    for number in range(count):
        kept = chance.randint(1, 20)
        text = " ".join([*words[:kept], *(f"x{chance.randint(0, 999)}" for _ in range(20 - kept))])
        made.append(Sample(text, (" ".join(words),), problem=f"problem {number // 8}", data_source="d"))
    return made


def truth(row):
    """What the judge makes of a row: strict, and hardly ever fully convinced."""
    return round(0.8 * similarity(row.candidate, row.references[0], "word_ratio") ** 3, 2)


def outage_halfway(fallback, rows):
    scores = {row.candidate: truth(row) for row in rows}

    def judge(conversation):
        return (
            f"REWARD: {scores[re.findall(r'<candidate_.*>(.*)</candidate_', conversation.text, re.DOTALL)[-1].strip()]}"
        )

    with JudgeServer(judge=judge) as server:
        made = judge_of(server, fallback=fallback, outage_grace=0.1)
        before = made.score(rows[: len(rows) // 2])
        server.stop()
        after = made.score(rows[len(rows) // 2 :])
        made.close()
    assert {each.outcome for each in before} == {Outcome.JUDGED}
    assert {each.outcome for each in after} == {Outcome.FALLBACK}
    shift = [abs(each.score - truth(row)) for each, row in zip(after, rows[len(rows) // 2 :], strict=True)]
    return sum(shift) / len(shift), {each.fallback_by for each in after}


def test_an_outage_shifts_rewards_by_half_as_much_or_less_when_the_fallback_is_calibrated():
    rows = rows_of(320)
    raw, by = outage_halfway("lexical", rows)
    assert by == {"lexical"}
    calibrated, by = outage_halfway("calibrated", rows)
    assert by == {"calibrated"}
    assert calibrated <= 0.5 * raw


def test_the_group_s_mean_leaves_the_mean_of_the_judged_rows_as_it_is():
    rows = rows_of(64)
    fault = Fault("status", status=400, share=0.4)
    with (
        JudgeServer(judge=lambda conversation: f"REWARD: {len(conversation.text) % 7 / 10}", faults=[fault]) as server,
        judge_of(server, fallback="group_mean", batch_endpoint="off") as judge,
    ):
        judgements = judge.score(rows)
    failed = 0
    for start in range(0, 64, 8):
        group = judgements[start : start + 8]
        judged = [each.score for each in group if each.outcome is Outcome.JUDGED]
        failed += 8 - len(judged)
        if judged:
            assert sum(each.score for each in group) / 8 == pytest.approx(sum(judged) / len(judged))
            assert {each.fallback_by for each in group if each.outcome is Outcome.FALLBACK} <= {"group_mean"}
    assert failed > 5
