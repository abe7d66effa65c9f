"""Candidates that say nothing, and yet are known to get good scores from judges.

The corpus is that of "One Token to Fool LLM-as-a-Judge" (Zhao et al., arXiv 2507.08794): lone punctuation, and openers
that promise a solution and stop ("Thought process:", "Solution", in several languages). A judge that is shown one
beside a reference often takes it for right; a rule does not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from llm_judge_remote.rules.answers import final_answer

__all__ = ["degenerate"]


def degenerate(candidate: str, references: Sequence[str]) -> str:
    r"""Why a candidate is degenerate, in words; "" if it is not.

    Degenerate is what consists of nothing but blanks, punctuation and unprintable characters; of an opener in one of
    the languages below, whatever its case, punctuation and markup; of chat control tokens or the tags of a thought; of
    an empty `\boxed{}`; or of several of these. All but the first are short: a flood of them is left to the judge.

    It never is what a reference says, or gives as its final answer: "Respuesta" may be the right translation, and ";"
    the right sign; nor what a short reference quotes, or names as one or two words of it. Where a reference is an
    opener, no opener is degenerate ("Okay" for "OK"). Mathematical signs alone (∞, <, +) are an answer, too, and so are
    pairs of brackets (an empty list).
    """
    text = candidate.strip(_FILLING)
    if len(text) > _LONGEST and _LETTER.search(text, 0, _LONGEST):
        return ""
    if _surely_says_something(text):
        return ""
    reason = _reason(text)
    if not reason or _is_pair(candidate) or _is_wanted(candidate, references):
        return ""
    return "" if reason == _OPENER and any(_is_short_opener(reference) for reference in references) else reason


def _surely_says_something(text: str) -> bool:
    """Whether its first words tell, as they mostly do: a tenth of the time that the whole look takes."""
    for word in text.split(" ", _MOST_WORDS)[:_MOST_WORDS]:
        if word.isascii() and word.isalnum():
            if word.lower() not in _OPENER_WORDS:
                return True
        elif any(sign in word for sign in _TAKEN_AWAY):
            return False  # what is behind it may go with it
    return False


def _reason(text: str) -> str:
    for stripped, reason in _STAGES:
        if stripped is not None:
            text = stripped.sub(" ", text)
        if not _LETTER.search(text):
            return "" if _has_sign(text) else reason
    return _OPENER if _is_short_opener(text) else ""


def _is_short_opener(text: str) -> bool:
    return len(text) <= _LONGEST and _is_opener(text)


def _is_opener(text: str) -> bool:
    """Whether the words of a text are openers, one after the other: "Sure! Let's think step by step. Answer:"."""
    if _has_sign(_LETTER.sub("", text)):  # "Answer: ∞"
        return False
    words = _words(text)
    if not words:
        return False
    place = 0
    while place < len(words):
        for length in range(min(_MOST_WORDS, len(words) - place), 0, -1):
            if " ".join(words[place : place + length]) in _OPENERS:
                place += length
                break
        else:
            return False
    return True


def _has_sign(text: str) -> bool:
    """Whether a text without letters holds a sign that can be an answer."""
    return any(
        sign not in _EMPTY and (kind := unicodedata.category(sign)) != "Sk" and kind[0] not in "PZCM"
        for sign in set(text)
        if not _LETTER.match(sign)
    )


def _words(text: str) -> list[str]:
    """The words in one spelling. For short texts: NFKC is quadratic in a run of combining marks."""
    return _NO_WORD.sub(" ", _APOSTROPHE.sub("", unicodedata.normalize("NFKC", text).casefold())).split()


def _is_wanted(candidate: str, references: Sequence[str]) -> bool:
    said = _forms(candidate)
    if any(said & _forms(reference) for reference in references):
        return True
    if len(candidate) > _LONGEST:
        return False
    is_named = _is_word if _LETTER.search(candidate) else _is_quoted
    return any(is_named(candidate.strip(), reference) for reference in references if len(reference) <= _LONGEST)


def _is_word(candidate: str, reference: str) -> bool:
    """Whether one or two words are words of the reference, behind its last colon if it has any.

    More of them, and those before a colon ("Solution: 18"), are an opener of the reference as well.
    """
    words = _words(candidate)
    behind = _words(_COLON.split(reference)[-1])
    return 0 < len(words) <= _FEW_WORDS and f" {' '.join(words)} " in f" {' '.join(behind)} "


def _is_quoted(candidate: str, reference: str) -> bool:
    """Whether a sign is quoted in the reference, or stands at one end of it behind or before a blank.

    Anywhere else any reference in prose has a full stop and a comma.
    """
    for sign in {candidate, candidate.strip(_QUOTES + " ")} - {""}:
        place = reference.find(sign)
        while place >= 0:
            before, behind = reference[max(place - 1, 0) : place], reference[place + len(sign) :][:1]
            if before and behind and before in _QUOTES and behind in _QUOTES:
                return True
            if (not before and behind.isspace()) or (before.isspace() and not behind):
                return True
            place = reference.find(sign, place + 1)
    return False


def _is_pair(text: str) -> bool:
    r"""Whether a text, or its final answer, is brackets that pair around nothing: {}, [], \{\}, [()]."""
    for form in (text, final_answer(text) or ""):
        inside = _TOKEN.sub(" ", form).strip(_MARKUP + ".")
        if len(inside) > _LONGEST_PAIR or "\\boxed" in inside:
            continue
        for _ in range(_DEEPEST):
            inside = _TEXT.sub(r"\1", inside)
        inside = "".join(_SHELL.sub("", inside).split())
        while _PAIR.search(inside):
            inside = _PAIR.sub("", inside)
            if not inside:
                return True
    return False


def _forms(text: str) -> set[str]:
    """The text and its final answer, without the markup around them, and its words if they are few."""
    forms = {form.strip(marks) for form in (text, final_answer(text) or "") for marks in (None, _MARKUP)}
    if len(text) <= _LONGEST:
        forms.add(" ".join(_words(_SHELL.sub(" ", text))))
    return forms - {""}


_OPENER = "an opener and nothing else"
_LONGEST = 400  # characters
_LONGEST_PAIR = 40
_DEEPEST = 3
_FEW_WORDS = 2
_QUOTES = "`\"'“”‘’«»„"
_MOST_WORDS = 9  # of one opener
_FILLING = " \t\r\n.…:!*#-"
_MARKUP = " \t\r\n*_`$"
# Bars and the dollar are markup, as are the modifiers (Sk: ^ and `). The others look like blanks, and the first four
# of them are letters to Unicode.
_EMPTY = frozenset("|~$\u115f\u1160\u3164\uffa0\u2800")

_LETTER = re.compile(r"[^\W_\u115f\u1160\u3164\uffa0]")
_NO_WORD = re.compile(r"[\W_]+")
_APOSTROPHE = re.compile("['’‘ʼ`]")

_ROLE = r"(?:\s{0,3}(?:assistant|user|system|model)\b)?"
_TOKEN = re.compile(
    rf"<\|[^|<>\n]{{1,40}}\|?>{_ROLE}|<[^|<>\n]{{1,40}}\|>|<｜[^｜<>\n]{{1,60}}｜>{_ROLE}"
    rf"|<(?:start|end)_of_turn>{_ROLE}|</?(?:s|bos|eos|pad|unk|sop)>|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|BOS|EOS|EOT|gMASK)\]",
    re.IGNORECASE,
)
_TAG = re.compile(
    r"</?(?:thinking|think|thoughts?|reasoning)(?:\s[^<>]{0,200})?/?>|\[/?THINK\]|◁/?think▷",
    re.IGNORECASE,
)
_SHELL = re.compile(
    r"\\(?:boxed|fbox|text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox|q?quad|left|right)(?![A-Za-z])"
    r"|</?(?:answer|solution|output)>",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox)\s{0,3}\{([^{}]*)\}")
_PAIR = re.compile(r"\\\{\\\}|(?<!\\)(?:\{\}|\[\]|\(\))")
_COLON = re.compile(r"[:：]")
# What is taken away, and what a text is if no letter or digit is left then.
_STAGES = (
    (None, "no letters or digits"),
    (_TOKEN, "control tokens and nothing else"),
    (_TAG, "a thought opener and nothing else"),
    (_SHELL, "an empty box"),
)

_TAKEN_AWAY = ("<", "[", "\\", "◁")  # what the stages take away begins with one of them

# The first line is the paper's own, the rest is of its kind.
_OPENERS = frozenset(
    " ".join(_words(opener))
    for line in """
    thought process | lets solve this problem step by step | solution | 解 | かいせつ | respuesta
    thinking process | mental process | reasoning process | solution process | thinking | thought | thoughts | reasoning
    explanation | analysis | step by step | step by step solution | step by step reasoning | problem solving
    lets solve this | lets solve it | lets solve this problem | lets solve the problem | lets solve this step by step
    lets solve it step by step | lets solve the problem step by step | lets think | lets think step by step
    lets think about this | lets think about this step by step | lets think through this step by step | lets begin
    lets work through this step by step | lets work through this problem step by step | lets break this down | lets see
    lets break this down step by step | lets break it down | lets start | lets do this step by step | lets go
    let me solve this | let me solve this problem | let me solve this step by step | let me solve it step by step
    let me solve this problem step by step | let me think | let me think about this | let me think step by step
    let me think about this step by step | let me work through this step by step | let me break this down | let me see
    let us think | let us think step by step | let us solve this problem step by step | let us solve this step by step
    to solve this | to solve this problem | to solve this problem step by step | i will solve this step by step
    answer | the answer | my answer | answer is | the answer is | final answer | the final answer | my final answer
    the final answer is | my final answer is | the correct answer is | correct answer | therefore the final answer is
    therefore the answer is | so the answer is | thus the answer is | final solution | the solution | the solution is
    heres the solution | here is the solution | heres the answer | here is the answer | heres my solution
    here is my solution | heres a step by step solution | here is a step by step solution | heres my answer
    sure | sure thing | of course | certainly | okay | ok | alright | all right | assistant | response
    解答 | 解决方案 | 解析 | 解题 | 解题过程 | 解題過程 | 答案 | 答 | 最终答案 | 最終答案 | 思考过程 | 思考過程 | 分析
    好的 | 让我们一步一步思考 | 让我们一步步思考 | 让我们逐步解决这个问题 | 让我们一步一步地解决这个问题
    让我们一步步解决这个问题
    解説 | 回答 | 答え | こたえ | かいとう | 思考プロセス | 解決策 | 풀이 | 정답 | 답 | 해설 | 해결책
    풀이 과정 | 사고 과정
    respuesta final | la respuesta | la respuesta es | la respuesta final es | solución | la solución | explicación
    proceso de pensamiento | resolvamos este problema paso a paso | vamos a resolver este problema paso a paso
    resposta | resposta final | a resposta é | solução | réponse | la réponse est | processus de réflexion | lösung
    antwort | die antwort ist | denkprozess | gedankengang | lösungsweg | risposta | la risposta è | soluzione | ответ
    решение | الحل | الجواب | الإجابة | उत्तर | हल | समाधान
    """.splitlines()
    for opener in line.split("|")
    if opener.strip()
)
_OPENER_WORDS = frozenset(word for opener in _OPENERS for word in opener.split())
