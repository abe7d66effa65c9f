import math

import pytest

from llm_judge_remote import Judgement, Outcome


def test_the_flat_dict_has_the_same_plain_keys_for_every_outcome():
    dicts = [Judgement(0.5, outcome).to_dict() for outcome in Outcome]
    assert len({tuple(flat) for flat in dicts}) == 1
    assert list(dicts[0])[:2] == ["score", "acc"]
    assert all(name.startswith("judge_") for name in list(dicts[0])[2:])
    assert "reward" not in dicts[0]
    for flat in dicts:
        assert all(type(value) in (float, int, str) for value in flat.values())


def test_only_a_judged_row_counts_as_ok():
    assert [outcome for outcome in Outcome if Judgement(1.0, outcome).to_dict()["judge_ok"]] == [Outcome.JUDGED]
    assert [outcome for outcome in Outcome if Judgement(1.0, outcome).to_dict()["judge_fallback"]] == [Outcome.FALLBACK]


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_a_score_outside_zero_to_one_cannot_be_made(score):
    with pytest.raises(ValueError, match="a score is a number"):
        Judgement(score, Outcome.JUDGED)
