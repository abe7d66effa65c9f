"""From a judge's reply to its vote: the verdict that it wrote, or the mean of all that it could have written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.errors import ConfigError, NoVerdictError
from llm_judge_remote.prompts.template import PromptTemplate
from llm_judge_remote.scoring.expected import (
    Expected,
    Options,
    expected_first,
    expected_score,
    number_options,
    place_in_tokens,
)
from llm_judge_remote.scoring.option import find_option
from llm_judge_remote.scoring.reward_line import find_verdict
from llm_judge_remote.scoring.verdict import NoVerdict, ScoreRange, Verdict
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Reader", "Vote"]


class Vote(NamedTuple):
    """What one reply says.

    Attributes:
        score: In [0, 1].
        mass: Probability of all verdicts together, where the score is the mean over them; else 0.
    """

    score: float
    mass: float = 0.0


@dataclass(frozen=True, slots=True)
class Unsure(NoVerdict):
    """The judge would mostly have said something else than a verdict.

    Attributes:
        mass: Probability of all verdicts together.
    """

    mass: float


class Reader:
    """Reads replies to a template's questions.

    Args:
        settings: Whether the text or the probabilities count.
        template: What was asked.

    Raises:
        ConfigError: There are no verdicts whose probabilities could be weighed.
    """

    def __init__(self, settings: JudgeSettings, template: PromptTemplate) -> None:
        self._range = ScoreRange(template.low, template.high)
        self._words = template.options
        self._floor = settings.mass_floor
        self._options: Options | None = None
        if settings.scoring == "expected":
            self._options = (
                Options(template.options)
                if template.options
                else number_options(template.low, template.high, template.verdict)
            )
            if not self._options:
                msg = (
                    f"scoring=expected weighs numerals, and prompt_template {template.name} has none with two decimals "
                    f"at most in its range {template.low:g} to {template.high:g}; set scoring to `text`"
                )
                raise ConfigError(msg)

    def vote(self, reply: ChatReply, request: ChatRequest) -> Vote | NoVerdict:
        """The vote of one reply, or why it is none: `Unsure` where the probabilities say so.

        Raises:
            NoVerdictError: The probabilities are wanted and did not come, which asking again does not change.
        """
        text, thinking = reply.content, request.enable_thinking
        cut_off = reply.finish_reason == "length"
        if not text.strip() and not thinking and not cut_off:
            # Some reasoning parsers file the whole answer under reasoning when the model was told not to think.
            text = reply.reasoning
        if self._words and self._options is not None and request.max_tokens == 1:
            if not reply.tokens:
                raise _without_probabilities(reply, "none")
            return self._weighed(expected_first(reply.tokens, self._options))
        said = text
        if reply.is_held and text.lstrip().startswith("{"):
            text = text.replace("\n", " ")  # JSON may break its lines anywhere
        verdict = self._find(text, cut_off=cut_off, thinking=thinking and not reply.reasoning)
        if isinstance(verdict, NoVerdict):
            return verdict
        if cut_off and text[: verdict.start].rpartition("\n")[0].rpartition("</think>")[2].strip():
            # Not its first word, so perhaps not its last: it may be a thought that began in the prompt.
            return NoVerdict("cut off after a verdict that was not all it had to say")
        if self._options is None:
            return Vote(verdict.score)
        place = place_in_tokens(reply.tokens, said, verdict.start, verdict.end)
        if place is None:
            raise _without_probabilities(reply, "none that go with its reply" if reply.tokens else "none")
        return self._weighed(expected_score(reply.tokens, *place, self._options))

    def _weighed(self, expected: Expected) -> Vote | Unsure:
        if expected.mass >= self._floor and expected.mass > 0:
            return Vote(*expected)
        reason = f"all verdicts together had a probability of {expected.mass:.3f}, less than mass_floor={self._floor:g}"
        return Unsure(reason, expected.mass)

    def _find(self, text: str, *, cut_off: bool, thinking: bool) -> Verdict | NoVerdict:
        if self._words:
            return find_option(text, self._words, cut_off=cut_off, thinking=thinking)
        return find_verdict(text, self._range, cut_off=cut_off, thinking=thinking)


def _without_probabilities(reply: ChatReply, what: str) -> NoVerdictError:
    msg = f"scoring=expected needs log-probabilities, and {reply.server} sends {what}; set scoring to `text`"
    return NoVerdictError(msg, reply=reply.content)
