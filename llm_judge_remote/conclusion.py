"""From the rulings on all references of a sample to its one judgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llm_judge_remote.errors import JudgeError
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.ruling import Ruling
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.fallback import Replacement
from llm_judge_remote.settings import JudgeSettings

__all__ = ["conclude"]

Replace = Callable[[JudgeSettings, Sample, Sequence[str]], Replacement | None]


def conclude(
    sample: Sample,
    rulings: Sequence[Ruling],
    settings: JudgeSettings,
    began: float,
    fallback: Replace,
) -> Judgement:
    """The judgement on a sample: the best ruling counts.

    Where a ruling failed that could have been better, the score is the best of what was judged and what the fallback
    gives for the failed references, and the outcome is `fallback`.

    Args:
        sample: The sample.
        rulings: One for each of its references, in order; or a single one without a score, when none could be asked.
        settings: Of this row.
        began: Monotonic time when the call began.
        fallback: Gives the score in place of the failed references'.
    """
    judged = [(ruling.score, -index) for index, ruling in enumerate(rulings) if ruling.score is not None]
    failed = [index for index, ruling in enumerate(rulings) if ruling.score is None]
    score, negated = max(judged, default=(0.0, 1))
    index = -negated  # of equal scores the first reference's
    outcome, reason, replaced_by = Outcome.JUDGED, "", ""
    if judged and rulings[index].gated:
        outcome, reason = Outcome.GATED, f"the final answer {'equals' if score else 'is not'} the reference's"
    if failed and score < 1.0:
        reason = _words(rulings[failed[0]].error)
        unjudged = [sample.references[number] for number in failed] if len(rulings) > 1 else sample.references
        replacement = fallback(settings, sample, unjudged)
        if replacement is None:
            outcome, score, index = Outcome.FAILED, 0.0, -1
        else:
            outcome = Outcome.FALLBACK
            # The group's mean is of whole rows: it says nothing of one reference beside others.
            if not judged or (replacement.score > score and replacement.by != "group_mean"):
                score, index, replaced_by = replacement.score, -1, replacement.by
    shown = rulings[index] if index >= 0 else rulings[failed[0]]
    together = Ruling.together(rulings)
    return Judgement(
        score=score,
        outcome=outcome,
        reason=reason,
        reply=shown.reply,
        reference_index=index,
        candidate_cut=together.candidate_cut,
        server=shown.server,
        attempts=together.attempts,
        latency_s=together.finished_at - began,
        prompt_tokens=together.prompt_tokens,
        completion_tokens=together.completion_tokens,
        queued_s=together.queued_s,
        service_s=together.service_s,
        chunk=together.chunk,
        hedged=together.hedged,
        shared=together.shared,
        cached=together.cached,
        constrained=shown.constrained,
        votes=shown.votes if index >= 0 else 0,
        spread=shown.spread if index >= 0 else 0.0,
        mass=shown.mass,
        fallback_by=replaced_by,
    )


def _words(error: Exception | None) -> str:
    return str(error) if isinstance(error, JudgeError) else f"{type(error).__name__}: {error}"
