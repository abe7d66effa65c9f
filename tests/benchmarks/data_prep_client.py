"""Prepares a data set in one of several ways, in a process of its own: `ARM TASK INPUT FOLDER`, figures on stdout.

The ways other than this package's are written as people write them: a function that makes a row's dict, applied to
each row. Tasks: `rows`, the trainer's parquet alone; `pairs`, that and the members (each problem with its own solution)
and non-members (with another row's) as JSON lines.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

_SOURCE = "llm_judge_remote_bench"
_SEED = 1


def main(arm: str, task: str, data: str, folder: str) -> None:
    """Do it, and print seconds and megabytes."""
    began = time.perf_counter()
    rows = {"ours": _ours, "pandas": _pandas, "datasets": _datasets}[arm](data, Path(folder), task == "pairs")
    wall = time.perf_counter() - began
    sys.stdout.write(json.dumps({"wall_s": wall, "rows": rows, "peak_mb": _peak_mb()}) + "\n")


def _ours(data: str, folder: Path, pairs: bool) -> int:
    from llm_judge_remote.dataset.job import Membership, prepare  # noqa: PLC0415 (each way loads what it needs alone)
    from llm_judge_remote.dataset.rows import RowOptions  # noqa: PLC0415
    from llm_judge_remote.dataset.source import open_source  # noqa: PLC0415

    membership = Membership("same_problem") if pairs else None
    options = RowOptions(_SOURCE)
    return prepare(open_source([data]), folder / "rows.parquet", options, membership=membership, seed=_SEED).rows


def _row(row: Any, index: int) -> dict[str, Any]:
    return {
        "data_source": _SOURCE,
        "prompt": [{"role": "user", "content": row["problem"]}],
        "ability": "math",
        "reward_model": {"style": "model", "ground_truth": row["solution"]},
        "extra_info": {"index": index, "split": "train", "problem": row["problem"]},
    }


def _pair(row: Any, index: int, solution: str, solution_index: int) -> dict[str, Any]:
    member = int(index == solution_index)
    return {
        "id": f"{'member' if member else 'nonmember'}-{index}",
        "problem": row["problem"],
        "solution": solution,
        "member": member,
        "problem_source_index": index,
        "solution_source_index": solution_index,
        "method": "same_problem",
    }


def _pandas(data: str, folder: Path, pairs: bool) -> int:
    import pandas as pd  # noqa: PLC0415

    frame = pd.read_json(data, lines=True)

    def made(function: Any) -> pd.DataFrame:
        return pd.DataFrame(frame.apply(lambda row: function(row, row.name), axis=1).tolist())

    made(_row).to_parquet(folder / "rows.parquet", index=False, compression="zstd")
    if pairs:
        solutions = frame["solution"].tolist()
        other = _others(solutions)
        members = made(lambda row, index: _pair(row, index, row["solution"], index))
        members.to_json(folder / "members.jsonl", orient="records", lines=True)
        del members
        others = made(lambda row, index: _pair(row, index, solutions[other[index]], other[index]))
        others.to_json(folder / "nonmembers.jsonl", orient="records", lines=True)
    return len(frame)


def _datasets(data: str, folder: Path, pairs: bool) -> int:
    import datasets  # noqa: PLC0415

    datasets.disable_progress_bars()
    whole = datasets.load_dataset("json", data_files=data, split="train", cache_dir=str(folder / "cache"))

    def made(function: Any) -> Any:
        return whole.map(function, with_indices=True, remove_columns=whole.column_names)

    made(_row).to_parquet(str(folder / "rows.parquet"))
    if pairs:
        solutions = list(whole["solution"])
        other = _others(solutions)
        made(lambda row, index: _pair(row, index, row["solution"], index)).to_json(str(folder / "members.jsonl"))
        others = made(lambda row, index: _pair(row, index, solutions[other[index]], other[index]))
        others.to_json(str(folder / "nonmembers.jsonl"))
    return len(whole)


def _others(solutions: list[str]) -> list[int]:
    """For each row another one whose solution is another text."""
    choice = random.Random(_SEED)
    found = []
    for own in solutions:
        other = choice.randrange(len(solutions))
        while solutions[other] == own:
            other = choice.randrange(len(solutions))
        found.append(other)
    return found


def _peak_mb() -> float:
    """The highest resident memory of this process: that of its parent, which getrusage would count, left out."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
