"""DAPO's penalty for answers that come near the longest that may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.errors import ConfigError

__all__ = ["Overlong"]


@dataclass(frozen=True, slots=True)
class Overlong:
    """Soft overlong punishment: equation 13 of DAPO (https://arxiv.org/abs/2503.14476), as in verl's `dapo` manager.

    Attributes:
        longest: Tokens that an answer may have.
        buffer: Of these the last, in which the penalty grows from 0 to `factor`.
        factor: The penalty at the longest.
        log: Whether it is shown among the row's metrics.
    """

    longest: int
    buffer: int
    factor: float
    log: bool

    @classmethod
    def of(cls, reward_kwargs: Mapping[str, Any]) -> Overlong | None:
        """What verl's `reward_kwargs` say; None where they ask for no penalty.

        Raises:
            ConfigError: They ask for one that makes no sense.
        """
        given = reward_kwargs.get("overlong_buffer_cfg")
        if not given or not given.get("enable"):
            return None
        longest, buffer = reward_kwargs.get("max_resp_len"), given.get("len")
        if not longest or not buffer or not 0 < buffer <= longest:
            msg = (
                f"overlong_buffer_cfg.len={buffer!r}, max_resp_len={longest!r}: give both, and 0 < len <= max_resp_len"
            )
            raise ConfigError(msg)
        return cls(int(longest), int(buffer), float(given.get("penalty_factor", 1.0)), bool(given.get("log")))

    def penalty(self, length: int) -> float:
        """What is added to the reward of an answer of so many tokens; at most 0."""
        return min((self.longest - self.buffer - length) / self.buffer * self.factor, 0.0)
