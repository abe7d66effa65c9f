"""Targets: what is refused, how answers are compared, and what files give."""

import json

import pandas as pd
import pytest

from llm_judge_remote import ConfigError
from llm_judge_remote.redteam import Target, read_targets
from llm_judge_remote.redteam.target import answer_key

ROWS = [
    {"problem": "p1", "reference": "The answer is 1.", "candidate": "The answer is 9."},
    {"problem": "p2", "reference": "The answer is 2."},
    {"problem": "p3", "reference": "So 2 it is.", "candidate": " "},
    {"problem": "p4", "reference": "#### 4", "candidate": None},
]


def written(tmp_path, rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (r"so \boxed{3 x}, or 4", "3x"),
        ("#### 1,234", "1234"),
        ("The answer is $5.", "5"),
        ("It is 3, and then 7/8.", "7/8"),
        ("It is -3.5", "-3.5"),
        ("no number\nBlue Whale.\n\n", "bluewhale"),
        ("", ""),
    ],
)
def test_the_key_of_an_answer_is_what_a_text_ends_with(text, key):
    assert answer_key(text) == key


@pytest.mark.parametrize(
    ("reference", "candidate", "reason"),
    [(" ", "c", "reference is blank"), ("r", "\n", "candidate is blank"), ("a  b", "a b ", "is its reference")],
)
def test_a_target_that_would_make_no_wrong_candidate_is_refused(reference, candidate, reason):
    with pytest.raises(ValueError, match=reason):
        Target("p", reference, candidate)


def test_a_row_without_a_candidate_gets_the_next_reference_with_another_answer(tmp_path):
    targets = read_targets(written(tmp_path, ROWS))
    assert [target.problem for target in targets] == ["p1", "p2", "p3", "p4"]
    assert [target.candidate for target in targets] == [
        "The answer is 9.",
        "#### 4",  # p3 has the same answer as p2
        "#### 4",
        "The answer is 1.",
    ]


def test_the_first_rows_can_be_asked_for(tmp_path):
    targets = read_targets(written(tmp_path, ROWS), limit=2)
    assert [target.candidate for target in targets] == ["The answer is 9.", "The answer is 1."]


def test_line_separators_inside_of_a_text_do_not_end_its_line(tmp_path):
    rows = [{"problem": "a\u2028b\x85c", "reference": "1", "candidate": "2"}]
    assert read_targets(written(tmp_path, rows))[0].problem == "a\u2028b\x85c"


def test_parquet_gives_the_same_as_json_lines(tmp_path):
    pd.DataFrame(ROWS).to_parquet(tmp_path / "rows.parquet")
    assert read_targets(tmp_path / "rows.parquet") == read_targets(written(tmp_path, ROWS))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "no rows"),
        ([{"question": "q", "answer": "a"}], r"row 1: a target's reference is blank .its columns: question, answer"),
        ([{"problem": "p", "reference": "1"}], "no other row's reference has another final answer"),
        ([{"reference": "1", "candidate": "1"}], "row 1: a target's candidate is its reference"),
        (["text"], "line 1: holds a str; write one object a line"),
    ],
)
def test_rows_of_no_use_are_named(tmp_path, rows, reason):
    with pytest.raises(ConfigError, match=reason):
        read_targets(written(tmp_path, rows))


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"problem": ')
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    for name in ("none.jsonl", "none.parquet", "broken.jsonl", "binary.jsonl", "broken.parquet"):
        with pytest.raises(ConfigError, match=name):
            read_targets(tmp_path / name)
