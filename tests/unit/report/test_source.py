"""Parquet and JSON are read alike: in batches, and single rows."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote.errors import DatasetError
from llm_judge_remote.report.source import open_source

ROWS = [{"score": number / 50, "extra_info": {"problem": f"p{number}", "deep": {"er": number}}} for number in range(50)]
PATHS = ("score", "extra_info", "extra_info.problem", "extra_info.deep", "extra_info.deep.er")


@pytest.fixture(params=["parquet", "jsonl", "json", "jsonl.gz", "other"])
def source(request, write, tmp_path):
    path = tmp_path / f"rows.{request.param}"
    if request.param in ("parquet", "other"):
        write(ROWS, path.name)
    elif request.param == "json":
        path.write_text(json.dumps(ROWS))
    else:
        text = "\n\n".join(map(json.dumps, ROWS)).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return open_source(path)


def test_fields_within_structs_have_names_with_dots(source):
    assert source.names == PATHS


def test_columns_and_fields_are_read_in_order(source):
    found = {path: [] for path in PATHS}
    for batch in source.batches(PATHS):
        for path in PATHS:
            found[path] += batch.column(path).to_pylist()
    assert found["score"] == [row["score"] for row in ROWS]
    assert found["extra_info.problem"] == [row["extra_info"]["problem"] for row in ROWS]
    assert found["extra_info.deep.er"] == list(range(50))


def test_rows_are_found_by_their_numbers(source):
    wanted = np.array([0, 6, 7, 8, 30, 49])
    assert list(source.rows(wanted)) == [(number, ROWS[number]) for number in wanted]
    assert list(source.rows(np.zeros(0, dtype=np.int64))) == []


def test_a_null_struct_has_null_fields(write):
    source = open_source(write([{"extra_info": {"problem": "p"}}, {"extra_info": None}]))
    [batch] = source.batches(["extra_info.problem"])
    assert batch.column("extra_info.problem").to_pylist() == ["p", None]


def test_a_column_with_a_dot_in_its_name_is_itself(write, tmp_path):
    row = {"a.b": 1, "a": {"b": 2}}
    lines = tmp_path / "rows.jsonl"
    lines.write_text(json.dumps(row))
    [batch] = open_source(lines).batches(["a.b"])
    assert batch.column("a.b").to_pylist() == [1]
    [batch] = open_source(write([{"a.b": 1, "c": 2}])).batches(["a.b"])
    assert batch.column("a.b").to_pylist() == [1]


def test_dictionary_columns_are_read_as_what_they_stand_for(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({"name": pa.array(["x", "y", "x"]).dictionary_encode()})
    pa.parquet.write_table(table, path)
    [batch] = open_source(path).batches(["name"])
    assert batch.column("name").to_pylist() == ["x", "y", "x"]


def test_values_of_several_types_and_lone_surrogates_become_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1, "b": "\\ud800!"}\n{"a": "x", "b": null}\n{"a": [1]}')
    [batch] = open_source(path).batches(["a", "b"])
    assert batch.column("a").to_pylist() == ["1", "x", "1"]
    assert batch.column("b").to_pylist() == ["?!", None, None]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.parquet", None, "no such file"),
        ("bad.parquet", b"nothing", "no parquet that can be read"),
        ("bad.json", b"{", "no JSON"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        open_source(path)


def test_a_damaged_file_is_said_while_it_is_read(write):
    path = write(ROWS)
    content = bytearray(path.read_bytes())
    content[40:80] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="no parquet that can be read"):
        list(open_source(path).batches(["score", "extra_info.problem"]))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DatasetError, match="a folder"):
        open_source(tmp_path)


def test_a_file_with_a_column_twice_is_refused(tmp_path):
    path = tmp_path / "twice.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([0.1]), pa.array([0.2])], names=["score", "score"]), path)
    with pytest.raises(DatasetError, match="more than one column 'score'"):
        open_source(path)
