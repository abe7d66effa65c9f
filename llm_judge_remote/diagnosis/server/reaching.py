"""Whether a server is there, whom it answers, and what it serves."""

from __future__ import annotations

import time

from llm_judge_remote.client.capabilities import Capabilities, find_capabilities
from llm_judge_remote.client.chat import CHAT_PATH, HEALTH_PATH, MODELS_PATH
from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.diagnosis.server.look import Seen
from llm_judge_remote.diagnosis.server.remedies import remedy
from llm_judge_remote.diagnosis.server.visit import ServerVisit
from llm_judge_remote.errors import ServerError, StatusError

__all__ = ["auth", "health", "models"]

_REFUSED = (401, 403)
_WRONG_KEY = "not-the-key-of-this-server"
_NO_QUESTION = b"{}"  # refused for its key, or else for having no messages: nothing is generated
_LITTLE_ROOM = 1024  # tokens


def health(visit: ServerVisit) -> Seen:
    """Whether it answers, has loaded its model, and is awake."""
    began = time.monotonic()
    response = visit.session.request("GET", HEALTH_PATH, timeout=visit.short)
    took = f"{(time.monotonic() - began) * 1000:.0f} ms"
    if response.status >= 500:
        error = status_error(response.status, response.headers, response.body, visit.address)
        return Seen("error", str(error), remedy(error))
    if _is_asleep(visit):
        return Seen("error", "the server sleeps, and answers no question", "wake it: llm-judge-remote wake")
    if response.status != 200:
        words = f"{HEALTH_PATH} answered {response.status} in {took}: there is a server, and it has no such path"
        return Seen("warning", words, "see that this is the judge's address, or a gateway that leads there")
    return Seen("ok", f"{HEALTH_PATH} answered 200 in {took}")


def auth(visit: ServerVisit) -> Seen:
    """Whether the key is taken, and others, or none, are refused."""
    own = visit.post(CHAT_PATH, _NO_QUESTION, timeout=visit.short)
    key = visit.settings.api_key
    if own.status in _REFUSED:
        error = status_error(own.status, own.headers, own.body, visit.address)
        what = "it refuses the key that it is given" if key else "it wants a key, and none is set"
        return Seen("error", f"{what}: {error}", remedy(error))
    if not key:
        return Seen("ok", "open: it asks for no key, and whoever can reach it can use it")
    answers = {
        "without a key": visit.post_with_key(None, CHAT_PATH, _NO_QUESTION).status,
        "with a wrong key": visit.post_with_key(_WRONG_KEY, CHAT_PATH, _NO_QUESTION).status,
    }
    taken = [how for how, status in answers.items() if status not in _REFUSED]
    if taken:
        words = f"a key is set, and the server also answers {' and '.join(taken)}: whoever can reach it can use it"
        return Seen("warning", words, "start the server with the key (--api-key), or guard the way to it")
    statuses = ", ".join(f"{how} it answers {status}" for how, status in answers.items())
    return Seen("ok", f"the key is taken; {statuses}")


def models(visit: ServerVisit) -> Seen:
    """What it serves, and whether that is what it will be asked for."""
    try:
        found = find_capabilities(visit.session, visit.settings.timeout)
    except StatusError as error:
        if visit.model and error.status in (404, 405):  # a gateway; whether it knows the name, a question will show
            words = f"{visit.address} has no {MODELS_PATH}; whether it serves {visit.model!r} is not known"
            return Seen("warning", words)
        raise
    visit.capabilities = found
    return _names(visit, found)


def _names(visit: ServerVisit, found: Capabilities) -> Seen:
    wanted = visit.settings.model_name
    if not found.models:
        return Seen("error", f"{MODELS_PATH} lists no model", "set model_name (--model) to the name that it serves")
    names = ", ".join(found.models)
    about = " ".join(
        word for word in ({"vllm": "vLLM", "sglang": "SGLang"}.get(found.engine, ""), found.version) if word
    )
    about = f"{about} serves" if about else "serves"
    visit.model = found.models[0]  # what else there is to look at does not depend on the name
    if wanted not in ("auto", *found.models):
        words = f"{about} {names}; model_name={wanted!r} is none of them"
        return Seen("error", words, f"--model auto, or LLM_JUDGE_MODEL_NAME={found.models[0]}")
    visit.model = found.models[0] if wanted == "auto" else wanted
    asked = ", asked for as auto" if wanted == "auto" else ""
    if found.max_model_len is None or visit.model != found.models[0]:
        return Seen("ok", f"{about} {names}{asked}; it does not say how long a prompt may be")
    return _room(visit, f"{about} {names}{asked}; max_model_len {found.max_model_len:,}", found.max_model_len)


def _room(visit: ServerVisit, words: str, length: int) -> Seen:
    """Whether prompts have room beside the replies that the settings allow."""
    settings = visit.settings
    reply = settings.max_new_tokens + (settings.thinking_budget if settings.enable_thinking else 0)
    if length - reply >= _LITTLE_ROOM:
        return Seen("ok", words)
    fix = "start the server with a larger --max-model-len, or lower max_new_tokens"
    left = max(length - reply, 0)
    words = f"{words}, of which a reply may take {reply:,}: {left:,} are left for the prompt"
    return Seen("warning" if left else "error", words, fix)


def _is_asleep(visit: ServerVisit) -> bool:
    try:
        return SleepMode(visit.session).is_sleeping(time.monotonic() + visit.short) is True
    except ServerError:
        return False
