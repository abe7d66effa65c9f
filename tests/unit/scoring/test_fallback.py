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
        made.judged(settings, Sample("other", ROW.references, "where?", "d"), score)
    made.judged(settings, Sample("other", ROW.references, "which?", "d"), 1.0)
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
