"""The input, part by part."""

import gzip
import json
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote.errors import DatasetError
from llm_judge_remote.offline.table import open_table


@pytest.fixture
def parquet(tmp_path):
    """Ten rows in row groups of four."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": range(10), "text": [f"row {n}" for n in range(10)]}), path, row_group_size=4)
    return path


def json_lines(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def numbers(chunks):
    return [chunk.table.column("number").to_pylist() for chunk in chunks]


@pytest.mark.parametrize("size", [1, 3, 4, 7, 100])
def test_parts_are_of_one_size_whatever_the_row_groups_are(parquet, size):
    parts = numbers(open_table(parquet).chunks(0, size))
    assert parts == [list(range(10))[first : first + size] for first in range(0, 10, size)]


@pytest.mark.parametrize("start", range(11))
def test_reading_goes_on_from_any_row(parquet, start):
    parts = numbers(open_table(parquet).chunks(start, 3))
    assert [number for part in parts for number in part] == list(range(start, 10))


def test_reading_from_a_later_row_passes_over_the_row_groups_before_it(parquet, monkeypatch):
    table = open_table(parquet)
    assert table.starts() == [0, 4, 8]
    asked = []
    whole = pq.ParquetFile.iter_batches

    def watched(self, *words, **named):
        asked.append(named["row_groups"])
        return whole(self, *words, **named)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    list(table.chunks(9, 3))
    assert asked == [[2]]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.json"])
def test_json_gives_the_same_rows(tmp_path, name):
    path = json_lines(tmp_path / name, [{"number": n, "text": f"row {n}"} for n in range(10)])
    table = open_table(path)
    assert (table.row_count, table.schema.names) == (10, ["number", "text"])
    assert numbers(table.chunks(4, 4)) == [[4, 5, 6, 7], [8, 9]]


def test_columns_of_json_have_the_type_that_holds_all_their_values(tmp_path):
    rows = [{"a": 1, "b": None, "c": {"x": 1}}] * 1100 + [{"a": 1.5, "b": ["t"], "c": {"y": "z"}, "d": True}]
    (first, *_, last) = open_table(json_lines(tmp_path / "rows.jsonl", rows)).chunks(0, 64)
    types = {field.name: str(field.type) for field in first.table.schema}
    assert types == {"a": "double", "b": "list<item: string>", "c": "struct<x: int64, y: string>", "d": "bool"}
    assert last.table.slice(last.table.num_rows - 1).to_pylist() == [
        {"a": 1.5, "b": ["t"], "c": {"x": None, "y": "z"}, "d": True}
    ]


def test_a_json_column_that_no_type_holds_is_kept_as_text_and_judged_as_it_is(tmp_path):
    values = ["text", 5, ["a"], {"b": 1}, None, 2**64 - 1, "\ud800 lone", "[1, 2]", "5", "NaN"]
    path = json_lines(tmp_path / "rows.jsonl", [{"mixed": value} for value in values])
    (chunk,) = open_table(path).chunks(0, 64)
    kept = chunk.table.column("mixed").to_pylist()
    assert kept == ["text", "5", '["a"]', '{"b":1}', None, str(2**64 - 1), "\ufffd lone", '"[1, 2]"', '"5"', '"NaN"']
    assert chunk.values("mixed") == values


def test_such_a_column_is_the_same_values_again_when_it_is_read_from_the_output(tmp_path):
    values = ["text", 5, ["a"], {"b": [1, "c"]}, None, 2**70, 0.5, True, "[1, 2]", "5", "NaN", '"quoted"', "{1, 2}", ""]
    path = json_lines(tmp_path / "rows.jsonl", [{"mixed": value} for value in values])
    (chunk,) = open_table(path).chunks(0, 64)
    pq.write_table(pa.Table.from_batches([chunk.table]), tmp_path / "out.parquet")
    (again,) = open_table(tmp_path / "out.parquet").chunks(0, 64)
    assert again.values("mixed") == values


def test_json_objects_without_fields_can_be_written_as_parquet(tmp_path):
    rows = [{"extra_info": {}, "more": {"a": [{}], "b": 1}}, {"extra_info": None, "more": None}]
    (chunk,) = open_table(json_lines(tmp_path / "rows.jsonl", rows)).chunks(0, 64)
    pq.write_table(pa.Table.from_batches([chunk.table]), tmp_path / "rows.parquet")
    first, second = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert first == {"extra_info": {"_": None}, "more": {"a": [{"_": None}], "b": 1}}
    assert second == {"extra_info": None, "more": None}
    assert chunk.values("extra_info") == [{}, None]


def test_a_table_can_be_sent_to_another_process(parquet, tmp_path):
    for path in (parquet, json_lines(tmp_path / "rows.jsonl", [{"number": 1}])):
        table = pickle.loads(pickle.dumps(open_table(path)))
        assert numbers(table.chunks(0, 64)) == numbers(open_table(path).chunks(0, 64))


def test_parts_of_long_rows_are_short(tmp_path):
    short, long = tmp_path / "short.parquet", tmp_path / "long.parquet"
    pq.write_table(pa.table({"text": ["a"] * 5000}), short)
    pq.write_table(pa.table({"text": ["a" * 100_000 + str(n) for n in range(200)]}), long, use_dictionary=False)
    assert open_table(short).part_rows == 4096
    assert 64 <= open_table(long).part_rows < 200


def test_what_cannot_be_read_is_named(tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    lines = json_lines(tmp_path / "rows.jsonl", [{"a": 1}])
    lines.write_text('{"a": 1}\n{"a":\n')
    for path, said in (
        (tmp_path / "none.parquet", "no such file"),
        (tmp_path, "a folder"),
        (broken, "no parquet"),
        (lines, "line 2"),
    ):
        with pytest.raises(DatasetError, match=said):
            open_table(path)
