import json

import pytest

from llm_judge_remote.diagnosis.setup.longest_row import longest_rows
from llm_judge_remote.errors import DatasetError
from llm_judge_remote.settings import JudgeSettings


@pytest.fixture
def write(tmp_path):
    def written(*rows):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps({"data_source": "llm_judge_remote", **row}) + "\n" for row in rows))
        return path

    return written


def row(problem="p", reference="r", **more):
    return {"ground_truth": reference, "extra_info": {"problem": problem}, **more}


def longest(path, timeout=30.0, **settings):
    return longest_rows(path, JudgeSettings(**settings), timeout)


def test_the_longest_prompts_come_first_counted_in_bytes(write):
    found = longest(write(row("p" * 300), row("é" * 200), row("p"), row(reference=["r", "r" * 500]), *[row()] * 9))
    assert [each.index for each in found.longest[:3]] == [3, 1, 0]
    assert (found.rows, found.is_whole, found.has_candidates) == (13, True, False)
    text = found.longest[0].messages[-1]["content"]
    assert "r" * 500 in text
    assert found.longest[0].size == sum(len(m["content"].encode()) for m in found.longest[0].messages)


def test_a_row_s_own_settings_count_and_rows_that_nobody_is_asked_about_do_not(write):
    own = row("p" * 100)
    own["extra_info"]["max_new_tokens"] = 7
    found = longest(write(own, row("p" * 900, reference=""), row("p" * 900, data_source="x"), row()), routes={})
    assert [(each.index, each.tokens) for each in found.longest if each.index < 2] == [(0, 7)]


def test_a_thought_is_part_of_the_reply(write):
    found = longest(write(row()), enable_thinking=True, thinking_budget=100, max_new_tokens=10)
    assert found.longest[0].tokens == 110


def test_the_file_s_candidates_are_part_of_the_prompt(write):
    found = longest(write(row(candidate="c"), row(candidate="c" * 5000)))
    assert (found.longest[0].index, found.has_candidates) == (1, True)
    assert "c" * 5000 in found.longest[0].messages[-1]["content"]


def test_after_its_time_the_reading_stops_and_says_so(write):
    found = longest(write(*[row()] * 2000), timeout=0.0)
    assert (found.is_whole, 0 < found.rows < 2000) == (False, True)
    assert found.longest


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        longest(tmp_path / "none.parquet")
