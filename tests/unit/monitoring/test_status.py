"""What two looks at a server come to."""

import pytest

from llm_judge_remote.monitoring.figures import Figures
from llm_judge_remote.monitoring.look import Look
from llm_judge_remote.monitoring.status import status_of


def look(time, state="well", note="", **figures):
    return Look("http://a:8000", time, state, note, Figures(**figures))


def test_rates_are_what_counters_grew_by_between_two_looks():
    before = look(10.0, prompt_tokens=1000, generation_tokens=50)
    now = look(12.0, prompt_tokens=5000, generation_tokens=60)
    status = status_of(now, before, since=3.0, source="file:///judges")
    assert (status.prompt_tokens_per_s, status.generation_tokens_per_s) == (2000, 5)
    assert (status.state_s, status.source) == (9.0, "file:///judges")


@pytest.mark.parametrize(
    "before",
    [None, look(10.0), look(12.0, prompt_tokens=1), look(10.0, prompt_tokens=6000)],
    ids=["no look before", "no figures before", "no time between", "the server was started anew"],
)
def test_where_there_is_nothing_to_compare_with_there_is_no_rate(before):
    assert status_of(look(12.0, prompt_tokens=5000), before, since=12.0).prompt_tokens_per_s is None


def test_the_hit_rate_is_that_of_the_time_between_the_looks():
    before = look(10.0, prefix_queries=1000, prefix_hits=100)
    assert status_of(look(12.0, prefix_queries=1200, prefix_hits=250), before, since=0).prefix_hit_rate == 0.75


def test_the_hit_rate_is_that_since_the_start_where_nothing_was_asked_between_the_looks():
    same = {"prefix_queries": 1000, "prefix_hits": 100}
    assert status_of(look(12.0, **same), look(10.0, **same), since=0).prefix_hit_rate == 0.1
    assert status_of(look(12.0, **same), None, since=0).prefix_hit_rate == 0.1
    assert status_of(look(12.0, prefix_queries=0, prefix_hits=0), None, since=0).prefix_hit_rate is None
    assert status_of(look(12.0, prefix_queries=9), None, since=0).prefix_hit_rate is None


def test_a_hit_rate_is_never_above_1():
    assert status_of(look(12.0, prefix_queries=10, prefix_hits=11), None, since=0).prefix_hit_rate == 1.0


@pytest.mark.parametrize(("state", "is_well"), [("well", True), ("asleep", True), ("unwell", False), ("down", False)])
def test_who_sleeps_is_well(state, is_well):
    assert status_of(look(1.0, state, "why"), None, since=1.0).is_well is is_well


def test_a_status_is_plain_values():
    told = status_of(look(1.0, "down", "nobody there"), None, since=1.0).to_dict()
    assert told["state"] == "down"
    assert told["note"] == "nobody there"
    assert told["running"] is None
