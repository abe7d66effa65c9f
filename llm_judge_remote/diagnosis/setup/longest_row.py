"""The longest prompts that a trainer's file makes, before any candidate is in them."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from pathlib import Path

from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.examination import Examiner
from llm_judge_remote.prompts.template import Message
from llm_judge_remote.settings import JudgeSettings

__all__ = ["LongRow", "LongestRows", "longest_rows"]

_KEPT = 4  # by their bytes; of texts of one kind, one of the first few has the most tokens too
_LOOK_AT_CLOCK_EVERY = 256  # rows


@dataclass(frozen=True, slots=True, order=True)
class LongRow:
    """A row whose prompt is long.

    Attributes:
        size: Bytes of the prompt.
        index: Of the row, from 0.
        messages: The prompt for its longest reference; with the file's candidate, or an empty one.
        tokens: Of the reply.
    """

    size: int
    index: int
    messages: tuple[Message, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class LongestRows:
    """What was found in a file.

    Attributes:
        file: Its path.
        rows: That were looked at.
        is_whole: False if the time was up before the file's end.
        longest: The longest first; those that nobody is asked about are not among them.
        has_candidates: Whether the file holds candidates, which are then part of the prompts.
        candidate_tokens: Most tokens that a candidate of the training run may have; 0: not known.
    """

    file: Path
    rows: int
    is_whole: bool
    longest: tuple[LongRow, ...]
    has_candidates: bool
    candidate_tokens: int = 0


def longest_rows(path: Path, settings: JudgeSettings, timeout: float, candidate_tokens: int = 0) -> LongestRows:
    """Read a trainer's file, for so many seconds.

    Args:
        path: Parquet, or JSON lines.
        settings: All layers below the row's.
        timeout: What was read by then has to do.
        candidate_tokens: Most tokens that a candidate of the training run may have, where that is known.

    Raises:
        DatasetError: It cannot be read, or what reads it is not installed.
        ConfigError: Nobody could run with the settings.
    """
    try:
        from llm_judge_remote.dataset.as_judged import AsJudged, Context  # noqa: PLC0415 (heavy, and an extra)
        from llm_judge_remote.dataset.trainer_file import TrainerFile  # noqa: PLC0415
    except ImportError as error:
        msg = f"to read {path} needs {error.name}: pip install 'llm-judge-remote[data]'"
        raise DatasetError(msg) from None
    as_judged = AsJudged(settings, Context(1))
    file = TrainerFile(path)
    kept: list[LongRow] = []
    until, rows, is_whole = time.monotonic() + timeout, 0, True
    for row in file:
        rows += 1
        if rows % _LOOK_AT_CLOCK_EVERY == 0 and time.monotonic() > until:
            is_whole = False
            break
        sample = as_judged.sample(row)
        candidate = "" if row.candidate is None else sample.candidate
        try:
            examiner = None if sample.defect or not sample.references else as_judged.examiner(sample)
            if not isinstance(examiner, Examiner):
                continue
            # A character has four bytes at most: most rows are shorter than that, whatever they are written in.
            if len(kept) == _KEPT and 4 * (as_judged.length(examiner, sample) + len(candidate)) <= kept[0].size:
                continue
            reference = max(sample.references, key=lambda text: len(text.encode()))
            messages = examiner.template.messages(problem=sample.problem, reference=reference, candidate=candidate)
        except ConfigError:  # of this row alone: `inspect` tells of it
            continue
        size = sum(len(message["content"].encode()) for message in messages)
        found = LongRow(size, row.index, tuple(messages), examiner.request.max_tokens)
        (heapq.heappush if len(kept) < _KEPT else heapq.heappushpop)(kept, found)
    longest = tuple(sorted(kept, reverse=True))
    return LongestRows(path, rows, is_whole, longest, file.candidate is not None, candidate_tokens)
