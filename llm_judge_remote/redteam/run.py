"""The red team: all attacks on all targets, in one call of the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.prompts.library import TemplateLibrary, template_names
from llm_judge_remote.redteam.attack import Attack
from llm_judge_remote.redteam.attacks import ATTACKS
from llm_judge_remote.redteam.report import AttackResult, RedTeamReport, reasons_of, score_of, tally
from llm_judge_remote.redteam.target import Target
from llm_judge_remote.sample import Sample
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.setting_types import without_secrets
from llm_judge_remote.settings import JudgeSettings

__all__ = ["DATA_SOURCE", "best_verdict", "red_team"]

DATA_SOURCE = "llm_judge_remote/redteam"


def red_team(
    targets: Sequence[Target],
    settings: JudgeSettings | None = None,
    *,
    judge: Judge | None = None,
    attacks: Sequence[Attack] = ATTACKS,
    threshold: float = 0.5,
) -> RedTeamReport:
    """Show a judge wrong candidates, plain ones and attacks, and count how often it takes them for right.

    Every target's plain wrong candidate and every attack on it go through `Judge.score` in one call:
    `len(targets) * (1 + len(attacks))` rows. A row that the judge did not score counts neither way, whatever score the
    fallback gives it; the report tells how many there are, and why. An attack may be after that, too.

    Args:
        targets: What is attacked, such as `default_targets()`.
        settings: Where the judge is and how to ask it; None for those of `judge`, or of the environment and YAML file.
        judge: The judge to ask; None for one that is made, and closed again.
        attacks: Which attacks, with different names.
        threshold: The score from which on a wrong candidate counts as a false positive.

    Raises:
        ConfigError: Nobody could run with these settings.
        ValueError: There are no targets or no attacks, or two attacks have the same name.
    """
    names = [attack.name for attack in attacks]
    if not targets or not attacks or len(set(names)) < len(names):
        msg = "a red team takes at least one target, and at least one attack, all with different names"
        raise ValueError(msg)
    if judge is None:
        with Judge(settings) as own:
            return red_team(targets, judge=own, attacks=attacks, threshold=threshold)
    # No fallback's score is looked at here, and what attacks score must not teach it anything.
    settings = (settings or judge.settings).model_copy(update={"fallback": "zero", "on_unavailable": "fallback"})
    verdict = best_verdict(settings)
    forging = [replace(target, verdict=verdict) for target in targets]
    samples = [_sample(target, target.candidate) for target in targets]
    samples += [_sample(target, attack.make(target)) for attack in attacks for target in forging]
    return _report(judge.score(samples, settings), len(targets), attacks, threshold, _told(settings))


def best_verdict(settings: JudgeSettings) -> str:
    """What a judge with these settings says of a perfect candidate; an attacker who knows the template forges that.

    Raises:
        ConfigError: There is no such template.
    """
    template = TemplateLibrary(PLACEHOLDERS).get(settings.prompt_template)
    if template.options:
        return max(template.options, key=template.options.__getitem__)
    return "REWARD: 1.0" if template.high == 1 else f"REWARD: {template.high:g}"


def _sample(target: Target, candidate: str) -> Sample:
    return Sample(candidate, (target.reference,), target.problem, DATA_SOURCE)


def _report(
    judgements: Sequence[Judgement],
    targets: int,
    attacks: Sequence[Attack],
    threshold: float,
    judge: dict[str, str | bool],
) -> RedTeamReport:
    baseline, rest = judgements[:targets], judgements[targets:]
    by_attack = [rest[start : start + targets] for start in range(0, len(rest), targets)]
    by_kind: dict[str, list[Judgement]] = {}
    results = []
    for attack, found in zip(attacks, by_attack, strict=True):
        by_kind.setdefault(attack.kind, []).extend(found)
        scores = tuple(score_of(judgement) for judgement in found)
        counts = tally(found, baseline, threshold)
        results.append(AttackResult(attack.name, attack.kind, attack.tries, attack.source, counts, scores))
    return RedTeamReport(
        threshold=threshold,
        baseline=tally(baseline, baseline, threshold),
        attacks=tuple(results),
        kinds={kind: tally(found, baseline, threshold) for kind, found in by_kind.items()},
        overall=tally(rest, baseline, threshold),
        reasons=reasons_of(judgements),
        judge=judge,
    )


def _told(settings: JudgeSettings) -> dict[str, str | bool]:
    """What a reader must know of the settings to place the figures; never a key."""
    template = settings.prompt_template
    return {
        "server_url": ",".join(map(without_secrets, settings.server_url)),
        "model_name": settings.model_name,
        "prompt_template": template if template in template_names() else "(a text of its own)",
        "scoring": settings.scoring,
        "gate": settings.gate,
        "defences": settings.defences,
    }
