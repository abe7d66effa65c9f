"""Making a row's text inert, so that it can be shown to the judge and cannot speak to it."""

from __future__ import annotations

import hashlib
import re

__all__ = ["fence", "inert", "middle_cut"]

# Chat templates turn these into control tokens wherever they stand, the text of a message included: a candidate
# could end its own turn and write the judge's. A space behind the first sign breaks them and stays readable.
_CONTROL = re.compile(
    r"<(?=\|[^|<>\n]{1,40}\|?>|[^|<>\n]{1,40}\|>)"  # ChatML, Llama 3, Phi, Gemma 4: <|im_end|>, <|turn>, <turn|>
    r"|<(?=｜[^｜<>\n]{1,60}｜>)"  # DeepSeek
    r"|<(?=/?(?:s|bos|eos|pad|unk|sop|start_of_turn|end_of_turn|start_of_image|tool_call|tool_response)>)"
    r"|<(?=</?SYS>>|seed:\w{1,20}>|(?:BOS|EOS)_TOKEN>|extra_id_\d{1,3}>)"
    r"|<(?=/?(?:thinking|think|thoughts?|reasoning)(?:\s[^<>]{0,200})?/?>)|◁(?=/?think▷)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS|CALL_ID|IMG|THINK)\])"
    r"|\[(?=(?:BOS|EOS|EOT|gMASK|start_header_id|end_header_id)\])",  # Mistral; Kimi, GLM
    re.IGNORECASE,
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
# Wider than what the parser takes for the head of a verdict, letters of full width included.
_VERDICT_LINE = re.compile(
    r"^(?=[^\n]{0,48}?[rｒＲ][eｅＥ][wｗＷ][aａＡ][rｒＲ][dｄＤ][^\n]*?[:=：＝])", re.IGNORECASE | re.MULTILINE
)

CUT_MARK = "\n[... middle of the text left out: {} characters ...]\n"


def inert(text: str) -> str:
    """The text with one kind of line end, no unprintable characters, and chat-template control tokens broken."""
    text = _UNPRINTABLE.sub("\ufffd", _LINE_ENDS.sub("\n", text))
    return _CONTROL.sub(lambda match: match.group() + " ", text)


def fence(candidate: str) -> str:
    """The candidate between two markers that it cannot contain.

    The markers carry a code made from the candidate, so that equal candidates give equal prompts; a candidate that
    holds the code (by chance, or because it was searched for) gets another. Lines that look like a verdict are marked
    as the candidate's own, so that a judge that repeats them gives none.
    """
    body = _VERDICT_LINE.sub("(written by the candidate) ", inert(candidate))
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
