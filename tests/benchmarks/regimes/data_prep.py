"""Data preparation: how fast is a data set made into rows and pairs, and in how much memory?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import Bench, Entry, Measured, lines
from job import BATCH, Job
from one_shot import measured_by
from processes import BenchmarkError, StubOptions
from synthetic_rows import write_rows
from table import Table, Target, number

__all__ = ["run"]

_ROWS = 1_000_000
_OURS, _PANDAS, _DATASETS = "ours", "pandas, apply", "datasets.map"
_ARMS = {_OURS: "ours", _PANDAS: "pandas", _DATASETS: "datasets"}
_TASKS = {"pairs": "parquet, members and non-members", "rows": "parquet alone"}
_CLIENT = Path(__file__).parents[1] / "data_prep_client.py"
_MOST_MB = 1_000
_SECONDS = 1_800


def run(bench: Bench) -> list[Table]:
    """A table for each task."""
    count = bench.count(_ROWS, 2_000)
    with tempfile.TemporaryDirectory(prefix="data_prep_") as folder:
        data = Path(folder) / "data.jsonl"
        bench.say(f"data_prep: making {count} rows")
        write_rows(data, count)
        return [_table(bench, data, task, count) for task in _TASKS]


def _table(bench: Bench, data: Path, task: str, count: int) -> Table:
    measured = Measured()
    pythons = dict.fromkeys(_ARMS, sys.executable)
    if not _has_datasets(sys.executable):
        pythons[_DATASETS] = bench.verl_python
    if not _has_datasets(pythons[_DATASETS]):
        measured.missing[_DATASETS] = "not installed"
    arms = [arm for arm in _ARMS if arm not in measured.missing]
    try:
        for arm in bench.turns(f"data_prep, {task}", arms):
            measured.runs.setdefault(arm, []).append(_measure(pythons[arm], _ARMS[arm], task, data, count))
    except BenchmarkError as error:
        bench.failures.append(f"data_prep: {error}")

    def faster(name: str) -> float | None:
        return measured.ratio(name, "rows_per_s", _PANDAS)

    def cells(name: str) -> list[str]:
        return [
            number(measured.median(name, "rows_per_s"), 0),
            number(faster(name)),
            number(measured.median(name, "peak_mb"), 0),
        ]

    entries = [Entry(name, Job(BATCH, "", count), StubOptions()) for name in _ARMS]
    size = data.stat().st_size / 1e6
    return Table(
        "data_prep",
        f"{count} rows of JSON lines, {size:,.0f} MB, made into {_TASKS[task]}",
        ("contender", "rows/s", "ratio", "peak MB"),
        lines(measured, entries, cells),
        [
            f"ratio: rows a second over those of pandas; medians of {bench.repeats} processes, one after the other.",
            "peak: the process's highest resident memory, interpreter and libraries included.",
        ],
        [
            Target(f"{task}: ratio of {_OURS}", faster(_OURS), 3, at_least=True),
            Target(f"{task}: peak MB of {_OURS}", measured.median(_OURS, "peak_mb"), _MOST_MB, digits=0),
        ],
        measured.runs,
    )


def _has_datasets(python: str) -> bool:
    if not python:
        return False
    return not subprocess.run([python, "-c", "import datasets"], capture_output=True, check=False).returncode


def _measure(python: str, arm: str, task: str, data: Path, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        command = [python, "-W", "ignore", str(_CLIENT), arm, task, str(data), folder]
        environment = {"HF_HOME": folder, "HF_HUB_OFFLINE": "1"}
        found = measured_by(command, what=arm, environment=environment, seconds=_SECONDS)
    if found["rows"] != count:
        msg = f"{arm}: {found['rows']} rows of {count}"
        raise BenchmarkError(msg)
    return found | {"rows_per_s": count / found["wall_s"]}
