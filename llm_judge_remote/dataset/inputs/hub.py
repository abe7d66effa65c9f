"""A data set of the Hugging Face hub, or one in a folder that `save_to_disk` wrote, through `datasets`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_judge_remote.dataset.inputs.chunk import Chunk
from llm_judge_remote.dataset.inputs.parquet_rows import table_chunk
from llm_judge_remote.errors import DatasetError

__all__ = ["HubData", "is_name", "is_saved"]

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def is_name(text: str) -> bool:
    """Whether a hub could have a data set of this name: `gsm8k`, `openai/gsm8k`."""
    return _NAME.fullmatch(text) is not None


def is_saved(folder: Path) -> bool:
    """Whether it is a folder that `save_to_disk` wrote."""
    return (folder / "dataset_dict.json").is_file() or all(
        (folder / name).is_file() for name in ("dataset_info.json", "state.json")
    )


class HubData:
    """A data set that `datasets` reads; streamed, so that nothing is stored and no more than a batch is held.

    Args:
        name: Its name, or the folder where it was saved.
        configuration: Which of its configurations, or None for the only one.
        split: Which of its splits.

    Raises:
        DatasetError: `datasets` is not installed, the hub cannot be reached, or it has no such data set or split.
    """

    def __init__(self, name: str, configuration: str | None, split: str) -> None:
        self.path = name
        self._split = split
        try:
            import datasets  # noqa: PLC0415 (optional, and slow to import)
        except ImportError:
            msg = (
                f"{name} is no file or folder here; for a hub's data set, `datasets` is missing: "
                "pip install 'llm-judge-remote[hub]'"
            )
            raise DatasetError(msg) from None
        self._count: int | None
        try:
            if Path(name).is_dir():
                self._rows, self._version, self._count = _saved(datasets, name, split)
            else:
                self._rows, self._version, self._count = _streamed(datasets, name, configuration, split)
        except DatasetError:
            raise
        except Exception as error:
            raise self._unreadable(error) from error

    def names(self) -> list[str]:
        """The columns' names."""
        features = self._rows.features
        if features is not None:
            return list(features)
        chunk = next(self._batches(1), None)
        return [] if chunk is None else list(chunk.schema.names)

    def count(self) -> int | None:
        """How many rows there are, if the data set says."""
        return self._count

    def digest(self) -> str:
        """Made of its name, split and version: the hub's revision, or the fingerprint of `datasets`."""
        return hashlib.sha256(repr((Path(self.path).name, self._split, self._version)).encode()).hexdigest()

    def chunks(self, wanted: Sequence[str], batch_rows: int) -> Iterator[Chunk]:
        """The rows."""
        first = 1
        for batch in self._batches(batch_rows):
            yield table_chunk(batch, wanted, first)
            first += batch.num_rows

    def _batches(self, batch_rows: int) -> Iterator[pa.RecordBatch]:
        tables = iter(self._rows.with_format("arrow").iter(batch_size=batch_rows))
        while True:
            try:
                table = next(tables, None)
            except Exception as error:
                raise self._unreadable(error) from error
            if table is None:
                return
            yield from table.combine_chunks().to_batches()

    def _unreadable(self, error: Exception) -> DatasetError:
        what = "" if Path(self.path).exists() else " is no file or folder here, and"
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        return DatasetError(f"{self.path}{what} cannot be read from the hub ({said})")


def _saved(datasets: Any, folder: str, split: str) -> tuple[Any, str, int]:
    data = datasets.load_from_disk(folder, keep_in_memory=False)
    if isinstance(data, dict):
        if split not in data:
            msg = f"{folder}: there is no split {split!r}; there are {', '.join(map(repr, data))}"
            raise DatasetError(msg)
        data = data[split]
    version, count = data._fingerprint, len(data)  # noqa: SLF001 (it has no public name)
    if data._indices is None:  # noqa: SLF001 (rows in the order of the files need not be mapped into memory)
        files = [file["filename"] for file in data.cache_files]
        data = datasets.load_dataset_builder("arrow", data_files=files).as_streaming_dataset(split="train")
    return data, version, count


def _streamed(datasets: Any, name: str, configuration: str | None, split: str) -> tuple[Any, str, int | None]:
    builder = datasets.load_dataset_builder(name, configuration)
    version = builder.hash or str(builder.info.version)
    data = builder.as_streaming_dataset(split=split)
    known = (builder.info.splits or {}).get(split)
    return data, version, None if known is None else known.num_examples or None
