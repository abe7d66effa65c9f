"""Recipes: `llm-judge-remote prepare` with the defaults of one data set."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import typer

from llm_judge_remote.cli.prepare import prepare

__all__ = ["run_recipe"]


def run_recipe(file: str, description: str, defaults: Mapping[str, Any], arguments: list[str] | None = None) -> None:
    """Run the command as a script of its own.

    Args:
        file: The script's name.
        description: The first lines of its help.
        defaults: Of the command's parameters, by their names in Python; what the command line gives counts before them.
        arguments: Without the script's name; those of the process if not given.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(help=f"{description}\n\n{inspect.getdoc(prepare)}")(prepare)
    command = typer.main.get_command(app)
    command.main(args=arguments, prog_name=file, default_map={"recipe": file, **defaults})
