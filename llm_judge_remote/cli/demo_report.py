"""What the demo shows of its scores: a table, and a summary."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

__all__ = ["score_table", "summary_lines"]

_CELL = 30  # characters of a problem or a candidate
_STYLES = {"judged": "green", "gated": "green", "fallback": "yellow", "failed": "red"}


def score_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line for each row: its problem, candidate and label, and what the judge made of them.

    Args:
        rows: Each with `problem`, `candidate`, `label` (1 right, 0 wrong), `score`, and the `judge_*` keys.
    """
    table = Table(title="Rollouts and their scores", title_justify="left", box=box.SIMPLE)
    for name in ("row", "problem", "candidate", "label", "score", "outcome", "latency", "server"):
        justify: Literal["left", "right"] = "right" if name in ("row", "score", "latency") else "left"
        table.add_column(name, no_wrap=True, justify=justify)
    for index, row in enumerate(rows):
        outcome = str(row["judge_outcome"])
        table.add_row(
            str(index),
            # Text, not str: rich would read brackets in a rollout as markup.
            Text(_shortened(row["problem"])),
            Text(_shortened(row["candidate"]) or "(empty)"),
            "right" if row["label"] else "wrong",
            f"{row['score']:.2f}",
            Text(outcome, style=_STYLES.get(outcome, "")),
            f"{row['judge_latency_s']:.2f} s",
            Text(str(row["judge_server"]).partition("://")[2] or "-"),
        )
    return table


def _shortened(text: object) -> str:
    """The text on one line, its end included: that is where a candidate gives its answer."""
    line = " ".join(str(text).split())
    if len(line) <= _CELL:
        return line
    head = _CELL * 2 // 3
    return f"{line[:head].rstrip()} … {line[head + 3 - _CELL :].lstrip()}"


def summary_lines(rows: Sequence[Mapping[str, Any]], seconds: float) -> list[str]:
    """What one wants to know of all rows together.

    Args:
        rows: As for `score_table`.
        seconds: How long the scoring took.
    """
    outcomes = Counter(str(row["judge_outcome"]) for row in rows)
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    lines = [f"{len(rows)} rollouts in {seconds:.1f} s ({len(rows) / max(seconds, 1e-9):.1f} a second): {told}."]
    reasons = Counter(
        (str(row["judge_outcome"]), str(row["judge_reason"])) for row in rows if row["judge_outcome"] != "judged"
    )
    lines += [f"  {count} x {outcome}: {reason or 'no reason given'}" for (outcome, reason), count in reasons.items()]
    for label, name in ((1, "right"), (0, "wrong")):
        scores = [float(row["score"]) for row in rows if row["label"] == label]
        if scores:
            lines.append(f"Mean score of the {len(scores)} {name} candidates: {sum(scores) / len(scores):.2f}")
    above, level, pairs = _pairs(rows)
    if pairs:
        lines.append(
            f"Of {pairs} pairs of a right and a wrong candidate for the same problem, {above / pairs:.0%} have the "
            f"right one above, and {level / pairs:.0%} have both level."
        )
    return lines


def _pairs(rows: Sequence[Mapping[str, Any]]) -> tuple[int, int, int]:
    """Pairs with the right candidate above the wrong one, pairs with equal scores, and all pairs."""
    by_problem: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_problem[str(row["problem"])].append(row)
    above = level = pairs = 0
    for group in by_problem.values():
        for right in group:
            for wrong in group:
                if right["label"] == 1 and wrong["label"] == 0:
                    pairs += 1
                    above += right["score"] > wrong["score"]
                    level += right["score"] == wrong["score"]
    return above, level, pairs
