"""How long a prompt is, by a tokenizer that the trainer hands over."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Measure", "token_limit_in"]

log = logging.getLogger(__name__)

_LIMIT = re.compile(r"(?:context|model) length(?: is| of)?\D{0,12}(\d{2,})", re.IGNORECASE)


class Measure:
    """Counts tokens, as soon as there is a tokenizer to do it with.

    Attributes:
        tokenizer: Of the judge's model, as `transformers` has them: with `apply_chat_template` or `encode`; or None.
    """

    __slots__ = ("_has_failed", "_lock", "tokenizer")

    def __init__(self) -> None:
        self.tokenizer: Any = None
        self._lock = threading.Lock()
        self._has_failed = False

    def count(self, messages: Sequence[Mapping[str, str]]) -> int | None:
        """The tokens of a conversation, or None where there is no tokenizer."""
        if self.tokenizer is None:
            return None
        with self._lock:  # tokenizers are not made for several threads
            try:
                return self._count(messages)
            except Exception as error:  # noqa: BLE001 (other people's code; without a count the prompt is halved)
                if not self._has_failed:
                    log.warning("the trainer's tokenizer cannot count: %s: %s", type(error).__name__, error)
                self._has_failed = True
                return None

    def _count(self, messages: Sequence[Mapping[str, str]]) -> int:
        if getattr(self.tokenizer, "chat_template", None):
            tokens = self.tokenizer.apply_chat_template(
                [dict(message) for message in messages], add_generation_prompt=True
            )
            return len(tokens["input_ids"] if isinstance(tokens, Mapping) else tokens)
        return len(self.tokenizer.encode("\n".join(message["content"] for message in messages)))


def token_limit_in(words: str) -> int | None:
    """The context length that a server names when it refuses a prompt: vLLM, SGLang and OpenAI do."""
    found = _LIMIT.search(words)
    return int(found[1]) if found else None
