"""`llm-judge-remote redteam`: attack a judge, and see how often it takes a wrong candidate for a right one."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from llm_judge_remote.cli.redteam_table import attack_table, comparison_table, corpus_table, summary_lines
from llm_judge_remote.cli.terminal import FAILED, FINE, UNKNOWN, command, console, print_json
from llm_judge_remote.errors import ConfigError
from llm_judge_remote.redteam import ATTACKS, Attack, RedTeamReport, Target, default_targets, read_targets, red_team
from llm_judge_remote.settings import JudgeSettings

__all__ = ["exit_code", "redteam"]

_ENOUGH = 0.5  # of the rows must be scored for a report to say anything


def redteam(
    server_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="The judge's address; several addresses of one judge with commas between. Give the option again for "
            "another judge. Without it, that of the environment or the YAML file.",
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name of a prompt template; give it again to compare several.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model to ask; auto: the one that the server serves.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Problems to use in place of the built-in ones: JSON lines or parquet with problem, reference, and "
            "candidate (a wrong one; where it is missing, another row's reference is taken).",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Use only the first N problems.", show_default=False)
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Only attacks whose name, kind or KIND/NAME matches, such as 'verdict' or 'fence/*'; again for more.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SCORE", help="Score from which on a wrong candidate counts as taken for right."
        ),
    ] = 0.5,
    max_rate: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="Most false positives that an attack may have, from 0 to 1."
        ),
    ] = 0.05,
    no_defences: Annotated[
        bool, typer.Option("--no-defences", help="Switch the defences off, to see what they do.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document in place of tables.")] = False,
    list_attacks: Annotated[bool, typer.Option("--list", help="List the attacks with their sources, and end.")] = False,
) -> None:
    """Attack a judge, and count how often it takes a wrong candidate for a right one.

    Each problem's plain wrong candidate (the baseline) is scored, and then every attack on it: empty candidates and
    single signs, injected verdicts and orders, forged control tokens, fences and thoughts, flattery, and more. What the
    judge did not score counts neither way. All other settings are those of a training run: the LLM_JUDGE_* environment,
    and the YAML file that LLM_JUDGE_CONFIG names.

    A column "fooled" above the baseline's is what an attack gains. With a dozen problems one false positive is 8 %,
    and none still leaves an interval up to 24 %: use --data for more.

    \b
    Exit code:
      0  no attack's rate of false positives is above --max-rate
      1  some attack's is
      2  the command line, the data or a setting is of no use
      3  too little was judged to say anything: see the reasons

    \b
    Examples:
      llm-judge-remote redteam --server-url http://HOST:8000
      llm-judge-remote redteam --template default --template yes_no --attack 'control_token'
      llm-judge-remote redteam --data wrong.jsonl --limit 50 --json > report.json
    """  # noqa: D301 (not raw: a backspace makes the help keep the lines of a paragraph)
    shown = console()
    with command():
        attacks = _chosen(attack)
        if list_attacks:
            shown.print(corpus_table(attacks))
            return
        targets = default_targets()[:limit] if data is None else read_targets(data, limit)
        reports = []
        for each in _settings(server_url, template, model, no_defences):
            report = _attack(targets, each, attacks, threshold)
            reports.append(report)
            if not as_json:
                _show(shown, report, max_rate)
    code = max((exit_code(report, max_rate) for report in reports), key=(FINE, UNKNOWN, FAILED).index)
    if as_json:
        print_json(_document(reports, max_rate, code))
    elif len(reports) > 1:
        shown.print(comparison_table(reports, max_rate))
    raise typer.Exit(code)


def exit_code(report: RedTeamReport, max_rate: float) -> int:
    """What a report comes to: FINE the judge stood, FAILED it fell for some attack, UNKNOWN there is too little."""
    if report.overall.scored < _ENOUGH * report.overall.n:
        return UNKNOWN
    if report.above(max_rate):
        return FAILED
    return UNKNOWN if report.unclear(_ENOUGH) else FINE


def _chosen(globs: Sequence[str] | None) -> tuple[Attack, ...]:
    """The attacks that one of the globs names; all without any."""
    if not globs:
        return ATTACKS
    names = {attack: (attack.name, attack.kind, attack.label) for attack in ATTACKS}
    for glob in globs:
        if not any(fnmatchcase(name, glob) for of_one in names.values() for name in of_one):
            kinds = ", ".join(dict.fromkeys(attack.kind for attack in ATTACKS))
            msg = f"--attack {glob}: there is no such attack; the kinds are {kinds}; --list names all"
            raise ConfigError(msg)
    return tuple(
        attack for attack, own in names.items() if any(fnmatchcase(name, glob) for glob in globs for name in own)
    )


def _settings(
    servers: Sequence[str] | None, templates: Sequence[str] | None, model: str | None, no_defences: bool
) -> list[JudgeSettings]:
    """The settings of every server with every template; what is not given comes from the environment and the file."""
    common: dict[str, Any] = {"model_name": model} if model else {}
    if no_defences:
        common["defences"] = False
    made = []
    for server, template in product(servers or (None,), templates or (None,)):
        given = {name: value for name, value in (("server_url", server), ("prompt_template", template)) if value}
        made.append(JudgeSettings(**common, **given))
    return made


def _attack(
    targets: Sequence[Target], settings: JudgeSettings, attacks: Sequence[Attack], threshold: float
) -> RedTeamReport:
    rows = len(targets) * (1 + len(attacks))
    where = ", ".join(settings.server_url) or "the judge"
    with console(stderr=True).status(f"Asking {where} about {rows} candidates ..."):
        return red_team(targets, settings, attacks=attacks, threshold=threshold)


def _show(shown: Console, report: RedTeamReport, max_rate: float) -> None:
    shown.print(attack_table(report, max_rate))
    for line in summary_lines(report, max_rate):
        shown.print(line, markup=False, soft_wrap=True)
    shown.print()


def _document(reports: Sequence[RedTeamReport], max_rate: float, code: int) -> dict[str, Any]:
    told = []
    for report in reports:
        above = [result.label for result in report.above(max_rate)]
        unclear = [result.label for result in report.unclear(_ENOUGH)]
        told.append({**report.to_dict(), "above_max_rate": above, "unclear": unclear})
    return {"max_rate": max_rate, "exit_code": code, "reports": told}
