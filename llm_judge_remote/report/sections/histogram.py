"""Histograms, alone or of several kinds of rows on top of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from llm_judge_remote.report import formats
from llm_judge_remote.report.plots.axis import Axis, linear_axis, log_axis, share_axis
from llm_judge_remote.report.plots.figure import Box, Boxes, Colour, Figure
from llm_judge_remote.report.table import Column, table
from llm_judge_remote.report.values import FloatArray

__all__ = ["Layer", "histogram", "log_histogram"]

_LOG_BINS = 40


class Layer(NamedTuple):
    """Some of the rows of a histogram."""

    name: str
    colour: Colour
    values: FloatArray


def histogram(
    key: str,
    title: str,
    x: Axis,
    edges: FloatArray,
    layers: Sequence[Layer],
    says: str,
    *,
    as_share: bool = False,
    what: str = "rows",
    form: Callable[[float], str] = formats.short,
) -> Figure:
    """Rows by the bin of their value; layers stand on each other. Values outside the edges count in the outermost bins.

    Args:
        key: Of the figure.
        title: Of the figure.
        x: Its axis.
        edges: Of the bins, rising.
        layers: Rows of each kind; those without any are left out.
        says: The finding.
        as_share: Whether heights are shares of all layers' rows instead of numbers of rows.
        what: What is counted.
        form: How the edges are written.
    """
    layers = [layer for layer in layers if len(layer.values)]
    counts = [np.histogram(np.clip(layer.values, edges[0], edges[-1]), edges)[0] for layer in layers]
    total = max(sum(int(each.sum()) for each in counts), 1)
    scale = 1 / total if as_share else 1
    floor = np.zeros(len(edges) - 1)
    marks = []
    for layer, own in zip(layers, counts, strict=True):
        boxes = tuple(
            Box(
                float(edges[index]),
                float(edges[index + 1]),
                float(floor[index] * scale),
                float((floor[index] + own[index]) * scale),
                f"{layer.name + ': ' if len(layers) > 1 else ''}{formats.count(own[index])} {what} "
                f"({formats.share(own[index] / total)}) from {form(edges[index])} to {form(edges[index + 1])}",
            )
            for index in np.flatnonzero(own)
        )
        marks.append(Boxes(layer.name, layer.colour, boxes))
        floor = floor + own
    top = float(floor.max(initial=0)) * scale
    y = (
        share_axis(f"share of {what} (%)", top)
        if as_share
        else linear_axis(f"{what} (number)", 0.0, max(top, 1.0), most=5)
    )
    data = table(
        f"{title}: {what} in each bin",
        [Column("from", form), Column("to", form), *(Column(layer.name, formats.count) for layer in layers)],
        [
            (edges[index], edges[index + 1], *(own[index] for own in counts))
            for index in range(len(edges) - 1)
            if floor[index]
        ],
    )
    return Figure(key, title, x, y, tuple(marks), says, data)


def log_histogram(key: str, title: str, label: str, layers: Sequence[Layer], says: str) -> Figure:
    """A histogram whose axis and bins are logarithmic; values of 0 and less count in the first bin."""
    everything = np.concatenate([layer.values for layer in layers])
    positive = everything[everything > 0]
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    axis = log_axis(label, low, max(high, low * 1.01))
    edges = np.geomspace(axis.low, axis.high, _LOG_BINS + 1)
    edges[0], edges[-1] = axis.low, axis.high
    return histogram(key, title, axis, edges, layers, says)
