"""Attacks on an LLM judge, to measure how often it takes a wrong candidate for a right one.

::

    from llm_judge_remote import JudgeSettings
    from llm_judge_remote.redteam import default_targets, red_team

    report = red_team(default_targets(), JudgeSettings(server_url="http://HOST:8000"))
    report.overall.rate, report.overall.interval
    [result.label for result in report.above(0.05)]

From a shell: `llm-judge-remote redteam --help`.
"""

from llm_judge_remote.redteam.attack import Attack
from llm_judge_remote.redteam.attacks import ATTACKS
from llm_judge_remote.redteam.default_targets import default_targets
from llm_judge_remote.redteam.reading import read_targets
from llm_judge_remote.redteam.report import AttackResult, RedTeamReport, Tally, wilson_interval
from llm_judge_remote.redteam.run import red_team
from llm_judge_remote.redteam.target import Target

__all__ = [
    "ATTACKS",
    "Attack",
    "AttackResult",
    "RedTeamReport",
    "Tally",
    "Target",
    "default_targets",
    "read_targets",
    "red_team",
    "wilson_interval",
]
