import csv
import datetime
import decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import error, read

from llm_judge_remote.dataset.inputs import csv_file
from llm_judge_remote.dataset.source import Columns, open_source


def written(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def table(tmp_path, columns, name="a.parquet", **options):
    path = tmp_path / name
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return str(path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("name", "mid"), [("a.csv", ","), ("a.tsv", "\t"), ("A.CSV", ","), ("A.TSV", "\t")])
def test_values_may_be_quoted_and_go_over_several_lines(tmp_path, end, mark, name, mid):
    lines = [
        f"id{mid}question{mid}answer",
        f'1{mid}"a ""b""{end}{mid}c"{mid}4',
        "",
        f"2{mid}é{mid}",
        f"3{mid}p{mid}007",
    ]
    path = written(tmp_path, mark + end.join(lines) + end + end, name)
    rows, skipped = read(path, skip_bad=True)
    assert rows == [(0, f'a "b"{end}{mid}c', ["4"]), (2, "p", ["007"])]
    assert skipped == [(5, "no reference: column 'answer' is missing, null or blank")]


def test_a_csv_file_without_a_line_end_is_read_to_its_end(tmp_path):
    assert read(written(tmp_path, "problem,solution\np,s"))[0] == [(0, "p", ["s"])]
    assert read(written(tmp_path, 'problem,solution\np,"s"'))[0] == [(0, "p", ["s"])]


def test_words_that_stand_for_nothing_elsewhere_are_text_in_csv(tmp_path):
    path = written(tmp_path, "problem,solution\nnull,NA\nnan,1.50\n")
    assert read(path)[0] == [(0, "null", ["NA"]), (1, "nan", ["1.50"])]


RAGGED = 'problem,solution\np0,"s\n0"\n\nonly\np2,s2\np3,s3,more\np4,s4\n'


@pytest.mark.parametrize("block_bytes", [24, 40, 1 << 20])
def test_a_row_with_too_few_or_too_many_values_is_bad_and_named_by_its_line(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block_bytes)
    path = written(tmp_path, RAGGED)
    assert error(path) == f"{path}, line 5: 1 values for 2 columns (--skip-bad leaves such rows out)"
    assert read(path, skip_bad=True) == (
        [(0, "p0", ["s\n0"]), (2, "p2", ["s2"]), (4, "p4", ["s4"])],
        [(5, "1 values for 2 columns"), (7, "3 values for 2 columns")],
    )


@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
def test_bad_rows_at_the_end_and_alone_are_counted(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block_bytes)
    path = written(tmp_path, "problem,solution\n" + "x\n" * 50 + "p,s\n" + "y\n" * 50)
    source = open_source([path], skip_bad=True)
    assert [item["source_index"] for batch in source for item in batch.to_pylist()] == [50]
    assert (source.skipped.count, source.count()) == (100, 101)
    assert "none of 20 rows is of use" in error(written(tmp_path, "problem,solution\n" + "x\n" * 20), skip_bad=True)


def test_the_lines_of_all_bad_rows_are_found_on_one_way_through_the_file(tmp_path, monkeypatch):
    path = written(tmp_path, "problem,solution\n" + 'p,"s\ns"\n,x\n\n' * 5)
    ways, reader = [], csv.reader
    monkeypatch.setattr(csv_file.csv, "reader", lambda *of, **how: ways.append(of) or reader(*of, **how))
    source = open_source([path], skip_bad=True)
    ways.clear()
    list(source)
    assert [line for _, line, _ in source.skipped.first] == [4, 8, 12, 16, 20]
    assert len(ways) == 2  # the other is for the head line


def test_the_line_of_a_row_is_found_among_long_values(tmp_path):
    path = written(tmp_path, f'problem,solution\n"{"x" * 200_000}\n\n",s\n" ",s\n')
    assert error(path).startswith(f"{path}, row 2: no problem")  # where no line can be told


def test_a_quote_that_is_never_closed_is_an_error_and_no_long_value(tmp_path):
    path = written(tmp_path, 'problem,solution\np,s\nq,"t\nr,u\n')
    assert error(path) == f"{path}: a quote is opened and never closed, and all rows after it are in one value"
    path = written(tmp_path, 'problem,solution\np,s\nq,"t\n' + "r,u\n" * (3 << 20))
    assert error(path) == f"{path}: a row is longer than 4 MiB, or a quote is opened and never closed"


@pytest.mark.parametrize(
    ("content", "line", "byte", "value"),
    [
        (b"problem,solution\np,s\nq,\xe4\n", 3, 3, 0xE4),
        (b"probl\xe4me,solution\np,s\n", 1, 6, 0xE4),
        (b"problem,solution\np\n\xff\n", 3, 1, 0xFF),
        ("problem,solution\np,s\n".encode("utf-16"), 1, 1, 0xFF),
    ],
)
def test_a_csv_file_that_is_not_utf8_is_an_error_with_line_and_byte(tmp_path, content, line, byte, value):
    path = written(tmp_path, content)
    assert error(path) == f"{path}, line {line}: not UTF-8: byte 0x{value:02x} at byte {byte} of the line"


def test_a_csv_file_cut_within_a_character_is_not_utf8(tmp_path):
    assert "not UTF-8" in error(written(tmp_path, "problem,solution\np,é".encode()[:-1]))


def test_two_columns_of_one_name_are_an_error_if_they_are_wanted(tmp_path):
    path = written(tmp_path, "problem,solution,problem,x,x\np,s,q,1,2\n")
    assert error(path) == f"{path}: 2 columns are called 'problem'"
    path = written(tmp_path, "problem,solution,x,x\np,s,1,2\n")
    assert read(path)[0] == [(0, "p", ["s"])]


def test_a_file_with_one_column_of_chats_as_json_is_read(tmp_path):
    chat = '"[{""role"": ""user"", ""content"": ""p""}, {""role"": ""assistant"", ""content"": ""s""}]"'
    assert read(written(tmp_path, f"messages\n{chat}\n"))[0] == [(0, "p", ["s"])]
    path = written(tmp_path, "messages\nhello\n")
    assert "line 2: column 'messages' holds text, not chat messages" in error(path)


def test_a_csv_file_is_let_go_of_halfway(tmp_path):
    source = open_source([written(tmp_path, "problem,solution\n" + "p,s\n" * 100_000)], batch_rows=10)
    batches = iter(source)
    assert next(batches).num_rows == 10
    batches.close()


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array(["a", " ", None, "b"]), [["a"], ["b"]]),
        (pa.array(["a", " ", None, "b"], pa.large_string()), [["a"], ["b"]]),
        (pa.array(["a", "", None, "b"]).dictionary_encode(), [["a"], ["b"]]),
        (pa.array([b"a", b"\xff", None, b"\xc3\xa4"]), [["a"], ["ä"]]),
        (pa.array([7, None, None, -3]), [["7"], ["-3"]]),
        (pa.array([7.0, float("nan"), None, 0.25]), [["7"], ["0.25"]]),
        (pa.array([True, None, None, False]), [["True"], ["False"]]),
        (pa.array([["a", "b"], [], None, ["", None, "c"]]), [["a", "b"], ["c"]]),
        (pa.array([["a", "b"], [], None, ["", None, "c"]], pa.large_list(pa.large_string())), [["a", "b"], ["c"]]),
        (pa.array([[1, 2], [None], None, [3]]), [["1", "2"], ["3"]]),
        (pa.array([[["a"], ["b"]], [[]], None, [["c"]]]), [["a", "b"], ["c"]]),
        (pa.array([[1, 2], [None, None], [None, None], [3, 4]], pa.list_(pa.int64(), 2)), [["1", "2"], ["3", "4"]]),
        (pa.array([decimal.Decimal("1.50"), None, None, decimal.Decimal(2)]), [["1.50"], ["2.00"]]),
        (pa.array([datetime.date(2024, 1, 2), None, None, datetime.date(1, 1, 1)]), [["2024-01-02"], ["0001-01-01"]]),
    ],
)
def test_a_parquet_column_of_any_type_gives_its_texts(tmp_path, column, texts):
    path = table(tmp_path, {"problem": ["p0", "p1", "p2", "p3"], "solution": column})
    rows, skipped = read(path, skip_bad=True)
    assert rows == [(0, "p0", texts[0]), (3, "p3", texts[1])]
    assert [row for row, _ in skipped] == [2, 3]


