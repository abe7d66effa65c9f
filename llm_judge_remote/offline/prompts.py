"""What the judge was sent about a row, made once more from the row: nothing of it is kept while rows are judged."""

from __future__ import annotations

from collections.abc import Sequence

from llm_judge_remote.dataset.as_judged import AsJudged, Context
from llm_judge_remote.offline.layout import Row
from llm_judge_remote.offline.record import NAMES
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Prompts"]

_ANY_CONTEXT = Context(1 << 30)
_REFERENCE_PLACE = NAMES.index("judge_reference_index")


class Prompts:
    """Makes prompts as texts: the messages, each below its role.

    Of several references it is the one that counted, or the first. A candidate whose middle was left out stands whole.

    Args:
        settings: Of the call.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._as_judged = AsJudged(settings, _ANY_CONTEXT)

    def of(self, rows: Sequence[Row], judged: Sequence[Sequence[object]]) -> list[str]:
        """The rows' prompts; "" where the judge is sent nothing.

        Args:
            rows: As the public calls take them.
            judged: A column of values for each of `NAMES`.
        """
        return [self._one(row, index) for row, index in zip(rows, judged[_REFERENCE_PLACE], strict=True)]

    def _one(self, row: Row, index: object) -> str:
        filtered = self._as_judged.settings.filter_gt_by_prompt_token
        conversations = self._as_judged.shown(Sample.from_row(*row, filter_by_prompt=filtered)).conversations
        if not conversations:
            return ""
        place = index if isinstance(index, int) and 0 <= index < len(conversations) else 0
        return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in conversations[place])
