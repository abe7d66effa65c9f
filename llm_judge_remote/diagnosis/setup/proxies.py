"""Proxies of the environment: whether one catches a server's address, and whether it lets the judge's requests pass."""

from __future__ import annotations

import os
import re

from requests.utils import get_environ_proxies, select_proxy

from llm_judge_remote.client.chat import HEALTH_PATH
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.errors import ServerError
from llm_judge_remote.finding import Finding
from llm_judge_remote.setting_types import without_secrets

__all__ = ["caught_by", "look_at_proxy"]

_NAME = "proxy"
_ERRNO = re.compile(r"\[Errno -?\d+\] ([\w ]+)")
_PROXYS_OWN = (403, 407, 502, 503, 504)


def caught_by(address: str) -> str:
    """The proxy that the environment has for an address, `NO_PROXY` considered; "" for none."""
    return select_proxy(address, get_environ_proxies(address, no_proxy=None)) or ""


def look_at_proxy(visit: Visit) -> Finding:
    """Whether requests go to a proxy, and if so, whether it passes them on; if it does not, later looks go directly."""
    proxy = caught_by(visit.address)
    if not proxy:
        return Finding(_NAME, "ok", "no proxy of the environment catches the address")
    named = f"{_variable(proxy)}={without_secrets(proxy)}"
    if not visit.trust_env:
        return Finding(_NAME, "ok", f"{named} would catch the address; the judge's client does not obey it (trust_env)")
    fix = f"add {visit.host} to NO_PROXY (as it is, or as .domain; no *), or set trust_env: false"
    caught = f"{named} catches the address (trust_env is on)"
    through = _answer(visit, trust_env=True)
    directly = None if through == 200 else _answer(visit, trust_env=False)
    if through in (200, directly) or (isinstance(directly, str) and _is_passed_on(through)):
        visit.proxy = without_secrets(proxy)
        return Finding(_NAME, "warning", f"{caught}: it passes requests on, and may cut those that take long", fix)
    visit.trust_env = False
    if isinstance(directly, str):
        return Finding(_NAME, "error", f"{caught}, and {_came(through)}; nor is there a direct way: see below", fix)
    words = f"{caught}, and {_came(through)}, while the judge answers directly; what follows was asked directly"
    return Finding(_NAME, "error", words, fix)


def _answer(visit: Visit, *, trust_env: bool) -> int | str:
    """The status of a first request, or why there is none."""
    session = visit.open(None, trust_env=trust_env)  # nobody needs a key to be well
    try:
        return session.request("GET", HEALTH_PATH, timeout=visit.timeout).status
    except ServerError as error:
        return str(error)
    finally:
        session.close()


def _is_passed_on(answer: int | str) -> bool:
    """Whether an answer is likely the judge's own, and not the proxy's."""
    return isinstance(answer, int) and answer not in _PROXYS_OWN


def _came(answer: int | str) -> str:
    if isinstance(answer, int):
        return f"answers {answer}"
    # Of requests' errors within errors, the system's own words.
    system = _ERRNO.search(answer)
    return f"does not pass requests on ({system[1] if system else answer})"


def _variable(proxy: str) -> str:
    """The variable that names the proxy."""
    names = (name for name, value in os.environ.items() if name.lower().endswith("_proxy") and value == proxy)
    return next(names, "a proxy setting")
