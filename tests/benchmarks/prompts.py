"""What this package would send for rows, made beforehand for the clients that only post."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rows import Rows

from llm_judge_remote import JudgeSettings
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.examination import Examiner
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.lexical import PLACEHOLDERS

__all__ = ["MODEL", "chat_requests"]

MODEL = "Qwen/Qwen3-32B"


def chat_requests(rows: Rows, **settings: Any) -> Iterator[ChatRequest]:
    """The first request for each row: the package's own template and sampling settings."""
    chosen = JudgeSettings(**settings)
    examiner = Examiner(chosen, TemplateLibrary(PLACEHOLDERS).get(chosen.prompt_template))
    for row in zip(*rows.columns, strict=True):
        sample = Sample.from_row(*row)
        yield next(examiner.examine(sample, sample.references[0]))
