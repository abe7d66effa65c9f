"""The command `llm-judge-remote`, and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

import llm_judge_remote
from llm_judge_remote.cli.demo import demo
from llm_judge_remote.cli.redteam import redteam
from llm_judge_remote.cli.serve import serve

__all__ = ["app"]

# No rich markup: it would break the paragraphs of a help text where the source does.
app = typer.Typer(name="llm-judge-remote", add_completion=False, no_args_is_help=True, rich_markup_mode=None)
app.command()(demo)
app.command()(redteam)
app.command()(serve)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(llm_judge_remote.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A remote LLM judge as a reward function for RL training: tools to look after it."""


if __name__ == "__main__":
    app(prog_name="llm-judge-remote")