def test_a_parquet_column_that_cannot_be_text_is_an_error_with_its_row(tmp_path):
    path = table(tmp_path, {"problem": ["p"], "solution": [{"x": 1}]})
    assert (
        error(path) == f"{path}, row 1: column 'solution' holds an object, not text (--skip-bad leaves such rows out)"
    )
    path = table(tmp_path, {"problem": [3], "solution": ["s"]})
    assert "row 1: column 'problem' holds a number, not text" in error(path)
    path = table(tmp_path, {"problem": [["p"]], "solution": ["s"]})
    assert "row 1: column 'problem' holds a list that is no chat" in error(path)
    path = table(tmp_path, {"problem": ["p", "q"], "solution": [b"s", b"ab\xff"]})
    assert "row 2: column 'solution' is not UTF-8: byte 0xff at byte 3 of the value" in error(path)


def test_verls_own_layout_is_read(tmp_path):
    rows = [
        {
            "prompt": [{"role": "system", "content": "x"}, {"role": "user", "content": f"p{n}"}],
            "reward_model": {"style": "rule", "ground_truth": f"s{n}"},
            "extra_info": {"index": n},
        }
        for n in range(3)
    ]
    path = str(tmp_path / "a.parquet")
    pd.DataFrame(rows).to_parquet(path)
    assert read(path)[0] == [(n, f"p{n}", [f"s{n}"]) for n in range(3)]
    (batch,) = open_source([path])
    assert batch.column("messages").to_pylist()[1] == rows[1]["prompt"]


