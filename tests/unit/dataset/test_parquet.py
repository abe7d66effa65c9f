"""What is written comes back, and the same rows make the same bytes."""

import contextlib
import errno

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_judge_remote import JudgeError
from llm_judge_remote.dataset.parquet import METADATA_KEY, RowFile, packed, read_metadata, unpacked
from llm_judge_remote.errors import DatasetError

SCHEMA = pa.schema(
    [
        ("number", pa.int64()),
        ("turns", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("flag", pa.bool_()),
        ("share", pa.float64()),
    ]
)


def batch(first, count):
    rows = [
        {"number": n, "turns": [{"role": "user", "content": f"é{n}" * n}] * (n % 3), "flag": n % 2 == 0, "share": n / 3}
        for n in range(first, first + count)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def write(path, batches, metadata):
    with RowFile(path, SCHEMA, metadata) as file:
        for each in batches:
            file.write(each)
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "rows.parquet", [batch(0, 50), batch(50, 50), batch(100, 7)], {"seed": 3})


def test_every_row_group_is_read_as_it_was_written(file):
    whole = pq.ParquetFile(file)
    assert [whole.metadata.row_group(n).num_rows for n in range(whole.num_row_groups)] == [50, 50, 7]
    assert whole.read_row_group(2).equals(pa.Table.from_batches([batch(100, 7)]))
    assert whole.read().equals(pa.Table.from_batches([batch(0, 107)]))
    assert whole.schema_arrow.remove_metadata() == SCHEMA
    assert pd.read_parquet(file)["turns"][100][0]["content"] == "é100" * 100


def test_the_metadata_come_back(file):
    assert read_metadata(file) == {"seed": 3}
    assert METADATA_KEY in pq.read_schema(file).metadata


def test_the_same_rows_make_the_same_bytes(file, tmp_path):
    again = write(tmp_path / "again.parquet", [batch(0, 50), batch(50, 50), batch(100, 7)], {"seed": 3})
    assert again.read_bytes() == file.read_bytes()


def test_a_file_may_have_no_rows(tmp_path):
    table = pq.read_table(write(tmp_path / "none.parquet", [], {}))
    assert table.num_rows == 0
    assert table.schema.remove_metadata() == SCHEMA


def test_packed_rows_come_back_in_their_order(tmp_path):
    batches = [batch(0, 50), batch(50, 1), batch(0, 0), batch(51, 60)]
    (tmp_path / "rows").write_bytes(b"".join(packed(each) for each in batches))
    assert [*unpacked(tmp_path / "rows")] == batches
    (tmp_path / "none").touch()
    assert [*unpacked(tmp_path / "none")] == []


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_what_stops_the_writing_is_told_and_not_that_the_end_cannot_be_written(tmp_path, monkeypatch, groups):
    told = []

    @contextlib.contextmanager
    def writing():
        try:
            yield
        except OSError as error:
            told.append(error.errno)
            raise

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "full")

    def write_all():
        with RowFile(tmp_path / "rows", SCHEMA, {}, writing) as file:
            monkeypatch.setattr(file._writer, "write_table", refuse)
            for number in range(groups):
                file.write(batch(number, 1))

    with pytest.raises(OSError, match="full"):
        write_all()
    assert told == [errno.ENOSPC]


def test_other_files_have_no_metadata_of_ours(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    assert read_metadata(tmp_path / "other.parquet") is None


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more"])
def test_what_is_no_parquet_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(DatasetError, match=r"bad\.parquet"):
        read_metadata(tmp_path / "bad.parquet")
    with pytest.raises(JudgeError, match=r"none\.parquet"):
        read_metadata(tmp_path / "none.parquet")
