"""The calls that trainers make.

All three build samples from rows, hand them to the one judge of this process, and return its scores. They never raise
for a bad row or a bad judge; see `Judgement.outcome` for what became of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_judge_remote.call import Call
from llm_judge_remote.columns import columns, is_column
from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.layers import CallSettings
from llm_judge_remote.mixed import MixedCall, Row
from llm_judge_remote.routing import Router
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__all__ = ["begin", "call_settings", "compute_score", "compute_score_async", "compute_score_batched", "process_judge"]

_MOST_ROUTERS = 256
_ROW_KEYS = ("problem", "question", "prompt", "target_gt")
_NO_SETTINGS = frozenset((*_ROW_KEYS, "reward_router_address", "reward_model_tokenizer"))


class _Process:
    """What the calls of one process share: the settings already made, their routes, and the judge."""

    def __init__(self) -> None:
        self.settings = CallSettings()
        self._judges: dict[str, Judge] = {}
        self._routers: dict[int, tuple[JudgeSettings, Router]] = {}

    def judge(self, settings: JudgeSettings) -> Judge:
        # Of two threads that come first, one wins, and the other's judge is unused; a lock might be left by a fork.
        return self._judges.get("one") or self._judges.setdefault("one", Judge(settings))

    def close(self) -> None:
        for judge in self._judges.values():
            judge.close()

    def router(self, settings: JudgeSettings) -> Router:
        known = self._routers.get(id(settings))
        if known is None or known[0] is not settings:
            if len(self._routers) >= _MOST_ROUTERS:
                self._routers.clear()
            known = self._routers[id(settings)] = settings, Router(settings)
        return known[1]


_PROCESS = _Process()


def process_judge(settings: JudgeSettings) -> Judge:
    """The one judge of this process, which all calls share; made on first use."""
    return _PROCESS.judge(settings)


def call_settings(given: Mapping[str, Any]) -> JudgeSettings:
    """The settings of a call with these keyword arguments; made once for each different set of them.

    Raises:
        ConfigError: A value is of no use.
    """
    return _PROCESS.settings(given)


def compute_score(
    data_source: Any = None,
    solution_str: Any = None,
    ground_truth: Any = None,
    extra_info: Any = None,
    *,
    data_sources: Any = None,
    solution_strs: Any = None,
    ground_truths: Any = None,
    extra_infos: Any = None,
    **kwargs: Any,
) -> Any:
    """Score one candidate; given lists, score them all as `compute_score_batched` does.

    Args:
        data_source: The data set's name.
        solution_str: The candidate: text, or chat messages, of which the last one counts.
        ground_truth: The reference, or several, of which the best score counts.
        extra_info: The row's own `problem` (else `question`, else the last user turn of `prompt`), `target_gt`, and
            settings of this row alone.
        data_sources: As `data_source`, for many; the plural names stand in for the singular ones.
        solution_strs: The same.
        ground_truths: The same.
        extra_infos: The same.
        **kwargs: Settings by name; what is no setting is ignored, and said once.

    Returns:
        The score, a float in [0, 1]; with `return_details=True` the flat dict of `Judgement.to_dict`.

    Raises:
        ConfigError: Nobody could run with these settings.
        ValueError: Lists of different lengths.
        JudgingFailedError: Only with `fallback="raise"` or `on_unavailable="raise"`.
    """
    data_source = data_source if data_sources is None else data_sources
    solution_str = solution_str if solution_strs is None else solution_strs
    ground_truth = ground_truth if ground_truths is None else ground_truths
    extra_info = extra_info if extra_infos is None else extra_infos
    if solution_strs is not None or is_column(data_source) or _is_batch(solution_str, ground_truth):
        return compute_score_batched(data_source, solution_str, ground_truth, extra_info, **kwargs)
    return _score([(data_source, solution_str, ground_truth, extra_info)], kwargs)[0]


def compute_score_batched(
    data_sources: Any,
    solution_strs: Any,
    ground_truths: Any,
    extra_infos: Any = None,
    **kwargs: Any,
) -> Any:  # a list of floats or of dicts
    """Score many candidates at once; row by row the same as `compute_score`.

    Args:
        data_sources: A list, tuple or array of names; one name, or None, stands for all rows.
        solution_strs: The candidates.
        ground_truths: The reference of each row, or its list of references.
        extra_infos: A mapping or None for each row; None for none at all.
        **kwargs: As for `compute_score`.

    Returns:
        A score for each row, in order; with `return_details=True` a flat dict for each.

    Raises:
        ConfigError: Nobody could run with these settings.
        ValueError: The lists differ in length; the message names the lengths.
        JudgingFailedError: Only with `fallback="raise"` or `on_unavailable="raise"`.
    """
    rows = zip(*columns(data_sources, solution_strs, ground_truths, extra_infos), strict=True)
    return _score(list(rows), kwargs)


async def compute_score_async(
    data_source: Any = None,
    solution_str: Any = None,
    ground_truth: Any = None,
    extra_info: Any = None,
    *,
    data_sources: Any = None,
    solution_strs: Any = None,
    ground_truths: Any = None,
    extra_infos: Any = None,
    **kwargs: Any,
) -> Any:  # a float or a dict, or a list of them
    """`compute_score` for callers on an event loop, which it does not block; many calls at once are judged at once."""
    row = (
        data_source if data_sources is None else data_sources,
        solution_str if solution_strs is None else solution_strs,
        ground_truth if ground_truths is None else ground_truths,
        extra_info if extra_infos is None else extra_infos,
    )
    is_batch = solution_strs is not None or is_column(row[0]) or _is_batch(row[1], row[2])
    call = begin(list(zip(*columns(*row), strict=True)) if is_batch else [row], kwargs)
    shown = _shown(await call.wait_async(), call.settings)
    return shown if is_batch else shown[0]


def begin(rows: Sequence[Row], kwargs: Mapping[str, Any]) -> Call | MixedCall:
    """Begin to score rows, and do not wait for it.

    Args:
        rows: `data_source`, solution, `ground_truth` and `extra_info` of each.
        kwargs: As for `compute_score`.

    Returns:
        What is to be waited for, by `wait()` in any thread or `wait_async()` on any event loop, or cancelled.

    Raises:
        ConfigError: Nobody could run with these settings.
    """
    settings, defaults = _split(kwargs)
    judge = _PROCESS.judge(settings)
    if kwargs.get("reward_model_tokenizer") is not None:
        judge.measure_with(kwargs["reward_model_tokenizer"])
    samples = [_sample(row, defaults, settings) for row in rows]
    router = _PROCESS.router(settings)
    if router.is_off:
        return judge.begin(samples, settings)
    return MixedCall(rows, samples, [router.route(sample.data_source) for sample in samples], settings, judge)


def _score(rows: Sequence[Row], kwargs: Mapping[str, Any]) -> list[Any]:
    call = begin(rows, kwargs)
    return _shown(call.wait(), call.settings)


def _split(kwargs: Mapping[str, Any]) -> tuple[JudgeSettings, dict[str, Any]]:
    """A call's settings, and what it says of its rows."""
    row = {name: kwargs[name] for name in _ROW_KEYS if kwargs.get(name) is not None}
    given = {name: value for name, value in kwargs.items() if name not in _NO_SETTINGS}
    settings = _PROCESS.settings(given)
    if not settings.server_url and kwargs.get("reward_router_address"):  # verl's own reward model, as the judge
        settings = _PROCESS.settings({**given, "server_url": kwargs["reward_router_address"]})
    return settings, row


def _sample(row: Row, defaults: Mapping[str, Any], settings: JudgeSettings) -> Sample:
    data_source, solution, ground_truth, extra_info = row
    if defaults:
        extra_info = {**defaults, **(extra_info if isinstance(extra_info, Mapping) else {})}
    return Sample.from_row(
        data_source, solution, ground_truth, extra_info, filter_by_prompt=settings.filter_gt_by_prompt_token
    )


def _is_batch(solution: Any, ground_truth: Any) -> bool:
    """Whether solutions are a list of rows; an empty list beside one reference is an empty chat."""
    return is_column(solution) and (len(solution) > 0 or not isinstance(ground_truth, str))


def _shown(judgements: Sequence[Judgement], settings: JudgeSettings) -> list[Any]:
    if settings.return_details:
        return [judgement.to_dict() for judgement in judgements]
    return [judgement.score for judgement in judgements]
