"""What the README says is so."""

import ast
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import SecretStr

import llm_judge_remote
from llm_judge_remote import Judgement, JudgeSettings, Outcome
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.servers.registry import lookup
from llm_judge_remote.setting_sources import ALIASES, ENVIRONMENT_ALIASES
from llm_judge_remote.setting_types import REGISTRIES
from llm_judge_remote.settings import ROW_FIELDS
from llm_judge_remote.testing import JudgeServer, SimulatedJudge

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_table():
    lines = ["| setting | default | | meaning |", "| --- | --- | --- | --- |"]
    for name, field in JudgeSettings.model_fields.items():
        default = "none" if field.default in ((), None, SecretStr("")) else field.default
        lines.append(f"| `{name}` | {default} | {'row' if name in ROW_FIELDS else ''} | {field.description} |")
    return "\n".join(lines)


def code_blocks(language):
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for tag, text in blocks if tag == language]


def test_the_settings_table_is_that_of_the_code():
    table = README.partition("test_readme.py -->\n")[2].partition("\n<!-- end of settings")[0]
    assert table == settings_table()


def test_every_registry_is_told_and_every_address_of_the_readme_is_one():
    addresses = [
        address
        for line in re.findall(r"^\| (`\w+://.*?`) \|", README, re.MULTILINE)
        for address in re.findall("`(.*?)`", line)
    ]
    told = JudgeSettings(server_url=",".join(addresses)).server_url
    assert {url.partition("://")[0] for url in told} == {"http", *REGISTRIES}
    assert JudgeSettings(server_url={"http://a:8000": 2}).server_url == ("http://a:8000#weight=2",)


def test_every_second_name_is_told():
    for name in [*ALIASES, *ENVIRONMENT_ALIASES]:
        assert f"`{name}`" in README


def test_every_key_of_the_details_and_every_outcome_is_told():
    for name in Judgement(0.0, Outcome.JUDGED).to_dict():
        assert f"`{name}`" in README
    for outcome in Outcome:
        assert f"`{outcome.value}`" in README


def test_every_placeholder_is_told():
    for name in PLACEHOLDERS:
        assert f"{{{name}}}" in README


def test_the_template_of_the_readme_works():
    (source,) = (block for block in code_blocks("") if "range:" in block)
    template = TemplateLibrary(PLACEHOLDERS).get(source)
    assert (template.high, template.system) == (10.0, "You are a strict grader.")


def test_the_verl_configurations_name_functions_that_exist_and_settings_that_exist():
    blocks = [yaml.safe_load(block) for block in code_blocks("yaml") if "custom_reward_function" in block]
    assert len(blocks) == 2
    for block in blocks:
        function = block.get("reward", block)["custom_reward_function"]
        assert function["path"].endswith(("pkg://llm_judge_remote", "llm_judge_remote/verl_reward.py"))
        assert callable(getattr(llm_judge_remote, function["name"]))
        assert JudgeSettings.model_fields.keys() >= function.get("reward_kwargs", {}).keys()


def test_the_reward_manager_of_the_readme_is_there_and_its_settings_are():
    (block,) = (yaml.safe_load(block)["reward"] for block in code_blocks("yaml") if "reward_manager:" in block)
    manager = block["reward_manager"]
    path = ROOT / (manager["module"]["path"].removeprefix("pkg://").replace(".", "/") + ".py")
    assert f'"{manager["name"]}"' in path.read_text(encoding="utf-8")
    assert JudgeSettings.model_fields.keys() >= block["reward_kwargs"].keys()


def test_the_package_s_file_can_be_loaded_by_its_path_as_older_verl_does():
    spec = importlib.util.spec_from_file_location("custom_module", llm_judge_remote.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.compute_score_batched is llm_judge_remote.compute_score_batched


def test_the_make_targets_and_files_that_it_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        line.split()[1] for block in code_blocks("sh") for line in block.splitlines() if line.startswith("make ")
    }
    targets |= set(re.findall(r"`make ([\w-]+)`", README))
    assert targets >= {"demo", "test", "test-all"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"`(?:python )?((?:tests|deploy|data_prep)/[\w/]+\.\w+)", README):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"^\| (`.*?`) \|", README, re.MULTILINE):
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", path):
            assert (ROOT / "llm_judge_remote" / name).exists(), name


def test_the_routes_of_the_readme_are_settings():
    (block,) = (block for block in code_blocks("yaml") if "routes:" in block)
    assert set(JudgeSettings(**yaml.safe_load(block)).routes) == {"llm_judge_remote_code", "llm_judge_remote_proofs"}


