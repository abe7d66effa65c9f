import errno
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from item_source import ItemSource, spilled

from llm_judge_remote.dataset import texts
from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.texts import hashes
from llm_judge_remote.errors import DatasetError

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
TALK = st.none() | st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant"]), "content": TEXT}),
    min_size=1,
    max_size=3,
)
ROWS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3), TALK), min_size=1, max_size=12)
THREE = [("one?", "1"), ("two?", ["2", "II"]), ("three?", "3")]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".out.parquet.work" / "items"


@settings(deadline=None)
@given(rows=ROWS, batch_rows=st.integers(1, 5), data=st.data())
def test_the_items_come_back_as_they_were_in_any_order_and_as_often_as_asked(rows, batch_rows, data):
    source = ItemSource(rows, batch_rows)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
    expected = source.as_dicts()
    with tempfile.TemporaryDirectory() as place, Spill.write(source, Path(place) / "items") as spill:
        assert len(spill) == len(rows)
        items = spill.items(np.array(wanted, np.int64))
        items.validate(full=True)
        assert items.schema == ITEMS
        assert items.to_pylist() == [expected[index] for index in wanted]
        assert spill.solutions(np.array(wanted, np.int64)).to_pylist() == [rows[index][1][0] for index in wanted]


def test_a_batch_that_is_a_slice_of_a_larger_one_is_written_as_what_it_shows(folder):
    talk = [{"role": "user", "content": "one?"}]
    whole = next(iter(ItemSource([("zero?", "0"), ("one?", ["1", "I"], talk), ("two?", "2"), ("three?", "3")], 4)))

    class Sliced:
        def digest(self):
            return "sliced"

        def __iter__(self):
            yield whole.slice(1, 2)

    with Spill.write(Sliced(), folder) as spill:
        assert spill.items(np.arange(2)).to_pylist() == whole.slice(1, 2).to_pylist()
        assert (spill.problem_hashes == hashes(["one?", "two?"])).all()


def test_texts_have_the_same_hash_if_they_differ_in_whitespace_only():
    same = hashes(["x = 1\n", "  x\t=1", "x\u00a0= 1", "x=1", "\u3000x=\x1c1"])
    assert len(set(same.tolist())) == 1
    assert len(set(hashes(["x=1", "x=2", "é = 1", "è = 1", ""]).tolist())) == 5


def test_a_spill_that_is_complete_is_not_written_again(folder):
    source = ItemSource(THREE)
    Spill.write(source, folder, note=lambda: {"left out": 2}).close()
    with Spill.write(source, folder) as again:
        assert source.read == 1
        assert again.note == {"left out": 2}
        assert again.items(np.arange(3)).to_pylist() == source.as_dicts()


@pytest.mark.parametrize("change", ["source", "key", "file cut", "file gone", "mark gone", "mark broken"])
def test_a_spill_of_another_source_or_with_damage_is_written_anew(folder, change):
    Spill.write(ItemSource(THREE), folder, key="a").close()
    source = ItemSource([*THREE[:2], ("four?", "4")] if change == "source" else THREE)
    if change == "file cut":
        (folder / "problem.txt").write_bytes(b"one?")
    elif change == "file gone":
        (folder / "reference_offsets.npy").unlink()
    elif change == "mark gone":
        (folder / "spill.json").unlink()
    elif change == "mark broken":
        (folder / "spill.json").write_text("[1")
    with Spill.write(source, folder, key="b" if change == "key" else "a") as spill:
        assert source.read == 1
        assert spill.items(np.arange(3)).to_pylist() == source.as_dicts()


def test_what_an_interrupted_run_left_is_cleared_away(folder):
    class Interrupted(ItemSource):
        def __iter__(self):
            yield next(super().__iter__())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Spill.write(Interrupted(THREE, 1), folder)
    assert not folder.exists()
    assert folder.with_name("items.part").exists()
    with Spill.write(ItemSource(THREE), folder) as spill:
        assert len(spill) == 3
    assert [each.name for each in folder.parent.iterdir()] == ["items"]


def test_progress_is_told_in_rows(folder):
    told = []
    Spill.write(ItemSource(THREE, 2), folder, on_rows=told.append).close()
    assert told == [2, 3]


def test_a_source_without_rows_is_an_error(folder):
    with pytest.raises(DatasetError, match="no rows"):
        spilled([], folder)


def test_a_full_disk_is_an_error_that_names_the_folder(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(texts.TextWriter, "append", full)
    with pytest.raises(DatasetError, match=r"items\.part cannot be written: No space left on device"):
        spilled(THREE, folder)


def test_an_error_of_the_source_is_not_taken_for_one_of_the_folder(folder):
    class Broken(ItemSource):
        def __iter__(self):
            raise PermissionError(errno.EACCES, "no", "input.jsonl")
            yield

    with pytest.raises(PermissionError):
        Spill.write(Broken(THREE), folder)


def test_removing_a_spill_deletes_its_folder(folder):
    spilled(THREE, folder).remove()
    assert list(folder.parent.iterdir()) == []


def test_what_others_keep_in_its_folder_is_closed_with_it(folder):
    called = []
    with spilled(THREE, folder) as spill:
        spill.on_close(lambda: called.append(1))
        assert not called
    assert called == [1]


def test_a_read_of_more_than_a_system_call_takes_is_made_in_several(folder, monkeypatch):
    monkeypatch.setattr(texts, "_MOST_BYTES", 3)
    source = ItemSource([("a" * 10, "b" * 7), ("c", "d")])
    with Spill.write(source, folder) as spill:
        assert spill.items(np.arange(2)).to_pylist() == source.as_dicts()


def test_only_texts_that_follow_each_other_are_read_at_once(folder, monkeypatch):
    with spilled([(f"{number}?", str(number)) for number in range(10)], folder) as spill:
        calls = []
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda *call: calls.append(call[1]) or pread(*call))
        spill.problems(np.array([2, 3, 4, 9, 0]))
        assert calls == [6, 2, 2]


def test_the_mark_of_completeness_is_written_last(folder):
    spilled(THREE, folder).close()
    done = json.loads((folder / "spill.json").read_text())
    assert set(done["sizes"]) == {each.name for each in folder.iterdir()} - {"spill.json"}
