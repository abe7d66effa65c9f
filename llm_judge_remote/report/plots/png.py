"""The same figures as PNG files, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from llm_judge_remote.errors import ConfigError, DatasetError
from llm_judge_remote.report.plots.axis import Axis
from llm_judge_remote.report.plots.figure import Boxes, Dots, Figure, Line, Mark

__all__ = ["save_png"]

_DPI = 160
_WIDTH, _HEIGHT, _SQUARE = 6.4, 4.2, 5.6  # inches
_ROW = 0.32  # inches of a category
_COLOURS = MappingProxyType(
    {
        "judged": "#2563c9",
        "ruled": "#0e9384",
        "fallback": "#d97706",
        "failed": "#c81e3a",
        "first": "#2563c9",
        "second": "#d97706",
        "third": "#0e9384",
        "guide": "#7b8494",
    }
)


def save_png(figures: Sequence[Figure], folder: Path) -> tuple[Path, ...]:
    """Write each figure to `folder/KEY.png`, over what is there; the folder is made if need be.

    Raises:
        ConfigError: matplotlib is not installed.
        DatasetError: A file cannot be written.
    """
    try:
        from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 (heavy, and an extra)
    except ImportError:
        msg = "--png needs matplotlib: pip install 'llm-judge-remote[report]'"
        raise ConfigError(msg) from None
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for figure in figures:
            rows = len(figure.y.ticks) if figure.y.is_category else 0
            canvas = Canvas(
                figsize=(_WIDTH, max(_ROW * rows + 1.8, 2.4) if rows else _SQUARE if figure.is_square else _HEIGHT),
                layout="constrained",
            )
            _draw(figure, canvas.subplots())
            if len({mark.name for mark in figure.marks if mark.name}) > 1:
                canvas.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8)
            path = folder / f"{figure.key}.png"
            canvas.savefig(path, dpi=_DPI)
            paths.append(path)
    except OSError as error:
        msg = f"{folder} cannot be written to: {error}"
        raise DatasetError(msg) from None
    return tuple(paths)


def _draw(figure: Figure, axes: Any) -> None:
    _set_axis(axes.xaxis, axes.set_xscale, axes.set_xlim, figure.x)
    _set_axis(axes.yaxis, axes.set_yscale, axes.set_ylim, figure.y)
    axes.set_title(_plain(figure.title), loc="left", fontsize=11, fontweight="bold", wrap=True)
    axes.set_axisbelow(True)
    axes.grid(axis="x" if figure.y.is_category else "both", color="#e4e7ec", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    for mark in figure.marks:
        _draw_mark(axes, mark)


def _set_axis(axis: Any, set_scale: Any, set_limits: Any, wanted: Axis) -> None:
    set_scale("log" if wanted.is_log else "linear")
    set_limits(wanted.low, wanted.high)
    axis.set_ticks([tick.value for tick in wanted.ticks], [_plain(tick.text) for tick in wanted.ticks], fontsize=8)
    axis.set_ticks([], minor=True)
    axis.set_label_text(_plain(wanted.label), fontsize=9)


def _draw_mark(axes: Any, mark: Mark) -> None:
    colour, name = _COLOURS[mark.colour], _plain(mark.name) or None
    if isinstance(mark, Boxes):
        sizes = [(box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0) for box in mark.boxes]
        lefts, bottoms, widths, heights = zip(*sizes, strict=True) if sizes else ((), (), (), ())
        axes.bar(lefts, heights, widths, bottoms, align="edge", color=colour, label=name, edgecolor="white", lw=0.4)
    elif isinstance(mark, Line):
        dash = "--" if mark.is_dashed else "-"
        axes.plot(*_split(mark.points), dash, color=colour, label=name, linewidth=1.6)
    elif isinstance(mark, Dots):
        sizes_pt = [max(mark.radius**2 * dot.weight, 3.0) * 2.4 for dot in mark.dots]
        axes.scatter(
            *_split([dot[:2] for dot in mark.dots]),
            sizes_pt,
            color=colour,
            label=name,
            alpha=0.75,
            zorder=3,
            clip_on=False,
        )
    else:
        for bar in mark.bars:
            axes.plot([bar.x, bar.x], [bar.low, bar.high], "-_", color=colour, linewidth=1.2, zorder=3)


def _split(points: Sequence[Any]) -> tuple[list[float], list[float]]:
    return [point[0] for point in points], [point[1] for point in points]


def _plain(text: str) -> str:
    """Row texts are no formulas, which matplotlib would take a pair of dollar signs for; `_` in front hides a label."""
    return text.replace("$", r"\$").lstrip("_")
