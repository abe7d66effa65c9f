"""What stands in for the judge's score."""

import pytest

from llm_judge_remote import ConfigError, JudgeSettings, Sample
from llm_judge_remote.scoring.fallback import Calibrations, Fallback, Replacement, check_fallback
from llm_judge_remote.scoring.lexical import similarity
from llm_judge_remote.scoring.standby import Standby

ROW = Sample("the cat sat on a mat", ("the cat sat on the mat",), problem="where?", data_source="d")
LEXICAL = similarity(ROW.candidate, ROW.references[0], "word_ratio")


def fallback(calibrations=None):
    return Fallback(Standby(), calibrations or Calibrations())


def candidate(number):
    """Of growing similarity to the reference of `ROW`."""
    words = ROW.references[0].split()
    kept = words[: number % (len(words) + 1)]
    return Sample(" ".join([*kept, *(f"x{n}" for n in range(len(words) - len(kept)))]), ROW.references, "where?", "d")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("lexical", (LEXICAL, "lexical")), ("zero", (0.0, "constant")), (0.25, (0.25, "constant")), ("raise", None)],
)
def test_it_is_what_the_setting_says(value, expected):
    assert fallback().score(JudgeSettings(fallback=value), ROW, ROW.references) == expected


def test_the_group_s_mean_is_of_the_judged_rows_with_the_same_problem_and_references():
    settings, made = JudgeSettings(fallback="group_mean"), fallback()
    for score in (0.2, 0.6):
        made.counts(settings, Sample("other", ROW.references, "where?", "d"), score)
    made.counts(settings, Sample("other", ROW.references, "which?", "d"), 1.0)
    made.counts(JudgeSettings(fallback="group_mean", prompt_template="binary"), ROW, 1.0)
    assert made.score(settings, ROW, ROW.references) == Replacement(pytest.approx(0.4), "group_mean")


def test_a_row_whose_group_has_no_judged_row_takes_the_lexical_score():
    assert fallback().score(JudgeSettings(fallback="group_mean"), ROW, ROW.references) == (LEXICAL, "lexical")


def test_a_calibrated_score_is_on_the_judge_s_scale_once_there_are_enough_rows():
    settings, calibrations = JudgeSettings(fallback="calibrated"), Calibrations()
    assert fallback(calibrations).score(settings, ROW, ROW.references).by == "lexical"
    for _ in range(20):
        call = fallback(calibrations)
        for number in range(20):
            row = candidate(number)
            call.judged(settings, row, 0.9 * similarity(row.candidate, row.references[0], "word_ratio") ** 2)
    replacement = fallback(calibrations).score(settings, ROW, ROW.references)
    assert replacement.by == "calibrated"
    assert replacement.score == pytest.approx(0.9 * LEXICAL**2, abs=0.1)


def test_what_was_learnt_of_one_data_source_is_not_used_for_another():
    settings, calibrations = JudgeSettings(fallback="calibrated"), Calibrations()
    for _ in range(20):
        call = fallback(calibrations)
        for number in range(20):
            call.judged(settings, candidate(number), 0.0)
    other = Sample(ROW.candidate, ROW.references, "where?", "another")
    assert fallback(calibrations).score(settings, ROW, ROW.references) == (0.0, "calibrated")
    assert fallback(calibrations).score(settings, other, other.references) == (LEXICAL, "lexical")


def test_a_metric_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    with pytest.raises(ConfigError, match=r"fallback_metric='nearness'.*word_ratio"):
        check_fallback(JudgeSettings(fallback_metric="nearness"))


def test_rows_whose_problem_is_not_known_make_no_group():
    settings, made = JudgeSettings(fallback="group_mean"), fallback()
    made.counts(settings, Sample("4", ("4",), data_source="d"), 1.0)
    row = Sample("5", ("4",), data_source="d")
    assert made.score(settings, row, row.references).by == "lexical"


def test_another_server_is_another_scale():
    calibrations = Calibrations()
    one, other = (JudgeSettings(fallback="calibrated", server_url=name) for name in ("a:1", "b:1"))
    for number in range(60):
        fallback(calibrations).judged(one, candidate(number), 1.0)
    assert fallback(calibrations).score(one, ROW, ROW.references) == (1.0, "calibrated")
    assert fallback(calibrations).score(other, ROW, ROW.references).by == "lexical"


def test_a_call_learns_of_each_data_source():
    settings, calibrations = JudgeSettings(fallback="calibrated"), Calibrations()
    call = fallback(calibrations)
    for source in ("one", "two"):
        for number in range(100):
            row = candidate(number)
            call.judged(settings, Sample(row.candidate, row.references, "where?", source), 0.5)
    for source in ("one", "two"):
        row = Sample(ROW.candidate, ROW.references, "where?", source)
        assert fallback(calibrations).score(settings, row, row.references) == (0.5, "calibrated")
