"""The command `llm-judge-remote`, and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

import llm_judge_remote
from llm_judge_remote.cli.lazy_group import Entry, LazyGroup
from llm_judge_remote.cli.log_lines import show_log

__all__ = ["Commands", "app", "main"]

_CLI = "llm_judge_remote.cli."


class Commands(LazyGroup):
    """All commands; each is a function in a file of its name."""

    common = ("verbose", "quiet")
    sections = {  # noqa: RUF012 (a table)
        "Is all well?": {
            "check": Entry(_CLI + "check:check", "Try everything that a training run will ask of a judge server."),
            "doctor": Entry(_CLI + "doctor:doctor", "Look for what is wrong in a setup, and say how to mend it."),
            "status": Entry(_CLI + "status:status", "Show how the servers are and what they are doing."),
        },
        "Score": {
            "score": Entry(_CLI + "score:score", "Have the candidates in a file judged."),
            "report": Entry(_CLI + "report:report", "Make a page with figures of a file that was scored."),
            "redteam": Entry(_CLI + "redteam:redteam", "Attack a judge, and see how often it is fooled."),
        },
        "Data": {
            "prepare": Entry(_CLI + "prepare:prepare", "Turn a data set into files that trainers read."),
            "inspect": Entry(
                _CLI + "inspect_file:inspect_file", "Tell what a trainer's file holds, and what is wrong."
            ),
        },
        "Servers": {
            "serve": Entry(_CLI + "serve:serve", "Start a judge server, and keep it."),
            "rehearse": Entry(
                _CLI + "rehearse:rehearse", "Start a stand-in that is no LLM, to try a setup without a GPU."
            ),
            "sleep": Entry(_CLI + "sleep:sleep", "Have servers give their GPUs' memory back for a while."),
            "wake": Entry(_CLI + "wake:wake", "Have servers that sleep judge again."),
            "registry": Entry(_CLI + "registry:app", "List, register and prune servers where clients look them up."),
        },
        "Try it": {
            "demo": Entry(_CLI + "demo:demo", "Score example rollouts with a real, small model."),
        },
    }


app = typer.Typer(
    cls=Commands,
    name="llm-judge-remote",
    no_args_is_help=True,
    rich_markup_mode=None,  # it would break the paragraphs of a help text where the source does
    pretty_exceptions_enable=False,  # with the values of variables, which may be keys and rows
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(llm_judge_remote.__version__)
        raise typer.Exit


def _show_more(level: int) -> None:
    if level:
        show_log("DEBUG" if level > 1 else "INFO")


def _show_less(wanted: bool) -> None:
    if wanted:
        show_log("ERROR")


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            callback=_show_more,
            expose_value=False,
            metavar="",
            show_default=False,
            help="Log to the standard error what happens; twice: every request to a server. Also behind a command.",
        ),
    ] = 0,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=_show_less,
            expose_value=False,
            show_default=False,
            help="Log only errors, and no warnings. Also behind a command.",
        ),
    ] = False,
) -> None:
    """A remote LLM judge as a reward function for RL training: tools to look after it.

    `llm-judge-remote COMMAND --help` tells what a command does, its options, and examples. Settings are those of a
    training run: the LLM_JUDGE_* environment, and the YAML file that LLM_JUDGE_CONFIG names.

    \b
    Exit codes, unless a command says otherwise:
      0    done, and all is well
      1    done, and something is wrong; or it failed on the way
      2    the command line, a setting or a file is of no use: nothing was done
      3    too little could be found out to say
      130  ended by Ctrl-C; what was done is saved
      143  ended by SIGTERM; the same
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)


def main() -> None:
    """The program."""
    app(prog_name="llm-judge-remote")


if __name__ == "__main__":
    main()