@pytest.mark.parametrize("block", code_blocks("py"))
def test_what_the_readme_imports_for_a_trainer_is_there(block):
    """Where the trainer is not, by its source; the calls themselves are run in `tests/trainers`."""
    (line,) = (node for node in ast.parse(block).body if isinstance(node, ast.ImportFrom))
    source = (ROOT / f"{line.module.replace('.', '/')}.py").read_text(encoding="utf-8")
    (exported,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    assert {name.name for name in line.names} <= set(exported)


def test_servers_are_registered_and_found_as_the_readme_says(tmp_path, capsys):
    (block,) = (block for block in code_blocks("python") if "register" in block)
    exec(compile(block.replace("file:///shared", f"file://{tmp_path}"), "README.md", "exec"), {})
    assert capsys.readouterr().out == "['http://10.0.0.5:8000']\n"
    assert lookup(f"file://{tmp_path}/experiment/trial/judge") == []


@pytest.mark.parametrize("block", [block for block in code_blocks("python") if "register" not in block])
def test_the_python_of_the_readme_runs(block, monkeypatch):
    with JudgeServer() as server:
        monkeypatch.setenv("LLM_JUDGE_SERVER_URL", server.url)
        monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")  # or it would be asked what it can
        exec(compile(block, "README.md", "exec"), {})
        assert server.stats.conversations == 3
        assert server.stats.statuses == {200: 3}


def test_the_shell_lines_of_the_readme_parse():
    for block in code_blocks("sh"):
        for line in block.splitlines():
            assert shlex.split(line)


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """A folder with the files that the README's commands name, and the programs that they call."""
    monkeypatch.chdir(tmp_path)
    rows = [(f"What is {n} + {n}?", f"{n} + {n} = {2 * n}\n#### {2 * n}") for n in range(300)]
    for name, problem, solution in (("gsm8k_train", "question", "answer"), ("math500_test", "problem", "solution")):
        lines = (json.dumps({problem: row[0], solution: row[1]}) for row in rows)
        Path(f"{name}.jsonl").write_text("\n".join(lines))
    for number in (1, 2):
        Path(f"part-{number}.csv").write_text(f"task,key\n{number}+1?,{number + 1}\n?,\n")
    rollouts = [
        {"problem": row[0], "reference": row[1], "candidate": row[1], "label": n % 2} for n, row in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(rollouts), "rollouts.parquet")
    (block,) = (block for block in code_blocks("yaml") if "compute_score_async" in block)
    Path("train.yaml").write_text(block)
    (tmp_path / "data_prep").symlink_to(ROOT / "data_prep")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return tmp_path


def test_the_commands_of_the_readme_run(user_folder, monkeypatch):
    commands = [
        shlex.split(line)
        for block in code_blocks("sh")
        for line in block.splitlines()
        if line.startswith(("llm-judge-remote ", "python data_prep/")) and line not in (*SERVERS, *STAND_INS)
    ]
    named = {command[1] for command in commands}
    assert named >= {"check", "doctor", "status", "score", "report", "redteam", "prepare", "inspect"}
    commands.sort(key=lambda command: command[1] == "doctor")  # it wants the file that a later line makes
    with JudgeServer(judge=SimulatedJudge()) as server:
        for command in commands:
            given = [word.replace("http://HOST:8000", server.url) for word in command]
            done = subprocess.run(given, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, f"{given}: {done.stdout} {done.stderr}"
    assert pq.read_table("mine.parquet").num_rows == 2
    assert pq.read_table("train.parquet").num_rows == 300
    assert pq.read_table("math500.parquet").num_rows == 100


STAND_INS = [
    line for block in code_blocks("sh") for line in block.splitlines() if line.startswith("llm-judge-remote rehearse")
]


@pytest.mark.parametrize("line", STAND_INS)
def test_the_stand_in_of_the_readme_judges_until_it_is_stopped(line, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    words = shlex.split(line.replace("--port 8000", "--port 0"))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[-1]
            assert "not an LLM" in process.stdout.readline()
            scores = llm_judge_remote.compute_score_batched(["x"] * 2, ["4", "five"], ["4", "4"], server_url=url)
            assert scores[0] > scores[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    assert process.returncode == 0


SERVERS = [
    line
    for block in code_blocks("sh")
    for line in block.splitlines()
    if line.startswith(("llm-judge-remote serve", "python deploy/"))
]


@pytest.mark.parametrize("line", SERVERS)
def test_every_server_of_the_readme_has_a_command_line(line, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    words = shlex.split(line)
    program = sys.executable if words[0] == "python" else str(Path(sys.executable).with_name("llm-judge-remote"))
    command = [program, words[1], "--dry-run", *words[2:]]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True).stdout
    assert "--port" in shown
    assert "secret" not in shown


def test_several_ways_to_start_a_server_are_told():
    assert len(SERVERS) >= 4
