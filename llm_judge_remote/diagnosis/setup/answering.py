"""What a server answers to requests that cost it nothing: health, the time, the key, its models."""

from __future__ import annotations

import email.utils
import time
from typing import Final

from requests.utils import get_netrc_auth

from llm_judge_remote.client.capabilities import find_capabilities
from llm_judge_remote.client.chat import HEALTH_PATH, MODELS_PATH
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.diagnosis.setup.reaching import speaks_tls
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.errors import ConnectionDroppedError, ServerError
from llm_judge_remote.finding import Finding
from llm_judge_remote.setting_sources import nearest

__all__ = ["look_at_clock", "look_at_http", "look_at_key", "look_at_model", "look_at_sleep"]

_MOST_SKEW_S = 5.0
_ENGINES: Final = {"vllm": "vLLM", "sglang": "SGLang", "other": "an engine that does not say which"}
_REFUSED = (401, 403)


def look_at_http(visit: Visit) -> Finding:
    """Whether the server answers, and is well."""
    began, counted = time.time(), time.perf_counter()
    try:
        response = visit.session.request("GET", HEALTH_PATH, timeout=visit.timeout)
    except ServerError as error:
        if isinstance(error, ConnectionDroppedError) and not visit.is_tls and not visit.proxy and speaks_tls(visit):
            fix = f"write https://{visit.address.partition('://')[2]}"
            return Finding("HTTP", "error", f"{error}; the port speaks TLS", fix)
        return Finding("HTTP", "error", str(error), "see the server's log: it is there, and does not answer HTTP")
    took = time.perf_counter() - counted
    visit.health, visit.asked_at = response, began + took / 2
    answered = f"{HEALTH_PATH} answered {response.status} in {1e3 * took:.1f} ms"
    if response.status == 503:
        return Finding("HTTP", "error", f"{answered}: it is not ready", "wait until the model is loaded; see its log")
    if 300 <= response.status < 400:
        where = response.headers.get("location", "elsewhere")
        words = f"{answered}, a redirect to {where}; the judge's client follows none, for the key's sake"
        return Finding("HTTP", "error", words, "write the address that it leads to in server_url")
    if response.status >= 500 or response.status == 407:
        return Finding("HTTP", "error", answered, "see the log of the server, or of the balancer before it")
    return Finding("HTTP", "ok", answered)


def look_at_clock(visit: Visit) -> Finding:
    """Whether the server's clock goes with ours, as certificates, leases and logs want it."""
    said = visit.health.headers.get("date", "") if visit.health is not None else ""
    try:
        # The header has whole seconds: on average it is half a second old.
        ahead = email.utils.parsedate_to_datetime(said).timestamp() + 0.5 - visit.asked_at
    except ValueError:
        return Finding("clock", "skipped", "the server does not say what time it is")
    if abs(ahead) <= _MOST_SKEW_S:
        return Finding("clock", "ok", "the server's clock and ours go together")
    words = f"the server's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    fix = "set both by NTP (timedatectl): certificates, leases of a registry and logs go by them"
    return Finding("clock", "warning", words, fix)


def look_at_key(visit: Visit) -> Finding:
    """Whether the server takes the key, wants one, or needs none."""
    if visit.key is not None and visit.trust_env and get_netrc_auth(visit.address):
        words = f"the netrc file has an entry for {visit.host}, which is sent in place of the key (trust_env is on)"
        return Finding("key", "error", words, "take the entry out of ~/.netrc, or set trust_env: false")
    response = visit.session.request("GET", MODELS_PATH, timeout=visit.timeout)
    if response.status in _REFUSED:
        if visit.key is None:
            fix = "set LLM_JUDGE_SERVER_API_KEY, to what the server was started with (vllm serve --api-key)"
            return Finding("key", "error", f"the server wants a key, and none is set ({response.status})", fix)
        fix = "compare it with the server's (vllm serve --api-key); a blank or a quote may have come with it"
        return Finding("key", "error", f"the server refuses the key ({response.status})", fix)
    if visit.key is None:
        return Finding("key", "ok", "none is set, and none is wanted")
    session = visit.open(None, trust_env=visit.trust_env)
    try:
        bare = session.request("GET", MODELS_PATH, timeout=visit.timeout)
    finally:
        session.close()
    if bare.status in _REFUSED:
        return Finding("key", "ok", "the key is accepted")
    return Finding("key", "ok", "a key is set and sent, but none is needed: the server answers without")


def look_at_model(visit: Visit) -> Finding:
    """Whether the model of the settings is served."""
    try:
        found = visit.capabilities = find_capabilities(visit.session, visit.timeout)
    except ServerError as error:
        fix = "server_url wants the address of an OpenAI-compatible server, without /v1: is it another one's?"
        return Finding("model", "error", f"its models cannot be listed: {error}", fix)
    release = " ".join(filter(None, (_ENGINES[found.engine], found.version)))
    batches = ", with the batch endpoint" if found.batch_endpoint else ""
    names, wanted = ", ".join(found.models) or "nothing", visit.settings.model_name
    if wanted == "auto" and found.models:
        return Finding("model", "ok", f"model_name=auto is {found.models[0]}, served by {release}{batches}")
    if wanted in found.models:
        return Finding("model", "ok", f"{wanted} is served by {release}{batches}")
    words = f"{wanted!r} is not served; {names} is, by {release}{nearest(wanted, found.models)}"
    fix = f"set model_name: {found.models[0] if found.models else 'NAME'}, or auto"
    # A gateway may pass on more than it lists; these two do not.
    return Finding("model", "error" if found.engine != "other" else "warning", words, fix)


def look_at_sleep(visit: Visit) -> Finding:
    """Whether the server sleeps, as one that shares its GPUs with the trainer may: it then answers all but rows."""
    asleep = SleepMode(visit.session).is_sleeping(time.monotonic() + visit.timeout)
    visit.is_asleep = bool(asleep)
    if asleep is None:
        return Finding("sleep", "ok", "the server cannot be put to sleep")
    if not asleep:
        return Finding("sleep", "ok", "the server is awake, and can be put to sleep")
    fix = "wake it for this look: llm-judge-remote wake; in training, Judge.awake() does it"
    return Finding("sleep", "warning", "the server sleeps: rows wait until somebody wakes it", fix)
