"""Making a row's text inert, so that it can be shown to the judge and cannot speak to it."""

from __future__ import annotations

import hashlib
import re

__all__ = ["fence", "inert", "middle_cut"]

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
    ),
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


def fence(candidate: str) -> str:
    """The candidate between two markers that it cannot contain.

    The markers carry a code made from the candidate, so that equal candidates give equal prompts; a candidate that
    holds the code (by chance, or because it was searched for) gets another. Lines that look like a verdict are marked
    as the candidate's own, so that a judge that repeats them gives none.
    """
    body = inert(candidate)
    if _names_reward(body):
        body = _VERDICT_LINE.sub("(written by the candidate) ", body)
    code = hashlib.blake2b(body.encode(), digest_size=4).hexdigest()
    while code in body:
        code = hashlib.blake2b(code.encode(), digest_size=4).hexdigest()
    return f"<candidate_{code}>\n{body}\n</candidate_{code}>"


def middle_cut(text: str, keep: int) -> str:
    """The head and the tail of a text, `keep` characters of it together, with a note of what is missing between.

    The tail gets two thirds: answers stand at the end.
    """
    if len(text) <= keep:
        return text
    tail = keep * 2 // 3
    head = keep - tail
    return text[:head] + CUT_MARK.format(len(text) - keep) + (text[-tail:] if tail else "")


def _names_reward(text: str) -> bool:
    """Whether a text holds "reward", in letters of any case and width."""
    return "reward" in text.lower() if text.isascii() else _REWARD.search(text) is not None
