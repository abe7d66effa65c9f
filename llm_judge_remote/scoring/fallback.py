"""The scores of rows that the judge did not score."""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.calibration import Calibration
from llm_judge_remote.scoring.lexical import METRICS
from llm_judge_remote.scoring.standby import Standby
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Calibrations", "Fallback", "Replacement", "check_fallback"]

_MOST_SCALES = 256
_LEARNT_AT_ONCE = 64  # rows of one call and scale: more would hold up its end, and tell no more
_LONGEST = 20_000  # characters of a candidate; the similarity of longer ones takes milliseconds


def check_fallback(settings: JudgeSettings) -> None:
    """Refuse a metric that does not exist.

    Raises:
        ConfigError: The message lists the metrics.
    """
    if settings.fallback_metric not in METRICS:
        msg = f"fallback_metric={settings.fallback_metric!r} is no metric; there are {', '.join(METRICS)}"
        raise ConfigError(msg)


class Replacement(NamedTuple):
    """A score in place of the judge's.

    Attributes:
        score: In [0, 1].
        by: What it is: `lexical`, `calibrated`, `group_mean` or `constant`.
    """

    score: float
    by: str


class Calibrations:
    """What a process has learnt of the judge's scale, for each data source and way of asking; safe in threads."""

    def __init__(self) -> None:
        self._scales: OrderedDict[Hashable, Calibration] = OrderedDict()

    def scale(self, settings: JudgeSettings, data_source: str) -> Calibration:
        """The scale of a data source's rows."""
        key = (data_source, _way(settings))
        scale = self._scales.get(key)
        if scale is None:
            while len(self._scales) >= _MOST_SCALES:
                self._scales.popitem(last=False)
            scale = self._scales.setdefault(key, Calibration())
        else:
            with contextlib.suppress(KeyError):  # another thread made room
                self._scales.move_to_end(key)
        return scale


class Fallback:
    """The fallback of one call.

    First it is told of the rows that were judged, then asked about those that were not.

    Args:
        standby: Knows similarities, some from before.
        calibrations: Of the process.
    """

    def __init__(self, standby: Standby, calibrations: Calibrations) -> None:
        self._standby = standby
        self._calibrations = calibrations
        self._groups: dict[Hashable, tuple[float, int]] = {}
        self._learnt: Counter[Calibration] = Counter()

    def judged(self, settings: JudgeSettings, sample: Sample, score: float, *, learn: bool = True) -> None:
        """The judge gave a row this score.

        Args:
            settings: Of the row.
            sample: The row.
            score: Its score.
            learn: Whether to compare it with the similarity, which takes time.
        """
        if settings.fallback == "calibrated" and learn and len(sample.candidate) <= _LONGEST:
            scale = self._calibrations.scale(settings, sample.data_source)
            self._learnt[scale] += 1
            if self._learnt[scale] <= _LEARNT_AT_ONCE:
                scale.add(self._standby.similarity(settings, sample.candidate, sample.references), score)

    def counts(self, settings: JudgeSettings, sample: Sample, score: float) -> None:
        """The judge or a rule gave a row this score, and its group's mean shows it."""
        group = _group(settings, sample)
        if settings.fallback == "group_mean" and group is not None:
            total, count = self._groups.get(group, (0.0, 0))
            self._groups[group] = total + score, count + 1

    def score(self, settings: JudgeSettings, sample: Sample, references: Sequence[str]) -> Replacement | None:
        """The score of a row; None for `fallback="raise"`.

        Args:
            settings: Of the row.
            sample: The row.
            references: Those of its references that have no score; the best counts.
        """
        if settings.fallback == "raise":
            return None
        if not isinstance(settings.fallback, str):
            return Replacement(settings.fallback, "constant")
        if settings.fallback == "zero":
            return Replacement(0.0, "constant")
        if settings.fallback == "group_mean" and (known := self._groups.get(_group(settings, sample))):
            return Replacement(known[0] / known[1], "group_mean")
        lexical = self._standby.similarity(settings, sample.candidate, references)
        if settings.fallback == "calibrated":
            calibrated = self._calibrations.scale(settings, sample.data_source)(lexical)
            if calibrated is not None:
                return Replacement(calibrated, "calibrated")
        return Replacement(lexical, "lexical")


def _group(settings: JudgeSettings, sample: Sample) -> Hashable:
    """Equal for rows that answer one question and are judged in one way; None for one whose question is not known."""
    return (sample.data_source, sample.problem, sample.references, _way(settings)) if sample.problem else None


def _way(settings: JudgeSettings) -> Hashable:
    """Who judges, and how: what decides on which scale the scores are."""
    return (
        settings.server_url,
        settings.model_name,
        settings.prompt_template,
        settings.scoring,
        settings.enable_thinking,
        settings.votes,
        settings.vote_reduce,
        settings.fallback_metric,
    )
