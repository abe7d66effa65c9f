"""Two real vLLM servers: what does it bring that a group's samples go to the same one?"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import prompts
import rows
import vllm_server
from bench import Bench, Entry, Measured, lines
from job import REQUESTS, Job
from prefix_blocks import possible_hits
from processes import BenchmarkError, StubOptions, read_metrics
from table import Table, Target, number

from llm_judge_remote import Judge, Judgement, JudgeSettings, Outcome, Sample
from llm_judge_remote.serving.launch import Engine, EngineError, free_port
from llm_judge_remote.serving.small_model import small_server
from llm_judge_remote.serving.vllm import vllm_command, vllm_environment

__all__ = ["run"]

_GROUP, _AUTHORS = 8, 4
_START_S = 900
_BLOCKS = 320  # of each server's KV cache: room for twenty prompts
_IN_FLIGHT = 32
_MEMORY = {"VLLM_CPU_KVCACHE_SPACE": "1"}  # GiB
_SHAPE = {"model_name": vllm_server.MODEL_NAME, "temperature": 0, "structured_output": "on", "max_new_tokens": 16}
# What takes long is not asked again: it would be counted again.
_SETTINGS = {**_SHAPE, "timeout": 900, "hedging": "off", "max_retries": 0}
_ROUND_ROBIN = "round robin"
_LEAST = "ours, least in flight"
_AFFINITY = "ours, affinity"
_NO_HEADER = "vllm-router, no header"
_HEADER = "vllm-router, header"
_ARMS = (_ROUND_ROBIN, _LEAST, _AFFINITY, _NO_HEADER, _HEADER)

_Score = Callable[[Sequence[Sample]], Sequence[Judgement]]


def run(bench: Bench) -> list[Table]:
    """One table: ways of dealing groups of eight out to two servers with small KV caches."""
    if not bench.rows_file:
        bench.failures.append("two_vllms: name real solutions with --rows; see rows.from_file")
        return []
    given = _groups_of_eight(Path(bench.rows_file), bench.count(160, 16))
    samples = [Sample.from_row(*row) for row in zip(*given.columns, strict=True)]
    measured, possible = Measured(), 0
    with tempfile.TemporaryDirectory(prefix="llm-judge-bench-") as folder, ExitStack() as stack:
        try:
            urls = stack.enter_context(_two_servers(bench.vllm_python, Path(folder)))
            asked = [vllm_server.tokens(urls[0], each.messages) for each in prompts.chat_requests(given, **_SHAPE)]
            possible = possible_hits(asked, vllm_server.BLOCK)
            arms = _arms(stack, urls, Path(folder), measured)
            _say_prompts(bench, asked)
            for score in arms.values():
                score(samples[:2])  # connections, and what the servers can
            for name in bench.turns("two_vllms", [*arms]):
                measured.runs.setdefault(name, []).append(_measure(arms[name], urls, samples))
        except (BenchmarkError, EngineError, OSError) as error:
            bench.failures.append(f"two_vllms: {error}")
    return [_table(bench, len(samples), measured, possible)] if measured.runs else []


def _say_prompts(bench: Bench, asked: Sequence[Sequence[int]]) -> None:
    bench.say(f"two_vllms: {len(asked)} prompts of {sum(map(len, asked)) / len(asked):.0f} tokens")


def _groups_of_eight(path: Path, count: int) -> rows.Rows:
    """Four solutions to each problem, and the same without their last line, like rollouts that were cut off."""
    whole = rows.from_file(path, count // 2)
    found = rows.Rows([], [], [], [])
    for start in range(0, len(whole), _AUTHORS):
        group = range(start, min(start + _AUTHORS, len(whole)))
        found.solutions.extend(whole.solutions[index] for index in group)
        found.solutions.extend(_cut(whole.solutions[index]) for index in group)
        for _ in range(2):
            found.data_sources.extend(whole.data_sources[index] for index in group)
            found.references.extend(whole.references[index] for index in group)
            found.extras.extend(whole.extras[index] for index in group)
    return found


def _cut(solution: str) -> str:
    return solution.rpartition("\n")[0] or solution[: len(solution) // 2]


@contextmanager
def _two_servers(python: str, folder: Path) -> Iterator[list[str]]:
    """Two servers that are well, each with a CPU of its own where there are two."""
    extra = ("--block-size", str(vllm_server.BLOCK), "--num-gpu-blocks-override", str(_BLOCKS))
    server = small_server(vllm_server.small_checkpoint(python)).model_copy(update={"extra_args": extra})
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    engines: list[Engine] = []
    with ExitStack() as stack:
        for place in (0, -1):
            # /reset_prefix_cache is there in the development mode only.
            own = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_OMP_THREADS_BIND": str(cores[place])}
            engine = Engine(
                lambda port: vllm_command(server.at(port), python=python),
                log=folder / f"vllm{place}.log",
                environment={**vllm_environment(server), **_MEMORY, **own},
            )
            engines.append(stack.enter_context(engine))
        for engine in engines:
            engine.wait_until_healthy(_START_S)
        yield [engine.url for engine in engines]


def _arms(stack: ExitStack, urls: Sequence[str], folder: Path, measured: Measured) -> Mapping[str, _Score]:
    """Ways of scoring, by name; all of them keep as much in flight."""

    def judge(where: Sequence[str], **settings: Any) -> Judge:
        given = {"batch_size": _IN_FLIGHT, **_SETTINGS, **settings}
        return stack.enter_context(Judge(JudgeSettings(server_url=list(where), **given)))

    halves = [judge([url], batch_size=_IN_FLIGHT // 2) for url in urls]
    arms: dict[str, _Score] = {
        _ROUND_ROBIN: lambda samples: _dealt_out(halves, samples),
        _LEAST: judge(urls, affinity="off").score,
        _AFFINITY: judge(urls, affinity="on").score,
    }
    if find_spec("vllm_router") is None:
        measured.missing |= dict.fromkeys((_NO_HEADER, _HEADER), "not installed")
        return arms
    router = stack.enter_context(_router(urls, folder))
    arms[_NO_HEADER] = judge([router], routing_header="off").score
    arms[_HEADER] = judge([router]).score
    return arms


@contextmanager
def _router(urls: Sequence[str], folder: Path) -> Iterator[str]:
    """vLLM's own balancer in front of the servers."""

    def command(port: int) -> list[str]:
        options = ["--policy", "consistent_hash", "--host", "127.0.0.1", "--port", str(port)]
        options += ["--prometheus-port", str(free_port()), "--log-level", "error"]
        return [sys.executable, "-m", "vllm_router.launch_router", "--worker-urls", *urls, *options]

    with Engine(command, log=folder / "router.log") as engine:
        engine.wait_until_healthy(60)
        yield engine.url


