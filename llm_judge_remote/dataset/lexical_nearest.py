"""The lexically nearest texts of many, in bounded time for each: an inverted index first, then rapidfuzz.

A text's words are found without regard to case and punctuation. The index holds each text under its rarest words. A
query looks its own rarest words up, and takes from each list the texts nearest to it in length: two texts of very
different lengths cannot have a high ratio. The texts that were met in the heaviest words (by their inverse document
frequency) are the shortlist, and those are ranked by the normalised Indel similarity of their words, as
`scoring.lexical` has it. Where too few were met, the texts nearest in length are ranked too. Of no more than 2,048
texts each is compared with each. Of a text of more than 16,384 words the first ones are compared.

So what a query costs does not depend on how many texts there are, but for a binary search. What is held is some 250
bytes a text; the words, as numbers, are in a file.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz.distance import Indel
from rapidfuzz.process import cdist

from llm_judge_remote.dataset.derangement import Flags
from llm_judge_remote.dataset.ranking import best_of_each, in_blocks, table
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.texts import Indices, TextFile, TextWriter, spans

__all__ = ["LexicalNearest"]

_BLOCK = 4096  # texts that are read at once
_QUERIES = 512  # ranked at once
_FEW = 2048  # texts of which all are compared
_RAREST = 12  # words under which a text is found
_LIST = 64  # texts taken from the list of a word
_SHORTLIST = 64  # texts that are compared
_MOST_WORDS = 1 << 14  # of a text; what a comparison takes grows with the square
_BITS = 20  # of a word's number
_LENGTH_BITS, _TEXT_BITS = 12, 31  # of an entry: word, length, text
_FIRST_SIGN = 0x10000  # words are compared as the signs of a string, none of them a surrogate


class LexicalNearest:
    """An index of texts.

    Args:
        spill: Where they are; the file of words is put into its folder, and closed with it.
        rows: Rows whose solutions are the texts.
    """

    def __init__(self, spill: Spill, rows: Indices) -> None:
        self._words = _write_words(spill, rows)
        spill.on_close(self._words.close)
        lengths = self._words.lengths(np.arange(len(rows))) // 4
        self._by_length = np.argsort(lengths, kind="stable")
        self._place = np.empty_like(self._by_length)
        self._place[self._by_length] = np.arange(len(rows))
        self._often = np.zeros(2**_BITS, np.int64)  # texts that have the word
        for _, word, _ in self._blocks():
            self._often += np.bincount(word, minlength=2**_BITS)
        entries = []
        counts = []
        for text, word, first in self._blocks():
            often = self._often[word]
            shared = np.flatnonzero(often > 1)
            kept = shared[best_of_each(text[shared], -often[shared], word[shared], _RAREST)]
            length = np.minimum(lengths[text[kept]], 2**_LENGTH_BITS - 1)
            entries.append((word[kept] << _LENGTH_BITS | length) << _TEXT_BITS | text[kept])
            counts.append(np.bincount(text[kept] - first, minlength=min(_BLOCK, len(rows) - first)))
        self._own = np.concatenate(entries)  # in the order of the texts
        self._bounds = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        self._entries = np.sort(self._own)  # in the order of the words

    def nearest(self, queries: Indices, count: int, refused: Callable[[Indices, Indices], Flags]) -> Indices:
        """For each text the numbers of so many others, the nearest first; -1 where there are no more.

        Args:
            queries: Numbers of texts.
            count: How many.
            refused: Given places in `queries` and numbers of texts, whether the one may not be found for the other.
        """
        return in_blocks(len(queries), count, _QUERIES, lambda each: self._block(each, queries, count, refused))

    def _block(
        self, places: Indices, queries: Indices, count: int, refused: Callable[[Indices, Indices], Flags]
    ) -> Indices:
        if len(self._place) <= _FEW:
            asked, text = np.repeat(places, len(self._place)), np.tile(np.arange(len(self._place)), len(places))
            fine = ~refused(asked, text)
            asked, text = asked[fine], text[fine]
        else:
            asked, text = self._shortlist(places, queries, max(_SHORTLIST, 2 * count), refused)
        width = count
        while True:
            few = np.flatnonzero(np.bincount(asked - places[0], minlength=len(places)) < count) + places[0]
            if not len(few) or width > len(self._place):
                break
            width *= 2
            # The shortest and the longest text have neighbours on one side only.
            centre = np.clip(self._place[queries[few]], width, max(len(self._place) - width, width))
            low, high = np.maximum(centre - width, 0), np.minimum(centre + width, len(self._place))
            near, which = self._by_length[spans(low, high)], np.repeat(few, high - low)
            fine = ~refused(which, near)
            pairs = np.unique(np.concatenate([asked, which[fine]]) << _TEXT_BITS | np.concatenate([text, near[fine]]))
            asked, text = pairs >> _TEXT_BITS, pairs & (2**_TEXT_BITS - 1)
        likeness = self._likeness(queries[asked], text)
        best = best_of_each(asked, likeness, text, count)
        return table(asked[best] - places[0], text[best], len(places), count)

    def _shortlist(
        self, places: Indices, queries: Indices, size: int, refused: Callable[[Indices, Indices], Flags]
    ) -> tuple[Indices, Indices]:
        """Pairs of a query's place and a text that has some of its rarest words."""
        first, last = self._bounds[queries[places]], self._bounds[queries[places] + 1]
        own = self._own[spans(first, last)]
        word = own >> (_LENGTH_BITS + _TEXT_BITS)
        begin = np.searchsorted(self._entries, word << (_LENGTH_BITS + _TEXT_BITS))
        end = np.searchsorted(self._entries, (word + 1) << (_LENGTH_BITS + _TEXT_BITS))
        low = np.clip(np.searchsorted(self._entries, own) - _LIST // 2, begin, np.maximum(end - _LIST, begin))
        high = np.minimum(low + _LIST, end)
        weight = np.repeat(np.log(len(self._place) / self._often[word]) + 1e-3, high - low)
        met = self._entries[spans(low, high)] & (2**_TEXT_BITS - 1)
        asker = np.repeat(np.repeat(places, last - first), high - low)
        pairs, pair = np.unique(asker << _TEXT_BITS | met, return_inverse=True)
        scores = np.round(np.bincount(pair, weight, minlength=len(pairs)), 6)  # sums in any order are equal
        asked, text = pairs >> _TEXT_BITS, pairs & (2**_TEXT_BITS - 1)
        fine = np.flatnonzero(~refused(asked, text))
        best = fine[best_of_each(asked[fine], scores[fine], text[fine], size)]
        return asked[best], text[best]

    def _likeness(self, one: Indices, other: Indices) -> Any:
        texts, places = np.unique(np.concatenate([one, other]), return_inverse=True)
        written = self._words.read(texts).cast(pa.large_binary()).to_numpy(zero_copy_only=False)
        signs = [each[: 4 * _MOST_WORDS].decode("utf-32-le") for each in written]
        left, right = np.split(places, 2)
        likeness = np.empty(len(one))
        begins = [*np.flatnonzero(np.diff(one, prepend=-1)).tolist(), len(one)]
        for begin, end in pairwise(begins):
            others = [signs[place] for place in right[begin:end].tolist()]
            # One against many: what rapidfuzz prepares of the one is used for all.
            likeness[begin:end] = cdist(
                [signs[left[begin]]], others, scorer=Indel.normalized_similarity, dtype=np.float64
            )[0]
        return likeness

    def _blocks(self) -> Iterator[tuple[Indices, Indices, int]]:
        """Texts and their different words, text by text, a block at a time, with the number of its first text."""
        for first in range(0, len(self._words), _BLOCK):
            texts = np.arange(first, min(first + _BLOCK, len(self._words)))
            data = self._words.read(texts[:1], texts[-1:] + 1).buffers()[2]
            signs = np.frombuffer(data, np.uint32).astype(np.int64) - _FIRST_SIGN if data is not None else texts[:0]
            pairs = np.unique(np.repeat(texts, self._words.lengths(texts) // 4) << _BITS | signs)
            yield pairs >> _BITS, pairs & (2**_BITS - 1), first


def _write_words(spill: Spill, rows: Indices) -> TextFile:
    """The words of each text, 4 bytes each: a string in UTF-32."""
    path = spill.folder / "solution.words"
    with TextWriter(path) as writer:
        for start in range(0, len(rows), _BLOCK):
            text = pc.utf8_lower(spill.solutions(rows[start : start + _BLOCK]))
            # Scripts without blanks between words: each sign is one.
            text = pc.replace_substring_regex(text, r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}])", r" \1 ")
            text = pc.utf8_trim(pc.replace_substring_regex(text, r"[^\pL\pN]+", " "), " ")
            lists = pc.split_pattern(text, " ")
            words = lists.flatten().dictionary_encode()
            numbers = np.array(
                [zlib.crc32(word.encode()) % _WORDS + _FIRST_SIGN for word in words.dictionary.to_pylist()], np.uint32
            )
            signs = numbers[words.indices.to_numpy()]
            bounds = lists.offsets.to_numpy().astype(np.int64) * 4
            writer.append(
                pa.LargeStringArray.from_buffers(len(lists), pa.py_buffer(bounds), pa.py_buffer(signs.tobytes()))
            )
        offsets = writer.close()
    return TextFile(path, offsets)


_WORDS = 2**_BITS - _FIRST_SIGN
