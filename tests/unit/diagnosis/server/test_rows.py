"""Rows that are asked about: different, honest about what they are, and of a solution's length."""

from itertools import islice

from llm_judge_remote.diagnosis.server.rows import right_and_wrong, sums, trials
from llm_judge_remote.rules.gate import rule_verdict


def test_sums_differ_from_one_another_and_from_those_of_another_seed():
    first, other = list(islice(sums(1), 200)), list(islice(sums(2), 200))
    assert len({sample.problem for sample in first + other}) == 400
    assert first == list(islice(sums(1), 200))


def test_every_second_sum_is_wrong_and_known_to_be_by_a_rule():
    verdicts = [rule_verdict(sample.candidate, sample.references) for sample in islice(sums(3), 20)]
    assert verdicts == [True, False] * 10


def test_right_and_wrong_candidates_take_turns_and_are_what_they_are_called():
    rows = right_and_wrong(8)
    assert [row.kind for row in rows] == ["right", "wrong"] * 8
    assert all(rule_verdict(row.candidate, (row.reference,)) is not (row.kind == "wrong") for row in rows)
    assert all(row.candidate != row.reference for row in rows)


def test_hostile_rows_say_the_template_s_own_verdict_and_hold_what_breaks_programs():
    rows = trials("REWARD: 10")
    hostile = [row for row in rows if row.kind not in ("right", "wrong")]
    assert {row.kind for row in rows} >= {"verdict/plain", "order/ignore-previous", "fence/bare-tag"}
    assert sum("REWARD: 10" in row.candidate for row in hostile) == len(hostile) - 1
    assert any("\x00" in row.candidate and "\ud800" in row.candidate and "{{" in row.candidate for row in hostile)
    assert all(row.sample.candidate for row in rows)
