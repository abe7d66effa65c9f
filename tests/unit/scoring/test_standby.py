import pytest

from llm_judge_remote import JudgeSettings
from llm_judge_remote.scoring import standby as module
from llm_judge_remote.scoring.lexical import similarity
from llm_judge_remote.scoring.standby import Standby

ROWS = [("a b c", ["a b d", "x"]), ("same", ["same"]), ("nothing alike", ["1 2 3"])]


def test_it_gives_the_similarity_of_the_nearest_reference():
    settings, standby = JudgeSettings(), Standby()
    for candidate, references in ROWS * 2:
        expected = max(similarity(candidate, reference, "word_ratio") for reference in references)
        assert standby.similarity(settings, candidate, references) == expected
    assert standby.similarity(settings, "c", []) == 0.0


@pytest.mark.parametrize("fallback", ["lexical", "calibrated", "group_mean"])
def test_what_was_made_ready_is_not_computed_again(monkeypatch, fallback):
    settings, standby = JudgeSettings(fallback=fallback), Standby()
    standby.make([(settings, *row) for row in ROWS])
    known = [similarity(candidate, references[0], "word_ratio") for candidate, references in ROWS]
    monkeypatch.setattr(module, "similarity", lambda *_: pytest.fail("computed again"))
    assert [standby.similarity(settings, *row) for row in ROWS] == known


def test_another_metric_is_another_score():
    standby = Standby()
    scores = [
        standby.similarity(JudgeSettings(fallback_metric=metric), "abcd", ["abce"])
        for metric in ("word_ratio", "char_ratio")
    ]
    assert scores[0] != scores[1]


def test_more_rows_need_more_time_and_no_rows_none():
    settings, standby = JudgeSettings(), Standby()
    text = "some words of a candidate " * 40
    few, many = ([(settings, f"{n} {text}", [text])] * n for n in (10, 10_000))
    assert standby.seconds(few) > 0
    assert Standby().seconds(many) > 2 * Standby().seconds(few[:1])
    assert standby.seconds([]) == 0
    assert standby.seconds([(JudgeSettings(fallback="zero"), "c", ["r"])] * 100) == 0
