"""Requests that take far longer than their siblings."""

from __future__ import annotations

import math

from llm_judge_remote.client.board import Board
from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.question import Load
from llm_judge_remote.servers.latencies import Latencies
from llm_judge_remote.servers.server import Server

__all__ = ["ask_stragglers_again"]

_LOOK_S = 1.0
_FEWEST_SIBLINGS = 20
_ENOUGH = 256
_CHUNK_PATIENCE = 3.0
_SILENT = 3.0  # times the patience with a request, without any answer: a server that hangs
_LONGEST = 5.0  # times the longest that was seen, for the same
_SILENCE_S = 1.0
_LEAST_PATIENCE_S = 0.05  # below, it is this process or the network that is late


def ask_stragglers_again(board: Board, now: float) -> float:
    """Ask once more what takes far longer than its siblings did; when to look next."""
    soonest = now + _LOOK_S if board.loads else math.inf
    patience: dict[tuple[Server, int], float] = {}
    for load in list(board.loads):
        channel, server = load.channel, load.server
        if server is None or not load.sent_at or load.was_hedged:
            continue
        key = (server, len(load.questions))
        if key not in patience:
            known = _known(channel, server, len(load.questions))
            patience[key] = _patience(known, len(load.questions), draining=board.is_draining)
        silent_at = _silent_at(load, channel, server)
        if now >= silent_at and server.down_since is None and _is_alone_in_it(load, channel, server, now):
            _leave(board, server, now)
            continue
        soonest = min(soonest, max(silent_at, now + _SILENCE_S / 4))
        if not channel.hedge:
            continue
        due = load.sent_at + patience[key]
        # At half the time that a chunk's callers leave it, its conversations can still be asked by themselves.
        must = (load.sent_at + load.until) / 2 if len(load.questions) > 1 else math.inf
        if min(due, must) > now:
            soonest = min(soonest, due, must)
            continue
        late = [question for question in load.questions if not (question.settled or question.is_rushed)]
        # A late chunk is charged as the one request that it is: its conversations wait for each other, not for long
        # replies of their own.
        if late and (now >= must or load.is_trial or channel.hedge_budget.spend(1)):
            load.was_hedged = True
            board.counters.hedged += len(late)
            for question in late:
                question.hedges += 1
                board.rush(channel, [question])
            if len(load.questions) > 1:
                server.chunks.ended(len(load.questions), 0.0, failed=True)
    return soonest


def _silent_at(load: Load, channel: Channel, server: Server) -> float:
    """When a server that answers nothing at all counts as one that hangs.

    As long as its answers and those of its neighbours are too few for a quantile, by the longest of them; while there
    are none at all, when half the time of those who wait has passed.
    """
    since = max(load.sent_at, server.answered_at)
    size = len(load.questions)
    patience = _patience(_known(channel, server, size), size, draining=False)
    longest = max(each.latencies.quantile(1.0) for each in (server, *channel.pool.servers))
    if not math.isinf(patience):
        return since + max(_SILENT * patience, longest, _SILENCE_S)
    if longest:
        return since + max(_LONGEST * longest, _SILENCE_S)
    return (load.sent_at + load.until) / 2 if since == load.sent_at else math.inf


def _is_alone_in_it(load: Load, channel: Channel, server: Server, now: float) -> bool:
    """Whether another server does better: is idle, or has answered lately. Else it is the work that takes long."""
    lately = (max(load.sent_at, server.answered_at) + now) / 2
    return any(
        each.down_since is None and (not each.in_flight or each.answered_at >= lately)
        for each in channel.pool.servers
        if each is not server
    )


def _leave(board: Board, server: Server, now: float) -> None:
    """A server hangs: it gets nothing more, and what it holds is asked of the others."""
    held = [load for load in board.loads if load.server is server and load.sent_at]
    since = max(min(load.sent_at for load in held), server.answered_at)
    server.fell_silent(
        now, f"{server.address} holds {len(held)} requests, and has answered none for {now - since:.3g} s"
    )
    for load in held:
        if load.was_hedged or not load.channel.hedge:
            continue
        load.was_hedged = True
        for question in load.questions:
            if not (question.settled or question.is_rushed or question.hedges):  # one copy of each is enough
                board.counters.hedged += 1
                question.hedges += 1
                board.rush(load.channel, [question])


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
