"""The calls that trainers make.

All three build samples from rows, hand them to the one judge of this process, and return its scores. They never raise
for a bad row or a bad judge; see `Judgement.outcome` for what became of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.layers import CallSettings
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__all__ = ["compute_score", "compute_score_async", "compute_score_batched"]

_ROW_KEYS = ("problem", "question", "prompt", "target_gt")


class _Process:
    """What the calls of one process share: the settings already made, and the judge."""

    def __init__(self) -> None:
        self.settings = CallSettings()
        self._judge: Judge | None = None

    def judge(self, settings: JudgeSettings) -> Judge:
        if self._judge is None:
            self._judge = Judge(settings)
        return self._judge


_PROCESS = _Process()


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
    if solution_strs is not None or _is_column(data_source) or _is_column(solution_str):
        return compute_score_batched(data_source, solution_str, ground_truth, extra_info, **kwargs)
    settings, defaults = _split(kwargs)
    sample = _sample((data_source, solution_str, ground_truth, extra_info), defaults, settings)
    return _shown(_PROCESS.judge(settings).score([sample], settings), settings)[0]


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
    settings, defaults = _split(kwargs)
    columns = _columns(data_sources, solution_strs, ground_truths, extra_infos)
    samples = [_sample(row, defaults, settings) for row in zip(*columns, strict=True)]
    return _shown(_PROCESS.judge(settings).score(samples, settings), settings)


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
    settings, defaults = _split(kwargs)
    judge = _PROCESS.judge(settings)
    if solution_strs is not None or _is_column(row[0]) or _is_column(row[1]):
        samples = [_sample(each, defaults, settings) for each in zip(*_columns(*row), strict=True)]
        return _shown(await judge.score_async(samples, settings), settings)
    return _shown(await judge.score_async([_sample(row, defaults, settings)], settings), settings)[0]


def _split(kwargs: Mapping[str, Any]) -> tuple[JudgeSettings, dict[str, Any]]:
    """A call's settings, and what it says of its rows."""
    row = {name: kwargs[name] for name in _ROW_KEYS if kwargs.get(name) is not None}
    return _PROCESS.settings({name: value for name, value in kwargs.items() if name not in _ROW_KEYS}), row


def _sample(row: Sequence[Any], defaults: Mapping[str, Any], settings: JudgeSettings) -> Sample:
    data_source, solution, ground_truth, extra_info = row
    if defaults:
        extra_info = {**defaults, **(extra_info if isinstance(extra_info, Mapping) else {})}
    return Sample.from_row(
        data_source, solution, ground_truth, extra_info, filter_by_prompt=settings.filter_gt_by_prompt_token
    )


def _shown(judgements: Sequence[Judgement], settings: JudgeSettings) -> Any:
    if settings.return_details:
        return [judgement.to_dict() for judgement in judgements]
    return [judgement.score for judgement in judgements]


def _is_column(value: object) -> bool:
    """Whether a value is a list of rows, rather than one row's text or chat messages."""
    if value is None or isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__"):
        return False
    if getattr(value, "ndim", 1) == 0:  # a numpy scalar in an array
        return False
    first = next(iter(value), None)  # type: ignore[call-overload]
    return not (isinstance(first, Mapping) and "role" in first)


def _columns(data_sources: Any, solutions: Any, ground_truths: Any, extra_infos: Any) -> list[list[Any]]:
    """The four columns as lists of one length."""
    rows = _as_list("solution_strs", solutions)
    columns = {
        "data_sources": _as_list("data_sources", data_sources)
        if _is_column(data_sources)
        else [data_sources] * len(rows),
        "solution_strs": rows,
        "ground_truths": [None] * len(rows) if ground_truths is None else _as_list("ground_truths", ground_truths),
        "extra_infos": [None] * len(rows) if extra_infos is None else _as_list("extra_infos", extra_infos),
    }
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        msg = f"the lists differ in length: {lengths}"
        raise ValueError(msg)
    return list(columns.values())


def _as_list(name: str, value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        msg = f"{name} is a list with an element for each row, not {type(value).__name__}"
        raise ValueError(msg)
    return value.to_pylist() if hasattr(value, "to_pylist") else list(value)  # pyarrow holds scalars of its own
