"""One measurement in a process of its own: `python score_client.py ARM URL FILE FOLDER SETTINGS`; prints JSON.

`batched` reads the file first and then has all rows judged in one call of `compute_score_batched`, with the clock
running; `score` goes from the file to the output with the clock running, reading and writing included. Both begin with
no connection open.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from llm_judge_remote import JudgeSettings, compute_score_batched
from llm_judge_remote.offline.job import score_file
from llm_judge_remote.offline.order import Order

ARMS = ("batched", "score")


def main(arm: str, url: str, data: str, folder: str, given: str) -> dict[str, float]:
    """Score the rows; seconds, CPU seconds, and how many were not judged."""
    settings = {"server_url": url, "structured_output": "off", "temperature": 0, **json.loads(given)}
    rows = pq.read_table(data).to_pydict() if arm == "batched" else {}
    began, cpu_before = time.perf_counter(), _cpu()
    unjudged = _batched(rows, settings) if arm == "batched" else _scored(Path(data), Path(folder), settings)
    return {"wall_s": time.perf_counter() - began, "cpu_s": _cpu() - cpu_before, "unjudged": unjudged}


def _batched(rows: dict[str, list[Any]], settings: dict[str, Any]) -> int:
    extras = [{"problem": problem} for problem in rows["problem"]]
    columns = (rows["data_source"], rows["candidate"], rows["reference"], extras)
    return sum(not each["judge_ok"] for each in compute_score_batched(*columns, return_details=True, **settings))


def _scored(data: Path, folder: Path, settings: dict[str, Any]) -> int:
    output = folder / f"scored-{time.monotonic_ns()}.parquet"
    scored = score_file(Order(data, output), JudgeSettings(**settings))
    return scored.rows - scored.tally.outcomes["judged"]


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
