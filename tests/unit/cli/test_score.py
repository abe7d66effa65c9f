"""`llm-judge-remote score`: its options, what it prints, for people and for programs, and how it ends."""

import io
import json
import re

import pyarrow.parquet as pq
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from llm_judge_remote import Judgement, Outcome
from llm_judge_remote.cli import score_progress
from llm_judge_remote.cli.score import score
from llm_judge_remote.offline import job
from llm_judge_remote.offline.tally import Tally
from llm_judge_remote.testing import Fault, JudgeServer

app = typer.Typer()
app.command()(score)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_STRUCTURED_OUTPUT", "off")
    monkeypatch.setenv("LLM_JUDGE_STARTUP_TIMEOUT", "0")
    with JudgeServer(judge="REWARD: 0.5") as running:
        yield running


@pytest.fixture
def data(tmp_path):
    """Three rows with unusual names."""
    rows = [{"task": f"{n}+{n}?", "key": f"{2 * n}", "said": f"It is {2 * n}."} for n in (1, 2, 3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "rows.jsonl"


@pytest.fixture
def run(server, data, tmp_path):
    """The command over the three rows; `OUT` is its output."""

    def invoke(*words, path=data, out=tmp_path / "out.parquet", url=server.url):
        named = [] if path != data else ["--candidate", "said", "--problem", "task", "--reference", "key"]
        where = ["--server-url", url] if url else []
        result = CliRunner().invoke(app, [*map(str, (path, out)), *named, *where, *map(str, words)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def rows_of(path):
    return pq.read_table(path).to_pylist()


def test_the_columns_that_are_named_are_judged(run, server, tmp_path):
    result = run("--model", "Qwen/Qwen3-32B", "--template", "concise", "--set", "temperature=0")
    assert result.exit_code == 0
    found = rows_of(tmp_path / "out.parquet")
    assert [(row["task"], row["score"], row["judge_outcome"]) for row in found] == [
        ("1+1?", 0.5, "judged"),
        ("2+2?", 0.5, "judged"),
        ("3+3?", 0.5, "judged"),
    ]
    (text,) = {json.dumps(c) for r in server.requests for c in r.conversations if "1+1?" in json.dumps(c)}
    assert "It is 2." in text
    assert server.requests[-1].body["temperature"] == 0


def test_the_end_is_told_in_a_few_lines_that_fit_a_terminal(run, tmp_path):
    result = run()
    first, second, third, fourth = result.stdout.splitlines()
    assert first == f"3 rows in {tmp_path / 'out.parquet'}: 3 judged"
    assert re.fullmatch(r"3 rows in 0:0\d: [\d.,]+ rows/s", second)
    assert re.fullmatch(r"The judge's answers took \S+ s \(p50\) and \S+ s \(p99\)", third)
    assert re.fullmatch(r"Tokens: [\d,]+ of prompts, [\d,]+ of replies", fourth)
    again = run()
    assert again.exit_code == 0
    assert "nothing was asked" in again.stdout


def test_as_json_there_is_one_document_and_nothing_else(run, tmp_path):
    result = run("--json")
    said = json.loads(result.stdout)
    assert result.exit_code == said["exit_code"] == 0
    assert said["output"] == str(tmp_path / "out.parquet")
    assert (said["rows"], said["rows_done"], said["rows_taken_over"], said["outcomes"]) == (3, 3, 0, {"judged": 3})
    assert said["answer_p99_s"] >= said["answer_p50_s"] > 0
    assert said["completion_tokens"] == 6


def test_the_configuration_file_counts(run, server, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_CONFIG", "")
    (tmp_path / "judge.yaml").write_text(f"server_url: {server.url}\nmax_new_tokens: 33\n")
    assert run("--config", tmp_path / "judge.yaml", url=None).exit_code == 0
    assert server.requests[-1].body["max_tokens"] == 33


def test_rows_that_fell_back_end_it_with_1_and_are_judged_again_on_demand(run, server, tmp_path):
    server.faults = [Fault("status", status=400)]
    result = run()
    assert result.exit_code == 1
    assert "3 rows (100.0%) were not judged:" in result.stdout
    assert f"llm-judge-remote score {tmp_path / 'out.parquet'} OTHER.parquet --failed-only" in result.stdout
    server.clear_faults()
    words = ["--failed-only", "--candidate", "said", "--problem", "task", "--reference", "key"]
    result = run(*words, path=tmp_path / "out.parquet", out=tmp_path / "other.parquet")
    assert (result.exit_code, result.stdout.count("3 judged")) == (0, 1)


def test_as_many_may_fall_back_as_is_said(run, server):
    server.faults = [Fault("status", status=400)]
    result = run("--max-fallback", "1")
    assert result.exit_code == 0
    assert "That is not more than --max-fallback 1." in result.stdout


def test_new_columns_have_the_prefix_and_prompts_are_kept_on_demand(run, tmp_path):
    assert run("--prefix", "b_", "--keep-prompts").exit_code == 0
    (row, *_) = rows_of(tmp_path / "out.parquet")
    assert row["b_score"] == 0.5
    assert "It is 2." in row["b_judge_prompt"]


def test_an_output_that_is_there_is_replaced_only_on_demand(run):
    assert run().exit_code == 0
    result = run("--set", "seed=1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "was made otherwise; give another name, or --overwrite" in result.stderr
    assert run("--set", "seed=1", "--overwrite").exit_code == 0


def test_without_a_server_it_ends_with_1_and_says_how_to_go_on(run):
    stopped = run("--set", "max_retries=0", "--set", "outage_grace=0", url="http://127.0.0.1:9")
    assert stopped.exit_code == 1
    assert "Stopped: " in stopped.stderr
    assert "0 of 3 rows are done" in stopped.stderr
    assert stopped.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--candidate", "answers"], "there is no such column; there are task, key, said"),
        (["--set", "temprature=0"], "did you mean"),
        (["--max-fallback", "2"], "--max-fallback"),
        (["--engine", "spark"], "--engine"),
        (["--actors", "0"], "--actors"),
    ],
)
def test_what_is_of_no_use_ends_with_2_and_a_word_on_stderr(run, words, said):
    result = run(*words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("'", "").replace("`", "").split()).lower() or said in result.stderr
    assert result.stdout == ""


def test_a_missing_input_is_named(run, tmp_path):
    result = run(path=tmp_path / "none.parquet")
    assert (result.exit_code, "no such file" in result.stderr) == (1, True)


def test_the_work_of_an_earlier_run_is_dropped_with_restart(run, server, tmp_path, monkeypatch):
    work = tmp_path / ".out.parquet.work"
    work.mkdir()
    (work / "manifest.json").write_text(json.dumps({"settings": {"temperature": 0.5}}))
    result = run()
    assert result.exit_code == 2
    assert "or --restart to drop that work" in result.stderr
    assert run("--restart").exit_code == 0


def test_ray_is_asked_for_by_name(run, monkeypatch):
    asked = []

    def judged_on_ray(order, settings, **_):
        asked.append((order.engine, order.actors))
        return job.Scored(order.output, 0, 0, 1.0, Tally())

    monkeypatch.setattr(job, "score_file", judged_on_ray)
    assert run("--engine", "ray", "--actors", 3).exit_code == 0
    assert asked == [("ray", 3)]


def seen(console_width=80, **state):
    """What is shown of a state in a terminal of this width."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=console_width, color_system=None)
    with score_progress.Watcher(console) as watcher:
        watcher(**state)
    return out.getvalue()


def tally(judged, fallen=0):
    made = Tally()
    for number in range(judged + fallen):
        outcome = Outcome.JUDGED if number < judged else Outcome.FALLBACK
        made.add(Judgement(0.5, outcome, service_s=1.25))
    return made


def test_in_a_terminal_of_80_columns_all_figures_are_to_be_seen():
    shown = seen(rows=1_000_000, taken_over=0, tally=tally(900, 100))
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", shown)
    (line,) = {part.rstrip() for part in re.split(r"[\r\n]", plain) if "/s" in part}
    assert line.endswith("1000/1000000  0/s  ETA -  fallback 10.0%  p50 1.3s p99 1.3s"), line
    assert len(line) <= 80


def test_elsewhere_there_is_a_line_now_and_then_without_any_signs_of_a_terminal(monkeypatch):
    clock = iter([0.0, 5.0, 9.0, 11.0, 12.0])
    monkeypatch.setattr(score_progress.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    watcher = score_progress.Watcher(Console(file=out, width=140))
    for done in (100, 180, 220, 240):
        watcher(1000, 50, tally(done))
    assert out.getvalue().splitlines() == [
        "50 of 1,000 rows were done before; going on from there.",
        "220/1000  20/s  ETA 0:39  fallback 0.0%  p50 1.3s p99 1.3s",
    ]