def test_several_columns_and_row_groups_of_a_parquet_file_are_read_in_order(tmp_path):
    columns = {
        "id": range(100),
        "q": [f"p{n}" for n in range(100)],
        "a": range(100),
        "b": [[f"{n}"] for n in range(100)],
    }
    path = table(tmp_path, columns, row_group_size=7)
    source = open_source([path], columns=Columns("q", ("b", "a")), batch_rows=30)
    assert source.count() == 100
    found = [item for batch in source for item in batch.to_pylist()]
    assert [(item["source_index"], item["problem"], item["references"]) for item in found] == [
        (n, f"p{n}", [f"{n}", f"{n}"]) for n in range(100)
    ]


def test_the_index_that_pandas_stores_is_no_column_of_the_rows(tmp_path):
    frame = pd.DataFrame({"problem": ["p", "q"], "answer": [18, None]}, index=["x", "y"])
    path = str(tmp_path / "a.parquet")
    frame.to_parquet(path)
    assert read(path, skip_bad=True)[0] == [(0, "p", ["18"])]


def test_a_file_that_is_no_parquet_or_is_cut_off_is_named(tmp_path):
    assert error(written(tmp_path, b"problem,solution\n", "a.parquet")).startswith(
        f"{tmp_path}/a.parquet cannot be read"
    )
    whole = (tmp_path / "b.parquet", table(tmp_path, {"problem": ["p"] * 10, "solution": ["s"] * 10}, "b.parquet"))[0]
    cut = written(tmp_path, whole.read_bytes()[:-20], "c.parquet")
    assert error(cut).startswith(f"{cut} cannot be read: ")
    data = bytearray(whole.read_bytes())
    data[4:60] = bytes(56)
    spoiled = written(tmp_path, bytes(data), "d.parquet")
    assert error(spoiled).startswith(f"{spoiled} cannot be read: ")


def test_a_parquet_file_without_rows_is_empty(tmp_path):
    path = table(tmp_path, {"problem": pa.array([], pa.string()), "solution": pa.array([], pa.string())})
    assert error(path) == f"{path} is empty: there is no row in it"
