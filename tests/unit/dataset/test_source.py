import gzip
import json
import os
from pathlib import Path

import pytest

from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.source import Columns, Skipped, open_source
from llm_judge_remote.errors import DatasetError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(number):
    return {"problem": f"p{number}", "solution": f"s{number}"}


def items(source):
    return [item for batch in source for item in batch.to_pylist()]


def problems(source):
    return [item["problem"] for item in items(source)]


def message(call):
    with pytest.raises(DatasetError) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize(
    ("file", "rows", "columns"),
    [
        ("math500_test.jsonl", 500, Columns()),
        ("gsm8k_test.jsonl", 1319, Columns()),
        ("gsm8k_model_solutions.jsonl", 1319, Columns()),
        ("gsm8k_model_solutions.jsonl", 1319, Columns(references=("175b_verification.solution", "ground_truth"))),
    ],
)
def test_real_data_sets_are_read_as_they_are(file, rows, columns):
    path = DATA / file
    if not path.exists():
        pytest.skip(f"the real data is not here: {path}")
    batches = list(open_source([str(path)], columns=columns))
    assert all(batch.schema == ITEMS for batch in batches)
    found = [item for batch in batches for item in batch.to_pylist()]
    raw = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [item["source_index"] for item in found] == list(range(rows))
    assert [item["problem"] for item in found] == [each.get("problem", each.get("question")) for each in raw]
    if columns.references:
        expected = [[each["175b_verification"]["solution"], each["ground_truth"]] for each in raw]
    else:
        name = next(name for name in ("solution", "answer", "ground_truth") if name in raw[0])
        expected = [[each[name]] for each in raw]
    assert [item["references"] for item in found] == expected


def test_a_folder_is_all_its_data_files_sorted_by_name(tmp_path):
    write(tmp_path / "data" / "b.jsonl", row(2))
    write(tmp_path / "data" / "a" / "z.jsonl", row(1))
    write(tmp_path / "data" / ".hidden" / "a.jsonl", row(8))
    write(tmp_path / "data" / "_work.jsonl", row(9))
    (tmp_path / "data" / "README.md").write_text("not data")
    source = open_source([str(tmp_path / "data")])
    assert source.files == (str(tmp_path / "data" / "a" / "z.jsonl"), str(tmp_path / "data" / "b.jsonl"))
    assert problems(source) == ["p1", "p2"]


def test_a_pattern_is_all_that_match_sorted_by_name(tmp_path):
    for number in (10, 2, 1):
        write(tmp_path / f"part-{number:02}.jsonl", row(number))
    write(tmp_path / "other.jsonl", row(99))
    assert problems(open_source([str(tmp_path / "part-*.jsonl")])) == ["p1", "p2", "p10"]


def test_inputs_are_read_in_the_order_given_and_a_file_once(tmp_path):
    first, second = write(tmp_path / "1.jsonl", row(1)), write(tmp_path / "2.jsonl", row(2))
    source = open_source([second, str(tmp_path), first])
    assert source.files == (second, first)
    assert problems(source) == ["p2", "p1"]


