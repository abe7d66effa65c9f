"""A judge with known accuracy and known gullibility, to measure what defences and fallbacks are worth."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Literal, get_args

from llm_judge_remote.testing.conversation import Conversation, Reply, unit_interval
from llm_judge_remote.testing.shown_row import Form, ShownRow, read_row

__all__ = ["SimulatedJudge", "Weakness", "final_answer"]

Weakness = Literal["echoes", "obeys", "quotes", "master_keys"]
"""A way to be fooled; see `SimulatedJudge`."""


def final_answer(text: str) -> str:
    r"""The answer that a solution ends with, for comparison with another's.

    It stands in the last `\boxed{}`, else behind the last `####`, `A:` or `answer is`; else it is the last number, else
    the text. Lines with `REWARD` are passed over. Numbers are compared as numbers: `1,000.0` equals `1000`.
    """
    text = "\n".join(line for line in text.split("\n") if not _VERDICT.search(_plain(line)))
    boxed, announced, numbers = (each.findall(text) for each in (_BOXED, _ANNOUNCED, _NUMBER))
    found = (boxed or announced or numbers or [text])[-1]
    words = "".join(found.split()).strip("$.").casefold()
    inside = _NUMBER.findall(found)
    if len(inside) != 1 or (boxed and inside[0] != words):
        return words
    numerator, _, denominator = inside[0].replace(",", "").partition("/")
    if not denominator:
        return str(Fraction(numerator))
    return str(Fraction(numerator) / int(denominator)) if int(denominator) else words


class SimulatedJudge:
    """Compares final answers, errs at a known rate, and falls for known tricks; a judge for `JudgeServer`.

    It reads problem, reference and candidate out of the package's prompts, fenced or not (`read_row`), and writes its
    verdict as they ask: the best score of the range if the final answers are equal, else the worst. With `logprobs` in
    the request it tells its `probabilities` as well: it is surer of right verdicts than of wrong ones. All it does is a
    function of the row, the weaknesses and the seed.

    ===============  ==================================================================================================
    weakness         what it does
    ===============  ==================================================================================================
    `echoes`         ends its reply with the last lines of the candidate
    `quotes`         ends its reply with the first line of the candidate that looks like a verdict
    `obeys`          gives the verdict that an order in the candidate demands, if the order seems to come from the
                     operator: behind a chat template's control token that is whole, behind the marker that ends the
                     candidate, or anywhere where no markers tell candidate and operator apart
    `master_keys`    gives the best score to candidates that say nothing, such as `:`, `Solution:` and
                     `Thought process:` ("One Token to Fool LLM-as-a-Judge", arXiv 2507.08794)
    ===============  ==================================================================================================

    A reply that is held to a grammar has no room for echoes and quotations; orders and master keys work all the same.

    Args:
        accuracy: Share of right verdicts, in [0, 1].
        gullibility: The weaknesses that it has.
        answer: The final answer in a text; equal ones are right.
        mistakes: What a mistake depends on. `problem`: on problem and reference, for all right candidates alike and for
            all wrong ones, so that nothing that is added to a wrong candidate changes its score by luck. `row`: on the
            candidate's text too, so that the candidates of one problem fare independently.
        noise: Share of replies whose verdict is turned round when the request's temperature is above 0, each draw and
            each sampling seed for itself (without a seed, each time): what votes are good for.
        seed: Other seeds, other mistakes.

    Raises:
        ValueError: A number is not in [0, 1], or there is no such weakness.
    """

    def __init__(
        self,
        accuracy: float = 0.9,
        gullibility: Iterable[Weakness] = (),
        *,
        answer: Callable[[str], str] = final_answer,
        mistakes: Literal["problem", "row"] = "problem",
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._weak = frozenset(gullibility)
        unknown = self._weak - set(get_args(Weakness))
        if unknown or mistakes not in ("problem", "row"):
            words = f"{sorted(unknown)} of the gullibility or mistakes={mistakes!r}"
            msg = f"{words}: there are {', '.join(get_args(Weakness))}, and 'problem' and 'row'"
            raise ValueError(msg)
        if not (0.0 <= accuracy <= 1.0 and 0.0 <= noise <= 1.0):
            msg = f"{accuracy=} and {noise=} are in [0, 1]"
            raise ValueError(msg)
        self._accuracy = accuracy
        self._answer = answer
        self._mistakes = mistakes
        self._noise = noise
        self._seed = seed

    def __call__(self, conversation: Conversation) -> Reply:
        """The reply to one conversation; a few words if it shows no row."""
        row = read_row(conversation.messages)
        if row is None:
            return Reply("I see nothing to judge.")
        fooled = self._fooled(row)
        share, sure = self._opinion(row) if fooled is None else (fooled, 0.97)
        if self._turns(conversation):
            share, sure = 1.0 - share, 0.55
        thought = "The final answers are compared." if conversation.thinking else None
        said = self._reply(share, row, conversation)
        if not conversation.body.get("logprobs"):
            return Reply(said, thought)
        # What is missing to 1 is something else than a verdict.
        other = self._reply(0.0 if share >= 0.5 else 1.0, row, conversation)
        return Reply(said, thought, probabilities={said: sure, other: 0.95 * (1.0 - sure)})

    def _opinion(self, row: ShownRow) -> tuple[float, float]:
        """The judge's own verdict, 0.0 or 1.0, and how sure it is, from 0.5 to 1."""
        answer = self._answer(row.candidate)
        right = bool(answer) and answer == self._answer(row.reference)
        what = (self._seed, row.problem, row.reference, right, row.candidate if self._mistakes == "row" else "")
        errs = unit_interval("mistake", *what) >= self._accuracy
        share = unit_interval("sure", *what)
        return float(right != errs), 0.55 + 0.25 * share if errs else 0.65 + 0.33 * share

    def _turns(self, conversation: Conversation) -> bool:
        body = conversation.body
        if not self._noise or not body.get("temperature"):
            return False
        sampling = body.get("seed"), conversation.draw, None if "seed" in body else conversation.attempt
        return unit_interval("noise", self._seed, conversation.key, *sampling) < self._noise

    def _fooled(self, row: ShownRow) -> float | None:
        """The verdict that the candidate tricks the judge into; None if there is no trick that works."""
        if "master_keys" in self._weak and _MASTER_KEY.fullmatch(row.candidate):
            return 1.0
        return _ordered(row) if "obeys" in self._weak else None

    def _reply(self, share: float, row: ShownRow, conversation: Conversation) -> str:
        verdict = row.form.write(share)
        if conversation.held:
            return verdict
        parts = [f"The final answers {'agree' if share >= 0.5 else 'differ'}."] if row.form.wants_reasons else []
        parts.append(verdict)
        if "quotes" in self._weak:
            line = _first_verdict(row)
            parts += [f"\nThe candidate says:\n> {line}\n{line}"] if line else []
        if "echoes" in self._weak:
            lines = [line for line in row.candidate.split("\n") if line.strip()]
            parts += ["\nThe candidate ends so:", *lines[-3:]]
        return "\n".join(parts)


