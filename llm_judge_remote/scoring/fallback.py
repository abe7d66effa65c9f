"""The scores of rows that the judge did not score."""

from __future__ import annotations

from collections import OrderedDict
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
_LEARNT_AT_ONCE = 64  # rows of one call: more would hold up its end, and tell no more
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
        key = (
            data_source,
            settings.prompt_template,
            settings.model_name,
            settings.scoring,
            settings.enable_thinking,
            settings.fallback_metric,
        )
        scale = self._scales.get(key)
        if scale is None:
            while len(self._scales) >= _MOST_SCALES:
                self._scales.popitem(last=False)
            scale = self._scales.setdefault(key, Calibration())
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
        self._left_to_learn = _LEARNT_AT_ONCE

    def judged(self, settings: JudgeSettings, sample: Sample, score: float, *, learn: bool = True) -> None:
        """The judge gave a row this score; without `learn` it is not compared with the similarity, which takes time."""
        if settings.fallback == "group_mean":
            total, count = self._groups.get(_group(sample), (0.0, 0))
            self._groups[_group(sample)] = total + score, count + 1
        elif settings.fallback == "calibrated" and learn and self._left_to_learn and len(sample.candidate) <= _LONGEST:
            self._left_to_learn -= 1
            lexical = self._standby.similarity(settings, sample.candidate, sample.references)
            self._calibrations.scale(settings, sample.data_source).add(lexical, score)

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
        if settings.fallback == "group_mean" and _group(sample) in self._groups:
            total, count = self._groups[_group(sample)]
            return Replacement(total / count, "group_mean")
        lexical = self._standby.similarity(settings, sample.candidate, references)
        if settings.fallback == "calibrated":
            calibrated = self._calibrations.scale(settings, sample.data_source)(lexical)
            if calibrated is not None:
                return Replacement(calibrated, "calibrated")
        return Replacement(lexical, "lexical")


def _group(sample: Sample) -> Hashable:
    return sample.data_source, sample.problem, sample.references
