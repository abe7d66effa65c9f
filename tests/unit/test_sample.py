import copy

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from llm_judge_remote import Sample
from llm_judge_remote.sample import as_text, last_user_turn

TEXTS = [
    ("plain", "plain"),
    (np.str_("numpy"), "numpy"),
    (np.array("zero-dim"), "zero-dim"),
    (b"bytes \xff", "bytes \ufffd"),
    (None, ""),
    (float("nan"), ""),
    (np.float64("nan"), ""),
    (np.int64(42), "42"),
    (7, "7"),
    (0.5, "0.5"),
    (True, "True"),
    ("", ""),
    ("a\x00b", "a\x00b"),
    ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "a"),
    ([{"role": "user", "content": [{"type": "text", "text": "in parts"}]}], "in parts"),
    (["one", "two"], "one\ntwo"),
    (np.array(["one", "two"], dtype=object), "one\ntwo"),
    (OmegaConf.create({"x": ["node"]}).x, "node"),
    ({"content": None}, ""),
]


@pytest.mark.parametrize(("value", "text"), TEXTS, ids=[repr(value)[:40] for value, _ in TEXTS])
def test_what_trainers_pass_as_text_becomes_text(value, text):
    assert as_text(value) == text


REFERENCES = [
    ("one", ("one",)),
    (["a", "b"], ("a", "b")),
    (("a", "a", "b"), ("a", "b")),
    (np.array(["a", "b"], dtype=object), ("a", "b")),
    (OmegaConf.create(["a", "b"]), ("a", "b")),
    ([["a"], ["b", None]], ("a", "b")),
    (42, ("42",)),
    (np.float64(1.5), ("1.5",)),
    (None, ()),
    ("", ()),
    ("  \n", ()),
    ([], ()),
    ([None, float("nan"), ""], ()),
]


@pytest.mark.parametrize(("ground_truth", "expected"), REFERENCES, ids=[repr(value)[:40] for value, _ in REFERENCES])
def test_references_come_in_many_shapes(ground_truth, expected):
    assert Sample.from_row("d", "c", ground_truth).references == expected


def test_target_gt_is_authoritative():
    sample = Sample.from_row("d", "c", ["general"], {"target_gt": ["exact"]})
    assert sample.references == ("exact",)


def test_the_filter_by_prompt_token_is_on_by_call_or_by_row():
    extra = {"prompt": [{"role": "user", "content": "Continue: red"}]}
    references = ["red car", "blue car"]
    assert Sample.from_row("d", "c", references, extra).references == ("red car", "blue car")
    assert Sample.from_row("d", "c", references, extra, filter_by_prompt=True).references == ("red car",)
    assert Sample.from_row("d", "c", references, {**extra, "filter_gt_by_prompt_token": True}).references == (
        "red car",
    )
    off = Sample.from_row("d", "c", references, {**extra, "filter_gt_by_prompt_token": False}, filter_by_prompt=True)
    assert off.references == ("red car", "blue car")


TURNS = [{"role": "user", "content": "u1"}, {"role": "assistant", "content": "a"}]
PROBLEMS = [
    ({"problem": "p", "question": "q"}, "p"),
    ({"question": "q", "prompt": "r"}, "q"),
    ({"prompt": "text"}, "text"),
    ({"prompt": [*TURNS, {"role": "user", "content": "u2"}]}, "u2"),
    ({"prompt": np.array([{"role": "user", "content": "u"}], dtype=object)}, "u"),
    ({"problem": ""}, ""),
    (None, ""),
    ("not a mapping", ""),
    (OmegaConf.create({"problem": "node"}), "node"),
]


@pytest.mark.parametrize(("extra", "problem"), PROBLEMS, ids=[repr(extra)[:40] for extra, _ in PROBLEMS])
def test_the_problem_comes_from_extra_info(extra, problem):
    assert Sample.from_row("d", "c", "r", extra).problem == problem


def test_extra_info_is_never_written_to():
    extra = {"problem": "p", "target_gt": ["a"], "prompt": [{"role": "user", "content": "x"}], "temperature": 0}
    before = copy.deepcopy(extra)
    Sample.from_row("d", "c", "r", extra, filter_by_prompt=True)
    assert extra == before


def test_settings_in_extra_info_are_taken_along_and_the_rest_is_left():
    sample = Sample.from_row("d", "c", "r", {"temperature": np.float32(0.5), "model": "m", "index": 3, "timeout": 1})
    assert sample.overrides == {"temperature": 0.5, "model": "m"}


class Explosive:
    def __str__(self):
        raise RuntimeError("boom")


def test_a_row_that_cannot_be_read_says_so_and_raises_nothing():
    sample = Sample.from_row("d", Explosive(), "r")
    assert sample.defect == "RuntimeError: boom"


@pytest.mark.parametrize("text", ["lone \ud800 surrogate", "\udfff", "\ud83d\ude00 pair"])
def test_a_sample_holds_only_text_that_utf_8_can_carry(text):
    sample = Sample(text, (text,), problem=text)
    for carried in (sample.candidate, *sample.references, sample.problem):
        carried.encode()
    assert Sample("\ud83d\ude00", ()).candidate == "\U0001f600"
    assert Sample("a\ud800b", ()).candidate == "a\ufffdb"


def test_a_prompt_without_a_user_turn_is_taken_whole():
    assert last_user_turn([{"role": "system", "content": "s"}]) == "s"


def test_a_row_setting_that_is_none_or_nan_is_not_given():
    assert Sample.from_row("d", "c", "r", {"temperature": float("nan"), "seed": None, "top_p": 0.5}).overrides == {
        "top_p": 0.5
    }


@pytest.mark.parametrize("missing", [None, float("nan"), "", [], [None], pd.NA])
def test_a_target_that_is_missing_leaves_the_ground_truth(missing):
    assert Sample.from_row("d", "c", "r", {"target_gt": missing}).references == ("r",)


def test_targets_are_judged_against_exactly():
    extra = {"target_gt": ["the cat", "the dog"], "prompt": "where is my dog", "filter_gt_by_prompt_token": True}
    assert Sample.from_row("d", "c", ["x"], extra).references == ("the cat", "the dog")


@pytest.mark.parametrize("blank", ["", [], None, pd.NA, float("nan")])
def test_a_blank_setting_of_a_row_is_not_given(blank):
    assert Sample.from_row("d", "c", "r", {"server_url": blank, "model": blank}).overrides == {}


def test_a_single_reference_is_one_reference_and_other_kinds_are_refused():
    assert Sample("c", "four").references == ("four",)
    with pytest.raises(TypeError, match="candidate is text"):
        Sample(None, ("r",))


def test_the_prompt_that_verl_adds_tells_the_problem_where_nothing_else_does():
    turns = [{"role": "user", "content": "What is 2 + 2?"}]
    assert Sample.from_row("d", "4", "4", {"raw_prompt": turns}).problem == "What is 2 + 2?"
    assert Sample.from_row("d", "4", "4", {"raw_prompt": turns, "problem": "other"}).problem == "other"
