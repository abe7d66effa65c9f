"""A check of a judge server, as a script or under pytest.

    python tests/test_llm_judge_remote_server_integration.py --server-url http://HOST:8000 [--model NAME] [--no-load]

The same as `llm-judge-remote check`, with all its options. Under pytest it asks the judge at LLM_JUDGE_SERVER_URL with
the settings of the environment, or, where that is not set, a JudgeServer of its own.
"""

import os

import pytest
import typer

pytest.importorskip("llm_judge_remote", reason="the package is not installed: run `pip install .` or `make test`")

from llm_judge_remote import JudgeSettings
from llm_judge_remote.cli.check import check
from llm_judge_remote.diagnosis.server import Load, ServerCheck
from llm_judge_remote.testing import JudgeServer, SimulatedJudge


@pytest.fixture
def server_url():
    configured = os.environ.get("LLM_JUDGE_SERVER_URL")
    if configured:
        yield configured
        return
    with JudgeServer(judge=SimulatedJudge(1.0)) as server:
        yield server.url


@pytest.mark.server
def test_the_server_does_what_training_needs(server_url):
    report = ServerCheck(JudgeSettings(server_url=server_url), Load(most=8, seconds=5)).run()
    found = [(section.title, finding) for section in report.sections for finding in section.findings]
    for title, finding in found:
        print(f"{title}: {finding.name}: {finding.level}: {finding.message}")
    assert [(title, finding) for title, finding in found if finding.level == "error"] == []


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(check)
    app()