def test_a_file_of_several_names_is_read_once(tmp_path, monkeypatch):
    first = write(tmp_path / "1.jsonl", row(1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.jsonl").symlink_to(first)
    monkeypatch.chdir(tmp_path)
    source = open_source(["1.jsonl", "./1.jsonl", "folder/../*.jsonl", "folder", first])
    assert source.files == ("1.jsonl",)
    assert problems(source) == ["p1"]


def test_a_packed_file_may_have_a_name_in_capitals(tmp_path):
    with gzip.open(tmp_path / "A.JSONL.GZ", "wt") as file:
        file.write(json.dumps(row(1)))
    assert problems(open_source([str(tmp_path / "A.JSONL.GZ")])) == ["p1"]


def test_files_of_all_kinds_are_read_together_each_by_its_own_columns(tmp_path):
    csv, lines = tmp_path / "a.csv", tmp_path / "b.jsonl.gz"
    csv.write_text("question,answer\np0,s0\n")
    with gzip.open(lines, "wt") as file:
        file.write(json.dumps(row(1)))
    (tmp_path / "c.json").write_text(json.dumps({"data": [{"prompt": "p2", "response": "s2"}]}))
    found = items(open_source([str(tmp_path)]))
    assert [(item["problem"], item["references"], item["source_index"]) for item in found] == [
        (f"p{number}", [f"s{number}"], number) for number in range(3)
    ]


def test_the_number_of_a_row_counts_bad_rows_of_all_inputs(tmp_path):
    first = write(tmp_path / "1.jsonl", row(0), {"problem": "", "solution": "s"}, row(2))
    second = write(tmp_path / "2.jsonl", {"problem": None, "solution": "s"}, row(4))
    source = open_source([first, second], skip_bad=True)
    assert [(item["problem"], item["source_index"]) for item in items(source)] == [("p0", 0), ("p2", 2), ("p4", 4)]
    assert source.skipped == Skipped(
        2,
        (
            (first, 2, "no problem: column 'problem' is missing, null or blank"),
            (second, 1, "no problem: column 'problem' is missing, null or blank"),
        ),
    )


def test_the_first_ten_skipped_rows_are_shown_and_all_counted(tmp_path):
    file = write(tmp_path / "a.jsonl", row(0), *[{"problem": "p", "solution": " "}] * 25)
    source = open_source([file], skip_bad=True)
    assert source.skipped == Skipped()
    for _ in range(2):
        assert problems(source) == ["p0"]
        assert source.skipped.count == 25
        assert [line for _, line, _ in source.skipped.first] == list(range(2, 12))


def test_a_bad_row_is_an_error_that_names_file_and_line(tmp_path):
    file = write(tmp_path / "a.jsonl", row(0), {"problem": "p", "solution": []})
    assert message(lambda: list(open_source([file]))) == (
        f"{file}, line 2: no reference: column 'solution' is missing, null or blank (--skip-bad leaves such rows out)"
    )


def test_it_is_an_error_if_every_row_is_bad(tmp_path):
    file = write(tmp_path / "a.jsonl", {"problem": "", "solution": "s"}, {"problem": "p", "solution": None})
    assert message(lambda: list(open_source([file], skip_bad=True))) == (
        f"none of 2 rows is of use; {file}, line 1: no problem: column 'problem' is missing, null or blank"
    )


def test_each_reading_gives_equal_batches(tmp_path):
    source = open_source([write(tmp_path / "a.jsonl", *map(row, range(100)))], batch_rows=30)
    first, second = list(source), list(source)
    assert [batch.num_rows for batch in first] == [30, 30, 30, 10]
    assert first == second
    assert problems(source) == [f"p{number}" for number in range(100)]


def test_two_readings_at_a_time_do_not_disturb_each_other(tmp_path):
    source = open_source([write(tmp_path / "a.jsonl", *map(row, range(100)))], batch_rows=10)
    assert all(one == other for one, other in zip(source, source, strict=True))


def test_how_many_rows_there_are_is_known_for_parquet_and_after_a_reading(tmp_path):
    source = open_source([write(tmp_path / "a.jsonl", row(0), row(1), {"problem": "p"})], skip_bad=True)
    assert source.count() is None
    next(iter(source))
    assert source.count() is None
    list(source)
    assert source.count() == 3


def test_the_digest_is_that_of_names_contents_order_and_columns(tmp_path):
    one, two = write(tmp_path / "a" / "1.jsonl", row(1)), write(tmp_path / "a" / "2.jsonl", row(2))
    moved = [write(tmp_path / "b" / "1.jsonl", row(1)), write(tmp_path / "b" / "2.jsonl", row(2))]
    digest = open_source([one, two]).digest()
    assert digest == open_source([str(tmp_path / "a")]).digest() == open_source(moved).digest()
    others = [
        open_source([two, one]),
        open_source([one]),
        open_source([write(tmp_path / "c" / "1.jsonl", row(1)), write(tmp_path / "c" / "2.jsonl", row(3))]),
        open_source([write(tmp_path / "d" / "1.jsonl", row(1)), write(tmp_path / "d" / "3.jsonl", row(2))]),
        open_source([one, two], columns=Columns("solution", ("problem",))),
        open_source([one, two], skip_bad=True),
    ]
    assert len({digest, *(each.digest() for each in others)}) == 7


def test_each_files_digest_is_the_one_that_other_programs_compute(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b"problem,solution\np,s\n")
    (digest,) = open_source([str(file)]).input_digests()
    assert digest == ("a.csv", 21, "09cb55e65eb0d392a1fb53d6539f6a13aab41ff8b62c048ad5210b253dfa8207")


def test_a_file_that_changes_after_it_was_opened_is_an_error(tmp_path):
    file = write(tmp_path / "a.jsonl", row(0))
    source = open_source([file])
    write(tmp_path / "a.jsonl", row(0), row(1))
    assert message(lambda: list(source)) == f"{file} has changed while it was read"
    assert message(source.digest) == f"{file} has changed while it was read"


def test_an_input_that_is_not_there_is_named(tmp_path):
    missing = str(tmp_path / "no.jsonl")
    assert message(lambda: open_source([missing])) == f"{missing}: there is no such file or folder"
    pattern = str(tmp_path / "*.jsonl")
    assert message(lambda: open_source([pattern])) == f"{pattern}: no file matches"
    assert message(lambda: open_source([])) == "there is no input"
    assert message(lambda: open_source([str(tmp_path)])).startswith(
        f"{tmp_path}: the folder has no file that ends with"
    )


def test_a_kind_of_file_that_is_not_known_is_refused_with_those_that_are(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_text("x")
    assert message(lambda: open_source([str(path)])) == (
        f"{path}: the name ends with none of .jsonl, .ndjson, .json, .csv, .tsv, .jsonl.gz, .ndjson.gz, .json.gz, "
        ".csv.gz, .tsv.gz, .parquet"
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error_and_passed_over_when_bad_rows_are(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert message(lambda: open_source([str(path)])) == f"{path} is empty: there is no row in it"
    assert message(lambda: open_source([str(path)], skip_bad=True)) == f"{path} is empty: there is no row in it"
    sound = write(tmp_path / "b.jsonl", row(0))
    assert problems(open_source([str(path), sound], skip_bad=True)) == ["p0"]


@pytest.mark.parametrize("content", [b"[]", b"[ ]\n", b"{}", b'{"train": [{}]}'])
def test_a_document_without_rows_is_empty(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert message(lambda: open_source([str(path)], split="test")) == f"{path} is empty: there is no row in it"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", row(0))
    Path(path).chmod(0)
    assert message(lambda: open_source([path])).startswith(f"{path} cannot be read: ")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
def test_a_packed_file_that_is_cut_off_is_named(tmp_path, name):
    whole = gzip.compress(b"".join(os.urandom(50).hex().encode() + b"\n" for _ in range(1000)))
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])
    assert str(path) in message(lambda: list(open_source([str(path)], columns=Columns("a", ("b",)))))
    path.write_bytes(b"this is not packed")
    assert message(lambda: open_source([str(path)])).startswith(f"{path} cannot be read: ")
