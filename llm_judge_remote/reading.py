"""From a judge's reply to its vote: the verdict that it wrote, or the mean of all that it could have written."""

from __future__ import annotations

from typing import NamedTuple

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.errors import NoVerdictError
from llm_judge_remote.prompts.template import PromptTemplate
from llm_judge_remote.scoring.expected import Options, expected_first, expected_score, number_options, place_in_tokens
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


class Reader:
    """Reads replies to a template's questions.

    Args:
        settings: Whether the text or the probabilities count.
        template: What was asked.
    """

    def __init__(self, settings: JudgeSettings, template: PromptTemplate) -> None:
        self._range = ScoreRange(template.low, template.high)
        self._words = template.options
        self._options: Options | None = None
        if settings.scoring == "expected":
            self._options = (
                Options(template.options)
                if template.options
                else number_options(template.low, template.high, template.verdict)
            )

    def vote(self, reply: ChatReply, request: ChatRequest) -> Vote | NoVerdict:
        """The vote of one reply, or why it is none.

        Raises:
            NoVerdictError: The probabilities are wanted and did not come, which asking again does not change.
        """
        text, thinking = reply.content, request.enable_thinking
        if not text.strip() and not thinking:
            # Some reasoning parsers file the whole answer under reasoning when the model was told not to think.
            text = reply.reasoning
        if self._words and self._options is not None and request.max_tokens == 1:
            if not reply.tokens:
                raise _without_probabilities(reply, "none")
            return Vote(*expected_first(reply.tokens, self._options))
        said = text
        if reply.is_held and text.lstrip().startswith("{"):
            text = text.replace("\n", " ")  # JSON may break its lines anywhere
        verdict = self._find(text, cut_off=reply.finish_reason == "length", thinking=thinking and not reply.reasoning)
        if isinstance(verdict, NoVerdict):
            return verdict
        if self._options is None:
            return Vote(verdict.score)
        place = place_in_tokens(reply.tokens, said, verdict.start, verdict.end)
        if place is None:
            raise _without_probabilities(reply, "none that go with its reply" if reply.tokens else "none")
        expected = expected_score(reply.tokens, *place, self._options)
        return Vote(expected.score, expected.mass)

    def _find(self, text: str, *, cut_off: bool, thinking: bool) -> Verdict | NoVerdict:
        if self._words:
            return find_option(text, self._words, cut_off=cut_off, thinking=thinking)
        return find_verdict(text, self._range, cut_off=cut_off, thinking=thinking)


def _without_probabilities(reply: ChatReply, what: str) -> NoVerdictError:
    msg = f"scoring=expected needs log-probabilities, and {reply.server} sends {what}; set scoring to `text`"
    return NoVerdictError(msg, reply=reply.content)
