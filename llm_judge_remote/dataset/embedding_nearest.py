"""The texts whose embeddings are nearest, compared with all others: exact, and quadratic in their number.

Vectors are in a file and compared in blocks, so memory does not grow with the number of texts. A hundred thousand texts
take about 8 * 10^12 multiplications with 384 dimensions, minutes on a few cores: less than embedding them does.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from llm_judge_remote.dataset.derangement import Flags
from llm_judge_remote.dataset.ranking import best_of_each, in_blocks, table
from llm_judge_remote.dataset.spill import Spill
from llm_judge_remote.dataset.texts import Indices
from llm_judge_remote.errors import DatasetError

__all__ = ["DEFAULT_MODEL", "EmbeddingNearest", "Encoder"]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

_BLOCK = 4096  # texts, of which vectors are made or compared at once
_QUERIES = 1024

_Vectors = npt.NDArray[np.float32]


class Encoder(Protocol):
    """What makes vectors of texts; `sentence_transformers.SentenceTransformer` is one."""

    def encode(self, texts: list[str], /, **options: Any) -> Any:
        """One vector for each text, as rows of an array; `show_progress_bar` is passed."""


class EmbeddingNearest:
    """Vectors of texts.

    Args:
        spill: Where the texts are. The file of vectors is put into its folder, closed with it, and found there by a
            later run.
        rows: Rows whose solutions are the texts.
        model: Name or folder of the model.
        encoder: In place of the model.

    Raises:
        DatasetError: The model cannot be loaded, or does not give one vector for each text.
    """

    def __init__(self, spill: Spill, rows: Indices, model: str, encoder: Encoder | None = None) -> None:
        path = spill.folder / f"{hashlib.sha256(model.encode()).hexdigest()[:16]}.vectors"
        if not path.exists():
            _write_vectors(path, spill, rows, encoder or _loaded(model))
        self._path = path
        self._count = len(rows)
        self._width = path.stat().st_size // (4 * len(rows))

    def nearest(self, queries: Indices, count: int, refused: Callable[[Indices, Indices], Flags]) -> Indices:
        """For each text the numbers of so many others, the nearest by cosine first; see `LexicalNearest.nearest`."""
        return in_blocks(len(queries), count, _QUERIES, lambda each: self._block(each, queries, count, refused))

    def _block(
        self, places: Indices, queries: Indices, count: int, refused: Callable[[Indices, Indices], Flags]
    ) -> Indices:
        own = self._vectors_of(queries[places])
        asked = text = np.zeros(0, np.int64)
        likeness = np.zeros(0, np.float32)
        for first, vectors in self._blocks():
            near = own @ vectors.T
            size = count
            while True:
                which, fresh = _highest(near, size)
                fine = ~refused(places[which], fresh + first)
                if size >= near.shape[1] or np.bincount(which[fine], minlength=len(places)).min() >= count:
                    break
                size *= 2  # what is refused took too many places
            which, fresh = which[fine], fresh[fine]
            asked = np.concatenate([asked, which])
            text = np.concatenate([text, fresh + first])
            likeness = np.concatenate([likeness, near[which, fresh]])
            best = best_of_each(asked, likeness, text, count)
            asked, text, likeness = asked[best], text[best], likeness[best]
        return table(asked, text, len(places), count)

    def _vectors_of(self, numbers: Indices) -> _Vectors:
        different, places = np.unique(numbers, return_inverse=True)
        made = np.empty((len(different), self._width), np.float32)
        with self._path.open("rb") as file:
            for place, number in enumerate(different.tolist()):
                file.seek(number * self._width * 4)
                made[place] = np.frombuffer(file.read(self._width * 4), np.float32)
        return made[places]

    def _blocks(self) -> Iterator[tuple[int, _Vectors]]:
        with self._path.open("rb") as file:
            for first in range(0, self._count, _BLOCK):
                data = file.read(_BLOCK * self._width * 4)
                yield first, np.frombuffer(data, np.float32).reshape(-1, self._width)


def _highest(near: _Vectors, size: int) -> tuple[Indices, Indices]:
    """Row and column of the highest of each row, and of those that equal the last of them."""
    size = min(size, near.shape[1])
    least = np.partition(near, near.shape[1] - size, axis=1)[:, near.shape[1] - size]
    rows, columns = np.nonzero(near >= least[:, None])
    return rows, columns


def _write_vectors(path: Path, spill: Spill, rows: Indices, encoder: Encoder) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        for start in range(0, len(rows), _BLOCK):
            texts = spill.solutions(rows[start : start + _BLOCK]).to_pylist()
            vectors = np.asarray(encoder.encode(texts, show_progress_bar=False), np.float32)
            if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
                msg = f"the embedding model gave an array of shape {vectors.shape} for {len(texts)} texts"
                raise DatasetError(msg)
            length = np.linalg.norm(vectors, axis=1, keepdims=True)
            file.write((vectors / np.maximum(length, 1e-12)).tobytes())
    part.rename(path)


def _loaded(model: str) -> Encoder:
    try:
        library = importlib.import_module("sentence_transformers")
    except ImportError as error:  # it, or something that it needs
        msg = f"embedding needs the package sentence-transformers: {error}; pip install 'llm-judge-remote[embeddings]'"
        raise DatasetError(msg) from None
    try:
        encoder: Encoder = library.SentenceTransformer(model)
    except Exception as error:  # whatever a hub and a hundred kinds of models raise
        msg = f"the embedding model {model!r} cannot be loaded: {error}"
        raise DatasetError(msg) from error
    return encoder
