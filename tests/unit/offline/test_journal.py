"""Rows that are judged, kept until their part is written."""

import pytest

from llm_judge_remote import Judgement, Outcome
from llm_judge_remote.errors import DatasetError
from llm_judge_remote.offline.journal import Journal
from llm_judge_remote.offline.record import encoded


def line(row, outcome=Outcome.JUDGED, score=0.5):
    return encoded(row, Judgement(score, outcome, reply=f"reply {row}"))


def file_of(folder):
    (found,) = folder.glob("judged-*.jsonl")
    return found


def test_what_was_added_is_there_for_the_next_one(tmp_path):
    with Journal(tmp_path, 10) as journal:
        journal.add(0, [line(3), line(1)])
        journal.add(2, [line(25)])
        journal.flush()
        journal.add(0, [line(2)])
    with Journal(tmp_path, 10) as journal:
        assert journal.parts == [0, 2]
        assert {row: values[-1] for row, values in journal.read(0).items()} == {n: f"reply {n}" for n in (3, 1, 2)}
        assert set(journal.read(2)) == {25}
        assert journal.read(1) == {}


def test_what_was_flushed_outlives_a_process_that_does_not_end_well(tmp_path):
    journal = Journal(tmp_path, 10)
    journal.add(0, [line(1)])
    journal.flush()
    assert set(Journal(tmp_path, 10).read(0)) == {1}
    journal.__exit__()


def test_whatever_a_kill_left_of_the_end_is_cut_off_and_the_rest_is_there(tmp_path):
    with Journal(tmp_path, 10) as journal:
        journal.add(0, [line(1), line(2)])
    whole = file_of(tmp_path).read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        file_of(tmp_path).write_bytes(whole[:length])
        with Journal(tmp_path, 10) as journal:
            assert set(journal.read(0)) == {1}
            journal.add(0, [line(7)])
            assert set(journal.read(0)) == {1, 7}


@pytest.mark.parametrize("place", [0, 5, 9, 40])
def test_bytes_that_are_others_than_were_written_end_it_there(tmp_path, place):
    with Journal(tmp_path, 10) as journal:
        journal.add(0, [line(1), line(2), line(3)])
    text = bytearray(file_of(tmp_path).read_bytes())
    second = text.index(b"\n") + 1
    text[second + place] ^= 1
    file_of(tmp_path).write_bytes(text)
    with Journal(tmp_path, 10) as journal:
        assert set(journal.read(0)) == {1}


@pytest.mark.parametrize("outcome", [Outcome.FALLBACK, Outcome.FAILED])
def test_rows_that_were_not_judged_are_to_be_asked_again_and_the_last_judgement_counts(tmp_path, outcome):
    with Journal(tmp_path, 10) as journal:
        journal.add(0, [line(1, outcome), line(2), line(3, Outcome.GATED)])
    with Journal(tmp_path, 10) as journal:
        assert set(journal.read(0, judged_only=True)) == {2, 3}
        journal.add(0, [line(1, score=0.25)])
        assert journal.read(0, judged_only=True)[1][0] == 0.25


def test_a_part_that_is_removed_is_gone(tmp_path):
    with Journal(tmp_path, 10) as journal:
        journal.add(0, [line(1)])
        journal.add(1, [line(11)])
        journal.sync()
        journal.remove(0)
        journal.remove(5)
        assert (journal.read(0), set(journal.read(1))) == ({}, {11})


def test_a_disk_that_takes_nothing_is_told_with_the_files_name(tmp_path):
    with Journal(tmp_path, 10) as journal:
        (tmp_path / "judged-00000003.jsonl").symlink_to("/dev/full")
        journal.add(3, [line(31)])
        with pytest.raises(DatasetError, match=r"judged-00000003.jsonl: cannot be written: No space left"):
            journal.flush()
