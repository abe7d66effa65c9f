"""Which load goes next in a channel, to which server, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llm_judge_remote.client.board import Board
from llm_judge_remote.client.channel import Channel, Group
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.question import Load, Question, has_fresh_server
from llm_judge_remote.client.submission import Submission
from llm_judge_remote.servers.server import Server

__all__ = ["next_load"]

_ALONE_EVERY = 16  # so that the spread of single latencies stays known while chunks are used
_POLL_S = 0.004  # how often a limit is tried that other processes share
_FULL_S = 0.05  # how often room is looked for at a server that has not failed a retry
_MOST_WAITS = 40  # times that it is, before the one that failed it will do
_WINDOW = 16  # groups of which one is looked for that goes where there is room


def next_load(board: Board, channel: Channel, now: float) -> tuple[Load | None, float]:
    """A load for one of the channel's servers, its places taken; or None, and when to look again."""
    urgent = _next_urgent(channel)
    if not channel:
        return None, math.inf
    sick = channel.pool.due_for_probe(now)
    if sick is not None:
        return _probe(channel, sick, now), now
    wake = math.inf
    is_placeless = True
    for server, group in _places(channel, urgent, now):
        is_placeless = False
        if urgent and _waits_for_room(urgent, server):
            channel.urgent.popleft()
            for question in urgent:
                question.is_rushed = False
                question.held_back += 1
                board.delay(question, now + _FULL_S)
            return next_load(board, channel, now)
        size = len(urgent) or _size(board, channel, group, server, now)
        if not size:
            wake = min(wake, channel.first().submission.ready_at)
            continue
        room = 1 if server.down_since is not None else server.room(channel.pool.most)
        if size > room and server.in_flight and not urgent:
            continue  # chunks would crumble if they took whatever room there is
        left = channel.pool.share(server, channel.count + len(urgent)) - server.in_flight
        size = min(size, room, max(left, 1))
        shared_limit = channel.shared_limits.get(server.address)
        if shared_limit is None:
            return _fill(board, Load(channel, Attempt(), server), group, size, now), now
        size = shared_limit.take(size)
        if size:
            return _fill(
                board, Load(channel, Attempt(), server, shared_limit=shared_limit, shared=size), group, size, now
            ), now
        wake = min(wake, now + _POLL_S)
    # With all servers full, the next answer is what to wait for.
    return _give_up(board, channel, now) if is_placeless and channel.pool.is_down else (None, wake)


def _waits_for_room(urgent: Sequence[Question], server: Server) -> bool:
    """Whether a server is offered that has failed these, while one that has not is only full: a moment is waited."""
    return server.down_since is None and all(
        server.address in question.failed_at and question.held_back < _MOST_WAITS and has_fresh_server(question)
        for question in urgent
    )


def _places(channel: Channel, urgent: Sequence[Question], now: float) -> Iterator[tuple[Server, Group | None]]:
    """Servers that something could go to now, the best first, with the group in line that should go there."""
    pool = channel.pool
    waiting = channel.count + len(urgent)
    if urgent:
        avoid = [address for question in urgent for address in question.failed_at]
        avoid += [load.server.address for each in urgent for load in each.loads if load.server is not None]
        refused = channel.refusals.of(urgent[0].kind, now)
        key = urgent[0].key() if pool.has_choice else None
        server = pool.choose(now, avoid, without=refused, key=key, waiting=waiting)
        if server is not None:
            yield server, None
        return
    first = channel.first()
    refused = channel.refusals.of(first.task.kind, now)
    if not pool.has_choice or pool.has_trial(now):
        server = pool.choose(now, without=refused)
        if server is not None:
            yield server, None
        return
    for group in channel.front(_WINDOW):
        likes = group.routing_key() if group.has_siblings else None
        server = pool.choose(now, without=refused) if likes is None else pool.home(likes, waiting)
        if server is not None and server.address not in refused:
            yield server, group
    group = next(channel.front(1))
    key = group.routing_key() if group.has_siblings else None
    server = pool.choose(now, without=refused, key=key, waiting=waiting)
    if server is not None:
        yield server, group


def _probe(channel: Channel, server: Server, now: float) -> Load:
    """A load that asks a server that is down whether it is well."""
    server.begin_trial(now)
    server.requests += 1
    return Load(channel, Attempt(), server, is_probe=True)


def _fill(board: Board, load: Load, group: Group | None, size: int, now: float) -> Load:
    """Put so many conversations into the load, from this group on, and give them their places at the server."""
    channel, server = load.channel, load.server
    assert server is not None  # noqa: S101 (for the type checker)
    if channel.urgent:
        urgent = channel.urgent.popleft()
        load.questions = urgent[:size]
        if size < len(urgent):
            channel.urgent.appendleft(urgent[size:])
        for question in load.questions:
            question.is_rushed = False
    else:
        load.entries = channel.take(size, group, _joins(load))
    load.taken = size
    load.beside = server.in_flight
    server.in_flight += size
    server.requests += 1
    if size > 1:
        load.is_chunk = True
        server.sends_chunk()
    if server.down_since is not None:
        server.begin_trial(now)
        load.is_trial = True
    board.release(load, size - len(load.questions) - len(load.entries))
    return load


def _joins(load: Load) -> Callable[[Group], bool]:
    """Which groups may fill up a chunk that begins with one that is at home: those that are, too."""
    pool, waiting = load.channel.pool, load.channel.count

    def joins(group: Group) -> bool:
        return group.has_siblings and pool.home(group.routing_key(), waiting) is load.server

    return joins


def _next_urgent(channel: Channel) -> list[Question]:
    """The next questions that were under way before, but for those that have been settled since."""
    while channel.urgent:
        open_ones = [question for question in channel.urgent[0] if not question.settled]
        if open_ones:
            channel.urgent[0] = open_ones
            return open_ones
        channel.urgent.popleft()
    return []


def _size(board: Board, channel: Channel, group: Group | None, server: Server, now: float) -> int:
    """Conversations for the next load; 0 to wait for company."""
    first = channel.first() if group is None else group.entries[0]
    if not channel.use_chunks or first.task.alone or not server.takes_chunks(now) or server.down_since is not None:
        return 1
    limit = min(server.limit.value, channel.pool.most)
    size = server.chunks.best(channel.pool.most, limit, server.requests)
    if size == 1 or board.counters.requests % _ALONE_EVERY == 0:
        return 1
    if server.in_flight and channel.count < size and first.submission.ready_at > now:
        return 0
    # An equal share for each request under way: so the last ones are small, and end together.
    share = -(-(channel.count + board.outside) // (server.requests + 1))
    return max(min(size, share), 1)


def _give_up(board: Board, channel: Channel, now: float) -> tuple[Load | None, float]:
    """All servers are down: fail those who have waited long enough, as a load that goes nowhere."""
    patience: dict[Submission[Any], float] = {}

    def left(submission: Submission[Any]) -> float:
        if submission not in patience:
            patience[submission] = channel.pool.patience(now, submission.began)
        return patience[submission]

    entries = channel.remove(lambda submission: left(submission) <= 0)
    begun = [question for waiting in channel.urgent for question in waiting] + board.delayed(channel)
    told = {question for load in board.loads if load.server is None for question in load.questions}
    questions = [
        question
        for question in begun
        if question not in told and max(left(entry.submission) for entry in question.entries) <= 0
    ]
    if entries or questions:
        error = channel.pool.unavailable()
        return Load(channel, Attempt(), None, entries, questions, error=error), now
    soonest = min((seconds for seconds in patience.values() if seconds > 0), default=math.inf)
    return None, min(channel.pool.next_trial(now), now + soonest)
