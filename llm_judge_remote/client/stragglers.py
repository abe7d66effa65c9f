"""Requests that take far longer than their siblings."""

from __future__ import annotations

import math

from llm_judge_remote.client.board import Board
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.servers.latencies import Latencies
from llm_judge_remote.servers.server import Server

__all__ = ["ask_stragglers_again"]

_LOOK_S = 1.0
_FEWEST_SIBLINGS = 20
_ENOUGH = 256
_CHUNK_PATIENCE = 3.0
_LEAST_PATIENCE_S = 0.05  # below, it is this process or the network that is late


def ask_stragglers_again(board: Board, now: float) -> float:
    """Ask once more what takes far longer than its siblings did; when to look next."""
    soonest = now + _LOOK_S if board.loads else math.inf
    patience: dict[tuple[Server, int], float] = {}
    for load in board.loads:
        channel, server = load.channel, load.server
        if server is None or not load.sent_at or load.was_hedged or not channel.hedge:
            continue
        key = (server, len(load.questions))
        if key not in patience:
            known = _known(channel, server, len(load.questions))
            patience[key] = _patience(known, len(load.questions), draining=board.is_draining)
        due = load.sent_at + patience[key]
        # At half the time that a chunk's callers leave it, its conversations can still be asked by themselves.
        must = (load.sent_at + load.until) / 2 if len(load.questions) > 1 else math.inf
        if min(due, must) > now:
            soonest = min(soonest, due, must)
            continue
        late = [question for question in load.questions if not (question.settled or question.is_rushed)]
        # A late chunk is charged as the one request that it is: its conversations wait for each other, not for long
        # replies of their own.
        if late and (now >= must or channel.hedge_budget.spend(1)):
            load.was_hedged = True
            board.counters.hedged += len(late)
            for question in late:
                question.hedges += 1
                board.rush(channel, [question])
            if len(load.questions) > 1:
                server.chunks.ended(len(load.questions), 0.0, failed=True)
    return soonest


def _known(channel: Channel, server: Server, size: int) -> Latencies:
    """What the server takes; for one that has shown little so far, what its neighbours take.

    The first answers are those of the quickest: they tell nothing of the others until there are as many. Of chunks they
    do, for none is sent before (`ChunkSize.best`), and one that hangs must not take its neighbours along.
    """
    if size > 1 and server.latencies:
        return server.latencies
    if len(server.latencies) >= max(_FEWEST_SIBLINGS, min(server.requests, _ENOUGH)):
        return server.latencies
    others = [each.latencies for each in channel.pool.servers if len(each.latencies) >= min(each.requests, _ENOUGH)]
    return max(others, key=len, default=Latencies())


def _patience(latencies: Latencies, size: int, *, draining: bool) -> float:
    """Seconds after which a request is a straggler: beyond what 99.5 % of its siblings took, and above the median.

    When nothing waits any more, everybody waits for the stragglers and there is room for them: 90 % then. A chunk
    is one when it takes three times as long as the longest of so many conversations by themselves.
    """
    if not latencies:
        return math.inf
    if size > 1:
        return max(_CHUNK_PATIENCE * latencies.longest_of(size), _LEAST_PATIENCE_S)
    if len(latencies) < _FEWEST_SIBLINGS:
        return math.inf
    late = latencies.quantile(0.9 if draining else 0.995)
    return max(late, 1.5 * latencies.quantile(0.5), _LEAST_PATIENCE_S)
