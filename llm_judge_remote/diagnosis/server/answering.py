"""Whether a server answers a question, many in one request, and one that is too long."""

from __future__ import annotations

import time
from dataclasses import replace

from llm_judge_remote.client.chat import BATCH_PATH
from llm_judge_remote.client.exchange import NoBatchEndpointError
from llm_judge_remote.diagnosis.server.look import Seen
from llm_judge_remote.diagnosis.server.remedies import remedy
from llm_judge_remote.diagnosis.server.visit import ServerVisit, plain_request
from llm_judge_remote.errors import (
    ConnectionDroppedError,
    PromptTooLongError,
    ServerError,
    StatusError,
)
from llm_judge_remote.scoring.verdict import clip

__all__ = ["batch_endpoint", "chat", "context_limit"]

_CONVERSATIONS = 3
_NO_BATCHES = (
    "rows then go one by one, at about half the rate on vLLM; behind a gateway, let "
    f"{BATCH_PATH} through, with its Authorization header"
)
_WORD = "zq7 "  # at least one token, and four bytes
_UNTOLD_LENGTH = 150_000  # tokens; more than most models take, for a server that does not say what it takes


def chat(visit: ServerVisit) -> Seen:
    """Whether it answers a question at all."""
    if not visit.model:
        return Seen("error", "no model's name is known to ask for", "set model_name (--model)")
    reply, took = visit.ask(plain_request(visit, "Say hello.", max_tokens=16))
    said = reply.content or reply.reasoning
    if not said.strip():
        return Seen("error", f"it answered a question with an empty reply, in {took:.2f} s", "read the server's log")
    return Seen("ok", f"said {clip(said)} in {took:.2f} s")


def batch_endpoint(visit: ServerVisit) -> Seen:
    """Whether several conversations in one request are answered, one by one."""
    if visit.settings.batch_endpoint == "off":
        return Seen("skipped", "batch_endpoint is off in the settings")
    request = plain_request(visit, "", max_tokens=1)
    requests = [
        replace(request, messages=({"role": "user", "content": f"What is {number} + {number}?"},))
        for number in range(_CONVERSATIONS)
    ]
    began = time.monotonic()
    try:
        replies = visit.ask_together(requests)
    except NoBatchEndpointError:
        return Seen("warning", f"there is no {BATCH_PATH}, or it does not take the key", _NO_BATCHES)
    except ServerError as error:
        return Seen("warning", str(error), f"set batch_endpoint to off if that goes on; {remedy(error)}")
    lost = [reply for reply in replies if isinstance(reply, ServerError)]
    if lost:
        return Seen("warning", str(lost[0]), "set batch_endpoint to off if that goes on")
    return Seen("ok", f"{_CONVERSATIONS} conversations in one request, in {time.monotonic() - began:.2f} s")


def context_limit(visit: ServerVisit) -> Seen:
    """Whether a prompt that is too long is refused, and the refusal understood, so that its candidate is shortened."""
    told = visit.capabilities.max_model_len if visit.capabilities else None
    words = (told or _UNTOLD_LENGTH) * 5 // 4
    try:
        reply, _ = visit.ask(plain_request(visit, _WORD * words, max_tokens=1))
    except PromptTooLongError as error:
        return _refused(error)
    except (StatusError, ConnectionDroppedError) as error:
        return _not_understood(error)
    if told:
        message = f"it took a prompt of {reply.prompt_tokens or words:,} tokens, and says that it takes {told:,}"
        return Seen("warning", f"{message}: it may have dropped a part of it", "see how it shortens prompts")
    return Seen("ok", f"it took a prompt of {reply.prompt_tokens or words:,} tokens")


def _refused(error: PromptTooLongError) -> Seen:
    """A refusal as it should be; with the figures, a candidate is cut to fit at once, without them by halves."""
    if error.prompt_tokens and error.token_limit:
        words = f"{error.prompt_tokens:,} tokens are refused by {error.status}; the limit is {error.token_limit:,}"
        return Seen("ok", words)
    limit = f"; the limit is {error.token_limit:,}" if error.token_limit else ""
    return Seen("ok", f"a prompt that is too long is refused by {error.status}{limit}")


def _not_understood(error: StatusError | ConnectionDroppedError) -> Seen:
    lost = "rows with a long candidate are then lost to the fallback, and not shortened"
    if isinstance(error, StatusError) and error.status < 500 and error.status != 413:
        return Seen("warning", f"the refusal is not understood: {error}", f"{lost}; keep prompts short")
    fix = f"{lost}; raise the limit on a request's size in the gateway (nginx: client_max_body_size)"
    return Seen("warning", f"a prompt that is too long brings this: {error}", fix)
