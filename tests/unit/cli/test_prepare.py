"""`llm-judge-remote prepare`, and the recipes, as somebody calls them."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from llm_judge_remote.cli.prepare import prepare
from llm_judge_remote.dataset.parquet import read_metadata
from llm_judge_remote.sample import Sample

HERE = Path(__file__).resolve()
RECIPES = HERE.parents[3] / "data_prep"
REAL = HERE.parents[4] / "shared" / "data"

app = typer.Typer()
app.command()(prepare)


def invoke(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def rows_of(file):
    return pq.read_table(file).to_pylist()


def recipe(name, *words, folder):
    command = [str(RECIPES / name), *map(str, words)]
    if name.endswith(".py"):
        command.insert(0, sys.executable)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def real():
    def find(name):
        if not (REAL / name).exists():
            pytest.skip(f"the real data are not here: {REAL / name}")
        return REAL / name

    return find


@pytest.fixture
def data(tmp_path):
    """Six rows: `task` and `key`, in the last one nothing."""
    file = tmp_path / "data.jsonl"
    rows = [{"task": f"{n}+{n}?", "key": f"{2 * n}", "other": f"It is {2 * n}."} for n in range(5)] + [{"task": ""}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_columns_are_named_and_bad_rows_are_counted(data, tmp_path):
    output = tmp_path / "rows.parquet"
    words = ["sums", "--input", data, "--output", output, "--problem", "task", "--reference", "other", "--skip-bad"]
    done = invoke(*words, "--reference", "key", "--all-references", "--split", "test", "--ability", "sums")
    assert done.exit_code == 0, done.output
    assert f"5 rows in {output}" in done.output
    assert "Rows of the input that were left out: 1\n" in done.output
    rows = rows_of(output)
    assert rows[3]["data_source"] == "llm_judge_remote_sums"
    assert rows[3]["ability"] == "sums"
    assert rows[3]["reward_model"]["ground_truth"] == ["It is 6.", "6"]
    assert rows[3]["extra_info"] == {"index": 3, "split": "test", "problem": "3+3?"}


def test_options_reach_the_rows_and_the_metadata(data, tmp_path):
    output = tmp_path / "rows.parquet"
    words = ["sums", "-i", data, "-o", output, "--problem", "task", "--reference", "key", "--skip-bad"]
    settings = ["--judge-setting", "temperature=0.0", "--judge-setting", "prompt_template=yes_no"]
    prompt = ["--system-prompt", "S", "--prompt-template", "Q: {problem}"]
    done = invoke(*words, *settings, *prompt, "--augment-target-gt", "random:2", "--seed", 3, "--subset-size", 4)
    assert done.exit_code == 0, done.output
    rows = rows_of(output)
    assert len(rows) == 4
    assert [turn["role"] for turn in rows[0]["prompt"]] == ["system", "user"]
    assert rows[0]["prompt"][1]["content"] == "Q: " + rows[0]["extra_info"]["problem"]
    sample = Sample.from_row("", "x", "", rows[0]["extra_info"])
    assert sample.overrides == {"temperature": 0.0, "prompt_template": "yes_no"}
    assert len(sample.references) == 3
    told = read_metadata(output)
    assert (told["recipe"], told["seed"], told["targets"]) == ("llm-judge-remote prepare", 3, "random:2")
    assert told["arguments"]["skip_bad"] is True


def test_conversations_become_prompts_in_row_groups_of_the_size_asked_for(tmp_path):
    turns = [
        [
            {"role": "system", "content": "S"},
            {"role": "user", "content": f"{n}?"},
            {"role": "assistant", "content": "A"},
        ]
        for n in range(5)
    ]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"talk": each}) + "\n" for each in turns))
    output = tmp_path / "rows.parquet"
    words = ["--messages", "talk", "--style", "rule", "--row-group-rows", 2]
    done = invoke("chats", "-i", tmp_path / "chats.jsonl", "-o", output, *words)
    assert done.exit_code == 0, done.output
    assert rows_of(output)[4]["prompt"] == turns[4][:2]
    assert rows_of(output)[4]["reward_model"] == {"style": "rule", "ground_truth": "A"}
    assert pq.ParquetFile(output).num_row_groups == 3


def test_a_hub_s_data_set_is_asked_for_by_its_configuration_and_split(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []

    def refuse(*words):
        asked.append(words)
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset_builder", refuse)
    done = invoke(
        "gsm8k", "-i", "openai/gsm8k", "--hub-config", "main", "--split", "test", "-o", tmp_path / "o.parquet"
    )
    assert done.exit_code == 1
    assert "openai/gsm8k is no file or folder here, and cannot be read from the hub (ConnectionError: no network)" in (
        done.output
    )
    assert asked == [("openai/gsm8k", "main")]


def test_without_an_output_the_file_has_the_name_of_the_data_set(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("sums", "-i", data, "--problem", "task", "--reference", "key", "--skip-bad")
    assert done.exit_code == 0, done.output
    assert len(rows_of("sums.parquet")) == 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--problem", "question"], 1, "task"),  # the columns that there are
        (["--problem", "task", "--reference", "key"], 1, "line 6"),
        (["--mia", "random"], 2, "random_pairing:same_problem"),
        (["--mia", "separate_dataset"], 2, "needs other inputs"),
        (["--pairs", "3"], 2, "--mia is missing"),
        (["--reverse-member"], 2, "--mia is missing"),
        (["--augment-target-gt", "nearest"], 2, "lexical:K"),
        (["--judge-setting", "timeout=3"], 2, "a row cannot change it"),
        (["--judge-setting", "temperature"], 2, "NAME=VALUE"),
        (["--layout", "trl"], 2, "skyrl"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(data, tmp_path, words, code, said):
    columns = [] if "--problem" in words else ["--problem", "task", "--reference", "key"]
    done = invoke("sums", "-i", data, "-o", tmp_path / "out" / "rows.parquet", *columns, *words)
    assert done.exit_code == code, done.output
    assert said in done.output
    assert "Traceback" not in done.output
    assert not list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else True


def test_a_name_that_cannot_be_a_data_source_is_refused(data):
    done = invoke("my data", "-i", data)
    assert done.exit_code == 2
    assert "no name for a data set" in done.output


def test_files_that_are_not_there_are_an_error(tmp_path):
    done = invoke("sums", "-i", tmp_path / "none.jsonl", "-o", tmp_path / "rows.parquet")
    assert done.exit_code == 1
    assert "none.jsonl" in done.output
    assert not list(tmp_path.iterdir())


def test_stopped_it_says_that_it_can_go_on(data, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_judge_remote.dataset.job.in_order", stop)
    done = invoke("sums", "-i", data, "-o", tmp_path / "rows.parquet", "--problem", "task", "--reference", "key")
    assert done.exit_code == 130
    assert "the same command goes on from here" in done.output


@pytest.mark.parametrize(
    "method",
    [
        "random_pairing:same_problem",
        "random_pairing:full_random",
        "unused_examples",
        "perturbed_solution",
        "separate_dataset",
    ],
)
@pytest.mark.parametrize(("name", "count"), [("math500_test.jsonl", 500), ("gsm8k_test.jsonl", 1319)])
def test_real_data_go_through_every_method(real, tmp_path, name, count, method):
    other = real("gsm8k_test.jsonl" if name.startswith("math") else "math500_test.jsonl")
    extra = ["--separate-input", other] if method == "separate_dataset" else []
    output = tmp_path / "m.parquet"
    done = invoke("real", "-i", real(name), "-o", output, "--mia", method, "--include-target-gt", *extra)
    assert done.exit_code == 0, done.output
    members, others = (
        [json.loads(line) for line in (tmp_path / f"m_{kind}.jsonl").read_text().splitlines()]
        for kind in ("members", "nonmembers")
    )
    assert len(members) == len(others) == pq.read_metadata(output).num_rows > 0.25 * count
    own = {(each["problem"], each["solution"]) for each in members}
    assert not own & {(each["problem"], each["solution"]) for each in others}
    for row, member in zip(rows_of(output), members, strict=True):
        assert row["extra_info"]["target_gt"] == [member["solution"]] == [row["reward_model"]["ground_truth"]]


def test_the_recipe_of_math500_asks_for_a_box(real, tmp_path):
    done = recipe("prepare_math500.py", "--input", real("math500_test.jsonl"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "math500.parquet")
    assert len(rows) == 500
    assert rows[0]["prompt"][-1]["content"].endswith(r"put your final answer within \boxed{}.")
    assert r"\boxed" in rows[0]["reward_model"]["ground_truth"]
    assert rows[0]["extra_info"]["split"] == "test"
    assert read_metadata(tmp_path / "math500.parquet")["recipe"] == "prepare_math500.py"


def test_the_recipe_of_gsm8k_has_skyrls_layout_too(real, tmp_path):
    words = ["--input", real("gsm8k_test.jsonl"), "--layout", "skyrl", "--output", "out.parquet"]
    done = recipe("prepare_gsm8k.py", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    row = rows_of(tmp_path / "out.parquet")[0]
    assert row["env_class"] == "llm_judge_remote"
    assert row["reward_spec"]["ground_truth"].endswith("#### 18")
    assert row["prompt"][0]["content"].endswith('after "####".')


def test_the_recipe_for_any_file_has_no_defaults(data, tmp_path):
    words = ["mine", "--input", data, "--problem", "task", "--reference", "key", "--skip-bad"]
    done = recipe("prepare_custom.py", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "mine.parquet")[0]["prompt"] == [{"role": "user", "content": "0+0?"}]


def test_the_recipe_of_membership_pairs_is_one_command(real, tmp_path):
    name = "prepare_math500_mia_data_llm_judge_remote_qwen_same_problem.sh"
    done = recipe(name, "--input", real("math500_test.jsonl"), "--pairs", 20, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    stem = "math500_mia_same_problem"
    endings = (".parquet", "_members.jsonl", "_nonmembers.jsonl", "_summary.json")
    assert {file.name for file in tmp_path.iterdir()} == {stem + ending for ending in endings}
    summary = json.loads((tmp_path / f"{stem}_summary.json").read_text())
    assert (summary["membership"]["method"], summary["counts"]["members"], summary["seed"]) == ("same_problem", 20, 42)


@pytest.mark.parametrize("name", ["prepare_math500.py", "prepare_gsm8k.py", "prepare_custom.py"])
def test_recipes_explain_themselves(tmp_path, name):
    done = recipe(name, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Usage: {name}" in done.stdout
