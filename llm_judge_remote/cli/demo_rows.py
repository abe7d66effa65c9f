"""The demo's rollouts, in the columns that verl writes."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DATA_SOURCE", "read_rollouts", "verl_rows", "write_parquet"]

DATA_SOURCE = "llm_judge_remote/demo"


def verl_rows() -> list[dict[str, Any]]:
    """The rollouts that the package ships: word problems with right (`label` 1) and wrong (0) candidates.

    Returns:
        Rows with verl's columns `data_source`, `prompt`, `reward_model` and `extra_info`, and, as a trainer adds them
        later, `candidate` and `label`.
    """
    text = files("llm_judge_remote.cli").joinpath("demo_rollouts.jsonl").read_text(encoding="utf-8")
    rows = []
    for index, line in enumerate(text.splitlines()):
        rollout = json.loads(line)
        problem = rollout["problem"]
        rows.append(
            {
                "data_source": DATA_SOURCE,
                "prompt": [{"role": "user", "content": problem}],
                "ability": "math",
                "reward_model": {"style": "model", "ground_truth": rollout["reference"]},
                "extra_info": {"index": index, "split": "demo", "problem": problem},
                "candidate": rollout["candidate"],
                "label": rollout["label"],
            }
        )
    return rows


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write `frame` to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        frame.to_parquet(unfinished, index=False)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_rollouts(path: Path) -> pd.DataFrame:
    """The rollouts of a parquet file; nested columns hold dicts and arrays, as a trainer sees them."""
    import pandas as pd  # noqa: PLC0415 (heavy, and an extra)

    return pd.read_parquet(path)