def _first_verdict(row: ShownRow) -> str | None:
    words = row.form.words
    bare = re.compile(rf"\W*(?:{'|'.join(map(re.escape, words))})\W*", re.IGNORECASE) if words else None
    lines = row.candidate.split("\n")
    return next((line for line in lines if _VERDICT.search(_plain(line)) or (bare and bare.fullmatch(line))), None)


def _ordered(row: ShownRow) -> float | None:
    """The verdict that the candidate orders, in [0, 1], where the order looks like the operator's."""
    token = _CONTROL_TOKEN.search(row.candidate)
    if token is not None:
        return _demanded(row.candidate[token.end() :], row.form)
    if row.outside is None:
        order = _ORDER.search(row.candidate)
        return None if order is None else _demanded(row.candidate[order.start() :], row.form)
    return _demanded(row.outside, row.form)


def _demanded(text: str, form: Form) -> float | None:
    """The last verdict that a text names, in [0, 1]."""
    text = _plain(text)
    found = [(each.start(), form.share(float(each[1]))) for each in _VERDICT_NUMBER.finditer(text)]
    for order in _ORDER.finditer(text):
        named = _NAMED.search(text, order.end(), order.end() + 60)
        if named is not None:
            found.append((named.start(), form.share(float(named[1])) if named[1] else 1.0))
    for share, word in enumerate(form.words or ()):
        asked = re.compile(rf"{_ASKED_WORD}{re.escape(word)}\b", _LINES)
        found += [(each.start(), float(share)) for each in asked.finditer(text)]
    return max(found)[1] if found else None


def _plain(text: str) -> str:
    """With letters of full width and their like as plain ones, as a model reads them."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


_LINES = re.IGNORECASE | re.MULTILINE
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_ANNOUNCED = re.compile(r"(?:####|\banswer(?:\s+is|:)|^A:)[ \t]*(\S[^\n]*)", _LINES)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?![^\W_])")
_VERDICT = re.compile(r"reward\W{0,9}[:=]", re.IGNORECASE)
_VERDICT_NUMBER = re.compile(r"reward\W{0,9}[:=]\W{0,9}(\d+(?:\.\d+)?|\.\d+)", re.IGNORECASE)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|output|reply|respond|print|award|assign"
    r"|(?:answer|say|give|grade|rate|score) (?:with|it|this|every|all|each|the)"
    r"|(?:score|grade|verdict|rating)(?= ?:))\b",
    re.IGNORECASE,
)
_ASKED_WORD = r"(?:^|\b(?:output|answer|reply|respond|say|write|print|return|give|verdict)(?: with)?\b)[^\w\n]*"
_NAMED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\b|\b(?:full|highest|maximum|perfect|top|best)\b", re.IGNORECASE)
# The paper's ten, what they become with a colon or in capitals, signs alone, and a thought that is opened only.
_MASTER_KEY = re.compile(
    r"\W*(?:thought process|let'?s solve this problem step by step|let'?s think step by step|the )?"
    r"(?:solution|answer|final answer|解|かいせつ|respuesta)?\W*|\W*<\s?think\w*>\W*",
    re.IGNORECASE,
)
# Those of all families: a judge that takes each for its own shows every one that comes through whole.
_CONTROL_TOKEN = re.compile(
    r"<\|[^|<>\n]{1,40}\|?>|<turn\|>|<｜[^｜<>\n]{1,40}｜>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]"
    r"|\[\|[a-z]{1,20}\|\]|\[e~\[|\]~b\]"
)
