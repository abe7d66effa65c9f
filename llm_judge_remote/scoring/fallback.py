"""The score of a row that the judge did not score."""

from __future__ import annotations

from collections.abc import Sequence

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.scoring.lexical import METRICS, similarity
from llm_judge_remote.settings import JudgeSettings

__all__ = ["check_fallback", "fallback_score"]


def check_fallback(settings: JudgeSettings) -> None:
    """Refuse a metric that does not exist.

    Raises:
        ConfigError: The message lists the metrics.
    """
    if settings.fallback_metric not in METRICS:
        msg = f"fallback_metric={settings.fallback_metric!r} is no metric; there are {', '.join(METRICS)}"
        raise ConfigError(msg)


def fallback_score(settings: JudgeSettings, candidate: str, references: Sequence[str]) -> float | None:
    """The score in [0, 1] that `fallback` gives, over the best of the references; None for `fallback="raise"`."""
    if settings.fallback == "raise":
        return None
    if settings.fallback == "zero":
        return 0.0
    if settings.fallback == "lexical":
        return max((similarity(candidate, text, settings.fallback_metric) for text in references), default=0.0)
    return settings.fallback
