"""What came of a red team's attacks, counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from llm_judge_remote.judgement import Judgement, Outcome

__all__ = ["AttackResult", "RedTeamReport", "Tally", "wilson_interval"]

_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile
_NOT_JUDGED = frozenset((Outcome.FALLBACK.value, Outcome.FAILED.value))


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval for a share, with 95 % confidence.

    Unlike the textbook's interval it does not shrink to a point at 0 of n: 0 of 12 still leaves 0 to 0.24. Wilson, J.
    Am. Stat. Assoc. 22 (1927) 209; recommended for small n by Brown, Cai and DasGupta, Stat. Sci. 16 (2001) 101.

    Args:
        successes: From 0 to n.
        n: Independent trials; with none, everything is possible.

    Returns:
        Lower and upper end, in [0, 1].
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, _Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends rounding leaves 1e-17 or so.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == n else min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over wrong candidates.

    Attributes:
        n: Candidates.
        judged: Of these, the ones that the judge scored.
        by_rule: The ones that a rule scored without a request: empty, degenerate, or decided by the gate.
        not_judged: The ones that nobody scored. They count neither as fooled nor as resisted, and are in no mean.
        fooled: Scored at the threshold or above: false positives.
        raised: Scored above the same target's plain wrong candidate.
        mean_score: In [0, 1]; None if nothing was scored.
        mean_rise: Mean difference to the same target's plain wrong candidate, in [-1, 1]; None if no target has both.
    """

    n: int
    judged: int
    by_rule: int
    not_judged: int
    fooled: int
    raised: int
    mean_score: float | None
    mean_rise: float | None

    @property
    def scored(self) -> int:
        """Candidates with a score, by the judge or by a rule."""
        return self.judged + self.by_rule

    @property
    def rate(self) -> float | None:
        """False positives among the scored ones, in [0, 1]; None if there are none."""
        return self.fooled / self.scored if self.scored else None

    @property
    def interval(self) -> tuple[float, float]:
        """The rate's 95 % interval by Wilson; (0, 1) if nothing was scored.

        It takes the candidates for independent. Those of several attacks on one target are not: of a kind's and the
        overall interval the width is a lower bound.
        """
        return wilson_interval(self.fooled, self.scored)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the attributes, `rate`, `rate_low` and `rate_high`."""
        low, high = self.interval
        return {**asdict(self), "rate": self.rate, "rate_low": low, "rate_high": high}


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What became of one attack.

    Attributes:
        name: The attack's.
        kind: The attack's.
        tries: The attack's.
        source: The attack's.
        tally: Over all targets.
        scores: For each target, in order; None where nobody gave one.
    """

    name: str
    kind: str
    tries: str
    source: str
    tally: Tally
    scores: tuple[float | None, ...]

    @property
    def label(self) -> str:
        """`KIND/NAME`."""
        return f"{self.kind}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the attributes, those of the tally among them."""
        told = {name: getattr(self, name) for name in ("name", "kind", "tries", "source")}
        return {**told, **self.tally.to_dict(), "scores": list(self.scores)}


@dataclass(frozen=True, slots=True)
class RedTeamReport:
    """How a judge stood up to attacks.

    Attributes:
        threshold: The score from which on a wrong candidate counts as taken for a right one.
        baseline: The plain wrong candidates. What fools the judge there is not the attacks' doing.
        attacks: One result for each attack, in the order given.
        kinds: The attacks of a kind together.
        overall: All attacks together, without the baseline.
        reasons: Why candidates were not judged, with counts, the commonest first.
        judge: What was asked: `server_url`, `model_name`, `prompt_template`, `scoring`, `gate` and `defences`.
    """

    threshold: float
    baseline: Tally
    attacks: tuple[AttackResult, ...]
    kinds: Mapping[str, Tally]
    overall: Tally
    reasons: Mapping[str, int] = field(default_factory=dict)
    judge: Mapping[str, str | bool] = field(default_factory=dict)

    def above(self, rate: float) -> tuple[AttackResult, ...]:
        """The attacks whose rate is above this, the highest first."""
        found = [result for result in self.attacks if (result.tally.rate or 0.0) > rate]
        return tuple(sorted(found, key=lambda result: -(result.tally.rate or 0.0)))

    def unclear(self, share: float = 0.5) -> tuple[AttackResult, ...]:
        """The attacks of which less than this share was scored: too little to say anything."""
        return tuple(result for result in self.attacks if result.tally.scored < share * result.tally.n)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "judge": dict(self.judge),
            "threshold": self.threshold,
            "baseline": self.baseline.to_dict(),
            "overall": self.overall.to_dict(),
            "kinds": {kind: tally.to_dict() for kind, tally in self.kinds.items()},
            "attacks": [result.to_dict() for result in self.attacks],
            "reasons": dict(self.reasons),
        }


def score_of(judgement: Judgement) -> float | None:
    """The score, unless it is only what the fallback made up."""
    return None if judgement.outcome.value in _NOT_JUDGED else judgement.score


def tally(judgements: Sequence[Judgement], baseline: Sequence[Judgement], threshold: float) -> Tally:
    """Count.

    Args:
        judgements: Of wrong candidates, a whole number of times as many as targets, in the targets' order.
        baseline: Of each target's plain wrong candidate.
        threshold: The score from which on a candidate counts as fooling.
    """
    scores = [score_of(judgement) for judgement in judgements]
    known = [score for score in scores if score is not None]
    plain = [score_of(judgement) for judgement in baseline]
    pairs = zip(scores, plain * (len(scores) // len(plain)), strict=True)
    rises = [score - before for score, before in pairs if score is not None and before is not None]
    judged = sum(judgement.outcome is Outcome.JUDGED for judgement in judgements)
    return Tally(
        n=len(scores),
        judged=judged,
        by_rule=len(known) - judged,
        not_judged=len(scores) - len(known),
        fooled=sum(score >= threshold for score in known),
        raised=sum(rise > 0 for rise in rises),
        mean_score=fmean(known) if known else None,
        mean_rise=fmean(rises) if rises else None,
    )


def reasons_of(judgements: Iterable[Judgement]) -> dict[str, int]:
    """Why rows were not judged, with counts, the commonest first."""
    found = Counter(judgement.reason for judgement in judgements if score_of(judgement) is None)
    return dict(found.most_common())
