"""Log-probabilities of a reply's tokens, in the shape of vLLM 0.32 and with its errors.

As there, the tokens of a thought come first, whether or not it is sent in a field of its own, and the token that ended
the reply comes last: all tokens together give more than the content.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llm_judge_remote.testing.wire import RequestError

__all__ = ["END", "Step", "logprobs_json", "path_steps", "plain_steps", "tokenize", "top_logprobs"]

END = "<|im_end|>"
"""The token that ends a reply, as Qwen's and SmolLM2's templates name it."""

_MOST = 20  # vLLM's `--max-logprobs`
_VOCABULARY = 151_936  # Qwen3's, which is what -1 asks for
_LOWEST = -9999.0  # vLLM's, in place of minus infinity
_FORBIDDEN = "<|im_start|>"
_SURE = math.exp(-0.01)
_OTHERS = ("I", "The", "Hm")
# As Qwen's tokenizer splits a text before it looks for longer tokens: digits one by one, words with the space before.
_TOKEN = re.compile(
    r"[^\r\n\w]?[^\W\d_]+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+|.",
    re.DOTALL,
)


class Step(NamedTuple):
    """One token of a reply.

    Attributes:
        token: Its text.
        logprob: Its natural logarithm of probability, given what stands before.
        others: The other tokens that could have stood there, the most probable first.
    """

    token: str
    logprob: float
    others: tuple[tuple[str, float], ...]


def top_logprobs(body: Mapping[str, Any]) -> int | None:
    """How many alternatives a request wants to each token; None if it wants no log-probabilities.

    Raises:
        RequestError: It wants more than vLLM gives, or asks in a wrong way.
    """
    asked = body.get("top_logprobs") or 0
    if not isinstance(asked, int):
        raise _error("`top_logprobs` must be an integer.", "top_logprobs", asked)
    if asked < -1:
        raise _error("`top_logprobs` must be a positive value or -1.", "top_logprobs", asked)
    if not body.get("logprobs"):
        if asked:
            words = "when using `top_logprobs`, `logprobs` must be set to true. (parameter=top_logprobs)"
            raise RequestError(400, words, param="top_logprobs")
        return None
    if asked < 0 or asked > _MOST:
        asked = _VOCABULARY if asked < 0 else asked
        words = f"Requested sample logprobs of {asked}, which is greater than max allowed: {_MOST}"
        raise _error(words, "logprobs", asked)
    return asked


def tokenize(text: str) -> list[str]:
    """The text in tokens, which joined are the text again: words, single digits, runs of signs, white space."""
    return _TOKEN.findall(text)


def plain_steps(tokens: Sequence[str]) -> list[Step]:
    """Tokens of which the judge was all but sure: probability 0.99 each, and one other for the rest."""
    return [Step(token, -0.01, ((_other(token), math.log(1.0 - _SURE)),)) for token in tokens]


def path_steps(text: str, probabilities: Mapping[str, float], *, masked: bool = False) -> list[Step]:
    """The tokens of a text among others that could have been said, and `END`.

    At each token, its probability and those of its alternatives are shares of the texts that begin as this one does up
    to there. A text that ends there has `END` as its next token. What the probabilities lack of 1 is said nowhere; it
    is one more token at the place where the texts part, and at the first place if there is but one.

    Args:
        text: What was said; one of the texts.
        probabilities: By text; together no more than 1.
        masked: Whether a grammar allows these texts and no others. At each token, one that it forbids is shown too,
            with vLLM's number for a probability of 0.
    """
    paths = [([*tokenize(each), END], share) for each, share in probabilities.items() if share > 0.0]
    rest = max(0.0, 1.0 - sum(share for _, share in paths))
    parting = _parting([tokens for tokens, _ in paths])
    steps = []
    for place, token in enumerate([*tokenize(text), END]):
        shares: dict[str, float] = {token: rest if place < parting else 0.0}
        for tokens, share in paths:
            shares[tokens[place]] = shares.get(tokens[place], 0.0) + share
        paths = [path for path in paths if path[0][place] == token]
        if place == parting and rest > 1e-9:  # not what rounding leaves
            shares[_other(*shares)] = rest
        whole = sum(shares.values()) or 1.0
        ranked = sorted(shares.items(), key=lambda each: -each[1])
        others = tuple((other, _log(share / whole)) for other, share in ranked if other != token)
        forbidden = ((_FORBIDDEN, _LOWEST),) if masked else ()
        steps.append(Step(token, _log(shares[token] / whole), (*others, *forbidden)))
    return steps


def logprobs_json(steps: Sequence[Step], top: int) -> dict[str, Any]:
    """A choice's `logprobs`: each token with its `top` alternatives, itself the first of them."""
    return {
        "content": [
            {
                **_token_json(step.token, step.logprob),
                "top_logprobs": [_token_json(*each) for each in ((step.token, step.logprob), *step.others)[:top]],
            }
            for step in steps
        ]
    }


def _token_json(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def _parting(paths: Sequence[Sequence[str]]) -> int:
    """The first place where the paths differ; 0 for one path."""
    if len(paths) < 2:
        return 0
    return next(place for place, tokens in enumerate(zip(*paths, strict=False)) if len(set(tokens)) > 1)


def _other(*taken: str) -> str:
    return next(each for each in (*_OTHERS, f"{''.join(taken)}…") if each not in taken)


def _log(share: float) -> float:
    return max(math.log(share), _LOWEST) if share > 0.0 else _LOWEST


def _error(words: str, param: str, value: object) -> RequestError:
    return RequestError(400, f"{words} (parameter={param}, value={value})", param=param)
