"""Benchmarks: this package and the alternatives in the same run, one table per regime.

    python tests/benchmarks/run.py [REGIME...] [--quick] [--json FILE]

client_bound       the server answers at once: CPU per sample
server_bound       256 slots, log-normal service times: wall time against the ideal schedule
tail               the same, and 1 % of requests hang for good
mixed_faults       errors, resets, garbage, hangs, dripping answers on the first attempt
overload           16 processes at a server that turns away what it cannot take
async_and_threads  hundreds of single calls at once against one batched call
memory             100,000 samples in one call
real_vllm          a vLLM server on this machine with a small model; only when it is named (see --vllm-python)
two_vllms          two of them, and vllm-router: prefix-cache hits with and without affinity; only when it is named
agreement          one of them: ways of asking against labels; only when it is named (see --rows)
score              the command `score` against one batched call; only when it is named
verl               verl's reward worker against one batched call; only when it is named (see --verl-python)
data_prep          a million rows made into parquet and pairs; only when it is named (pandas is wanted beside it, and
                   where it is installed, here or beside --verl-python, datasets)

Every run has a fresh client process and a fresh server process, on CPUs of their own where there are two. The server
is `stub_server.py` unless `--stub` names another one. Figures are medians of `--repeats` runs, contenders in turn.
The package that is measured is the installed one; `aiohttp` and `openai` are wanted beside it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from bench import Bench
from table import Table

import llm_judge_remote

__all__ = ["main"]

_USUAL = ("client_bound", "server_bound", "tail", "mixed_faults", "overload", "async_and_threads", "memory")
_REGIMES = (*_USUAL, "real_vllm", "two_vllms", "agreement", "score", "verl", "data_prep")


def main(arguments: list[str] | None = None) -> int:
    """Run the regimes; returns the exit code: 1 if something could not be measured. A missed target is no error."""
    options = _parser().parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    bench = Bench(
        repeats=options.repeats or (1 if options.quick else 3),
        quick=options.quick,
        samples=options.samples,
        stub=options.stub,
        rows_file=options.rows,
        vllm_python=options.vllm_python,
        verl_python=options.verl_python,
        client_core=cores[0] if len(cores) > 1 else None,
        server_core=cores[-1] if len(cores) > 1 else None,
    )
    machine = {
        "package": f"llm_judge_remote {llm_judge_remote.__version__} in {Path(llm_judge_remote.__file__).parent}",
        "python": platform.python_version(),
        "cpus": len(cores) or os.cpu_count(),
        "repeats": bench.repeats,
    }
    _print(", ".join(f"{name}: {value}" for name, value in machine.items()))
    if bench.quick:
        _print("--quick: to see that everything works; the figures mean little")
    tables: list[Table] = []
    for name in options.regime or _USUAL:
        began = time.monotonic()
        made = importlib.import_module(f"regimes.{name}").run(bench)
        tables += made
        for table in made:
            _print(f"\n{table}")
        _print(f"   ({time.monotonic() - began:.0f} s)")
    for failure in bench.failures:
        _print(f"\nFAILED {failure}")
    if options.json:
        content = {"machine": machine, "tables": [table.to_dict() for table in tables], "failures": bench.failures}
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if bench.failures else 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    which = "which to run; all but those that only run when they are named if none"
    add("regime", nargs="*", choices=[[], *_REGIMES], metavar="REGIME", help=which)
    add("--quick", action="store_true", help="small numbers and one run of each: to see that it works")
    add("--repeats", type=int, help="runs of each contender (3; 1 with --quick)")
    add("--samples", type=int, help="samples, in place of each regime's own number")
    add("--json", metavar="FILE", help="write all figures, those of every single run too")
    add("--stub", metavar="EXE", help="another stub server that takes the options of stub_server.py (-O aside)")
    add("--rows", metavar="FILE", default="", help="real rows for those with vLLM, as JSON lines; see rows.from_file")
    add("--vllm-python", metavar="EXE", default=sys.executable, help="interpreter of an environment with vLLM")
    add("--verl-python", metavar="EXE", default="", help="interpreter of an environment with verl and this package")
    return parser


if __name__ == "__main__":
    sys.exit(main())
