"""The benchmark suite runs, says what it measured, and does not pass over what it cannot measure."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "benchmarks" / "run.py"
PACKAGES = {
    "requests pool": "requests",
    "aiohttp": "aiohttp",
    "openai, async": "openai",
    "ours, single": "llm_judge_remote",
    "ours, batch": "llm_judge_remote",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One regime with as few samples as will do: what was printed, and the table as JSON."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    command = [sys.executable, str(RUN), "client_bound", "--quick", "--samples", "64", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = json.loads(file.read_text())["tables"]
    return done.stdout, table


def test_every_contender_has_its_line_with_figures_or_says_why_not(ran):
    _, table = ran
    lines = {name: dict(zip(table["columns"][1:], cells, strict=False)) for name, *cells in table["rows"]}
    assert lines.keys() == PACKAGES.keys()
    for name, cells in lines.items():
        if find_spec(PACKAGES[name]) is None:
            assert list(cells.values()) == ["not installed"]
        else:
            assert cells.keys() == set(table["columns"][1:])
            assert float(cells["CPU ms/sample"]) > 0
            assert float(cells["CPU ratio"]) > 0
    assert lines["requests pool"]["CPU ratio"] == "1.00"


def test_every_sample_gets_the_score_that_the_server_gave_it(ran):
    _, table = ran
    for name, runs in table["measured"].items():
        assert [(run["lost"], run["wrong"]) for run in runs] == [(0, 0)], name
        assert [run["stub_unique_total"] for run in runs] == [64], name


def test_targets_stand_beside_the_figures_with_met_or_missed(ran):
    printed, table = ran
    assert [target["limit"] for target in table["targets"]] == [0.25, 1.3]
    for target in table["targets"]:
        assert target["met"] is (target["value"] <= target["limit"])
        (line,) = [line for line in printed.splitlines() if target["name"] in line]
        assert line.endswith("met" if target["met"] else "MISSED")
