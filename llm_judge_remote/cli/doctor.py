"""`llm-judge-remote doctor`: what is wrong between a trainer's settings and its judge, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from llm_judge_remote.cli.doctor_report import Report
from llm_judge_remote.cli.judge_options import ConfigFile, Model, ServerUrl, Settings, Template, given_settings
from llm_judge_remote.cli.log_lines import without_warnings
from llm_judge_remote.cli.terminal import FAILED, FINE, INTERRUPTED, command, console, print_json
from llm_judge_remote.diagnosis.setup.examination import Examination, Found, Setup
from llm_judge_remote.errors import ConfigError

__all__ = ["doctor"]


def doctor(
    server_url: ServerUrl = None,
    model: Model = None,
    template: Template = None,
    settings: Settings = None,
    config: ConfigFile = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The trainer's rows, parquet or JSON lines: does the longest fit into the model's context?",
            show_default=False,
        ),
    ] = None,
    verl_config: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="verl's configuration: a YAML file of settings, Hydra's overrides.yaml, or the shell script that "
            "starts verl; again for more. Its reward_kwargs count as settings.",
            show_default=False,
        ),
    ] = None,
    verl_version: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="The release of verl that is to run with it, such as 0.7.0; without it, the one that is installed.",
            show_default=False,
        ),
    ] = None,
    all_settings: Annotated[
        bool, typer.Option("--all-settings", help="Show also the settings that have their default.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Most seconds for each request, lookup or reading.")
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document in place of lines.")] = False,
) -> None:
    """Look at everything between a trainer's settings and its judge, and say what is wrong and what to do.

    Shown are the settings with the layer that each comes from (keys never), and findings about this machine, verl's
    configuration, the registry, and each server: proxy, DNS, TCP, TLS, HTTP, clock, key, model, a reply, thinking,
    context, the longest row, prefix cache. What fails stops only what builds on it. Each server is asked some ten
    short requests, one of which is a row to judge. To measure a server, use `check`.

    Settings are those of a training run: the LLM_JUDGE_* environment, the YAML file that LLM_JUDGE_CONFIG names, the
    reward_kwargs of --verl-config, and what is given here. Run it where the trainer's workers run.

    \b
    Exit code:
      0  no error; there may be warnings: rewards come, perhaps slowly
      1  an error: rewards would be wrong or missing
      2  the command line is of no use

    \b
    Examples:
      llm-judge-remote doctor
      llm-judge-remote doctor --server-url http://HOST:8000 --data train.parquet
      llm-judge-remote doctor --verl-config train.yaml --verl-version 0.9.1
      llm-judge-remote doctor --json | jq '.findings[] | select(.level == "error")'
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command(), without_warnings():
        problem, given = "", {}
        try:
            given = given_settings(server_url, model, template, settings, config)
        except ConfigError as error:
            if _is_typed(str(error)):
                raise
            problem = str(error)
        files = tuple(verl_config or ())
        examination = Examination(Setup(given, data, files, verl_version, timeout, problem))
        raise typer.Exit(_examine(examination, all_settings=all_settings, as_json=as_json))


def _examine(examination: Examination, *, all_settings: bool, as_json: bool) -> int:
    """Show what is found, also if it is stopped on the way; the exit code."""
    found: list[Found] = []
    shown = [value for value in examination.table if all_settings or value.layer != "default"]
    report = None if as_json else Report(console())
    stopped = True
    try:
        if report is not None:
            report.settings(shown, hidden=len(examination.table) - len(shown))
            with report.waiting():
                for each in examination.findings():
                    found.append(each)
                    report.add(each)
        else:
            found.extend(examination.findings())
        stopped = False
    except KeyboardInterrupt:
        pass
    code = INTERRUPTED if stopped else _exit_code(found)
    if report is not None:
        report.end(found, stopped=stopped)
    else:
        print_json(
            {
                "settings": [value.to_dict() for value in shown],
                "findings": [each.to_dict() for each in found],
                "counts": dict(Counter(each.finding.level for each in found)),
                "stopped": stopped,
                "exit_code": code,
            }
        )
    return code


def _exit_code(found: Sequence[Found]) -> int:
    return FAILED if any(each.finding.level == "error" for each in found) else FINE


def _is_typed(message: str) -> bool:
    """Whether an error is the command line's: those of the environment and the file are what a doctor is there for."""
    return message.startswith("--set") or "(given in the call)" in message
