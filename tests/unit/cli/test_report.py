"""`llm-judge-remote report`: every option, what is printed, and how it ends."""

import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from llm_judge_remote.cli.report import report
from llm_judge_remote.judgement import Judgement, Outcome


def row(number):
    judgement = Judgement(number % 4 / 3, Outcome.JUDGED, attempts=1, latency_s=0.5, prompt_tokens=9)
    return {
        "data_source": "sums",
        "extra_info": {"problem": f"p{number // 4}", "split": number % 2},
        "reward_model": {"ground_truth": "r"},
        "candidate": f"c{number}",
        "answer": f"the answer {number}",
        "truth": number % 4 > 1,
        "step": number,
        **judgement.to_dict(),
    }


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def written(rows=None, name="scored.parquet"):
        pq.write_table(pa.Table.from_pylist(rows or [row(number) for number in range(40)]), tmp_path / name)
        return tmp_path / name

    return written


def command(*words):
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(report)
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def numbers(*words):
    result = command(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_page_is_written_and_the_first_numbers_are_printed(write, tmp_path):
    result = command(write())
    assert result.exit_code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert result.stderr == "Written: report.html\n"
    assert "40" in result.stdout
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_path_can_be_given(write, tmp_path):
    for option in ("-o", "--output"):
        assert command(write(), option, tmp_path / "sub" / f"{option}.html").exit_code == 0
        assert (tmp_path / "sub" / f"{option}.html").exists()
    assert not (tmp_path / "report.html").exists()


def test_json_is_one_document_and_no_page_unless_one_is_asked_for(write, tmp_path):
    path = write()
    found = numbers(path)
    assert (found["file"], found["rows"]) == ("scored.parquet", 40)
    assert not (tmp_path / "report.html").exists()
    assert numbers(path, "-o", "page.html") == found
    assert (tmp_path / "page.html").exists()


def test_label_and_threshold(write):
    path = write()
    assert numbers(path)["agreement"] is None
    found = numbers(path, "--label", "truth", "--threshold", "0.2")["agreement"]
    assert (found["label"], found["threshold"]) == ("truth", 0.2)
    assert found["all_rows"]["false_positives"] == 10


def test_group_time_and_candidate(write):
    path = write()
    assert numbers(path)["groups"]["by"] == "extra_info.problem"
    assert numbers(path, "--group", "extra_info.split")["groups"]["groups"] == 2
    assert numbers(path, "--time", "step")["over_time"]["by"] == "step"
    command(path, "--candidate", "answer", "-o", "r.html")
    assert "the answer 3" in Path("r.html").read_text()


def test_against(write):
    path = write()
    other = write([{**row(number), "score": 1 - row(number)["score"]} for number in range(40)], "b.parquet")
    found = numbers(path, "--against", other)
    assert found["comparison"]["spearman"] == pytest.approx(-1.0)
    assert "b_higher" in found["examples"]


def test_examples_and_template(write):
    path = write()
    assert all(len(each["rows"]) == 2 for each in numbers(path, "--examples", 2)["examples"].values() if each["of"] > 1)
    command(path, "--template", "yes_no", "-o", "r.html")
    assert "template &#39;yes_no&#39;" in Path("r.html").read_text()


def test_png(write, tmp_path):
    pytest.importorskip("matplotlib")
    result = command(write(), "--png", tmp_path / "figures")
    assert result.exit_code == 0
    assert "Written: " + str(tmp_path / "figures") in result.stderr
    assert (tmp_path / "figures" / "scores.png").exists()


def test_pictures_that_cannot_be_drawn_leave_no_page(write, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = command(write(), "--png", tmp_path / "figures", "-o", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "llm-judge-remote[report]" in result.stderr
    assert not (tmp_path / "page.html").exists()


def test_json_lines_are_read_too(write, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row(number)) for number in range(8)))
    assert numbers(path)["rows"] == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.parquet"], "no such file"),
        (["FILE", "--label", "truht"], "no column 'truht' for --label; did you mean 'truth'?"),
        (["FILE", "--against", "none.parquet"], "no such file"),
        (["FILE", "--template", "no such"], "'no such'"),
        (["FILE", "--no-such-option"], "--no-such-option"),
    ],
)
def test_what_is_of_no_use_ends_with_2_and_writes_nothing(write, tmp_path, words, said):
    path = write()
    result = command(*[path if word == "FILE" else word for word in words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_ends_with_1(write, tmp_path):
    (tmp_path / "taken").touch()
    result = command(write(), "-o", tmp_path / "taken" / "page.html")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("name", ["scored.parquet", "other.parquet", "link", "sub/../scored.parquet"])
def test_a_page_is_not_written_over_what_it_is_about(write, tmp_path, name):
    scored, other = write(), write(name="other.parquet")
    (tmp_path / "link").symlink_to(scored)
    (tmp_path / "sub").mkdir()
    before = scored.read_bytes(), other.read_bytes()
    result = command(scored, "--against", other, "-o", tmp_path / name)
    assert result.exit_code == 2
    assert "would be written over" in " ".join(result.stderr.split())
    assert (scored.read_bytes(), other.read_bytes()) == before


def test_a_page_takes_the_place_of_no_folder_and_no_device(write, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        result = command(write(), "-o", path)
        assert result.exit_code == 2
        assert "is no file" in result.stderr
    assert (tmp_path / "pipe").is_fifo()


def test_a_threshold_that_is_no_number_is_refused(write):
    result = command(write(), "--threshold", "nan")
    assert result.exit_code == 2
    assert "no score" in result.stderr


def test_a_file_without_any_score_is_told(write):
    result = command(write([{**row(0), "score": None}]))
    assert "Note: No row has a score." in result.stdout


def test_without_the_extra_it_says_how_to_get_it(write, monkeypatch):
    path = write()
    for name in [
        name for name in sys.modules if name.startswith(("llm_judge_remote.report", "llm_judge_remote.dataset."))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = command(path)
    assert result.exit_code == 2
    assert "pip install 'llm-judge-remote[data]'" in result.stderr


def test_the_help_tells_the_exit_codes_and_shows_examples():
    said = command("--help").stdout
    for words in ("Exit code:", "Examples:", "--against", "-o"):
        assert words in said
