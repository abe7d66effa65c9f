"""The command `llm-judge-remote`: what all subcommands share."""

import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import llm_judge_remote
from llm_judge_remote.cli.log_lines import show_log
from llm_judge_remote.cli.main import Commands, app
from llm_judge_remote.cli.terminal import FAILED, FINE, INTERRUPTED, TERMINATED, UNKNOWN, UNUSABLE
from llm_judge_remote.testing import JudgeServer

NAMES = [name for commands in Commands.sections.values() for name in commands]
PROGRAM = [sys.executable, "-m", "llm_judge_remote"]


def command(*words):
    result = CliRunner().invoke(app, words, prog_name="llm-judge-remote")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def run(*words, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_the_version_is_told_as_a_command_and_as_a_module():
    assert command("--version").stdout == f"{llm_judge_remote.__version__}\n"
    assert run("--version").stdout == f"{llm_judge_remote.__version__}\n"


def test_the_help_lists_every_command_below_a_title_on_one_line_of_80_columns():
    shown = command("--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    for title, commands in Commands.sections.items():
        (section,) = re.findall(rf"^{re.escape(title)}:\n((?:  .*\n)+)", shown, re.MULTILINE)
        assert [line.split()[0] for line in section.splitlines()] == list(commands)
        assert [line.split(maxsplit=1)[1] for line in section.splitlines()] == [
            each.words for each in commands.values()
        ]


def test_without_a_command_the_help_is_shown():
    result = command()
    assert result.exit_code == UNUSABLE
    assert "Is all well?" in result.output


def test_the_exit_codes_of_the_help_are_those_of_the_commands():
    told = re.findall(r"^    (\d+) +\S", command("--help").stdout, re.MULTILINE)
    assert list(map(int, told)) == [FINE, FAILED, UNUSABLE, UNKNOWN, INTERRUPTED, TERMINATED]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_help_of_80_columns_that_says_what_it_does_and_how_it_ends(name):
    result = command(name, "--help")
    assert result.exit_code == 0
    wide = [line for line in result.stdout.splitlines() if len(line) > 80 and "llm-judge-remote" not in line]
    assert not wide
    assert result.stdout.startswith(f"Usage: llm-judge-remote {name} ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stats",), "No such command 'stats'. Did you mean status?"),
        (("chek",), "Did you mean check?"),
        (("xyz",), "There are check, doctor"),
        (("status", "--wacht"), "--watch"),
        (("--versoin",), "--version"),
        (("registry", "lst"), "list"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(words, said):
    result = command(*words)
    assert result.exit_code == UNUSABLE
    assert said in result.stderr


def modules_of(*words):
    code = (
        "import sys; from llm_judge_remote.cli.main import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split())


def test_the_help_loads_no_command_and_nothing_heavy():
    loaded = modules_of("--help")
    heavy = {"pandas", "pyarrow", "numpy", "torch", "ray", "rich", "matplotlib", "vllm", "llm_judge_remote.testing"}
    assert not loaded & heavy
    ours = {name for name in loaded if name.startswith("llm_judge_remote.cli.")}
    assert ours == {f"llm_judge_remote.cli.{name}" for name in ("main", "lazy_group", "log_lines")}


@pytest.mark.parametrize("name", ["status", "sleep", "registry", "rehearse", "check"])
def test_the_help_of_a_command_loads_nothing_heavy(name):
    assert not modules_of(name, "--help") & {"pandas", "pyarrow", "torch", "ray", "matplotlib", "vllm"}


def completed(shell, *words):
    line = " ".join(("llm-judge-remote", *words))
    environment = {"COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_TYPER_COMPLETE_ARGS": line}
    environment["_LLM_JUDGE_REMOTE_COMPLETE"] = f"complete_{shell}"
    return CliRunner().invoke(app, [], prog_name="llm-judge-remote", env=environment).stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("",), NAMES),
        (("re",), ["report", "redteam", "rehearse", "registry"]),
        (("--ver",), ["--version", "--verbose"]),
        (("status", "--wa"), ["--watch"]),
        (("registry", "p"), ["prune"]),
        (("xyz",), []),
    ],
)
def test_a_shell_completes_commands_and_options(words, found):
    assert completed("bash", *words).split() == found


