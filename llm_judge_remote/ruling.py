"""What came of judging one candidate against one reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_judge_remote.client.chat import ChatReply
from llm_judge_remote.errors import ServerError

__all__ = ["Ruling"]


@dataclass(slots=True)
class Ruling:
    """What came of one candidate and one reference.

    Attributes:
        score: The judge's, in [0, 1], or None.
        error: Why there is no score.
        reply: The judge's last text.
        gated: Whether a rule gave the score, and nobody was asked.
        votes: Replies that the score was made of.
        spread: Standard deviation of their scores.
        mass: Probability that the judge gave to all verdicts together, where the score is the mean over them; else 0.
        constrained: Whether a reply was held to the verdict's grammar.
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
    gated: bool = False
    votes: int = 0
    spread: float = 0.0
    mass: float = 0.0
    constrained: bool = False
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
        self.constrained |= reply.is_held
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

    @classmethod
    def together(cls, rulings: Sequence[Ruling]) -> Ruling:
        """What several cost in all, and what is true of one of them at least; there must be one.

        Of the rest, what a single reply says, nothing is told.
        """
        if len(rulings) == 1:
            return rulings[0]
        return cls(
            candidate_cut=any(ruling.candidate_cut for ruling in rulings),
            attempts=sum(ruling.attempts for ruling in rulings),
            prompt_tokens=sum(ruling.prompt_tokens for ruling in rulings),
            completion_tokens=sum(ruling.completion_tokens for ruling in rulings),
            queued_s=max(ruling.queued_s for ruling in rulings),
            service_s=max(ruling.service_s for ruling in rulings),
            chunk=max(ruling.chunk for ruling in rulings),
            hedged=any(ruling.hedged for ruling in rulings),
            shared=any(ruling.shared for ruling in rulings),
            cached=any(ruling.cached for ruling in rulings),
            finished_at=max(ruling.finished_at for ruling in rulings),
        )
