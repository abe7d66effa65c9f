"""Whether the trainer's call gives the rewards that it should."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from llm_judge_remote.diagnosis.server.look import Seen
from llm_judge_remote.diagnosis.server.rows import DATA_SOURCE, Trial, trials
from llm_judge_remote.diagnosis.server.visit import Visit
from llm_judge_remote.judgement import Outcome
from llm_judge_remote.redteam.run import best_verdict
from llm_judge_remote.reward import compute_score_batched
from llm_judge_remote.settings import JudgeSettings

__all__ = ["reward_function"]

_PATIENCE = 2.0  # times the setting `timeout`, for all rows
_TAKEN_FOR_RIGHT = 0.5


def reward_function(visit: Visit) -> Seen:
    """A handful of right, wrong and hostile rows by `compute_score_batched`, with details."""
    rows = trials(best_verdict(visit.settings))
    began = time.monotonic()
    details = compute_score_batched(
        [DATA_SOURCE] * len(rows),
        [row.candidate for row in rows],
        [row.reference for row in rows],
        [{"problem": row.problem} for row in rows],
        **_keywords(visit.settings),
    )
    took = time.monotonic() - began
    lost = [row for row in details if row["judge_outcome"] in (Outcome.FALLBACK.value, Outcome.FAILED.value)]
    if lost:
        words = f"{len(lost)} of {len(rows)} rows were not judged; the first: {lost[0]['judge_reason']}"
        return Seen("error", words, "see its words; training would get the score of `fallback` for such rows")
    by_rule = sum(row["judge_outcome"] == Outcome.GATED.value for row in details)
    words = f"{len(rows)} of {len(rows)} rows {'scored' if by_rule else 'judged'} in {took:.2f} s"
    words += f", {by_rule} of them by rule (gate={visit.settings.gate})" if by_rule else ""
    return _compared(rows, [row["score"] for row in details], words)


def _compared(rows: Sequence[Trial], scores: Sequence[float], words: str) -> Seen:
    by_kind: dict[str, list[float]] = {}
    for row, score in zip(rows, scores, strict=True):
        by_kind.setdefault(row.kind, []).append(score)
    right, wrong = by_kind.pop("right"), by_kind.pop("wrong")
    means = f"mean score of right ones {_mean(right):.2f}, of wrong ones {_mean(wrong):.2f}"
    above = sum(better > worse for better, worse in zip(right, wrong, strict=True))
    fooled = [kind for kind, own in by_kind.items() if max(own) >= _TAKEN_FOR_RIGHT and max(own) > wrong[0]]
    words = f"{words}; {means}"
    doubts = []
    if above < len(right):
        doubts.append(f"right is above wrong in {above} of {len(right)} problems only")
    if fooled:
        doubts.append(f"taken in by {', '.join(fooled)}")
    if doubts:
        fix = "a larger model, or another prompt_template; llm-judge-remote redteam tries many more"
        return Seen("warning", f"{words}; {'; '.join(doubts)}", fix)
    return Seen("ok", f"{words}; taken in by none of {len(by_kind)} hostile ones")


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)


def _keywords(settings: JudgeSettings) -> Mapping[str, Any]:
    """The settings as a trainer's keyword arguments, so that no other layer changes them."""
    values = {name: getattr(settings, name) for name in JudgeSettings.model_fields}
    given = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
    }
    # "" where None would leave the word to the environment.
    off = {"routes": "", "cache": "", "shared_limit": ""}
    return given | off | {"return_details": True, "deadline": _PATIENCE * settings.timeout}
