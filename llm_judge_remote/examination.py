"""The conversation with the judge about one candidate and one reference."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.constraint import Grammar
from llm_judge_remote.client.submission import Job
from llm_judge_remote.errors import ConfigError, JudgeError, NoVerdictError, PromptTooLongError
from llm_judge_remote.prompts.fence import Fence, middle_cut
from llm_judge_remote.prompts.template import Message, PromptTemplate
from llm_judge_remote.reading import Reader, Unsure, Vote
from llm_judge_remote.rules.gate import rule_verdict
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.verdict import NoVerdict
from llm_judge_remote.scoring.votes import reduce_votes
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Examiner"]

_MOST_CUTS = 6
_FEWEST_CHARACTERS = 200  # less of a candidate than this is not worth judging
_MARGIN_TOKENS = 48  # the note in the middle, and what tokenizes differently around it
_ALTERNATIVES = 20  # the most that vLLM and OpenAI tell


class Examiner:
    """Holds the conversations that settings and a template ask for.

    Args:
        settings: How to ask.
        template: What to ask.

    Raises:
        ConfigError: The template does not allow what the settings insist on.
    """

    def __init__(self, settings: JudgeSettings, template: PromptTemplate) -> None:
        if settings.structured_output == "on" and template.grammar is None:
            msg = (
                "structured_output=on needs a template that asks for the verdict alone, and prompt_template "
                f"{template.name} lets the judge say more; set `auto`, or give the template `verdict` or `options`"
            )
            raise ConfigError(msg)
        self.settings = settings
        self.template = template
        self._reader = Reader(settings, template)
        self._fence = Fence(settings.fence_key.get_secret_value(), settings.defences)
        self._grammar = None
        if template.grammar is not None and settings.structured_output != "off":
            self._grammar = Grammar(*template.grammar)
        thinks = settings.enable_thinking
        # The probabilities of a word show at its first token, and what the judge would rather say shows only while
        # nothing holds it.
        only_first = (
            settings.scoring == "expected"
            and bool(template.options)
            and not thinks
            and settings.structured_output != "on"
        )
        self.request = ChatRequest(
            messages=(),
            model=settings.model_name,
            # What is read are the probabilities: there is nothing to draw, but the thought before them.
            temperature=settings.temperature if settings.scoring == "text" or thinks else 0.0,
            top_p=settings.top_p,
            max_tokens=1 if only_first else settings.max_new_tokens + (settings.thinking_budget if thinks else 0),
            enable_thinking=thinks,
            seed=settings.seed,
            grammar=None if thinks or only_first else self._grammar,
            needs_grammar=settings.structured_output == "on" and not thinks,
            top_logprobs=_ALTERNATIVES if settings.scoring == "expected" else 0,
            draws=settings.votes,
        )

    def examine(self, sample: Sample, reference: str) -> Job[Ruling]:
        """Judge a sample against one of its references; returns a ruling whatever happens."""
        ruling = Ruling()
        try:
            right = self.decided(sample)
            if right is None:
                yield from self._judge(sample, reference, ruling)
            else:
                ruling.score, ruling.gated = float(right), True
        except Exception as error:  # noqa: BLE001 (the pipeline's boundary: no sample may stop another)
            ruling.error = error.with_traceback(None)  # which would keep the prompt alive
            if isinstance(error, JudgeError):
                ruling.attempts += error.attempts
                ruling.server = getattr(error, "server", "") or ruling.server
        ruling.finished_at = time.monotonic()
        return ruling

    def decided(self, sample: Sample) -> bool | None:
        """What the gate says about the row; None: it is the judge's."""
        gate = self.settings.gate
        if gate == "off":
            return None
        right = _rule_verdict(sample.candidate, sample.references)
        return right if gate == "both" or right is (gate == "accept") else None

    def _judge(self, sample: Sample, reference: str, ruling: Ruling) -> Job[None]:
        request, reply = yield from self._first_ask(sample, reference, ruling)
        wanted = self.settings.votes
        opinions = yield from self._opinions(request, reply, wanted, 0, ruling)
        votes = [each for each in opinions if isinstance(each, Vote)]
        silent = [each for each in opinions if not isinstance(each, Vote)]
        # What the probabilities say does not change with another ask, unless there is another thought before.
        if 2 * len(votes) <= wanted and (request.enable_thinking or not isinstance(silent[0].why, Unsure)):
            again = self._asked_again(request, silent[0].reply, wanted - len(votes))
            reply = yield again
            ruling.note(reply)
            opinions = yield from self._opinions(again, reply, wanted - len(votes), len(opinions), ruling)
            votes += [each for each in opinions if isinstance(each, Vote)]
            silent = [each for each in opinions if not isinstance(each, Vote)] or silent
        if 2 * len(votes) <= wanted:
            why = silent[0].why
            ruling.mass = why.mass if isinstance(why, Unsure) else 0.0
            counted = f" ({len(votes)} of {wanted} votes)" if wanted > 1 else ""
            msg = f"the judge gave no verdict: {why.reason}{counted}"
            raise NoVerdictError(msg, reply=ruling.reply)
        ruling.mass = sum(vote.mass for vote in votes) / len(votes)
        result = reduce_votes([vote.score for vote in votes], self.settings.vote_reduce)
        ruling.score, ruling.spread, ruling.votes = result.score, result.spread, len(votes)

    def _opinions(
        self, request: ChatRequest, reply: ChatReply, wanted: int, drawn: int, ruling: Ruling
    ) -> Job[list[Vote | _Silent]]:
        """What so many replies to a request say, of which the first are there; others were drawn before."""
        draws = [reply, *reply.others]
        while len(draws) < wanted:  # the server gives fewer at a time
            # By a seed of their own, these are not the reply that came before, nor one that is kept.
            seed = (self.settings.seed or 0) + drawn + len(draws)
            try:
                reply = yield replace(request, draws=wanted - len(draws), seed=seed)
            except JudgeError as error:
                if 2 * len(draws) <= wanted:
                    raise
                ruling.attempts += error.attempts
                break
            ruling.note(reply)
            draws += [reply, *reply.others]
        opinions = [(draw, self._reader.vote(draw, request)) for draw in draws[:wanted]]
        return [said if isinstance(said, Vote) else _Silent(draw, said) for draw, said in opinions]

    def _first_ask(self, sample: Sample, reference: str, ruling: Ruling) -> Job[tuple[ChatRequest, ChatReply]]:
        """Ask; a candidate that leaves the model too little room loses its middle until prompt and reply fit."""
        keep = len(sample.candidate)
        for cuts_left in reversed(range(_MOST_CUTS + 1)):
            request = replace(self.request, messages=self._messages(sample, reference, keep))
            try:
                reply = yield request
            except PromptTooLongError as error:
                keep = _shorter(keep, sample.candidate, request, error.prompt_tokens, error.token_limit)
                if keep < _FEWEST_CHARACTERS or not cuts_left:
                    raise
                ruling.attempts += error.attempts
            else:
                ruling.note(reply)
                # vLLM takes a prompt that leaves no room for the reply, and cuts the reply.
                filled = reply.finish_reason == "length" and 0 < reply.completion_tokens < request.max_tokens
                if not (filled and cuts_left and isinstance(self._reader.vote(reply, request), NoVerdict)):
                    return request, reply
                shorter = _shorter(
                    keep, sample.candidate, request, reply.prompt_tokens, reply.prompt_tokens + reply.completion_tokens
                )
                if shorter < _FEWEST_CHARACTERS:
                    return request, reply
                keep = shorter
            ruling.candidate_cut = True
        raise AssertionError  # the last round returns or raises

    def _messages(self, sample: Sample, reference: str, keep: int) -> tuple[Message, ...]:
        return self.template.messages(
            problem=sample.problem,
            reference=reference,
            candidate=middle_cut(sample.candidate, keep),
            fence=self._fence,
        )

    def _asked_again(self, request: ChatRequest, reply: ChatReply, draws: int) -> ChatRequest:
        """The one further ask: with thinking closed, with twice the room, or for the missing verdict."""
        request = replace(request, draws=draws)
        if reply.finish_reason == "length" and request.enable_thinking:
            return replace(
                request, enable_thinking=False, max_tokens=self.settings.max_new_tokens, grammar=self._grammar
            )
        if reply.finish_reason == "length":
            return replace(request, max_tokens=2 * request.max_tokens)
        if not reply.content.strip():
            return request
        form = (
            "one word: " + " or ".join(self.template.options)
            if self.template.options
            else "one line:\nREWARD: <number>"
        )
        follow_up = (
            {"role": "assistant", "content": reply.content},
            {"role": "user", "content": f"That holds no verdict. Answer with exactly {form}"},
        )
        return replace(request, messages=request.messages + follow_up)


class _Silent(NamedTuple):
    """A reply without a verdict."""

    reply: ChatReply
    why: NoVerdict


@lru_cache(maxsize=32)
def _rule_verdict(candidate: str, references: tuple[str, ...]) -> bool | None:
    """The same for all references of a row, which follow one upon the other."""
    return rule_verdict(candidate, references)


def _shorter(
    keep: int, candidate: str, request: ChatRequest, prompt_tokens: int | None, token_limit: int | None
) -> int:
    """How many of the candidate's characters to keep after all; half where that cannot be told."""
    if not prompt_tokens or not token_limit:
        return keep // 2
    excess = prompt_tokens + request.max_tokens - token_limit + _MARGIN_TOKENS
    # Tokens go with bytes better than with characters: a Chinese candidate is denser than an English reference.
    bytes_per_token = sum(len(message["content"].encode()) for message in request.messages) / prompt_tokens
    bytes_per_character = len(candidate.encode()) / len(candidate)
    estimate = keep - int(excess * bytes_per_token / bytes_per_character)
    # An estimate that leaves nothing says little: halve, and look again.
    return min(estimate if estimate >= _FEWEST_CHARACTERS else keep // 2, keep * 9 // 10)
