"""Files that `llm-judge-remote prepare` made of real data: verl's own data set reads them, and every row is scored."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from typer.testing import CliRunner
from verl import DataProto
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from llm_judge_remote import compute_score_batched
from llm_judge_remote.cli.main import app
from llm_judge_remote.dataset.inspection import inspect_file
from llm_judge_remote.testing import JudgeServer

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SOURCES = {"math500": DATA / "math500_test.jsonl", "gsm8k": DATA / "gsm8k_test.jsonl"}
OTHER = {"math500": "gsm8k", "gsm8k": "math500"}
PAIRS = 60
METHODS = (
    "random_pairing:same_problem",
    "random_pairing:full_random",
    "unused_examples",
    "perturbed_solution",
    "separate_dataset",
)
WAYS = {
    "rows": [],
    "all_references": ["--all-references"],
    "judge_settings": ["--judge-setting", "temperature=0.0", "--judge-setting", "prompt_template=concise"],
    "prompt": ["--system-prompt", "Think {first}.", "--prompt-template", "{problem}\nGive the answer in \\boxed{}."],
    "prefix": ["--assistant-prefix-ratio", "0.3", "--include-target-gt"],
    "targets": ["--augment-target-gt", "random:2", "--subset-size", "80"],
    "subset": ["--subset-size", "80", "--seed", "3"],
    **{method: ["--mia", method, "--pairs", str(PAIRS)] for method in METHODS},
    "reverse": ["--mia", METHODS[0], "--pairs", str(PAIRS), "--reverse-member"],
}
WHOLE = ("rows",)
"""What is made of all rows; the rest of the first few hundred."""


@pytest.fixture(params=SOURCES)
def name(request):
    if not SOURCES[request.param].exists():
        pytest.skip(f"the real data is not here: {SOURCES[request.param]}")
    return request.param


@pytest.fixture
def prepared(name, tmp_path):
    """Runs the command; the file that it wrote."""

    def run(way):
        source, output = SOURCES[name], tmp_path / f"{name}.parquet"
        if way not in WHOLE:
            source = tmp_path / "some.jsonl"
            with SOURCES[name].open(encoding="utf-8") as lines:
                source.write_text("".join(line for _, line in zip(range(200), lines, strict=False)), encoding="utf-8")
        words = ["prepare", name, "--input", str(source), "--split", "test", "--output", str(output), *WAYS[way]]
        if way == "separate_dataset":
            words += ["--separate-input", str(SOURCES[OTHER[name]])]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return output

    return run


def read(path, tokenizer):
    """The rows as verl's trainer has them."""
    options = {"prompt_key": "prompt", "max_prompt_length": 8192, "cache_dir": str(path.parent / "cache")}
    data = RLHFDataset(str(path), tokenizer, OmegaConf.create(options))
    return DataProto.from_single_dict(collate_fn([data[number] for number in range(len(data))]))


@pytest.mark.parametrize("way", WAYS)
def test_verl_reads_what_was_prepared_and_every_row_is_judged(way, name, prepared, tokenizer):
    path = prepared(way)
    rows = read(path, tokenizer).non_tensor_batch
    count = pq.ParquetFile(path).metadata.num_rows
    assert len(rows["data_source"]) == count  # verl left none out
    assert count == {"rows": {"math500": 500, "gsm8k": 1319}[name], "subset": 80, "targets": 80}.get(
        way, PAIRS if "--mia" in WAYS[way] else 200
    )
    truths = [each["ground_truth"] for each in rows["reward_model"]]
    candidates = [f"I say row={number}" for number in range(count)]
    with JudgeServer(judge="REWARD: 0.75", model="Qwen/Qwen3-32B") as server:
        # As verl's batch manager calls it: arrays of objects.
        details = compute_score_batched(
            data_sources=rows["data_source"],
            solution_strs=candidates,
            ground_truths=truths,
            extra_infos=rows["extra_info"],
            server_url=server.url,
            return_details=True,
        )
        prompts = [one[-1]["content"] for request in server.requests for one in request.conversations]
    assert {(each["judge_outcome"], each["score"]) for each in details} == {("judged", 0.75)}
    assert {*rows["data_source"]} == {f"llm_judge_remote_{name}"}
    shown = dict(zip(map(_number, prompts), prompts, strict=False))
    for number, extra in enumerate(rows["extra_info"]):
        assert extra["problem"] in shown[number]
        assert extra["index"] == number
        references = extra.get("target_gt") or truths[number]
        assert any(text in shown[number] for text in ([references] if isinstance(references, str) else references))
        assert extra["problem"] in "".join(turn["content"] for turn in rows["raw_prompt"][number])


@pytest.mark.parametrize("way", WAYS)
def test_an_inspection_finds_no_error_in_what_was_prepared(way, name, prepared):
    path = prepared(way)
    report = inspect_file(path, examples=1)
    expected = {"judge_settings": {"setting_override"}}.get(way, set())
    # Real data sets hold some: a problem that appears twice, a solution that is a word.
    allowed = {"duplicate", "other_reference", "reference_in_prompt", "problem_not_in_prompt", "target_replaces"}
    assert not report.has_errors
    assert expected <= {finding.code for finding in report.findings} <= expected | allowed
    assert report.metadata


@pytest.mark.parametrize("method", METHODS)
def test_members_are_trained_on_and_each_pair_scores_as_a_row_of_its_own(method, name, prepared, tokenizer):
    path = prepared(method)
    rows = read(path, tokenizer).non_tensor_batch
    lines = {
        kind: [json.loads(line) for line in path.with_name(f"{name}_{kind}.jsonl").read_text("utf-8").splitlines()]
        for kind in ("members", "nonmembers")
    }
    assert {len(each) for each in lines.values()} == {PAIRS}
    own = {
        (extra["problem"], model["ground_truth"])
        for extra, model in zip(rows["extra_info"], rows["reward_model"], strict=True)
    }
    assert own == {(each["problem"], each["solution"]) for each in lines["members"]}
    assert not own & {(each["problem"], each["solution"]) for each in lines["nonmembers"]}
    pairs = [*lines["members"], *lines["nonmembers"]]
    with JudgeServer(judge="REWARD: 1.0") as server:
        details = compute_score_batched(
            np.array([f"llm_judge_remote_{name}"] * len(pairs), dtype=object),
            ["I say so."] * len(pairs),
            [each["solution"] for each in pairs],
            [{"problem": each["problem"]} for each in pairs],
            server_url=server.url,
            return_details=True,
        )
    assert {each["judge_outcome"] for each in details} == {"judged"}


def _number(prompt):
    return int(prompt.rpartition("I say row=")[2].split()[0])
