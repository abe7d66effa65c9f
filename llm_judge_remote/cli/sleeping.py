"""What `sleep` and `wake` share: something done to every server at the same time, and a line about each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from llm_judge_remote.cli.terminal import FAILED, FINE, console
from llm_judge_remote.client.session import Session
from llm_judge_remote.errors import ConfigError, ServerError, ServerUnavailableError
from llm_judge_remote.monitoring.fleet import WatchedFleet
from llm_judge_remote.servers.at_once import at_once
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Done", "for_each_server"]


class Done(NamedTuple):
    """What became of one server.

    Attributes:
        is_well: Whether it is now as it was to be.
        words: What happened, to stand behind its address.
    """

    is_well: bool
    words: str

    @classmethod
    def not_able(cls) -> Done:
        """The server has no sleep mode."""
        return cls(False, "has no sleep mode: start vLLM with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1")


def for_each_server(given: Mapping[str, Any], do: Callable[[Session, float], Done], timeout: float) -> int:
    """Do something to each server that settings lead to, say what came of it, and return the exit code.

    Args:
        given: Settings.
        do: Called with a server's session and the monotonic time until which to wait; in a thread for each.
        timeout: Seconds from now to that time.

    Raises:
        ConfigError: A setting is of no use.
        ServerUnavailableError: There is no server.
    """
    settings = JudgeSettings(**given)
    if not settings.server_url:
        msg = "no address: give --server-url, or set LLM_JUDGE_SERVER_URL"
        raise ConfigError(msg)
    until = time.monotonic() + timeout

    def tried(session: Session) -> tuple[str, Done]:
        try:
            return session.server, do(session, until)
        except ServerError as error:
            return session.server, Done(False, str(error).removeprefix(session.server).lstrip())

    with WatchedFleet(settings) as fleet:
        sessions = fleet.sessions()
        if not sessions:
            raise ServerUnavailableError("; ".join(fleet.troubles))
        said = console()
        with console(stderr=True).status(f"Waiting for {len(sessions)} server{'s' * (len(sessions) > 1)} ..."):
            answers = at_once(tried, sessions)
        for trouble in fleet.troubles:
            said.print(trouble, style="red", markup=False, soft_wrap=True)
        for server, done in answers:
            said.print(f"{server} {done.words}", style="" if done.is_well else "red", markup=False, soft_wrap=True)
    return FINE if all(done.is_well for _, done in answers) else FAILED
