"""The score that the judge would give on average, from the probabilities of the verdict's tokens.

One draw of "4" hides whether the judge was sure of it or torn between 3 and 5. The probabilities tell, at no further
cost: the score is the mean of what the verdict could have been, weighted with how probable that was.

Sources: G-Eval (Liu et al. 2023, arXiv 2303.16634), section 2, "Scoring Function": score = Σ p(s_i) · s_i over the
scores s_i that the prompt defines. With two options, Yes and No as 1 and 0, it is the probability P(True) of Kadavath
et al. 2022 (arXiv 2207.05221), sections 3.2 and 4, who find it calibrated with examples in the prompt and poor without.
Here the sum is divided by the probability that the options have together, which a server that lists the most probable
tokens only can leave below 1, and which is reported.

A verdict of several tokens is a path. At each of its tokens the listed alternatives branch off, each with the
probability of the path so far times its own. A branch counts as soon as it is clear which score it leads to, within
0.1: "0.7" may become 0.70 or 0.79. Where it is not ("0" may become 0.0 or 0.99, "1" may become 10), its probability
stays outside, as does that of all that is no option. So a scale of single digits or words tells more than decimals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llm_judge_remote.scoring.scale import Options, number_options

__all__ = ["Expected", "Options", "Token", "expected_first", "expected_score", "number_options", "place_in_tokens"]

_UNKNOWN = -9998.0  # servers write -9999 for "not among those listed", and for minus infinity
_ROUNDING = 0.01
_MOST_END_TOKENS = 3


class Token(NamedTuple):
    """One generated token.

    Attributes:
        text: As it stands in the reply.
        logprob: Natural logarithm of its probability.
        alternatives: The most probable tokens at its place, by text and logprob. It may be among them.
    """

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


class Expected(NamedTuple):
    """A mean over the options.

    Attributes:
        score: In [0, 1]; 0 where nothing is known.
        mass: The probability, in [0, 1], that the options had together. What is missing to 1 went to other texts, to
            tokens that were not listed, and to beginnings of which the end is open. 0 says that there is no score.
    """

    score: float
    mass: float


_NOTHING = Expected(0.0, 0.0)


def expected_score(tokens: Sequence[Token], start: int, end: int, options: Mapping[str, float]) -> Expected:
    """The probability-weighted mean of the options' scores, at the place of one verdict.

    Args:
        tokens: The generated tokens.
        start: Where the verdict begins in the joined texts of the tokens, in characters: see `place_in_tokens`.
        end: Where it ends.
        options: Each option's score, in [0, 1]. An `Options` is prepared once and may be used for any number of calls.

    Returns:
        The mean and its mass. The mass is 0 where the text at that place is no option, or where the probability of
        one of its tokens is unknown. Nothing is ever raised.
    """
    known = options if isinstance(options, Options) else Options(options)
    steps = list(_steps(tokens, start, end))
    verdict = "".join([text for text, _ in steps])[: max(end - start, 0)]
    own = known.exact(verdict)
    if own is None:
        return _NOTHING
    sums = _Sums(known)
    path, reached = "", 1.0
    for text, token in steps:
        ended = len(path) >= end - start
        if ended and not (len(path) == len(verdict) and known.goes_on(verdict)):
            break
        listed = _listed(token)
        if listed is None:
            return _NOTHING
        head = "" if path else token.text[: len(token.text) - len(text)].strip()
        for other, probability in listed.items():
            tail = other.lstrip()
            if tail.startswith(head):
                sums.branch(path, tail[len(head) :] if head else other, reached * probability)
        path += text
        reached *= _probability(token.logprob) or 0.0
    return sums.closed(own, reached)


def expected_first(tokens: Sequence[Token], options: Mapping[str, float]) -> Expected:
    """The probability-weighted mean of the options' scores, at the first token of a reply that nothing held.

    What was generated need not be an option: each token that stood to choose counts, where it is one, or at least two
    letters of only one. So what the judge would rather have said shows as missing mass.

    Args:
        tokens: The generated tokens; only the first is looked at.
        options: Each option's score, in [0, 1].

    Returns:
        The mean and its mass; a mass of 0 where nothing is known. Nothing is ever raised.
    """
    known = options if isinstance(options, Options) else Options(options)
    listed = _listed(tokens[0]) if tokens else None
    if listed is None:
        return _NOTHING
    listed[tokens[0].text] = _probability(tokens[0].logprob) or 0.0
    scored = [
        (score, probability)
        for text, probability in listed.items()
        if text and (score := known.resolve(text)) is not None
    ]
    mass = sum(probability for _, probability in scored)
    if not mass > 0.0:
        return _NOTHING
    score = sum(score * probability for score, probability in scored) / mass
    return Expected(min(1.0, max(0.0, score)), min(1.0, mass))


def place_in_tokens(tokens: Sequence[Token], reply: str, start: int, end: int) -> tuple[int, int] | None:
    """Where `reply[start:end]` stands in the joined texts of the tokens.

    The two differ where a server takes the thought out of the reply, trims it, or lists the end-of-turn token; so the
    place is counted from the end.

    Returns:
        Start and end in the joined texts; None if these do not end as the reply does, from the verdict on.
    """
    # One character more, so that a verdict is not found in the end of a longer number.
    tail = reply[max(start - 1, 0) :].rstrip()
    if not 0 <= start < end <= len(reply):
        return None
    joined = "".join([token.text for token in tokens])
    for extra in range(min(_MOST_END_TOKENS, len(tokens)) + 1):
        if extra:
            joined = joined[: len(joined) - len(tokens[-extra].text)]
        text = joined.rstrip()
        if text.endswith(tail):
            begin = len(text) - len(tail) + min(start, 1)
            return begin, begin + end - start
    return None


def _steps(tokens: Sequence[Token], start: int, end: int) -> Iterator[tuple[str, Token]]:
    """The tokens of the verdict, and the one behind it if it is there, each with its text from the verdict's start."""
    if not 0 <= start < end:
        return
    position = 0
    for token in tokens:
        begin, position = position, position + len(token.text)
        if position <= start:
            continue
        yield token.text[max(start - begin, 0) :], token
        if begin >= end:
            return


class _Sums:
    """The probability of the branches that led to a score, and that times the score."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._mass = 0.0
        self._total = 0.0

    def branch(self, path: str, text: str, probability: float) -> None:
        """A text that might have stood behind the path."""
        # A token without a text ends the reply.
        score = self._options.resolve(path + text) if text else self._options.exact(path)
        if score is not None:
            self._add(score, probability)

    def closed(self, score: float, probability: float) -> Expected:
        """The mean, with what was generated added."""
        self._add(score, probability)
        if not self._mass > 0.0:
            return _NOTHING
        return Expected(min(1.0, max(0.0, self._total / self._mass)), min(1.0, self._mass))

    def _add(self, score: float, probability: float) -> None:
        self._mass += probability
        self._total += probability * score


def _listed(token: Token) -> dict[str, float] | None:
    """The probabilities of a token's alternatives, without its own; None if they are none."""
    total = _probability(token.logprob)
    if total is None:
        return None
    listed: dict[str, float] = {}
    for text, logprob in token.alternatives:
        probability = _probability(logprob)
        if probability is not None and text != token.text and text not in listed:
            listed[text] = probability
            total += probability
    return listed if total <= 1.0 + _ROUNDING else None


def _probability(logprob: float) -> float | None:
    """None for what is no logarithm of a probability."""
    return math.exp(min(logprob, 0.0)) if _UNKNOWN < logprob <= _ROUNDING else None
