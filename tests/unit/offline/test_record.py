"""What is kept of a judgement."""

import math

import pyarrow as pa
import pytest

from llm_judge_remote import Judgement, Outcome
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.offline.record import NAMES, column, decoded, encoded, is_sound, judgement_schema, kept_columns


def test_a_line_holds_the_flat_dict_and_the_reply():
    judgement = Judgement(0.75, Outcome.JUDGED, reply="REWARD: 0.75", prompt_tokens=12, server="http://x")
    row, values = decoded(encoded(17, judgement))
    assert row == 17
    assert dict(zip(NAMES, values, strict=True)) == {**judgement.to_dict(), "judge_reply": "REWARD: 0.75"}


@pytest.mark.parametrize("reply", ["\ud83d\ude00", "\ud800", "a\x00b\n\u2028", ""])
def test_any_reply_makes_one_line_of_utf_8(reply):
    line = encoded(0, Judgement(0.0, Outcome.JUDGED, reply=reply))
    assert b"\n" not in line
    assert decoded(line)[1][-1] == reply.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    ("values", "of"),
    [
        (["", "a", "ß" * 3, "\x00"], pa.string()),
        ([0.5, 1, 0.0], pa.float64()),
        ([1, 2**40, -1], pa.int64()),
        ([], pa.string()),
        ([], pa.int64()),
    ],
)
def test_a_column_is_what_arrow_would_make_of_the_values(values, of):
    made = column(values, of)
    made.validate(full=True)
    assert made.equals(pa.array(values, of))


def test_the_columns_of_an_earlier_scoring_are_replaced():
    before = ["problem", *judgement_schema("", with_prompt=True).names, "more"]
    assert kept_columns(before, "", with_prompt=False) == ["problem", "more"]


def test_those_with_another_prefix_stay():
    before = ["problem", *judgement_schema("", with_prompt=True).names]
    assert kept_columns(before, "b_", with_prompt=True) == before


def test_a_column_that_only_has_the_name_of_a_judgements_is_not_replaced():
    with pytest.raises(ConfigError, match=r"a column 'score' that is not of an earlier scoring.*--prefix"):
        kept_columns(["problem", "score"], "", with_prompt=False)
    assert kept_columns(["problem", "score"], "b_", with_prompt=False) == ["problem", "score"]


def test_a_column_of_prompts_that_no_scoring_wrote_stays_and_is_not_replaced():
    assert kept_columns(["problem", "judge_prompt"], "", with_prompt=False) == ["problem", "judge_prompt"]
    with pytest.raises(ConfigError, match=r"a column 'judge_prompt' that is not of an earlier scoring"):
        kept_columns(["problem", "judge_prompt"], "", with_prompt=True)


def test_columns_of_the_same_name_are_not_mixed_up():
    with pytest.raises(ConfigError, match=r"more than one column 'problem'"):
        kept_columns(["problem", "candidate", "problem"], "", with_prompt=False)


def test_a_judgement_that_was_read_is_one_however_its_numbers_are_kept():
    _, values = decoded(encoded(0, Judgement(0.5, Outcome.JUDGED)))
    assert is_sound(values)
    assert is_sound([float(value) if isinstance(value, int) else value for value in values])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", None),
        ("score", math.nan),
        ("judge_attempts", math.nan),
        ("judge_ok", "x"),
        ("judge_reason", 5),
        ("judge_outcome", "odd"),
    ],
)
def test_a_judgement_that_something_else_has_changed_is_none(name, value):
    _, values = decoded(encoded(0, Judgement(0.5, Outcome.JUDGED)))
    values[NAMES.index(name)] = value
    assert not is_sound(values)
