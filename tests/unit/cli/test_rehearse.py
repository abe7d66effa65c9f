"""`llm-judge-remote rehearse`: what it refuses, and what it teaches."""

import signal

import pytest
from typer.testing import CliRunner

from llm_judge_remote.cli.main import app


def command(*words):
    result = CliRunner().invoke(app, ["rehearse", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fault", "explode"), "no kind of fault"),
        (("--fault", "status:503:2"), "share=2.0"),
        (("--latency", "soon"), "no service time"),
        (("--slots", "0"), "--slots"),
        (("--max-n", "0"), "--max-n"),
        (("--max-model-len", "-5"), "--max-model-len"),
        (("--keepalive", "-1"), "--keepalive"),
        (("--address", "a:1"), "needs --register"),
        (("--constraint", "guided_json"), "invalid choice: 'guided_json' (choose from structured_outputs"),
        (("--engine", "tgi"), "invalid choice: 'tgi'"),
        (("--reasoning-field", "thoughts"), "invalid choice: 'thoughts'"),
        (("--port", "70000"), "--port"),
        (("--register", "gopher://a"), "no registry that is known here"),
    ],
)
def test_an_option_that_makes_no_sense_ends_with_2_and_a_reason(words, said):
    result = command("--port", "0", *words)
    assert result.exit_code == 2
    assert " ".join(said.split()) in " ".join(result.stderr.split())


def test_signals_are_as_before_when_it_could_not_start():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    command("--port", "0", "--register", "gopher://a")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_the_help_says_that_it_is_not_an_llm():
    assert "not an LLM" in command("--help").stdout
