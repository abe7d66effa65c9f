"""How much scores differ within a group of candidates for one problem."""

from __future__ import annotations

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.axis import linear_axis
from llm_judge_remote.report.plots.figure import Figure
from llm_judge_remote.report.scored import NO_GROUP, Scored
from llm_judge_remote.report.section import Section, Tile
from llm_judge_remote.report.sections.histogram import Layer, histogram
from llm_judge_remote.report.sections.scores import score_axis
from llm_judge_remote.report.statistics.spread import GroupSpread, group_spread
from llm_judge_remote.report.table import Column, Table, table

__all__ = ["groups"]

_TITLE = "Spread within groups"
_MUCH = 0.5  # share of groups without a signal that is worth a warning
_MOST_SIZES = 16


def groups(scored: Scored) -> Section:
    """Standard deviations within groups, and the share of groups whose scores are all equal."""
    if scored.group is None:
        missing = (
            "No column tells the groups (uid, extra_info.problem, problem, prompt, …): name one with --group COLUMN."
        )
        return Section("groups", _TITLE, missing=missing)
    known = (scored.group != NO_GROUP) & scored.has_score
    spread = group_spread(scored.score[known], scored.group[known])
    if not len(spread.size):
        missing = f"By “{scored.columns.group}”, every group is a single row: there is nothing to compare."
        return Section("groups", _TITLE, missing=missing)
    equal = float(spread.is_equal.mean())
    sizes = (
        f"{spread.size.min()} to {spread.size.max()}" if spread.size.min() < spread.size.max() else str(spread.size[0])
    )
    tiles = (
        Tile("Groups of equal scores", formats.share(equal), "no gradient comes from them"),
        Tile("Groups", formats.count(len(spread.size)), f"of {sizes} rows"),
        Tile("Mean spread", formats.decimal(float(spread.std.mean())), "standard deviation within a group"),
    )
    told: tuple[str, ...] = ()
    if equal >= _MUCH:
        told = (f"In {formats.share(equal)} of the groups all scores are equal: GRPO learns nothing from these.",)
    numbers = {
        "by": scored.columns.group,
        "groups": len(spread.size),
        "alone": spread.alone,
        "share_equal": equal,
        "share_all_0": float(np.mean(spread.is_equal & (spread.mean <= 0))),
        "share_all_1": float(np.mean(spread.is_equal & (spread.mean >= 1))),
        "mean_std": float(spread.std.mean()),
        "median_std": float(np.median(spread.std)),
        "mean_size": float(spread.size.mean()),
    }
    lead = f"Groups are the rows with the same “{scored.columns.group}”"
    lead += f"; {formats.count(spread.alone)} groups of a single row are left out." if spread.alone else "."
    figures = (_stds(spread), _means(spread))
    return Section("groups", _TITLE, lead, tiles, figures, (_by_size(spread), _equal(spread)), told, numbers=numbers)


def _stds(spread: GroupSpread) -> Figure:
    highest = max(float(spread.std.max()), 0.5)
    axis = linear_axis("standard deviation of a group's scores", 0.0, highest)
    layers = [
        Layer("scores differ", "judged", spread.std[~spread.is_equal]),
        Layer("all scores equal", "fallback", np.zeros(int(spread.is_equal.sum()))),
    ]
    says = (
        f"In {formats.share(float(spread.is_equal.mean()))} of the groups all scores are equal; "
        f"the median spread is {formats.decimal(float(np.median(spread.std)))}."
    )
    edges = np.linspace(axis.low, axis.high, 25)
    return histogram("group-spread", "Spread within a group", axis, edges, layers, says, as_share=True, what="groups")


def _means(spread: GroupSpread) -> Figure:
    axis = score_axis(spread.mean, "mean score of a group")
    layers = [
        Layer("scores differ", "judged", spread.mean[~spread.is_equal]),
        Layer("all scores equal", "fallback", spread.mean[spread.is_equal]),
    ]
    easy, hard = float(np.mean(spread.mean >= 0.9)), float(np.mean(spread.mean <= 0.1))
    says = f"{formats.share(hard)} of the groups have a mean of at most 0.1, {formats.share(easy)} of at least 0.9."
    edges = np.linspace(axis.low, axis.high, 21)
    return histogram("group-means", "Mean of a group", axis, edges, layers, says, as_share=True, what="groups")


def _equal(spread: GroupSpread) -> Table:
    kinds = {
        "all scores 0": spread.is_equal & (spread.mean <= 0),
        "all scores 1": spread.is_equal & (spread.mean >= 1),
        "all equal, in between": spread.is_equal & (spread.mean > 0) & (spread.mean < 1),
        "scores differ": ~spread.is_equal,
    }
    rows = [
        (name, np.sum(chosen), float(np.mean(chosen)), np.sum(spread.size[chosen])) for name, chosen in kinds.items()
    ]
    columns = [
        Column("groups"),
        Column("number", formats.count),
        Column("share", formats.share),
        Column("rows", formats.count),
    ]
    return table("Groups by what their scores are", columns, rows)


def _by_size(spread: GroupSpread) -> Table:
    sizes, counts = np.unique(spread.size, return_counts=True)
    rows = []
    for size, count in list(zip(sizes, counts, strict=True))[:_MOST_SIZES]:
        own = spread.size == size
        rows.append((f"{size:,}", count, float(spread.std[own].mean()), float(spread.is_equal[own].mean())))
    if len(sizes) > _MOST_SIZES:
        own = spread.size > sizes[_MOST_SIZES - 1]
        rows.append(("more", int(own.sum()), float(spread.std[own].mean()), float(spread.is_equal[own].mean())))
    columns = [Column("rows in a group"), Column("groups", formats.count), Column("mean spread", formats.decimal)]
    return table("Groups by size", [*columns, Column("all equal", formats.share)], rows)
