"""The options by which every command that asks a judge is told whom, and how."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.setting_sources import ALIASES, CONFIG_VARIABLE, nearest
from llm_judge_remote.settings import JudgeSettings

__all__ = ["ConfigFile", "Model", "ServerUrl", "Settings", "Template", "given_settings", "read_assignment"]

ServerUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The judge's address: one, several with commas between, or a registry's. Without it, that of the "
        "environment (LLM_JUDGE_SERVER_URL) or the YAML file.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Model to ask; auto: the one that the server serves.", show_default=False),
]
Template = Annotated[
    str | None, typer.Option(metavar="NAME", help="Name of the prompt template, or its text.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other setting, as README's table names it; again for more. A value is read as YAML.",
        show_default=False,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file of settings, in place of the one that LLM_JUDGE_CONFIG names.",
        show_default=False,
    ),
]


def given_settings(
    server_url: str | None = None,
    model: str | None = None,
    template: str | None = None,
    assignments: Sequence[str] | None = None,
    config: Path | None = None,
) -> dict[str, Any]:
    """The settings that a command line gives, as keyword arguments of the public calls, checked.

    `config` is put into the environment, from where all layers find it, and so does a process that is started.

    Raises:
        ConfigError: An assignment names no setting, or a value, from wherever it comes, is of no use.
    """
    if config is not None:
        os.environ[CONFIG_VARIABLE] = str(config)
    given = dict(read_assignment(each) for each in assignments or ())
    options = {"server_url": server_url, "model_name": model, "prompt_template": template}
    given.update((name, value) for name, value in options.items() if value is not None)
    JudgeSettings(**given)
    return given


def read_assignment(assignment: str, option: str = "--set") -> tuple[str, Any]:
    """A setting's name and value, of NAME=VALUE.

    Raises:
        ConfigError: It is nothing of the kind.
    """
    name, equals, value = assignment.partition("=")
    name = ALIASES.get(name.strip(), name.strip())
    names = (*JudgeSettings.model_fields, *ALIASES)
    if not equals or name not in names:
        msg = f"{option} {assignment!r}: write NAME=VALUE, with the name of a setting{nearest(name, names)}"
        raise ConfigError(msg)
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value
