"""Prometheus' text format, as far as a look at a server needs it.

No library: `prometheus-client`'s parser reads all of a vLLM's thousand histogram lines, refuses a document for one bad
line, and would be a dependency of every trainer for the sake of one command.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Sample", "samples"]

# name{label="value",...} number [timestamp]; https://prometheus.io/docs/instrumenting/exposition_formats/
_LINE = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line.

    Attributes:
        name: Of the figure.
        labels: By name.
        value: A finite number.
    """

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, names: Collection[str]) -> Iterator[Sample]:
    """The samples of some figures; lines that are none, and numbers that are not finite, are passed over.

    Args:
        text: The body of `/metrics`.
        names: Of the figures to read.
    """
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None or found[1] not in names:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value):
            yield Sample(found[1], {name: _plain(label) for name, label in _LABEL.findall(found[2] or "")}, value)


def _plain(label: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], label)
