"""One look at one server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llm_judge_remote.client.refusal import status_error
from llm_judge_remote.client.session import Session
from llm_judge_remote.client.sleep_mode import SleepMode
from llm_judge_remote.errors import ServerError
from llm_judge_remote.monitoring.figures import Figures, read_figures

__all__ = ["Look", "State", "look"]

State = Literal["well", "asleep", "unwell", "down"]
"""`unwell`: it answers, and says that it cannot work (a model that is being loaded, an engine that died)."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a server showed.

    Attributes:
        address: The server's.
        time: Monotonic seconds at which its figures arrived.
        state: How it is.
        note: Why it is not well, or why its figures are missing; "" otherwise.
        figures: What it says of its work.
    """

    address: str
    time: float
    state: State
    note: str
    figures: Figures


def look(session: Session, timeout: float, clock: Callable[[], float] = time.monotonic) -> Look:
    """Ask a server for its health and its figures.

    Args:
        session: The server's.
        timeout: Seconds for all of it.
        clock: Monotonic seconds.
    """
    until = clock() + timeout
    try:
        health = session.request("GET", "/health", timeout=timeout)
    except ServerError as error:
        return Look(session.server, clock(), "down", str(error), Figures())
    if health.status == 404:
        said = f"{session.server} has no /health: is that a judge server's address?"
        return Look(session.server, clock(), "unwell", said, Figures())
    if health.status != 200:
        said = str(status_error(health.status, health.headers, health.body, session.server))
        return Look(session.server, clock(), "unwell", said, Figures())
    figures, note = _figures(session, max(until - clock(), 0.1))
    at = clock()
    state: State = "asleep" if _sleeps(session, figures, until, clock) else "well"
    return Look(session.server, at, state, note, figures)


def _figures(session: Session, timeout: float) -> tuple[Figures, str]:
    try:
        answer = session.request("GET", "/metrics", timeout=timeout)
    except ServerError as error:
        return Figures(), f"no figures: {error}"
    if answer.status == 404:
        return Figures(), f"no figures: {session.server} has no /metrics (SGLang: --enable-metrics)"
    if answer.status != 200:
        return Figures(), f"no figures: {session.server} answered {answer.status} to /metrics"
    figures = read_figures(answer.body.decode("utf-8", "replace"))
    if figures == Figures():
        return figures, f"no figures: the /metrics of {session.server} are neither vLLM's nor SGLang's"
    return figures, ""


def _sleeps(session: Session, figures: Figures, until: float, clock: Callable[[], float]) -> bool:
    if figures.sleep_level is not None:
        return figures.sleep_level > 0
    try:
        return bool(SleepMode(session).is_sleeping(time.monotonic() + max(until - clock(), 0.1)))
    except ServerError:
        return False
