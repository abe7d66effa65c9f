"""Batches of another size, and subsets: the same items, however they come."""

import itertools
import random
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge_remote.dataset.batches import ReadAhead, Subset, cuts, regrouped
from llm_judge_remote.dataset.items import ITEMS
from llm_judge_remote.errors import DatasetError


class Rows:
    """A source of items with texts of all lengths, in batches of one size."""

    def __init__(self, count, batch_rows):
        choice = random.Random(0)
        rows = [
            {
                "problem": "p" * choice.randrange(1, 300),
                "references": ["r" * choice.randrange(1, 400) for _ in range(choice.randrange(1, 4))],
                "messages": None if index % 3 else [{"role": "user", "content": "é" * index}],
                "source_index": index,
            }
            for index in range(count)
        ]
        self.whole = pa.RecordBatch.from_pylist(rows, schema=ITEMS)
        self._batch_rows = batch_rows

    def __iter__(self):
        return (self.whole.slice(first, self._batch_rows) for first in range(0, len(self.whole), self._batch_rows))

    def digest(self):
        return "d"


def size(batch):
    return sum(
        len(text.encode())
        for row in batch.to_pylist()
        for text in (row["problem"], *row["references"], *(turn["content"] for turn in row["messages"] or ()))
    )


@pytest.mark.parametrize("batch_rows", [1, 7, 50, 1000])
def test_groups_are_as_large_as_rows_and_bytes_allow_whatever_the_batches(batch_rows):
    rows = Rows(300, batch_rows)
    groups = list(regrouped(rows, 16, most_bytes=9000))
    assert pa.Table.from_batches(groups).equals(pa.Table.from_batches([rows.whole]))
    for group, following in itertools.pairwise(groups):
        assert group.num_rows <= 16
        assert size(group) <= 9000
        assert group.num_rows == 16 or size(group) + size(following.slice(0, 1)) > 9000


def test_a_row_that_is_too_large_is_a_group_of_its_own():
    assert [group.num_rows for group in regrouped(Rows(5, 2), 16, most_bytes=10)] == [1] * 5


def test_groups_that_are_there_are_left_out():
    rows = Rows(100, 7)
    groups = list(regrouped(rows, 16, most_bytes=9000))
    for done in range(len(groups)):
        skip = sum(group.num_rows for group in groups[:done])
        left = list(regrouped(rows, 16, skip=skip, most_bytes=9000))
        assert len(left) == len(groups) - done
        assert all(one.equals(other) for one, other in zip(left, groups[done:], strict=True))


def test_a_subset_is_the_same_whatever_the_batches_and_each_time_it_is_read():
    def indices(subset):
        return [index for batch in subset for index in batch["source_index"].to_pylist()]

    subset = Subset(Rows(300, 7), 100, seed=1)
    drawn = indices(subset)
    assert len(set(drawn)) == 100
    assert drawn == sorted(drawn) == indices(subset) == indices(Subset(Rows(300, 64), 100, seed=1))
    assert drawn != indices(Subset(Rows(300, 7), 100, seed=2))
    assert indices(Subset(Rows(9, 4), 9, seed=1)) == list(range(9))


def test_subsets_of_other_sizes_and_seeds_have_other_digests():
    rows = Rows(3, 3)
    assert len({Subset(rows, size, seed).digest() for size in (1, 2) for seed in (1, 2)} | {rows.digest()}) == 5


def test_a_subset_that_is_too_large_is_an_error():
    with pytest.raises(DatasetError, match=r"10 .* 9"):
        list(Subset(Rows(9, 4), 10, seed=0))


def test_reading_ahead_gives_the_same_batches_one_by_one():
    rows = Rows(30, 7)
    assert all(one.equals(other) for one, other in zip(ReadAhead(rows), rows, strict=True))
    assert ReadAhead(rows).digest() == rows.digest()
    for batch in ReadAhead(rows):
        assert batch.num_rows == 7
        break  # and no thread stays behind
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read")]


def test_an_error_of_the_source_comes_after_what_was_read_before_it():
    class Broken(Rows):
        def __iter__(self):
            yield from super().__iter__()
            raise DatasetError("line 31")

    read = iter(ReadAhead(Broken(14, 7)))
    assert [next(read).num_rows, next(read).num_rows] == [7, 7]
    with pytest.raises(DatasetError, match="line 31"):
        next(read)


@given(st.lists(st.integers(0, 50)), st.integers(1, 9), st.integers(1, 90))
def test_pieces_hold_all_rows_in_order_within_both_bounds_and_can_be_gone_on_with(sizes, most_rows, most_bytes):
    sizes = np.array(sizes, np.int64)
    pieces = [*cuts(sizes, most_rows, most_bytes=most_bytes)]
    assert [row for first, last in pieces for row in range(first, last)] == [*range(len(sizes))]
    for (first, last), (_, after) in zip(pieces, [*pieces[1:], (0, 0)], strict=False):
        assert last - first <= most_rows
        assert last - first == 1 or sizes[first:last].sum() <= most_bytes
        # One row more would be too many.
        assert not after or last - first == most_rows or sizes[first : last + 1].sum() > most_bytes
        assert [*cuts(sizes, most_rows, skip=last, most_bytes=most_bytes)] == pieces[pieces.index((first, last)) + 1 :]
