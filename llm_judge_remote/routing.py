"""Which rows go to the judge, with which settings, and which to another scorer: by their `data_source`.

Off unless `routes` is set: then all rows are the judge's. With it, the longest prefix of a row's `data_source` among
the routes counts; what begins with `llm_judge_remote` is judged in any case; and the rest goes to `scorer`, or to
verl's own rules where verl is installed.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.layers import settings_for_route
from llm_judge_remote.settings import JudgeSettings

__all__ = ["JUDGED_PREFIX", "Route", "Router", "Scorer"]

JUDGED_PREFIX = "llm_judge_remote"

Scorer = Callable[..., Any]
"""Called with data_source, solution_str, ground_truth and extra_info by name, as verl calls a reward function."""

_MOST_KEPT = 4096  # data sources whose route is remembered
_VERL = ("verl.utils.reward_score", "default_compute_score")


@dataclass(frozen=True, slots=True)
class Route:
    """Where rows of one data source go.

    Attributes:
        settings: How they are judged.
        scorer: Who scores them instead, or None.
    """

    settings: JudgeSettings
    scorer: Scorer | None = None

    def score(self, data_source: str, solution: Any, ground_truth: Any, extra_info: Any) -> Judgement:
        """The other scorer's judgement of a row, which is its own affair: in [0, 1] or not there at all.

        Raises:
            ConfigError: It does not know the data source.
        """
        if self.scorer is None:
            msg = "the route leads to the judge"
            raise TypeError(msg)
        try:
            said = self.scorer(
                data_source=data_source, solution_str=solution, ground_truth=ground_truth, extra_info=extra_info
            )
            score = _number(said)
        except NotImplementedError as error:
            raise ConfigError(_unknown(data_source, f"the scorer does not know it ({error})")) from None
        except Exception as error:  # noqa: BLE001 (other people's code; one row may not stop the others)
            reason = f"the scorer of data_source={data_source!r} failed: {type(error).__name__}: {error}"
            return Judgement(0.0, Outcome.FAILED, reason)
        if math.isnan(score):
            return Judgement(0.0, Outcome.FAILED, f"the scorer of data_source={data_source!r} gave no number: nan")
        if not 0.0 <= score <= 1.0:
            clipped = 1.0 if score > 1.0 else 0.0
            return Judgement(clipped, Outcome.SCORED, f"the scorer gave {score!r}")
        return Judgement(score, Outcome.SCORED)


class Router:
    """The routes of some settings; safe in threads.

    Args:
        settings: The call's.

    Raises:
        ConfigError: A route holds a value of no use, or `scorer` cannot be imported.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._profiles = {prefix: settings_for_route(settings, prefix) for prefix in settings.routes or ()}
        if settings.routes is not None:
            self._profiles.setdefault(JUDGED_PREFIX, settings)
        self._scorer = _imported(settings.scorer) if settings.scorer else None
        self._found: dict[str, Route] = {}

    @property
    def is_off(self) -> bool:
        """Whether all rows go to the judge."""
        return self._settings.routes is None

    def route(self, data_source: str) -> Route:
        """Where a row goes.

        Raises:
            ConfigError: Nowhere; the message names the data source.
        """
        found = self._found.get(data_source)
        if found is None:
            found = self._find(data_source)
            if len(self._found) < _MOST_KEPT:
                self._found[data_source] = found
        return found

    def _find(self, data_source: str) -> Route:
        if self.is_off:
            return Route(self._settings)
        prefix = max((each for each in self._profiles if data_source.startswith(each)), key=len, default=None)
        if prefix is not None:
            return Route(self._profiles[prefix])
        if self._scorer is None:
            self._scorer = _of_verl()
        if self._scorer is None:
            raise ConfigError(_unknown(data_source, f"no route of {', '.join(sorted(self._profiles))} begins it"))
        return Route(self._settings, self._scorer)


def _unknown(data_source: str, why: str) -> str:
    return (
        f"data_source={data_source!r} cannot be scored: {why}; add a prefix of it to `routes` for the judge, "
        "or set `scorer` to MODULE:FUNCTION"
    )


def _imported(name: str) -> Scorer:
    """The function that `module:function` names.

    Raises:
        ConfigError: There is none.
    """
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"scorer={name!r} cannot be imported: {error}; write MODULE:FUNCTION"
        raise ConfigError(msg) from None
    if not callable(found):
        msg = f"scorer={name!r} is no function"
        raise ConfigError(msg)
    scorer: Scorer = found
    return scorer


def _of_verl() -> Scorer | None:
    """Verl's own rules, or None where verl is not installed."""
    module, function = _VERL
    try:
        return _imported(f"{module}:{function}")
    except ConfigError:
        return None


def _number(said: Any) -> float:
    """The score in what a scorer returned: a number, a dict with `score`, or a sequence that begins with one."""
    if isinstance(said, Mapping):
        said = said["score"]
    elif isinstance(said, Sequence) and not isinstance(said, (str, bytes)):
        said = said[0]
    return float(said)
