"""Rows to read: the failed and the extreme ones, with what the judge saw and said."""

import json

import pytest

from llm_judge_remote.dataset.as_judged import AsJudged, Context
from llm_judge_remote.dataset.trainer_file import TrainerFile
from llm_judge_remote.report import ReportOptions, Wanted, make_report, source
from llm_judge_remote.settings import JudgeSettings


@pytest.fixture
def groups(write):
    def made(rows, **options):
        wanted = Wanted(**{name: options.pop(name) for name in ("label", "candidate") if name in options})
        if "against" in options:
            options["against"] = write(options["against"], "other.parquet")
        report = make_report(write(rows), ReportOptions(wanted, **options))
        return {group.key: group for group in report.examples}

    return made


def texts(example):
    return {each.name: each.text for each in example.texts}


def test_failed_rows_and_extremes_are_picked(groups, row):
    rows = [row(number) for number in range(40)]
    rows[3] |= {"judge_outcome": "failed", "judge_reason": "it broke"}
    rows[5] |= {"judge_outcome": "fallback", "judge_reason": "it was late"}
    rows[9] |= {"score": 0.99, "is_right": False}
    rows[11] |= {"score": 0.01, "is_right": True}
    found = groups(rows, label="is_right", examples=2)
    assert [example.row for example in found["failed"].examples] == [3]
    assert texts(found["failed"].examples[0])["Why it was not judged"] == "it broke"
    assert [example.row for example in found["fallback"].examples] == [5]
    assert [example.row for example in found["false_positives"].examples] == [9]
    assert [example.row for example in found["false_negatives"].examples] == [11]
    assert all(example.score == "1.000" for example in found["highest"].examples)
    assert all(example.score == "0.000" for example in found["lowest"].examples)
    assert found["highest"].of > 2
    assert found["slowest"].examples[0].row == 39


def test_the_same_rows_are_picked_each_time(groups, row):
    rows = [row(number, score=1.0) for number in range(100)]
    first, second = ([each.row for each in groups(rows)["highest"].examples] for _ in range(2))
    assert first == second
    assert first != sorted(first)[: len(first)] or first[0] != 0  # drawn from all of them, not the first ones


def test_no_more_than_asked_for_are_read(groups, row):
    assert groups([row(number) for number in range(9)], examples=0) == {}


def test_the_prompt_is_rendered_to_the_byte_as_the_judge_would_be_sent_it(groups, write, row):
    rows = [row(number) for number in range(4)]
    example = groups(rows, template="yes_no")["highest"].examples[0]
    judged = AsJudged(JudgeSettings(prompt_template="yes_no"), Context(32_768))
    own = list(TrainerFile(write(rows, "same.parquet")))[example.row]
    [conversation] = judged.shown(judged.sample(own)).conversations
    assert [(each.name, each.text) for each in example.prompt] == [(m["role"], m["content"]) for m in conversation]
    assert "'yes_no'" in example.prompt_note


@pytest.mark.parametrize(
    "told",
    [
        [{"role": "user", "content": "the very words"}],
        json.dumps([{"role": "user", "content": "the very words"}]),
        "the very words",
        "[the very words",
    ],
)
def test_a_prompt_in_the_file_comes_before_any_rendering(groups, row, told):
    example = groups([row(1, judge_prompt=told)])["highest"].examples[0]
    assert example.prompt[0].text.endswith("the very words")
    assert example.prompt_note == "As the file has it."


def test_settings_of_no_use_leave_the_texts(groups, row, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_TEMPERATURE", "hot")
    example = groups([row(1)])["highest"].examples[0]
    assert example.prompt == ()
    assert set(texts(example)) == {"Problem", "Reference", "Candidate", "The judge's reply"}


def test_without_a_candidate_there_is_no_prompt_and_it_says_so(groups):
    example = groups([{"score": 1.0, "problem": "p", "reference": "r"}])["highest"].examples[0]
    assert texts(example) == {"Problem": "p", "Reference": "r"}
    assert "candidates" in example.prompt_note


def test_a_row_that_is_never_sent_says_why(groups, row):
    rows = [row(1, candidate=" ")]
    assert "the candidate is empty" in groups(rows)["highest"].examples[0].prompt_note


def test_a_named_column_of_candidates_is_shown(groups, row):
    example = groups([row(1, answers="mine")], candidate="answers")["highest"].examples[0]
    assert texts(example)["Candidate"] == "mine"
    assert "mine" in example.prompt[-1].text


def test_long_texts_are_bounded(groups, row):
    example = groups([row(1, candidate="x" * 100_000, judge_reply="y" * 100_000)])["highest"].examples[0]
    assert all(len(each.text) < 9_000 for each in (*example.texts, *example.prompt))


def test_two_judges_disagreements_show_both_sides(groups, row):
    rows = [row(number) for number in range(8)]
    others = [{**each, "judge_reply": "B says"} for each in rows]
    others[4]["score"] = 1.0
    found = groups(rows, against=others)
    [example] = found["b_higher"].examples
    assert (example.row, example.score) == (4, "A 0.000, B 1.000")
    assert texts(example)["Judge B's reply"] == "B says"
    assert "a_higher" not in found


def test_only_the_rows_to_read_are_read_whole(write, row, monkeypatch):
    whole = []
    original = source._Parquet.rows

    def watched(self, numbers):
        for number, found in original(self, numbers):
            whole.append(number)
            yield number, found

    monkeypatch.setattr(source._Parquet, "rows", watched)
    report = make_report(write(row(number) for number in range(500)), ReportOptions(examples=3))
    assert sorted(set(whole)) == sorted({example.row for group in report.examples for example in group.examples})
    assert len(whole) <= 9
