"""What a source reads of a file, in short."""

import pytest

from llm_judge_remote.dataset.source import open_source
from llm_judge_remote.errors import DatasetError


def read(path, **options):
    """The rows, and the skipped ones' lines and reasons."""
    source = open_source([path], **options)
    items = [item for batch in source for item in batch.to_pylist()]
    return (
        [(item["source_index"], item["problem"], item["references"]) for item in items],
        [(line, why) for _, line, why in source.skipped.first],
    )


def error(path, **options):
    with pytest.raises(DatasetError) as raised:
        read(path, **options)
    return str(raised.value)
