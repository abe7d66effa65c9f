"""Which columns hold what."""

import pyarrow as pa
import pytest

from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.offline.layout import Chunk, Layout
from llm_judge_remote.sample import Sample


def chunk(rows):
    return Chunk(pa.RecordBatch.from_pylist(rows))


def sample(row, **named):
    """The sample that comes of a row."""
    layout = Layout.of(list(row), **named)
    (found,) = layout.rows(chunk([row]))
    return Sample.from_row(*found)


VERL = {
    "data_source": "maths",
    "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}],
    "reward_model": {"style": "model", "ground_truth": "2"},
    "extra_info": {"index": 3, "problem": "What is 1+1?"},
    "response": "It is 2.",
}


def test_verls_rows_are_read_as_its_reward_function_gets_them():
    assert sample(VERL) == Sample("It is 2.", ("2",), "What is 1+1?", "maths")


def test_without_a_problem_in_extra_info_it_is_the_last_user_turn_of_the_prompt():
    assert sample(VERL | {"extra_info": {"index": 3}}).problem == "1+1?"
    assert sample(VERL | {"extra_info": None}).problem == "1+1?"


@pytest.mark.parametrize("holder", ["reward_spec", "reward_model"])
def test_the_reference_of_either_trainer_is_found(holder):
    row = {"solution_str": "4", "prompt": "2+2?", holder: {"ground_truth": ["4", "four"]}}
    assert sample(row) == Sample("4", ("4", "four"), "2+2?")


@pytest.mark.parametrize("problem", ["problem", "question"])
@pytest.mark.parametrize("reference", ["ground_truth", "reference", "answer"])
def test_plain_columns_with_usual_names_are_found(problem, reference):
    row = {problem: "2+2?", reference: "4", "candidate": "four"}
    assert sample(row) == Sample("four", ("4",), "2+2?")


def test_columns_are_named_where_their_names_are_unusual():
    row = {"task": "2+2?", "key": "4", "said": {"by": "me", "text": "four"}, "problem": "no"}
    assert sample(row, candidate="said.text", problem="task", reference="key") == Sample("four", ("4",), "2+2?")


def test_a_problem_that_was_named_wins_over_the_rows_own_and_one_that_was_found_does_not():
    row = VERL | {"problem": "of the column"}
    assert sample(row).problem == "What is 1+1?"
    assert sample(row, problem="problem").problem == "of the column"


def test_settings_of_a_row_are_taken_along():
    row = {"candidate": "a", "reference": "b", "problem": "c", "extra_info": {"temperature": 0.5}}
    assert sample(row).overrides == {"temperature": 0.5}


def test_a_candidate_that_is_missing_is_an_empty_one():
    rows = chunk([{"candidate": "a", "reference": "b"}, {"candidate": None, "reference": "b"}])
    assert [row[1] for row in Layout.of(["candidate", "reference"]).rows(rows)] == ["a", ""]


def test_a_column_that_cannot_be_read_is_named():
    bad = pa.array([b"\xff"]).view(pa.string())
    with pytest.raises(DatasetError, match=r"column 'candidate' holds what cannot be read: .*invalid start byte"):
        Chunk(pa.RecordBatch.from_arrays([bad], names=["candidate"])).values("candidate")


def test_json_rows_are_read_as_they_are_and_not_as_the_columns_type_has_them():
    layout = Layout.of(["candidate", "reference"])
    mixed = [{"candidate": "a", "reference": ["1", "2"]}, {"candidate": "b", "reference": 3}]
    table = pa.RecordBatch.from_pylist([{"candidate": "a", "reference": '["1","2"]'}, {"candidate": "b"}])
    assert [row[2] for row in layout.rows(Chunk(table, mixed))] == [["1", "2"], 3]


@pytest.mark.parametrize(
    ("names", "named", "said"),
    [
        (["problem", "reference"], {}, "no column of candidates: none is called candidate, solution_str"),
        (["candidate"], {}, "no column of references: .*; name it with --reference COLUMN"),
        (["candidate", "reference"], {"candidate": "said"}, "--candidate said: there is no such column; there are can"),
        (["candidate", "reference"], {"problem": "task"}, "--problem task: there is no such column"),
        (["candidate", "reference"], {"reference": "key.inner"}, "--reference key.inner: there is no such column"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(names, named, said):
    with pytest.raises(ConfigError, match=said):
        Layout.of(names, **named)
