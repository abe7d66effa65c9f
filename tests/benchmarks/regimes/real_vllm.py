"""A real vLLM server: what do the order of the rows and the batch endpoint bring?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import prompts
import rows
import vllm_server
from bench import Bench, Entry, Measured, lines
from job import AIOHTTP, BATCH, OPENAI, REQUESTS, SINGLE, Job, is_installed
from prefix_blocks import possible_hits
from processes import BenchmarkError, Client, StubOptions, read_metrics
from table import Table, Target, number

from llm_judge_remote.serving.launch import EngineError

__all__ = ["run"]

_GROUP = 4
_READY_S, _RUN_S = 300, 3_600
_IN_FLIGHT = 64
_FEWEST_BLOCKS = 140  # room for one prompt of the most tokens that the server takes
_SHAPE = {"model_name": vllm_server.MODEL_NAME, "temperature": 0, "structured_output": "on", "max_new_tokens": 24}
_REAL = (REQUESTS, SINGLE, BATCH)
_ALL = (REQUESTS, AIOHTTP, OPENAI, SINGLE, BATCH)


@dataclass(frozen=True, slots=True)
class _Prompts:
    tokens: int
    possible_hits: int


def run(bench: Bench) -> list[Table]:
    """Three tables: the cache cut to a tenth, a large one, and a model that costs nothing."""
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(prefix="llm-judge-bench-") as folder:
        try:
            # What was measured is shown, even if the next server does not start.
            for table in _tables(bench, Path(folder)):
                tables.append(table)  # noqa: PERF402
        except (BenchmarkError, EngineError, OSError) as error:
            bench.failures.append(f"real_vllm: {error}")
    return tables


def _tables(bench: Bench, folder: Path) -> Iterator[Table]:
    python, count = bench.vllm_python, bench.count(400, 16)
    job = Job(REQUESTS, "", count, row_bytes=1_400, group=_GROUP, in_flight=_IN_FLIGHT, timeout=1_800, retries=3)
    job = replace(job, settings=_SHAPE, rows_file=bench.rows_file, shuffle=7, warmup=1)
    size = f"{count} {'real' if job.rows_file else 'made'} rows in groups of {_GROUP}, shuffled"
    small = vllm_server.small_checkpoint(python)
    tiny = vllm_server.tiny_checkpoint(python, small, folder / "tiny")
    with vllm_server.running(python, tiny, folder) as url:
        known = _prompts(url, job)  # the same with either model, as they share the tokenizer
        measured = _measure(bench, "tiny model", url, replace(job, warmup=32), _ALL)
    yield _table(bench, f"two layers of random weights, {size}; a large KV cache", measured, job, known, None)
    blocks = max(known.tokens // 10 // vllm_server.BLOCK, _FEWEST_BLOCKS)
    with vllm_server.running(python, small, folder, blocks=blocks) as url:
        measured = _measure(bench, "cache cut", url, job, _REAL)
    what = f"KV cache of {blocks * vllm_server.BLOCK} of {known.tokens} tokens"
    yield _table(bench, f"{vllm_server.MODEL_NAME}, {size}; {what}", measured, job, known, 1.25)
    with vllm_server.running(python, small, folder) as url:
        measured = _measure(bench, "large cache", url, job, _REAL)
    yield _table(bench, f"{vllm_server.MODEL_NAME}, {size}; a large KV cache", measured, job, known, 1.0)


def _prompts(url: str, job: Job) -> _Prompts:
    if job.rows_file:
        found = rows.from_file(Path(job.rows_file), job.count)
    else:
        found = rows.made(job.count, job.first, job.row_bytes, job.group)
    asked = [vllm_server.tokens(url, request.messages) for request in prompts.chat_requests(found)]
    return _Prompts(sum(map(len, asked)), possible_hits(asked, vllm_server.BLOCK))


def _measure(bench: Bench, what: str, url: str, job: Job, names: Sequence[str]) -> Measured:
    measured = Measured()
    for repeat in range(bench.repeats):
        for name in names:
            if not is_installed(name):
                measured.missing[name] = "not installed"
                continue
            bench.say(f"real_vllm, {what}: {name}: run {repeat + 1} of {bench.repeats}")
            with Client(replace(job, contender=name, url=url)) as client:
                client.wait_until_ready(_READY_S)
                vllm_server.empty_cache(url)
                before = read_metrics(url)
                client.go()
                result = client.result(_RUN_S)
                time.sleep(0.2)  # the last counts come with the engine's next step
                after = read_metrics(url)
            for counter in ("queries", "hits"):
                metric = f"vllm:prefix_cache_{counter}_total"
                result[counter] = after.get(metric, 0.0) - before.get(metric, 0.0)
            measured.runs.setdefault(name, []).append(result)
    return measured


def _table(bench: Bench, title: str, measured: Measured, job: Job, known: _Prompts, target: float | None) -> Table:
    entries = [Entry(name, job, StubOptions()) for name in _ALL if name in measured.runs or name in measured.missing]

    def share(name: str) -> float | None:
        hits = measured.median(name, "hits")
        return None if hits is None else hits / max(known.possible_hits, 1)

    def faster(name: str) -> float | None:
        return measured.ratio(REQUESTS, "wall_s", name)

    def cells(name: str) -> list[str]:
        return [
            number(job.count / (measured.median(name, "wall_s") or 1)),
            number(faster(name)),
            number(measured.median(name, "hits"), 0),
            number(share(name)),
            number(1000 * (measured.median(name, "cpu_s") or 0) / job.count),
            number(measured.median(name, "lost"), 0),
        ]

    targets = []
    for name in (SINGLE, BATCH) if target is not None else ():
        targets.append(Target(f"samples/s of {name} over the requests pool", faster(name), target or 0, at_least=True))
        if target != 1.0:
            targets.append(Target(f"hits of {name} over the possible ones", share(name), 0.9, at_least=True))
    return Table(
        "real_vllm",
        title,
        ("contender", "samples/s", "ratio", "hits", "of possible", "CPU ms/sample", "lost"),
        lines(measured, entries, cells),
        [
            f"ratio: samples/s over the requests pool's, medians of {bench.repeats}; {job.in_flight} in flight.",
            "Ours gets the rows shuffled too. The prefix cache is emptied before every run.",
            f"hits: prompt tokens from the prefix cache (the server's own counter); possible: {known.possible_hits},",
            f"tokens in whole blocks of {vllm_server.BLOCK} that an earlier prompt brought, the common frame included.",
        ],
        targets,
        {name: list(runs) for name, runs in measured.runs.items()},
    )
