"""All looks at one server."""

from __future__ import annotations

from collections.abc import Iterator

from llm_judge_remote.diagnosis.setup.answering import (
    look_at_clock,
    look_at_http,
    look_at_key,
    look_at_model,
    look_at_sleep,
)
from llm_judge_remote.diagnosis.setup.fitting import look_at_context, look_at_rows
from llm_judge_remote.diagnosis.setup.longest_row import LongestRows
from llm_judge_remote.diagnosis.setup.looks import Look, take
from llm_judge_remote.diagnosis.setup.prefix_cache import look_at_prefix_cache
from llm_judge_remote.diagnosis.setup.proxies import look_at_proxy
from llm_judge_remote.diagnosis.setup.reaching import look_at_certificate, look_at_connection, look_at_name
from llm_judge_remote.diagnosis.setup.replying import look_at_reply, look_at_thinking
from llm_judge_remote.diagnosis.setup.visit import Visit
from llm_judge_remote.finding import Finding
from llm_judge_remote.settings import JudgeSettings

__all__ = ["look_at_server"]

# Not `model`: where the name is wrong, the reply is asked of a model that is served.
_LOOKS = (
    Look("proxy", look_at_proxy),
    Look("DNS", look_at_name),
    Look("TCP", look_at_connection, needs=("DNS",)),
    Look("TLS", look_at_certificate, needs=("TCP",)),
    Look("HTTP", look_at_http, needs=("TLS",)),
    Look("clock", look_at_clock, needs=("HTTP",)),
    Look("key", look_at_key, needs=("HTTP",)),
    Look("model", look_at_model, needs=("key",)),
    Look("sleep", look_at_sleep, needs=("key",)),
    Look("reply", look_at_reply, needs=("key",)),
    Look("thinking", look_at_thinking, needs=("key",)),
    Look("context", look_at_context, needs=("key",)),
    Look("longest row", look_at_rows, needs=("context",)),
    Look("prefix cache", look_at_prefix_cache, needs=("HTTP",)),
)


def look_at_server(
    address: str, settings: JudgeSettings, timeout: float, rows: LongestRows | None = None
) -> Iterator[Finding]:
    """Go all the way to a server and back, as the judge's client does.

    Args:
        address: Without a weight.
        settings: All layers together.
        timeout: Seconds for each request.
        rows: The longest of a trainer's file, if there is one.
    """
    with Visit(address, settings, timeout, rows) as visit:
        yield from take(_LOOKS, visit)
