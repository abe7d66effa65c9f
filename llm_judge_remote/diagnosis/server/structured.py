"""Whether a server holds a reply to the verdict's grammar."""

from __future__ import annotations

import time
from dataclasses import replace

from llm_judge_remote.client.constraint import DIALECTS, Grammar
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.diagnosis.server.look import Seen
from llm_judge_remote.diagnosis.server.visit import ServerVisit, plain_request
from llm_judge_remote.errors import IncapableError
from llm_judge_remote.prompts.library import TemplateLibrary
from llm_judge_remote.scoring.lexical import PLACEHOLDERS
from llm_judge_remote.scoring.verdict import clip

__all__ = ["structured_output"]

_MOST = 64  # tokens
_FIX = (
    "vLLM holds replies by itself, SGLang unless started with --grammar-backend none; a gateway must pass the field on"
)


def structured_output(visit: ServerVisit) -> Seen:
    """Whether it says what it is made to say, and a verdict where it is asked for a sentence."""
    wanted = visit.settings.structured_output
    dialect = visit.dialects.of(visit.session, visit.model, Attempt(), time.monotonic() + visit.settings.timeout)
    if dialect is None:
        words = f"it obeys none of {', '.join(DIALECTS)}: replies are read as they come"
        return Seen("ok", f"{words}, as structured_output=off wants it") if wanted == "off" else _free(visit, words)
    request = plain_request(visit, "Write one sentence about the sea.", max_tokens=_MOST)
    try:
        reply, _ = visit.ask(replace(request, grammar=_grammar(visit), needs_grammar=True))
    except IncapableError:
        return _free(visit, f"it obeys `{dialect}` for a word, and not for the verdict that the template asks for")
    unused = " (structured_output=off leaves that unused)" if wanted == "off" else ""
    return Seen("ok", f"held by `{dialect}`: asked for a sentence about the sea, it said {clip(reply.content)}{unused}")


def _free(visit: ServerVisit, words: str) -> Seen:
    """A server that says what it likes."""
    return Seen("error" if visit.settings.structured_output == "on" else "warning", words, _FIX)


def _grammar(visit: ServerVisit) -> Grammar:
    """The template's, or for one that lets the judge say more the default's."""
    library = TemplateLibrary(PLACEHOLDERS)
    own = library.get(visit.settings.prompt_template).grammar
    return Grammar(*(own or library.get("default").grammar or ("REWARD: [01]", "[01]")))
