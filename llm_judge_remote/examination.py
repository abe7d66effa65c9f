"""How one candidate is judged against one reference: what is asked, and what is made of the replies.

`examine` is a conversation without a wire: it yields requests and is sent replies, so the same few lines serve one
sample or thousands, whatever carries them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.submission import Job
from llm_judge_remote.errors import JudgeError, NoVerdictError, PromptTooLongError, ServerError
from llm_judge_remote.prompts.fence import middle_cut
from llm_judge_remote.prompts.template import Message, PromptTemplate
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.reward_line import NoVerdict, ScoreRange, parse_verdict
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Ruling", "examine", "request_for"]

_MOST_CUTS = 6
_FEWEST_CHARACTERS = 200  # less of a candidate than this is not worth judging
_MARGIN_TOKENS = 48  # the note in the middle, and what tokenizes differently around it


@dataclass(slots=True)
class Ruling:
    """What came of one candidate and one reference.

    Attributes:
        score: The judge's, in [0, 1], or None.
        error: Why there is no score.
        reply: The judge's last text.
        candidate_cut: Whether the middle of the candidate was left out.
        server: The address asked last.
        attempts: Requests sent.
        prompt_tokens: Of all replies together.
        completion_tokens: Of all replies together.
        queued_s: Seconds until the first request was sent.
        service_s: Seconds that the servers took for the replies.
        chunk: Conversations in the last request.
        hedged: Whether a request was sent once more because it took so long.
        shared: Whether the reply to an equal request was taken.
        cached: Whether a reply was known from before.
        finished_at: Monotonic time.
    """

    score: float | None = None
    error: Exception | None = None
    reply: str = ""
    candidate_cut: bool = False
    server: str = ""
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queued_s: float = 0.0
    service_s: float = 0.0
    chunk: int = 0
    hedged: bool = False
    shared: bool = False
    cached: bool = False
    finished_at: float = 0.0

    @property
    def is_unavailable(self) -> bool:
        """Whether there is no score because no server answered."""
        return isinstance(self.error, ServerError) and not self.error.answered

    def note(self, reply: ChatReply) -> None:
        """Add what a reply cost."""
        self.reply = reply.content or reply.reasoning
        self.server = reply.server
        passage = reply.passage
        self.queued_s = self.queued_s or passage.queued_s
        self.service_s += passage.service_s
        self.chunk = passage.chunk
        self.hedged |= passage.hedged
        self.shared |= passage.shared
        self.cached |= passage.cached
        self.attempts += passage.attempts
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens


def examine(sample: Sample, reference: str, settings: JudgeSettings, template: PromptTemplate) -> Job[Ruling]:
    """Judge a sample against one of its references; returns a ruling whatever happens."""
    ruling = Ruling()
    try:
        request, reply, verdict = yield from _first_ask(sample, reference, settings, template, ruling)
        if isinstance(verdict, NoVerdict):
            reply = yield _asked_again(request, reply)
            ruling.note(reply)
            verdict = _verdict(reply, settings, template)
        if isinstance(verdict, NoVerdict):
            msg = f"the judge gave no verdict: {verdict.reason}"
            raise NoVerdictError(msg, reply=ruling.reply)
        ruling.score = verdict
    except Exception as error:  # noqa: BLE001 (the pipeline's boundary: no sample may stop another)
        ruling.error = error.with_traceback(None)  # which would keep the prompt alive
        if isinstance(error, JudgeError):
            ruling.attempts += error.attempts
            ruling.server = getattr(error, "server", "") or ruling.server
    ruling.finished_at = time.monotonic()
    return ruling


def request_for(messages: tuple[Message, ...], settings: JudgeSettings, template: PromptTemplate) -> ChatRequest:
    """The request that asks the judge these messages."""
    return ChatRequest(
        messages=messages,
        model=settings.model_name,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_new_tokens,
        enable_thinking=settings.enable_thinking,
        seed=settings.seed,
        grammar=template.grammar if settings.structured_output == "on" and not settings.enable_thinking else None,
    )


def _first_ask(
    sample: Sample, reference: str, settings: JudgeSettings, template: PromptTemplate, ruling: Ruling
) -> Job[tuple[ChatRequest, ChatReply, float | NoVerdict]]:
    """Ask; a candidate that leaves the model too little room loses its middle until prompt and reply fit."""
    keep = len(sample.candidate)
    for cuts_left in reversed(range(_MOST_CUTS + 1)):
        messages = template.messages(
            problem=sample.problem, reference=reference, candidate=middle_cut(sample.candidate, keep)
        )
        request = request_for(messages, settings, template)
        try:
            reply = yield request
        except PromptTooLongError as error:
            keep = _shorter(keep, sample.candidate, request, error.prompt_tokens, error.token_limit)
            if keep < _FEWEST_CHARACTERS or not cuts_left:
                raise
            ruling.attempts += error.attempts
        else:
            ruling.note(reply)
            verdict = _verdict(reply, settings, template)
            # vLLM takes a prompt that leaves no room for the reply, and cuts the reply.
            filled = reply.finish_reason == "length" and 0 < reply.completion_tokens < request.max_tokens
            if not (filled and isinstance(verdict, NoVerdict) and cuts_left):
                return request, reply, verdict
            shorter = _shorter(
                keep, sample.candidate, request, reply.prompt_tokens, reply.prompt_tokens + reply.completion_tokens
            )
            if shorter < _FEWEST_CHARACTERS:
                return request, reply, verdict
            keep = shorter
        ruling.candidate_cut = True
    raise AssertionError  # the last round returns or raises


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


def _verdict(reply: ChatReply, settings: JudgeSettings, template: PromptTemplate) -> float | NoVerdict:
    text = reply.content
    if not text.strip() and not settings.enable_thinking:
        # Some reasoning parsers file the whole answer under reasoning when the model was told not to think.
        text = reply.reasoning
    return parse_verdict(
        text,
        ScoreRange(template.low, template.high),
        cut_off=reply.finish_reason == "length",
        thinking=settings.enable_thinking and not reply.reasoning,
    )


def _asked_again(request: ChatRequest, reply: ChatReply) -> ChatRequest:
    """The one further ask: with twice the room when the reply was cut off, else for the missing line."""
    if reply.finish_reason == "length":
        return replace(request, max_tokens=2 * request.max_tokens)
    if not reply.content.strip():
        return request
    follow_up = (
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": "That holds no verdict. Answer with exactly one line:\nREWARD: <number>"},
    )
    return replace(request, messages=request.messages + follow_up)
