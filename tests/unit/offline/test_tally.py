"""What became of many rows."""

import json

import pytest

from llm_judge_remote import Judgement, Outcome
from llm_judge_remote.offline.record import decoded, encoded
from llm_judge_remote.offline.tally import Tally


def judged(seconds=0.1, **more):
    return Judgement(1.0, Outcome.JUDGED, service_s=seconds, prompt_tokens=100, completion_tokens=5, **more)


def tally(*judgements):
    made = Tally()
    for judgement in judgements:
        made.add(judgement)
    return made


def test_rows_are_counted_by_outcome_with_their_tokens_and_reasons():
    found = tally(
        judged(),
        judged(cached=True),
        Judgement(0.0, Outcome.EMPTY_CANDIDATE, "the candidate is empty"),
        Judgement(0.2, Outcome.FALLBACK, "no answer"),
        Judgement(0.0, Outcome.FAILED, "no answer"),
    )
    assert found.rows == 5
    assert found.outcomes == {"judged": 2, "empty_candidate": 1, "fallback": 1, "failed": 1}
    assert (found.not_judged, found.prompt_tokens, found.completion_tokens, found.cached) == (2, 200, 10, 1)
    assert found.reasons == {"no answer": 2}


def test_quantiles_are_right_to_one_per_cent():
    found = tally(*(judged(seconds / 1000) for seconds in range(1, 1001)))
    for share in (0.01, 0.5, 0.9, 0.99):
        assert found.quantile(share) == pytest.approx(share, rel=0.02)


def test_rows_that_nobody_was_asked_about_have_no_part_in_them():
    assert tally(Judgement(0.0, Outcome.FALLBACK, service_s=9.0)).quantile(0.5) is None
    assert tally(judged(0.0)).quantile(0.5) is None


def test_several_are_counted_as_one_and_survive_json():
    judgements = [judged(0.1), judged(2.0), Judgement(0.0, Outcome.FAILED, "why")]
    halves = tally(*judgements[:1])
    halves.merge(Tally.from_dict(json.loads(json.dumps(tally(*judgements[1:]).to_dict()))))
    assert halves.to_dict() == tally(*judgements).to_dict()


def test_a_line_of_the_journal_counts_like_the_judgement_in_it():
    judgements = [judged(0.3), Judgement(0.0, Outcome.FALLBACK, "why")]
    found = Tally()
    for judgement in judgements:
        found.add_values(decoded(encoded(0, judgement))[1])
    assert found.to_dict() == tally(*judgements).to_dict()


def test_the_reasons_that_are_kept_are_few():
    found = tally(*(Judgement(0.0, Outcome.FAILED, f"reason {number}") for number in range(1000)))
    assert len(found.reasons) == 20
    assert found.not_judged == 1000
