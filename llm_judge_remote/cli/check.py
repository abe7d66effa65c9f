"""`llm-judge-remote check`: whether a judge server does what training needs of it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from llm_judge_remote.cli.check_table import section_table, summary
from llm_judge_remote.cli.judge_options import ConfigFile, Model, ServerUrl, Settings, Template, given_settings
from llm_judge_remote.cli.log_lines import without_warnings
from llm_judge_remote.cli.terminal import FAILED, FINE, INTERRUPTED, command, console, print_json
from llm_judge_remote.diagnosis.server import Load, Report, Section, ServerCheck
from llm_judge_remote.settings import JudgeSettings

__all__ = ["check"]


def check(
    server_url: ServerUrl = None,
    model: Model = None,
    template: Template = None,
    settings: Settings = None,
    config: ConfigFile = None,
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Measure rows per second and latency at rising concurrency.")
    ] = True,
    max_concurrency: Annotated[
        int, typer.Option(min=1, max=4096, metavar="N", help="Most rows at once; begins with 1, and doubles.")
    ] = 128,
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, metavar="S", help="Most seconds of load on each server, and on all.")
    ] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document in place of tables.")] = False,
) -> None:
    """Check that a judge server does what training needs of it, and tell what to do where it does not.

    Looked at are: health, key, model's name, a chat, the batch endpoint, structured output (is a reply really held?),
    thinking (is it really off?), the context limit, one and many judged samples, throughput and latency under load, and
    the whole reward function on right, wrong and hostile candidates. A check that fails stops only those that need it.

    Given several servers, or a registry, each server is checked, and then all as one. Settings are those of a training
    run: the LLM_JUDGE_* environment, with the key in LLM_JUDGE_SERVER_API_KEY, and the YAML file.

    Load ends early where more brings no more rows per second. The knee is the concurrency from which on more brings
    less than 10 % more. A server that is in use gets slower meanwhile: --no-load leaves it out.

    \b
    Exit code:
      0  all is well; there may be warnings
      1  something is wrong: rewards would be missing, or not the judge's
      2  the command line or a setting is of no use
      130  stopped by Ctrl-C; what was found until then is shown

    \b
    Examples:
      llm-judge-remote check --server-url http://HOST:8000
      llm-judge-remote check --server-url http://A:8000,http://B:8000 --model auto --no-load
      llm-judge-remote check --server-url file:///shared/judges --json > check.json
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    with command():
        judge = JudgeSettings(**given_settings(server_url, model, template, settings, config))
        out, errors = console(), console(stderr=True)
        shown: list[Section] = []
        with errors.status("Looking ...") as status, without_warnings():

            def show(section: Section) -> None:
                shown.append(section)
                if not as_json:
                    status.stop()  # or its line would stand in the table
                    out.print(section_table(section))
                    status.start()

            looking = ServerCheck(
                judge,
                Load(max_concurrency, seconds) if load else None,
                begun=lambda title, name: status.update(Text(f"{title}: {name} ...")),
                seen=show,
            )
            try:
                looking.run()
            except KeyboardInterrupt:
                for section in looking.report().sections[len(shown) :]:
                    show(section)
                status.stop()
                _end(out, looking.report(), INTERRUPTED, as_json=as_json)
                raise
        report = looking.report()
        code = FAILED if report.has_errors else FINE
        _end(out, report, code, as_json=as_json)
        raise typer.Exit(code)


def _end(out: Console, report: Report, code: int, *, as_json: bool) -> None:
    if as_json:
        print_json({**report.to_dict(), "exit_code": code})
    else:
        out.print(summary(report))
