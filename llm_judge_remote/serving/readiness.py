"""Whether a server that is well can judge, and whether it is still at work."""

from __future__ import annotations

import math
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import requests

from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.sample import Sample
from llm_judge_remote.serving.spec import ServerSpec
from llm_judge_remote.settings import JudgeSettings

__all__ = ["drain", "judged_sample", "requests_under_way"]

_SAMPLE = Sample("2 + 2 = 4, so the answer is 4.", ("4",), "What is 2 + 2?")
_METRICS_S = 5.0
# vLLM's and SGLang's gauges of what is worked on and of what waits.
_UNDER_WAY = re.compile(
    r"^(?:vllm:num_requests_(?:running|waiting)|sglang:num_(?:running|queue)_reqs)(?:\{[^}]*\})?"
    r" ([\d.eE+-]+|NaN|[+-]?Inf)$",
    re.MULTILINE,
)
_QUIET_S = 2.0  # clients that know the address from before may come once more


def judged_sample(spec: ServerSpec, url: str, timeout: float, stop: threading.Event) -> Judgement:
    """What the server makes of a sample, as a trainer would send it; see its `outcome`.

    Args:
        spec: Whose name and key are used; nothing of the environment's settings is.
        url: Its address.
        timeout: Most seconds to wait.
        stop: Ends the waiting when it is set.
    """
    values = {name: field.get_default(call_default_factory=True) for name, field in JudgeSettings.model_fields.items()}
    own = {
        "server_url": url,
        "model_name": spec.name,
        "api_key": spec.api_key(),
        "timeout": timeout,
        "deadline": timeout,
    }
    settings = JudgeSettings.complete({**values, **own, "startup_timeout": 0.0, "hedging": "off"}, "of a new server")
    with Judge(settings) as judge, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(judge.score, [_SAMPLE])
        while not asked.done():
            wait([asked], timeout=0.2)
            if stop.is_set():
                judge.close()  # which ends the call
        return asked.result()[0]


def requests_under_way(url: str) -> int | None:
    """How many requests a server works on or has waiting; None if it does not say.

    Raises:
        ConnectionError: It is not there any more.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy has no business between us and our child
            text = session.get(f"{url}/metrics", timeout=_METRICS_S).text
    except requests.ConnectTimeout:
        return None
    except requests.ConnectionError as error:
        raise ConnectionError(str(error)) from None
    except requests.RequestException:
        return None
    found = [float(value) for value in _UNDER_WAY.findall(text)]
    return int(sum(found)) if found and all(map(math.isfinite, found)) else None


def drain(url: str, timeout: float, hurry: threading.Event) -> int | None:
    """Wait until a server has had nothing to do for two seconds; one that does not say so gets all the time.

    Args:
        url: Its address.
        timeout: Most seconds to wait.
        hurry: Ends the waiting when it is set.

    Returns:
        The requests that are still under way; None if the server does not say.
    """
    until = time.monotonic() + timeout
    quiet_since = None
    while True:
        now = time.monotonic()
        try:
            left = requests_under_way(url)
        except ConnectionError:
            return 0
        quiet_since = (quiet_since or now) if left == 0 else None
        if now >= until or (quiet_since is not None and now - quiet_since >= _QUIET_S):
            return left
        if hurry.wait(0.25):
            return left
