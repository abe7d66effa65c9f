"""Rows of two files that are the same."""

import pytest

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.report.columns import Wanted
from llm_judge_remote.report.load import load
from llm_judge_remote.report.matching import match_rows
from llm_judge_remote.report.source import open_source


@pytest.fixture
def matched(write):
    def found(first, second):
        made = []
        for name, rows in (("a.parquet", first), ("b.parquet", second)):
            path = write(rows, name)
            made.append(load(open_source(path), path, Wanted(), with_identity=True))
        return match_rows(*made)

    return found


def test_files_of_the_same_rows_are_matched_by_place(matched, row):
    rows = [row(number) for number in range(6)]
    found = matched(rows, rows)
    assert (found.one.tolist(), found.other.tolist(), found.left_out) == (list(range(6)), list(range(6)), 0)


def test_rows_in_another_order_find_each_other_by_their_texts(matched, row):
    rows = [row(number) for number in range(6)]
    found = matched(rows, [rows[number] for number in (5, 3, 1, 0)])
    assert dict(zip(found.one.tolist(), found.other.tolist(), strict=True)) == {0: 3, 1: 2, 3: 1, 5: 0}
    assert found.left_out == 2


def test_of_equal_rows_the_first_goes_with_the_first(matched, row):
    twice = [row(0), row(1), row(0), row(0)]
    found = matched(twice, [row(0), row(0), row(7)])
    assert dict(zip(found.one.tolist(), found.other.tolist(), strict=True)) == {0: 0, 2: 1}
    assert found.left_out == 3


def test_without_texts_files_of_one_length_are_matched_by_place(matched):
    found = matched([{"score": 0.0}] * 3, [{"score": 1.0}] * 3)
    assert found.one.tolist() == found.other.tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match=r"3 rows and b\.parquet 2"):
        matched([{"score": 0.0}] * 3, [{"score": 1.0}] * 2)


def test_files_without_a_common_row_cannot_be_compared(matched, row):
    with pytest.raises(ConfigError, match="nothing to compare"):
        matched([row(0)], [row(1)])
