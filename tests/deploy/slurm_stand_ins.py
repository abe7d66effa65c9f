"""The Slurm scripts, run as Slurm runs them, with judges that are no LLMs and a trainer that is no verl.

The judges are the real `llm-judge-remote serve`, whose checks of the machine are left out and whose engine is a
JudgeServer; the trainer scores a few rows with the real client.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from llm_judge_remote.servers.registry import lookup

SCRIPTS = Path(__file__).parents[2] / "deploy" / "slurm"
JUDGE, ARRAY, VERL = (SCRIPTS / f"{name}.sbatch" for name in ("judge", "judge_array", "verl_with_judges"))
PATIENCE_S = 60.0
KEY = "the-key-of-this-test"

SERVE = """#!{python}
import functools, sys, types
from pathlib import Path
# The machine has no GPU: what would say so is left out, before anything imports it.
checks = types.SimpleNamespace(preflight=lambda *_, **__: [])
sys.modules["llm_judge_remote.serving.checks.preflight"] = checks
from llm_judge_remote.cli import serve
from llm_judge_remote.serving.engines import Command
from llm_judge_remote.serving.service import Service
import typer

def engine(spec, python, folder):
    words = [sys.executable, "-m", "llm_judge_remote.testing", "--port", str(spec.port), "--model", spec.name]
    return Command([*words, "--api-key", spec.api_key()], {{}})

serve.Service = functools.partial(Service, command=engine)
app = typer.Typer()
app.command("serve")(serve.serve)
app.command("other")(lambda: None)
app()
"""
VERL_MODULE = """
import json, os, signal, sys, time
from pathlib import Path
from llm_judge_remote import compute_score
folder = Path(os.environ["VERL_FOLDER"])
if os.environ.get("VERL_STAYS"):
    signal.signal(signal.SIGTERM, lambda *_: (folder.joinpath("terminated").touch(), sys.exit(7)))
    folder.joinpath("started").touch()
    time.sleep(60)
rows = [
    compute_score("maths", f"It is {i}.", f"It is {i}.", {"problem": f"{i}?"}, temperature=0, return_details=True)
    for i in range(16)
]
told = {"words": sys.argv[1:], "url": os.environ["LLM_JUDGE_SERVER_URL"], "rows": rows}
folder.joinpath("verl.json").write_text(json.dumps(told))
"""
SCANCEL = """#!/bin/bash
echo "$*" >>"$SLURM_FOLDER/scancel"
if [[ "$*" == *--signal=TERM* ]]; then
  cat "$SLURM_FOLDER"/pids | xargs --no-run-if-empty kill -TERM
fi
"""
SQUEUE = """#!/bin/bash
echo "$*" >>"$SLURM_FOLDER/squeue"
cat "$SLURM_FOLDER/squeue.answer" 2>/dev/null || exit 0
exit "$(cat "$SLURM_FOLDER/squeue.code" 2>/dev/null || echo 0)"
"""


class Slurm:
    """A folder with stand-ins on PATH, and the scripts that run."""

    def __init__(self, folder):
        self.folder = folder
        self.url = f"file://{folder}/shared/judge/slurm/judge"
        self.running = []
        binaries = folder / "bin"
        binaries.mkdir()
        stand_ins = {"llm-judge-remote": SERVE.format(python=sys.executable), "scancel": SCANCEL, "squeue": SQUEUE}
        stand_ins["python3"] = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
        for name, text in stand_ins.items():
            (binaries / name).write_text(text)
            (binaries / name).chmod(0o755)
        trainer = folder / "modules" / "verl" / "trainer"
        trainer.mkdir(parents=True)
        (trainer / "main_ppo.py").write_text(VERL_MODULE)
        (folder / "pids").touch()
        self.preset = folder / "preset.yaml"
        self.preset.write_text("model: Qwen/Qwen3-32B\nhost: 127.0.0.1\ndrain_timeout: 5\n")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LLM_JUDGE_")},
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "modules"),
            "SLURM_FOLDER": str(folder),
            "VERL_FOLDER": str(folder),
            "SLURMD_NODENAME": "localhost",
            "JUDGE_REGISTRY": f"file://{folder}/shared",
            "LLM_JUDGE_API_KEY": KEY,
        }

    def start(self, script, *words, **variables):
        """Run a script as sbatch does: a copy of it, in bash, in a session of its own."""
        copy = self.folder / f"slurm_script_{len(self.running)}"
        shutil.copy(script, copy)
        log = (self.folder / f"log_{len(self.running)}").open("wb")
        with log:
            process = subprocess.Popen(
                ["/bin/bash", copy, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**self.environment, **variables},
                start_new_session=True,
            )
        process.log = Path(log.name)
        self.running.append(process)
        return process

    def start_array(self, tasks, first_port, *words, **variables):
        started = [
            self.start(
                *(ARRAY, self.preset, *words),
                SLURM_ARRAY_JOB_ID="41",
                SLURM_ARRAY_TASK_ID=str(task),
                SLURM_ARRAY_TASK_MAX=str(tasks - 1),
                JUDGE_PORT=str(first_port),
                **variables,
            )
            for task in range(tasks)
        ]
        (self.folder / "pids").write_text("\n".join(str(one.pid) for one in started) + "\n")
        return started

    def wait_for_judges(self, count):
        wait_for(lambda: len(lookup(self.url)) == count, f"{count} judges", self.running)
        return lookup(self.url)

    def told(self, name):
        """What a stand-in of Slurm's was asked."""
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(reached, what, processes=()):
    until = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > until:
            logs = "\n".join(f"--- {one.log.name}\n{one.log.read_text()[-2000:]}" for one in processes)
            raise AssertionError(f"{what}: not in {PATIENCE_S:.0f} s\n{logs}")
        time.sleep(0.05)


def ended(process):
    """A script's exit code, and what it said."""
    try:
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it does not end:\n{process.log.read_text()}") from None
    return code, process.log.read_text()


def free_ports_in_a_row(count):
    """The first of so many ports at which nobody listens now."""
    for first in range(21000, 32000, 50):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("", port)))
            return first
    raise AssertionError("no ports are free")
