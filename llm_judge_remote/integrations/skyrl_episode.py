"""How an episode of the SkyRL environment goes: its turns, and what is said between them."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from llm_judge_remote.errors import ConfigError

__all__ = ["Episode", "least_turns"]

_WRONG = "That answer is not right. Look for the mistake, and answer again. Turns left: {turns_left}."
_NOT_FINAL = "Go on, and give your final answer in the form that was asked for. Turns left: {turns_left}."


@dataclass(frozen=True, slots=True)
class Episode:
    """The rules of an episode; see `LLMJudgeEnv`.

    Raises:
        ConfigError: A value is of no use.
    """

    max_turns: int | None = None
    pass_score: float = 0.9
    feedback: str = _WRONG
    final_pattern: str | None = None
    not_final_feedback: str = _NOT_FINAL
    turn_rewards: Literal["last", "each"] = "last"

    def __post_init__(self) -> None:
        """Refuse what could not be played."""
        if self.max_turns is not None and _turns(self.max_turns) is None:
            raise _useless("max_turns", self.max_turns, "a whole number from 1 on")
        if not (_is_number(self.pass_score) and 0.0 < self.pass_score <= 1.0):
            raise _useless("pass_score", self.pass_score, "a number above 0, and 1 at most")
        if self.turn_rewards not in ("last", "each"):
            raise _useless("turn_rewards", self.turn_rewards, "`last` or `each`")
        for name in ("feedback", "not_final_feedback"):
            if not isinstance(getattr(self, name), str):
                raise _useless(name, getattr(self, name), "a text")
        try:
            re.compile(self.final_pattern or "")
        except (re.error, TypeError) as error:
            raise _useless("final_pattern", self.final_pattern, f"a regular expression ({error})") from None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Episode:
        """The rules among other settings."""
        names = [each.name for each in dataclasses.fields(cls)]
        return cls(**{name: given[name] for name in names if given.get(name) is not None})

    def is_final(self, action: object) -> bool:
        """Whether a turn holds an answer that is to be judged."""
        return self.final_pattern is None or re.search(self.final_pattern, str(action)) is not None

    def wrong(self, turns_left: int) -> str:
        """What is said to a wrong answer."""
        return self.feedback.replace("{turns_left}", str(turns_left))

    def not_final(self, turns_left: int) -> str:
        """What is said to a turn without an answer."""
        return self.not_final_feedback.replace("{turns_left}", str(turns_left))


def least_turns(*said: Any) -> int:
    """The least of the numbers of turns that anybody gives; 1 if nobody does. What is no such number is passed over."""
    return min((turns for each in said if (turns := _turns(each)) is not None), default=1)


def _turns(value: Any) -> int | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if math.isfinite(number) and number >= 1 and number == int(number) else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _useless(name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{name}={value!r} is of no use; it is {wanted}")
