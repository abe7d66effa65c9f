"""What is known of all rows: found by the columns' names, with what is missing left out."""

import numpy as np
import pytest

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.judgement import Outcome
from llm_judge_remote.report.columns import Wanted
from llm_judge_remote.report.load import load
from llm_judge_remote.report.scored import KINDS, NO_GROUP, Kind, kind_of
from llm_judge_remote.report.source import open_source


def loaded(path, wanted=None, **options):
    return load(open_source(path), path, wanted or Wanted(), **options)


def test_every_outcome_has_a_kind():
    kinds = {outcome: kind_of(outcome.value) for outcome in Outcome}
    assert {outcome for outcome, kind in kinds.items() if kind is not Kind.RULED} == set(KINDS)
    assert kinds[Outcome.GATED] is Kind.RULED
    assert kind_of("") is Kind.JUDGED


def test_a_scored_file_is_understood_without_being_told_anything(write, row):
    scored = loaded(write(row(number, label=number % 2) for number in range(20)))
    assert scored.rows == 20
    columns = scored.columns
    assert (columns.label, columns.group, columns.time) == ("label", "extra_info.problem", "")
    assert scored.group.tolist() == [number // 4 for number in range(20)]
    assert scored.label.tolist() == [number % 2 for number in range(20)]
    assert [scored.sources[code] for code in scored.source[::4]] == ["sums/0", "sums/1", "sums/0", "sums/1", "sums/0"]
    assert scored.numbers["judge_prompt_tokens"].tolist() == list(range(100, 120))
    assert scored.of_kind(Kind.JUDGED).all()


def test_named_columns_count_before_those_that_are_looked_for(write, row):
    rows = [row(number, label=0, uid="x", when=number, other=number % 3) for number in range(6)]
    scored = loaded(write(rows), Wanted(label="is_right", group="other", time="when"))
    assert scored.label.tolist() == [row(number)["is_right"] for number in range(6)]
    assert scored.group.tolist() == [0, 1, 2, 0, 1, 2]
    assert scored.time.tolist() == list(range(6))
    assert loaded(write(rows)).columns.group == "uid"


def test_a_score_alone_is_enough(write):
    scored = loaded(write([{"score": 0.25}, {"score": None}]))
    assert scored.has_score.tolist() == [True, False]
    assert (scored.label, scored.group, scored.time, scored.identity, scored.numbers) == (None, None, None, None, {})
    assert scored.of_kind(Kind.JUDGED).all()


def test_rows_without_a_problem_are_in_no_group(write):
    scored = loaded(write([{"score": 1.0, "problem": name} for name in ("a", None, "a", "b")]))
    assert scored.group.tolist() == [0, NO_GROUP, 0, scored.group.max()]


def test_files_with_two_flags_in_place_of_an_outcome_are_understood(write):
    rows = [{"score": 1.0, "judge_ok": ok, "judge_fallback": back} for ok, back in ((1, 0), (0, 1), (0, 0))]
    assert loaded(write(rows)).kind.tolist() == [Kind.JUDGED, Kind.FALLBACK, Kind.RULED]


def test_reasons_that_differ_in_numbers_are_one(write):
    rows = [{"score": 0.0, "judge_outcome": "fallback", "judge_reason": f"no answer in {n}.5 s"} for n in range(30)]
    scored = loaded(write(rows))
    assert scored.reasons == ("no answer in 0.5 s",)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(label="is_rihgt"), "no column 'is_rihgt' for --label.*is_right"),
        (Wanted(group="x"), "no column 'x' for --group"),
        (Wanted(time="x"), "no column 'x' for --time"),
        (Wanted(candidate="x"), "no column 'x' for --candidate"),
    ],
)
def test_a_column_that_is_not_there_is_said_with_those_that_are(write, row, wanted, said):
    with pytest.raises(ConfigError, match=said) as caught:
        loaded(write([row(0)]), wanted)
    assert "data_source, prompt, reward_model" in str(caught.value)


def test_a_file_without_a_score_is_of_no_use(write):
    with pytest.raises(ConfigError, match=r"no column 'score'.*llm-judge-remote score"):
        loaded(write([{"acc": 1.0}]))


def test_progress_is_told_with_the_number_of_rows(write, row):
    told = []
    loaded(write(row(number) for number in range(20)), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (20, 20)
    assert np.all(np.diff([done for done, _ in told]) > 0)


def test_rows_are_recognised_by_problem_and_candidate_only_when_it_is_asked_for(write, row):
    rows = [row(0), row(1), row(0), row(0, candidate="other")]
    identity = loaded(write(rows), with_identity=True).identity.tolist()
    assert identity[0] == identity[2]
    assert len(set(identity)) == 3
    assert loaded(write(rows)).identity is None
