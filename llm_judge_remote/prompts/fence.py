"""Making a row's text inert, so that it can be shown to the judge and cannot speak to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Fence", "inert", "middle_cut"]

# Chat templates turn these into control tokens wherever they stand, the text of a message included: a candidate
# could end its own turn and write the judge's. A space behind the first sign breaks them and stays readable.
# By first sign, as most texts hold none of these. "<" comes first: what stands behind it may hold the other signs.
_CONTROL = {
    "<": (
        r"\|[^|<>\n]{1,40}\|?>|[^|<>\n]{1,40}\|>",  # ChatML, Llama 3, Phi, Gemma 4: <|im_end|>, <|turn>, <turn|>
        r"｜[^｜<>\n]{1,60}｜>",  # DeepSeek
        r"/?(?:s|bos|eos|pad|unk|sop|start_of_turn|end_of_turn|start_of_image|tool_call|tool_response)>",
        r"</?SYS>>|seed:\w{1,20}>|(?:BOS|EOS)_TOKEN>|extra_id_\d{1,3}>",
        r"/?(?:thinking|think|thoughts?|reasoning)(?:\s[^<>]{0,200})?/?>",
    ),
    "[": (
        r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID|IMG|THINK)\]",
        r"(?:BOS|EOS|EOT|gMASK|start_header_id|end_header_id)\]",  # Mistral; Kimi, GLM
        r"\|[^|\[\]\n]{1,40}\|\]",  # EXAONE: [|endofturn|]
        r"e~\[",  # MiniMax: [e~[, ]~b], ]~!b[
    ),
    "]": (r"~!?b[\[\]]",),
    "◁": (r"/?think▷",),
}
_CONTROL_TOKENS = {
    sign: re.compile(f"{re.escape(sign)}(?={'|'.join(behind)})", re.IGNORECASE) for sign, behind in _CONTROL.items()
}
_LINE_ENDS = ("\r\n", "\r", "\x85", "\u2028", "\u2029")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNPRINTABLE_BYTES = bytes(code for code in range(128) if _UNPRINTABLE.match(chr(code)))
# Wider than what the parser takes for the head of a verdict, letters of full width included.
_REWARD = re.compile("[rRｒＲ][eEｅＥ][wWｗＷ][aAａＡ][rRｒＲ][dDｄＤ]")
_VERDICT_LINE = re.compile(rf"^(?=[^\n]{{0,48}}?{_REWARD.pattern}[^\n]*?[:=：＝])", re.MULTILINE)

_OWN_WORDS = "(written by the candidate) "

CUT_MARK = "\n[... middle of the text left out: {} characters ...]\n"


def inert(text: str) -> str:
    """The text with one kind of line end, no unprintable characters, and chat-template control tokens broken."""
    for end in _LINE_ENDS:
        text = text.replace(end, "\n")
    data = text.encode("utf-8", "surrogatepass")
    if len(data.translate(None, _UNPRINTABLE_BYTES)) < len(data):  # a quarter of the time that the expression takes
        text = _UNPRINTABLE.sub("\ufffd", text)
    for sign, token in _CONTROL_TOKENS.items():
        if sign in text:
            text = token.sub(f"{sign} ", text)
    return text


@dataclass(frozen=True, slots=True)
class Fence:
    """How a row's texts are shown to the judge.

    The candidate stands between two markers that it cannot contain. They carry a code made from the candidate and a
    key, so that equal candidates give equal prompts in all processes with the same key; a candidate that holds the
    code (by chance, or because it was searched for) gets another. Lines that look like a verdict are marked as the
    candidate's own, so that a judge that repeats them gives none.

    Attributes:
        key: Secret of a run, or "": whoever knows how codes are made can then work one out.
        is_up: False shows all texts as they are, between markers that anybody can write.
    """

    key: str = ""
    is_up: bool = True

    def text(self, text: str) -> str:
        """A text of the row's other than the candidate."""
        return inert(text) if self.is_up else text

    def candidate(self, candidate: str, verdicts: Iterable[str] = ()) -> str:
        """The candidate, fenced.

        Args:
            candidate: The text.
            verdicts: Words that would be a verdict at the beginning of a line.
        """
        if not self.is_up:
            return f"<candidate>\n{candidate}\n</candidate>"
        body = inert(candidate)
        if _names_reward(body):
            body = _VERDICT_LINE.sub(_OWN_WORDS, body)
        for word in verdicts:
            if word.lower() in body.lower() or not body.isascii():
                body = _first_word(word).sub(_OWN_WORDS, body)
        code = self._code(body)
        while code in body:
            code = self._code(code)
        return f"<candidate_{code}>\n{body}\n</candidate_{code}>"

    def _code(self, text: str) -> str:
        # At most 64 bytes of key: the digest of a longer one is as good.
        key = self.key.encode()
        key = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()
        return hashlib.blake2b(text.encode(), digest_size=4, key=key).hexdigest()


def middle_cut(text: str, keep: int) -> str:
    """The head and the tail of a text, `keep` characters of it together, with a note of what is missing between.

    The tail gets two thirds: answers stand at the end.
    """
    if len(text) <= keep:
        return text
    tail = keep * 2 // 3
    head = keep - tail
    return text[:head] + CUT_MARK.format(len(text) - keep) + (text[-tail:] if tail else "")


@lru_cache(maxsize=64)
def _first_word(word: str) -> re.Pattern[str]:
    """The beginning of a line whose first word is this one, behind signs, tags, commands and labels.

    Wider than what `find_option` takes for a verdict: a line marked in vain does no harm.
    """
    sign = r"(?:</?[a-z]{1,8}>|\\[a-z]{1,8}|[^\w\n]|_)*"
    labels = "|".join(map(_any_width, ("final", "my", "verdict", "answer", "reward", "score")))
    return re.compile(
        rf"^(?={sign}(?:(?:{labels})(?![^\W_]){sign}){{0,3}}{_any_width(word)}(?![^\W_]))", re.IGNORECASE | re.MULTILINE
    )


def _any_width(word: str) -> str:
    """Regular expression of a word in letters of half or full width."""
    return "".join(
        f"[{letter}{chr(ord(letter) + 0xFEE0)}]" if letter.isascii() and letter.isalnum() else re.escape(letter)
        for letter in word
    )


def _names_reward(text: str) -> bool:
    """Whether a text holds "reward", in letters of any case and width."""
    return "reward" in text.lower() if text.isascii() else _REWARD.search(text) is not None
