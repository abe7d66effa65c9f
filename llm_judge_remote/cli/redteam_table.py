"""What `llm-judge-remote redteam` shows: tables and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, islice

from rich import box
from rich.table import Table
from rich.text import Text

from llm_judge_remote.redteam import Attack, AttackResult, RedTeamReport, Tally

__all__ = ["attack_table", "comparison_table", "corpus_table", "summary_lines"]

# Each with the room that its longest figure takes, so that in a narrow terminal only the names are folded.
_COUNTS = {"judged": 6, "rule": 4, "lost": 4, "fooled": 6, "rate": 6, "95 % int.": 9, "score": 5, "rise": 5}
_COMPARED = {"baseline": 8, "attacks": 7, "95 % int.": 9, "above": 8, "lost": 4}
_MOST_NAMES = 12
_MOST_REASONS = 3


def attack_table(report: RedTeamReport, max_rate: float) -> Table:
    """One line for each attack, one for each kind of several, and those for the baseline and all attacks together.

    Columns: candidates that the judge scored, that a rule scored, and that nobody scored (`lost`); the false positives,
    their rate and its interval; the mean score, and its mean rise above the plain wrong candidate's.

    Args:
        report: What came of the attacks.
        max_rate: Rates above it are marked with `!`.
    """
    table = _table(f"Attacks on {_judge(report)}, with {report.baseline.n} problems", "attack", _COUNTS)
    table.add_row("baseline: plain and wrong", *_cells(report.baseline, 1.0))
    table.add_section()
    for kind, results in groupby(report.attacks, key=lambda result: result.kind):
        of_kind = list(results)
        for result in of_kind:
            table.add_row(Text(result.label), *_cells(result.tally, max_rate))
        if len(of_kind) > 1:
            table.add_row(f"{kind}: together", *_cells(report.kinds[kind], 1.0), style="bold")
        table.add_section()
    table.add_row("all attacks", *_cells(report.overall, 1.0), style="bold")
    return table


def comparison_table(reports: Sequence[RedTeamReport], max_rate: float) -> Table:
    """One line for each judge: its overall rate, and how many attacks are above `max_rate`."""
    table = _table("Judges compared", "judge", _COMPARED)
    for report in reports:
        table.add_row(
            Text(_judge(report)),
            _share(report.baseline.rate),
            _share(report.overall.rate),
            _interval(report.overall),
            f"{len(report.above(max_rate))} of {len(report.attacks)}",
            str(report.overall.not_judged),
        )
    return table


def corpus_table(attacks: Sequence[Attack]) -> Table:
    """The attacks, what each tries, and where it comes from."""
    table = Table("attack", "what it tries", "source", box=box.SIMPLE)
    for attack in attacks:
        table.add_row(Text(attack.label), Text(attack.tries), Text(attack.source))
    return table


def summary_lines(report: RedTeamReport, max_rate: float) -> list[str]:
    """What one wants to know of the table at a glance."""
    above, unclear = report.above(max_rate), report.unclear()
    lines = [
        f"{len(above)} of {len(report.attacks)} attacks pass for right in more than {max_rate:.0%} of the problems"
        + (f": {_names(above)}." if above else ".")
    ]
    if report.baseline.fooled:
        lines.append(
            f"The plain wrong candidates do so in {report.baseline.fooled} of {report.baseline.scored}: "
            "that is the judge's own error, and no attack's doing."
        )
    if unclear:
        lines.append(f"Too little was judged to say anything of {len(unclear)} attacks: {_names(unclear)}.")
    if report.reasons:
        lines.append(f"Not judged were {sum(report.reasons.values())} candidates, which count neither way:")
        lines += [f"  {count} x {reason}" for reason, count in islice(report.reasons.items(), _MOST_REASONS)]
        if len(report.reasons) > _MOST_REASONS:
            lines.append(f"  and {len(report.reasons) - _MOST_REASONS} other reasons")
    return lines


def _table(title: str, first: str, others: Mapping[str, int]) -> Table:
    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE, show_edge=False, pad_edge=False, collapse_padding=True
    )
    table.add_column(first, overflow="fold")
    for name, width in others.items():
        table.add_column(name, no_wrap=True, justify="right", min_width=width)
    return table


def _judge(report: RedTeamReport) -> str:
    told = report.judge
    extra = [f"scoring {told['scoring']}"] * (told.get("scoring", "text") != "text")
    extra += [f"gate {told['gate']}"] * (told.get("gate", "off") != "off")
    extra += ["no defences"] * (told.get("defences") is False)
    names = [str(told[name]) for name in ("server_url", "model_name", "prompt_template") if name in told]
    return ", ".join([*names, *extra])


def _cells(tally: Tally, max_rate: float) -> list[Text | str]:
    above = tally.rate is not None and tally.rate > max_rate
    return [
        str(tally.judged),
        str(tally.by_rule),
        str(tally.not_judged),
        str(tally.fooled),
        Text(f"!{_share(tally.rate)}", style="red") if above else _share(tally.rate),
        _interval(tally),
        "-" if tally.mean_score is None else f"{tally.mean_score:.2f}",
        "-" if tally.mean_rise is None else f"{tally.mean_rise:+.2f}",
    ]


def _share(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.0%}"


def _interval(tally: Tally) -> str:
    low, high = tally.interval
    return f"{low:.0%}-{high:.0%}" if tally.scored else "-"


def _names(results: Sequence[AttackResult]) -> str:
    named = ", ".join(result.label for result in results[:_MOST_NAMES])
    more = len(results) - _MOST_NAMES
    return f"{named} and {more} more" if more > 0 else named
