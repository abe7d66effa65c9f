"""What became of one sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

__all__ = ["Judgement", "Outcome"]


class Outcome(str, Enum):
    """How a sample came by its score."""

    JUDGED = "judged"
    """The judge gave the score."""
    EMPTY_CANDIDATE = "empty_candidate"
    """There was nothing to judge: 0.0, no request."""
    NO_REFERENCE = "no_reference"
    """There was nothing to judge against: 0.0, no request."""
    DEGENERATE_CANDIDATE = "degenerate_candidate"
    """The candidate is one of those that say nothing and are known to fool judges: 0.0, no request."""
    GATED = "gated"
    """A rule decided: the final answers are the same (1.0), or differ (0.0); no request."""
    SCORED = "scored"
    """Another scorer's row, by its `data_source`: the score is that one's; no request."""
    FALLBACK = "fallback"
    """The judge gave none; the score is what `fallback` says."""
    FAILED = "failed"
    """Neither the judge nor the fallback gave one: 0.0."""

    __str__ = str.__str__


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole truth about one sample.

    Attributes:
        score: In [0, 1].
        outcome: How the sample came by its score.
        reason: Why it is not `judged`, in words; "" otherwise.
        reply: The judge's text for the reference that counted; "" without one.
        reference_index: Which of the sample's references the score stands for; -1 if none.
        candidate_cut: Whether the middle of the candidate was left out, for the prompt to fit the model.
        server: Address of the server that gave the reply, or was asked last; "" if none was asked.
        attempts: Requests sent for this sample, all references together.
        latency_s: Seconds from the call to the score, waiting included.
        prompt_tokens: As counted by the server, all requests together; 0 where it did not say.
        completion_tokens: The same for the replies.
        queued_s: Seconds until the first request was sent; of several references the longest.
        service_s: Seconds that the server took for the reply; of several references the longest.
        chunk: Conversations in the request that brought the reply; 0 if none did.
        hedged: Whether it was asked once more because it took so long.
        shared: Whether the reply to an equal request was taken.
        cached: Whether the reply was known from before.
        constrained: Whether the reply was held to the verdict's grammar.
        votes: Replies that the score was made of; 0 without a judge's score.
        spread: Standard deviation of their scores.
        mass: Probability that the judge gave to all verdicts together, with `scoring=expected`; else 0.
        fallback_by: What stands in for the judge's score: `lexical`, `calibrated`, `group_mean`, `constant`; else "".
    """

    score: float
    outcome: Outcome
    reason: str = ""
    reply: str = ""
    reference_index: int = -1
    candidate_cut: bool = False
    server: str = ""
    attempts: int = 0
    latency_s: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queued_s: float = 0.0
    service_s: float = 0.0
    chunk: int = 0
    hedged: bool = False
    shared: bool = False
    cached: bool = False
    constrained: bool = False
    votes: int = 0
    spread: float = 0.0
    mass: float = 0.0
    fallback_by: str = ""

    def __post_init__(self) -> None:
        """Refuse a score that no trainer should see."""
        if not (math.isfinite(self.score) and 0.0 <= self.score <= 1.0):
            msg = f"a score is a number in [0, 1], not {self.score!r}"
            raise ValueError(msg)

    def to_dict(self) -> dict[str, float | int | str]:
        """The flat dict that a trainer logs.

        Always the same keys, in the same order, with plain values: never None, NaN, lists or numpy. No key is
        called `reward`, which some trainers take for their own. The reply's text is left out: read `reply`.
        """
        return {
            "score": self.score,
            "acc": self.score,
            "judge_ok": int(self.outcome is Outcome.JUDGED),
            "judge_fallback": int(self.outcome is Outcome.FALLBACK),
            "judge_outcome": self.outcome.value,
            "judge_reason": self.reason,
            "judge_reference_index": self.reference_index,
            "judge_candidate_cut": int(self.candidate_cut),
            "judge_server": self.server,
            "judge_attempts": self.attempts,
            "judge_latency_s": self.latency_s,
            "judge_prompt_tokens": self.prompt_tokens,
            "judge_completion_tokens": self.completion_tokens,
            "judge_queued_s": self.queued_s,
            "judge_service_s": self.service_s,
            "judge_chunk": self.chunk,
            "judge_hedged": int(self.hedged),
            "judge_shared": int(self.shared),
            "judge_cached": int(self.cached),
            "judge_constrained": int(self.constrained),
            "judge_votes": self.votes,
            "judge_spread": self.spread,
            "judge_mass": self.mass,
            "judge_fallback_by": self.fallback_by,
        }
