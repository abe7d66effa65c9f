"""The command `score`: what is lost against one batched call over the same rows, which reads and writes no file?"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bench import Bench, Entry, Measured, lines
from job import BATCH, Job
from one_shot import measured_by
from processes import BenchmarkError, Stub, StubOptions
from rows import made
from table import Table, Target, number

__all__ = ["run"]

_ROWS = 5_276
_SLOTS = 64
_SERVICE_MS = (200, 30, 0)
_BATCHED, _SCORE = "compute_score_batched", "score"
_ARMS = {_BATCHED: "batched", _SCORE: "score"}
_CLIENT = Path(__file__).parents[1] / "score_client.py"
_REAL = Path(__file__).parents[4] / "shared" / "data" / "gsm8k_model_solutions.jsonl"
_AUTHORS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def run(bench: Bench) -> list[Table]:
    """A table for each of three judges, from a slow one to one that takes no time."""
    count = bench.count(_ROWS, 256)
    with tempfile.TemporaryDirectory(prefix="score_") as folder:
        data = Path(folder) / "rows.parquet"
        kind = _write_rows(data, count)
        services = (0,) if bench.quick else _SERVICE_MS
        return [_table(bench, data, kind, count, milliseconds) for milliseconds in services]


def _table(bench: Bench, data: Path, kind: str, count: int, milliseconds: int) -> Table:
    measured = Measured()
    settings = {"batch_size": 512, "max_in_flight": _SLOTS if milliseconds else 256}
    options = StubOptions(service=f"fixed:{milliseconds}", slots=_SLOTS if milliseconds else 0)
    try:
        for name in bench.turns(f"score, {milliseconds} ms", [*_ARMS]):
            with Stub(options, bench.stub, bench.server_core) as stub:
                found = _measure(_ARMS[name], stub.url, data, settings, bench.client_core)
                found["asked"] = stub.counts()["stub_conversations_total"]
            measured.runs.setdefault(name, []).append(found)
    except BenchmarkError as error:
        bench.failures.append(f"score: {error}")

    def faster(name: str) -> float | None:
        return measured.ratio(_BATCHED, "wall_s", name)

    def cells(name: str) -> list[str]:
        return [
            number(count / (measured.median(name, "wall_s") or 1), 0),
            number(faster(name)),
            number(1000 * (measured.median(name, "cpu_s") or 0) / count, 3),
            number(measured.median(name, "unjudged"), 0),
        ]

    entries = [Entry(name, Job(BATCH, "", count), StubOptions()) for name in _ARMS]
    rate = f", {_SLOTS} at once: {_SLOTS * 1000 // milliseconds} rows/s at most" if milliseconds else ""
    return Table(
        "score",
        f"{count} {kind} rows of a parquet file; the judge takes {milliseconds} ms{rate}",
        ("contender", "rows/s", "ratio", "CPU ms/row", "not judged"),
        lines(measured, entries, cells),
        [
            f"ratio: rows a second over those of compute_score_batched; medians of {bench.repeats} processes.",
            "score reads the file, keeps a journal and writes the output in that time; the call has its rows at hand.",
        ],
        [Target(f"ratio of {_SCORE}", faster(_SCORE), 0.95, at_least=True)],
        measured.runs,
    )


def _write_rows(path: Path, count: int) -> str:
    """Real rows, where they are at hand, else made-up ones; says which."""
    if _REAL.exists():
        problems = [json.loads(line) for line in _REAL.read_text(encoding="utf-8").splitlines()]
        rows = [
            ("gsm8k", problem["question"], problem["ground_truth"], problem[author]["solution"])
            for problem in problems
            for author in _AUTHORS
        ][:count]
        kind = "real"
    else:
        sources, candidates, references, extras = made(count, 0, 2_000, 8).columns
        problems_of = [extra["problem"] for extra in extras]
        rows = list(zip(sources, problems_of, references, candidates, strict=True))
        kind = "made-up"
    names = ("data_source", "problem", "reference", "candidate")
    pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), path)
    return kind


def _measure(arm: str, url: str, data: Path, settings: dict[str, Any], core: int | None) -> dict[str, Any]:
    arguments = [arm, url, str(data), str(data.parent), json.dumps(settings)]
    return measured_by([sys.executable, "-W", "ignore", str(_CLIENT), *arguments], what=arm, core=core)
