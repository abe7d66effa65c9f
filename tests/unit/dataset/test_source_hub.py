import builtins
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet
import pytest

from llm_judge_remote.dataset.source import open_source
from llm_judge_remote.errors import DatasetError


class Streamed:
    """What `datasets` streams: tables, and in the end perhaps an error."""

    def __init__(self, tables, features, error=None):
        self.tables, self.features, self.error = tables, features, error

    def with_format(self, kind):
        assert kind == "arrow"
        return self

    def iter(self, batch_size):
        yield from self.tables
        if self.error:
            raise self.error


class Hub:
    """A stand-in for `datasets` with one data set."""

    def __init__(self, monkeypatch, data=None, error=None, splits=None, revision="abc"):
        self.asked = []
        self.data, self.error, self.splits, self.revision = data, error, splits, revision
        monkeypatch.setitem(sys.modules, "datasets", self)

    def load_dataset_builder(self, name, configuration):
        self.asked.append((name, configuration))
        if self.error:
            raise self.error
        return SimpleNamespace(
            hash=self.revision,
            info=SimpleNamespace(splits=self.splits),
            as_streaming_dataset=lambda split: self.asked.append(split) or self.data,
        )


def table(first, count):
    numbers = range(first, first + count)
    return pa.table({"question": [f"p{n}" for n in numbers], "answer": [f"s{n}" for n in numbers]})


def items(source):
    return [item for batch in source for item in batch.to_pylist()]


def message(*inputs, **options):
    with pytest.raises(DatasetError) as error:
        list(open_source(inputs, **options))
    return str(error.value)


def test_a_name_that_is_no_file_is_a_data_set_of_the_hub(monkeypatch):
    data = Streamed([table(0, 3), table(3, 2)], ["question", "answer"])
    hub = Hub(monkeypatch, data, splits={"test": SimpleNamespace(num_examples=5)})
    source = open_source(["openai/gsm8k"], split="test", name="main")
    assert hub.asked == [("openai/gsm8k", "main"), "test"]
    assert source.files == ()
    assert source.count() == 5
    for _ in range(2):
        assert [(item["problem"], item["references"], item["source_index"]) for item in items(source)] == [
            (f"p{n}", [f"s{n}"], n) for n in range(5)
        ]


def test_the_columns_are_looked_up_in_the_rows_where_the_hub_does_not_name_them(monkeypatch):
    Hub(monkeypatch, Streamed([table(0, 3)], None))
    source = open_source(["openai/gsm8k"])
    assert source.count() is None
    assert len(items(source)) == 3


def test_the_digest_of_a_data_set_is_that_of_its_name_split_and_revision(monkeypatch):
    def digest(name, split, revision):
        Hub(monkeypatch, Streamed([], ["problem", "solution"]), revision=revision)
        return open_source([name], split=split).digest()

    assert digest("a/b", "train", "1") == digest("a/b", "train", "1")
    others = [digest("a/c", "train", "1"), digest("a/b", "test", "1"), digest("a/b", "train", "2")]
    assert len({digest("a/b", "train", "1"), *others}) == 4


def test_a_hub_that_cannot_be_reached_is_a_clear_error(monkeypatch):
    Hub(monkeypatch, error=ConnectionError("Couldn't reach 'a/b' on the Hub\nsecond line"))
    assert message("a/b") == (
        "a/b is no file or folder here, and cannot be read from the hub "
        "(ConnectionError: Couldn't reach 'a/b' on the Hub)"
    )


def test_a_hub_that_goes_away_halfway_is_a_clear_error(monkeypatch):
    Hub(monkeypatch, Streamed([table(0, 3)], ["question", "answer"], TimeoutError("read timed out")))
    assert message("a/b").endswith("cannot be read from the hub (TimeoutError: read timed out)")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "datasets":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert message("openai/gsm8k") == (
        "openai/gsm8k is no file or folder here; for a hub's data set, `datasets` is missing: "
        "pip install 'llm-judge-remote[hub]'"
    )


def test_a_bad_row_of_a_data_set_is_named_by_its_number(monkeypatch):
    bad = pa.table({"question": ["p", None], "answer": ["s", "t"]})
    Hub(monkeypatch, Streamed([table(0, 3), bad], ["question", "answer"]))
    assert "a/b, row 5: no problem: column 'question' is missing, null or blank" in message("a/b")


def test_a_data_set_must_be_the_only_input(monkeypatch, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"problem": "p", "solution": "s"}')
    Hub(monkeypatch, Streamed([], []))
    assert message(str(file), "openai/gsm8k") == (
        "openai/gsm8k is no file or folder here; a data set that `datasets` reads must be the only input"
    )


@pytest.mark.parametrize("name", ["./gsm8k", "/gsm8k", "a/b/c", "gsm8k.jsonl", "a/b.parquet", "../a", "a b"])
def test_what_cannot_be_a_hubs_name_is_not_asked_for(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hub = Hub(monkeypatch, error=AssertionError)
    assert message(name) == f"{name}: there is no such file or folder"
    assert hub.asked == []


@pytest.fixture
def datasets():
    """The real package."""
    package = pytest.importorskip("datasets", reason="`datasets` is not installed")
    package.disable_progress_bars()
    return package


@pytest.mark.filterwarnings("default")
def test_a_folder_that_datasets_saved_is_read_through_it(datasets, tmp_path):
    rows = datasets.Dataset.from_dict({"question": [f"p{n}" for n in range(50)], "answer": [["s"], []] * 25})
    rows.save_to_disk(str(tmp_path / "one"))
    rows.shuffle(seed=1).save_to_disk(str(tmp_path / "shuffled"))
    datasets.DatasetDict({"train": rows, "test": rows.select(range(4))}).save_to_disk(str(tmp_path / "two"))
    source = open_source([str(tmp_path / "one")], skip_bad=True, batch_rows=20)
    assert [(item["problem"], item["source_index"]) for item in items(source)] == [
        (f"p{n}", n) for n in range(0, 50, 2)
    ]
    assert list(source) == list(source)
    assert (source.skipped.count, source.count()) == (25, 50)
    expected = [row["question"] for row in rows.shuffle(seed=1) if row["answer"]]
    assert [item["problem"] for item in items(open_source([str(tmp_path / "shuffled")], skip_bad=True))] == expected
    assert open_source([str(tmp_path / "two")], split="test").count() == 4
    assert message(str(tmp_path / "two"), split="dev") == (
        f"{tmp_path / 'two'}: there is no split 'dev'; there are 'train', 'test'"
    )


@pytest.mark.filterwarnings("default")
def test_a_streamed_data_set_gives_the_rows_of_its_files(datasets, monkeypatch, tmp_path):
    pa.parquet.write_table(table(0, 70), tmp_path / "rows.parquet")
    builder = datasets.load_dataset_builder("parquet", data_files={"train": str(tmp_path / "rows.parquet")})
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_: builder)
    source = open_source(["some/name"], batch_rows=20)
    assert [item["problem"] for item in items(source)] == [f"p{n}" for n in range(70)]
    assert list(source) == list(source)
    assert message("some/name", split="test").endswith("(ValueError: Bad split: test. Available splits: ['train'])")
