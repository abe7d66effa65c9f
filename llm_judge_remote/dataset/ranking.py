"""The best few of each group, by one sort, and groups a block at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from llm_judge_remote.dataset.texts import Hashes, Indices

__all__ = ["best_of_each", "in_blocks", "mixed", "table"]


def best_of_each(groups: Indices, scores: Any, numbers: Indices, count: int) -> Indices:
    """Places of the `count` highest scores of each group; of equal ones the lowest numbers; group by group."""
    order = np.lexsort((numbers, -scores, groups))
    sorted_groups = groups[order]
    begins = np.flatnonzero(np.diff(sorted_groups, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    best: Indices = order[rank < count]
    return best


def table(groups: Indices, numbers: Indices, rows: int, count: int) -> Indices:
    """Numbers by group, one row each; -1 where a group has fewer than `count`. Groups ascend."""
    made = np.full((rows, count), -1)
    begins = np.searchsorted(groups, np.arange(rows))
    made[groups, np.arange(len(groups)) - begins[groups]] = numbers
    return made


def in_blocks(total: int, count: int, size: int, block: Callable[[Indices], Indices]) -> Indices:
    """What `block` makes of the places from 0 to `total`, `size` of them at a time: for each one `count` numbers."""
    found = [block(np.arange(start, min(start + size, total))) for start in range(0, total, size)]
    return np.concatenate([np.zeros((0, count), np.int64), *found])


def mixed(words: Hashes, turns: Indices) -> Hashes:
    """A random 64-bit number for each word and turn: SplitMix64 (Steele, Lea and Flood, 2014), vectorised."""
    state = words + (turns + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    made: Hashes = state ^ (state >> np.uint64(31))
    return made
