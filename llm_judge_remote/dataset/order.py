"""What is to be prepared: everything that the output depends on, in one value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import llm_judge_remote
from llm_judge_remote.dataset.membership import METHODS
from llm_judge_remote.dataset.rows import RowOptions
from llm_judge_remote.dataset.source import Source
from llm_judge_remote.errors import ConfigError

__all__ = ["Membership", "Order", "key_of"]


@dataclass(frozen=True, slots=True)
class Membership:
    """How members and non-members are made.

    Attributes:
        method: One of `llm_judge_remote.dataset.membership.METHODS`.
        count: Members, and as many non-members; None for as many as there can be.
        others: Where `separate_dataset` has its non-members from.
        reverse: Whether the two change their roles: what the method makes non-members of is trained on, and called
            members.

    Raises:
        ConfigError: There is no such method, or other inputs are missing or of no use.
    """

    method: str
    count: int | None = None
    others: Source | None = None
    reverse: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be done before anything is read."""
        if self.method not in METHODS:
            msg = f"{self.method!r} is no method to make non-members by; there are {', '.join(METHODS)}"
            raise ConfigError(msg)
        if (self.others is None) is (self.method == "separate_dataset"):
            msg = f"{self.method} {'needs' if self.others is None else 'has no use for'} other inputs"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True)
class Order:
    """The arguments of `llm_judge_remote.dataset.job.prepare`; see there."""

    source: Source
    options: RowOptions
    recipe: str
    arguments: Mapping[str, Any]
    membership: Membership | None
    targets: str | None
    subset_size: int | None
    seed: int
    group_rows: int

    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        others = self.membership.others if self.membership is not None else None
        return self.source.files + (() if others is None else others.files)

    def facts(self) -> dict[str, Any]:
        """What the output depends on, and nothing else: no clock, no host, no folder.

        Raises:
            DatasetError: An input cannot be read.
        """
        inputs = [_input(self.source)]
        membership = None
        if self.membership is not None:
            membership = {name: getattr(self.membership, name) for name in ("method", "count", "reverse")}
            if self.membership.others is not None:
                inputs.append(_input(self.membership.others))
        return {
            "recipe": self.recipe,
            "arguments": dict(self.arguments),
            "rows": asdict(self.options),
            "membership": membership,
            "targets": self.targets,
            "subset_size": self.subset_size,
            "seed": self.seed,
            "row_group_rows": self.group_rows,
            "inputs": inputs,
            "versions": {
                "llm_judge_remote": llm_judge_remote.__version__,
                "numpy": np.__version__,
                "pyarrow": pa.__version__,
            },
        }


def key_of(facts: Mapping[str, Any]) -> str:
    """Another one for other facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _input(source: Source) -> dict[str, Any]:
    return {"files": [Path(each).name for each in source.files], "digest": source.digest()}