def _dealt_out(judges: Sequence[Judge], samples: Sequence[Sample]) -> Sequence[Judgement]:
    """One to the first server, one to the second, and so on."""
    with ThreadPoolExecutor(len(judges)) as pool:
        parts = [samples[place :: len(judges)] for place in range(len(judges))]
        found = pool.map(lambda judge, part: judge.score(part), judges, parts)
        return [judgement for part in found for judgement in part]


def _measure(score: _Score, urls: Sequence[str], samples: Sequence[Sample]) -> dict[str, float]:
    for url in urls:
        vllm_server.empty_cache(url)
    before = [_counts(url) for url in urls]
    began = time.monotonic()
    judgements = score(samples)
    wall_s = time.monotonic() - began
    time.sleep(0.5)  # the last counts come with the engine's next step
    (queries, hits), each = _sum(before, [_counts(url) for url in urls])
    return {
        "wall_s": wall_s,
        "queries": queries,
        "hits": hits,
        "computed": queries - hits,
        "busier": max(each) / max(queries, 1),
        "unjudged": sum(each.outcome is not Outcome.JUDGED for each in judgements),
    }


def _counts(url: str) -> tuple[float, float]:
    """Prompt tokens that were looked for in the prefix cache, and those that were found."""
    found = read_metrics(url)
    return found.get("vllm:prefix_cache_queries_total", 0.0), found.get("vllm:prefix_cache_hits_total", 0.0)


def _sum(
    before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], list[float]]:
    """What came on top, of all servers; and the tokens that each was asked for."""
    grown = [(new[0] - old[0], new[1] - old[1]) for old, new in zip(before, after, strict=True)]
    return (sum(queries for queries, _ in grown), sum(hits for _, hits in grown)), [queries for queries, _ in grown]


def _table(bench: Bench, count: int, measured: Measured, possible: int) -> Table:
    entries = [Entry(name, Job(REQUESTS, "", count), StubOptions()) for name in _ARMS]

    def rate(name: str) -> float | None:
        return measured.ratio(name, "hits", name, "queries")

    def of_possible(name: str) -> float | None:
        hits = measured.median(name, "hits")
        return None if hits is None else hits / max(possible, 1)

    def over_round_robin(key: str, name: str) -> float | None:
        return measured.ratio(name, key, _ROUND_ROBIN)

    def faster(name: str) -> float | None:
        return measured.ratio(_ROUND_ROBIN, "wall_s", name)

    def cells(name: str) -> list[str]:
        return [
            number(count / (measured.median(name, "wall_s") or 1)),
            number(faster(name)),
            number(100 * (rate(name) or 0), 1),
            number(of_possible(name)),
            number(measured.median(name, "computed"), 0),
            number(over_round_robin("computed", name)),
            number(100 * (measured.median(name, "busier") or 0), 0),
            number(measured.median(name, "unjudged"), 0),
        ]

    return Table(
        "two_vllms",
        f"{vllm_server.MODEL_NAME} twice, {count} rows in groups of {_GROUP} with real solutions;"
        f" KV caches of {_BLOCKS * vllm_server.BLOCK} tokens",
        ("arm", "samples/s", "ratio", "hits %", "of possible", "computed", "ratio", "busier %", "not judged"),
        lines(measured, entries, cells),
        [
            f"ratio: over round robin, medians of {bench.repeats}; {_IN_FLIGHT} in flight at both together.",
            "The caches are emptied before every run; another arm begins with every repeat.",
            "hits: prompt tokens from the prefix caches, of all, by the servers' own counters;",
            f"possible: {possible} tokens, if all went to one server that forgets nothing. computed: prompt tokens.",
            "busier: the part of the prompt tokens that the busier server was sent.",
        ],
        [
            Target("hits with affinity, of the possible ones", of_possible(_AFFINITY), 0.95, at_least=True),
            Target("the same through vllm-router with the header", of_possible(_HEADER), 0.95, at_least=True),
        ],
        {name: list(runs) for name, runs in measured.runs.items()},
    )
