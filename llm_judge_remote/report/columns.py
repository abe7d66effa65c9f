"""Which column of a file is what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.report.scored import Columns
from llm_judge_remote.setting_sources import nearest

__all__ = ["CANDIDATES", "Wanted", "find_columns"]

CANDIDATES = ("candidate", "solution_str", "response", "completion")
_LABELS = ("label", "is_correct", "correct")
_PROBLEMS = ("extra_info.problem", "extra_info.question", "problem", "question", "prompt")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns that the user names, with dots for fields of structs; "" for those that are looked for.

    Attributes:
        label: Truth: whether the candidate is right.
        group: What the samples of one group share.
        time: When a row was judged; never looked for: without it, rows are in the order of the file.
        candidate: The text that was judged.
    """

    label: str = ""
    group: str = ""
    time: str = ""
    candidate: str = ""


def find_columns(names: Sequence[str], file: str, wanted: Wanted) -> Columns:
    """Where the optional columns are.

    Args:
        names: All columns and fields of the file.
        file: Its name, for messages.
        wanted: What the user named.

    Raises:
        ConfigError: A named column is not there; or there is no column `score`.
    """
    if not names:
        msg = f"{file} has no rows"
        raise ConfigError(msg)
    if "score" not in names:
        msg = f"{file} has no column 'score'; `llm-judge-remote score` writes one (its columns: {_told(names)})"
        raise ConfigError(msg)
    for option in ("label", "group", "time", "candidate"):
        name = getattr(wanted, option)
        if name and name not in names:
            msg = f"{file} has no column {name!r} for --{option}{nearest(name, names)} (its columns: {_told(names)})"
            raise ConfigError(msg)
    problem = _first(names, _PROBLEMS)
    return Columns(
        label=wanted.label or _first(names, _LABELS),
        group=wanted.group or _first(names, ("uid",)) or problem,
        time=wanted.time,
        outcome=_first(names, ("judge_outcome",)),
        candidate=wanted.candidate or _first(names, CANDIDATES),
        problem=problem,
    )


def _first(names: Sequence[str], known: Sequence[str]) -> str:
    return next((name for name in known if name in names), "")


def _told(names: Sequence[str]) -> str:
    tops = [name for name in names if "." not in name]
    return ", ".join(tops[:30]) + (", …" if len(tops) > 30 else "")