def test_zsh_is_told_what_a_command_does():
    told = completed("zsh", "stat")
    assert Commands.sections["Is all well?"]["status"].words in told


def test_what_is_shown_for_a_shell_completes_there(tmp_path):
    program = tmp_path / "llm-judge-remote"
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    ask = "COMP_WORDS=(llm-judge-remote sta); COMP_CWORD=1; _llm_judge_remote_completion llm-judge-remote"
    shown = run("--show-completion", "bash").stdout
    script = f"{shown}\n{ask}\necho ${{COMPREPLY[@]}}"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout.split() == ["status"]


def test_the_completion_can_be_installed(tmp_path):
    done = run("--install-completion", "bash", HOME=str(tmp_path))
    assert done.returncode == 0
    assert "completion" in (tmp_path / ".bashrc").read_text()


def test_sigterm_ends_a_command_with_143_and_no_traceback():
    words = [*PROGRAM, "status", "--server-url", "http://127.0.0.1:9", "--watch"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == TERMINATED
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="an output that is always full is needed")
def test_an_output_that_takes_no_more_ends_with_1_and_a_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == FAILED
    assert re.fullmatch(r"Error: .*No space left.*\n", done.stderr)


def test_ctrl_c_while_a_command_is_imported_ends_with_130_and_no_traceback(monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_judge_remote.cli.lazy_group.importlib.import_module", interrupted)
    with pytest.raises(SystemExit) as ended:
        typer.main.get_command(app).main(["status"], prog_name="llm-judge-remote")
    assert ended.value.code == INTERRUPTED


def test_a_doctor_s_findings_are_not_logged_as_well():
    with JudgeServer(constraint="ignored") as server:
        done = run("doctor", "--server-url", server.url)
    assert done.stderr == ""


QUICK = {"LLM_JUDGE_STARTUP_TIMEOUT": "0", "LLM_JUDGE_OUTAGE_GRACE": "0.1", "LLM_JUDGE_MAX_RETRIES": "0"}
DEAD_JUDGE = ("redteam", "--server-url", "http://127.0.0.1:9", "--limit", "1", "--attack", "empty")


def test_warnings_are_on_the_standard_error_and_quiet_leaves_them_out():
    told = run(*DEAD_JUDGE, **QUICK)
    assert "judge server http://127.0.0.1:9 does not answer yet" in told.stderr
    for words in (("--quiet", *DEAD_JUDGE), (*DEAD_JUDGE, "-q")):
        quiet = run(*words, **QUICK)
        assert "does not answer yet" not in quiet.stderr
        assert quiet.returncode == told.returncode == UNKNOWN


@pytest.fixture
def package_log():
    """The package's logger, left as it was."""
    logger = logging.getLogger("llm_judge_remote")
    before = logger.level, logger.handlers[:], logger.propagate
    yield logger
    logger.level, logger.handlers[:], logger.propagate = before
    logger.manager._clear_cache()


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (("-v", "registry", "list"), logging.INFO),
        (("registry", "list", "--verbose"), logging.INFO),
        (("-vv", "registry", "list"), logging.DEBUG),
        (("-q", "registry", "list"), logging.ERROR),
        (("registry", "list"), logging.NOTSET),
    ],
)
def test_how_much_is_logged_may_be_said_before_and_behind_a_command(words, level, package_log, tmp_path):
    command(*words, f"file://{tmp_path}/judges")
    assert package_log.level == level


def test_what_is_logged_is_a_line_with_its_time_on_the_standard_error_of_the_moment(package_log, capsys):
    show_log("INFO")
    show_log("DEBUG")  # no second handler
    logging.getLogger("llm_judge_remote.client.awake").debug("judge server %s sleeps", "a")
    said = capsys.readouterr()
    assert re.fullmatch(r"\d\d:\d\d:\d\d DEBUG llm_judge_remote\.client\.awake: judge server a sleeps\n", said.err)
    assert said.out == ""
