"""Replies held to the verdict's grammar, on servers that want to be told so in their own way, or not at all."""

import logging
from dataclasses import replace

import pytest

from llm_judge_remote import Judge, JudgeSettings, Outcome, Sample
from llm_judge_remote.testing import Fault, JudgeServer

KINDS = ("structured_outputs", "guided_regex", "regex", "response_format")
CHATTY = "Well, hard to say, but let me think about it."  # it never gives a verdict by itself


def judge_of(server, **settings):
    return Judge(JudgeSettings(**{"server_url": server.url, "structured_output": "auto", "linger": 0, **settings}))


def probes(server):
    """Requests that only find out what the server can."""
    return sum(
        messages[0]["content"] == "Say hello." for request in server.requests for messages in request.conversations
    )


def samples(count):
    return [Sample(f"candidate {n}", ("reference",), problem="problem") for n in range(count)]


@pytest.mark.parametrize("template", ["default", "binary", "digit", "yes_no"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_server_is_told_in_its_own_way(kind, template):
    with JudgeServer(judge=CHATTY, constraint=kind) as server, judge_of(server, prompt_template=template) as judge:
        judgements = judge.score(samples(30))
        assert [each.outcome for each in judgements] == [Outcome.JUDGED] * 30
        assert all(each.constrained for each in judgements)
        assert probes(server) == KINDS.index(kind) + 1  # once for all rows


@pytest.mark.parametrize("kind", ["ignored", "refused"])
def test_a_server_that_holds_nothing_is_noticed_said_once_and_read_as_before(kind, caplog):
    with JudgeServer(judge="I say\nREWARD: 0.5", constraint=kind) as server, judge_of(server) as judge:
        for _ in range(2):
            judgements = judge.score(samples(10))
            assert {(each.outcome, each.score, each.constrained) for each in judgements} == {
                (Outcome.JUDGED, 0.5, False)
            }
        assert probes(server) == len(KINDS)
    assert len([record for record in caplog.records if "does not hold replies" in record.message]) == 1


def test_where_it_is_insisted_on_a_server_that_holds_nothing_gives_no_score_and_is_named():
    with JudgeServer(judge="REWARD: 0.5", constraint="ignored") as server:
        with judge_of(server, structured_output="on", fallback=0.25) as judge:
            judgements = judge.score(samples(5))
        assert server.stats.conversations == len(KINDS)
    assert {(each.outcome, each.score) for each in judgements} == {(Outcome.FALLBACK, 0.25)}
    assert all(server.url in each.reason and "structured_output" in each.reason for each in judgements)


def test_a_template_that_lets_the_judge_say_more_is_not_constrained_and_asks_nothing_first():
    with JudgeServer(judge="because\nREWARD: 0.5") as server, judge_of(server, prompt_template="detailed") as judge:
        (judgement,) = judge.score(samples(1))
        assert (judgement.score, judgement.constrained, server.stats.requests) == (0.5, False, 1)


def test_a_chunk_is_constrained_as_single_requests_are():
    with JudgeServer(judge=CHATTY) as server, judge_of(server) as judge:
        for _ in range(5):
            assert {each.constrained for each in judge.score(samples(200))} == {True}
        assert max(len(request.conversations) for request in server.requests) > 1


def test_a_server_that_comes_back_as_another_kind_is_found_out_again():
    with (
        JudgeServer(judge=CHATTY, constraint="structured_outputs") as first,
        judge_of(first, outage_grace=0.2) as judge,
    ):
        assert judge.score(samples(3))[0].constrained
        port = first.port
        first.stop()
        assert judge.score(samples(20))[0].outcome is Outcome.FALLBACK
        with JudgeServer(judge=CHATTY, constraint="regex", port=port):
            judgements = judge.score(samples(3), judge.settings.model_copy(update={"outage_grace": 10.0}))
            assert {(each.outcome, each.constrained) for each in judgements} == {(Outcome.JUDGED, True)}


def test_a_fault_while_the_server_is_being_found_out_costs_no_row_its_judge():
    faults = [Fault("status", status=500, times=2), Fault("drop", times=1)]
    with JudgeServer(judge=CHATTY, faults=faults) as server, judge_of(server) as judge:
        assert {each.outcome for each in judge.score(samples(10))} == {Outcome.JUDGED}


def test_a_wrong_key_is_said_as_such_and_not_as_a_lack_of_grammar(caplog):
    caplog.set_level(logging.WARNING)
    with JudgeServer(api_key="right") as server, judge_of(server, api_key="wrong") as judge:
        (judgement,) = judge.score(samples(1))
    assert "401" in judgement.reason
    assert "does not hold" not in caplog.text


def is_probe(conversation):
    return conversation.text.endswith("Say hello.")


@pytest.mark.parametrize("fault", [Fault("status", status=500), Fault("status", status=501), Fault("empty_choices")])
def test_a_server_that_fails_on_being_asked_holds_nothing_and_judges_all_the_same(fault):
    fault = replace(fault, match=is_probe)
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server) as judge:
        assert {(each.outcome, each.constrained) for each in judge.score(samples(10))} == {(Outcome.JUDGED, False)}


def test_a_server_in_trouble_is_not_taken_for_one_that_holds_nothing():
    with JudgeServer(judge=CHATTY, faults=[Fault("status", status=500, times=6)]) as server, judge_of(server) as judge:
        judge.score(samples(3))
        assert {each.constrained for each in judge.score(samples(20))} == {True}


def test_a_server_that_hangs_on_being_asked_is_asked_twice_and_judges_all_the_same():
    options = {"timeout": 0.5, "max_retries": 5, "outage_grace": 10}
    fault = Fault("hang", match=is_probe)
    with JudgeServer(judge="REWARD: 0.5", faults=[fault]) as server, judge_of(server, **options) as judge:
        assert {each.outcome for each in judge.score(samples(3))} == {Outcome.JUDGED}


def test_several_settings_for_one_server_find_it_out_once():
    with JudgeServer(judge=CHATTY, constraint="regex") as server, judge_of(server) as judge:
        for timeout in (10.0, 20.0, 30.0):
            judge.score(samples(3), judge.settings.model_copy(update={"timeout": timeout}))
        assert probes(server) == 3


FINE = "Fine.\nREWARD: 0.5"


def changes(first, judge, after):
    """What becomes of rows after the server has come back as another kind, without having been missed."""
    assert judge.score(samples(1))[0].constrained
    port = first.port
    first.stop()
    with JudgeServer(judge=FINE, constraint=after, port=port):
        return judge.score([Sample(f"another {n}", ("reference",)) for n in range(20)])


@pytest.mark.parametrize("after", ["ignored", "refused"])
def test_a_server_that_holds_nothing_any_more_is_noticed_by_its_answers(after):
    with JudgeServer(judge=FINE) as first, judge_of(first) as judge:
        judgements = changes(first, judge, after)
    assert {(each.outcome, each.constrained) for each in judgements} == {(Outcome.JUDGED, False)}


@pytest.mark.parametrize("after", ["ignored", "refused"])
def test_where_it_is_insisted_on_a_reply_that_was_not_held_does_not_count(after):
    with JudgeServer(judge=FINE) as first, judge_of(first, structured_output="on", fallback="zero") as judge:
        assert {each.outcome for each in changes(first, judge, after)} == {Outcome.FALLBACK}


def test_auto_finds_the_model_of_a_server_that_came_back_with_another():
    with JudgeServer(model="a", judge="REWARD: 0.5") as first, judge_of(first, model_name="auto") as judge:
        assert judge.score(samples(1), judge.settings.model_copy(update={"structured_output": "off"}))
        port = first.port
        first.stop()
        with JudgeServer(model="b", judge="REWARD: 0.5", port=port):
            assert {each.outcome for each in judge.score(samples(4)[1:])} == {Outcome.JUDGED}
