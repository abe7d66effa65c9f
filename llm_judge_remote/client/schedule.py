"""What goes next: the decisions of the dispatcher, without threads, sockets or a clock.

The dispatcher holds its lock around each call. A job's way: `submit` lets it in; `next` gives it a place in a load;
`asks` says what it wants to know; `settle` says what came of the load and hands back what to tell the jobs; `ended`
notes a result, or `follow` a further request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from llm_judge_remote.client.board import Board
from llm_judge_remote.client.channel import Channel, Group
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.question import Load, Question
from llm_judge_remote.client.settlement import Delivery, Outcome, settle
from llm_judge_remote.client.stats import Counters
from llm_judge_remote.client.stragglers import ask_stragglers_again
from llm_judge_remote.client.submission import Entry, Submission
from llm_judge_remote.errors import OverloadedError, ServerError
from llm_judge_remote.servers.server import Server

__all__ = ["Schedule"]

_ALONE_EVERY = 16  # so that the spread of single latencies stays known while chunks are used
_POLL_S = 0.004  # how often a limit is tried that other processes share
_LOOK_S = 1.0
_WINDOW = 16  # groups of which one is looked for that goes where there is room


class Schedule:
    """Which load goes next, and to which server."""

    def __init__(self) -> None:
        self._board = Board()
        self._look_at = math.inf

    @property
    def counters(self) -> Counters:
        """What has happened so far."""
        return self._board.counters

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, now or later, and nothing is under way."""
        return self._board.is_idle

    @property
    def waiting(self) -> int:
        """Conversations that wait."""
        return self._board.waiting

    def submit(self, submission: Submission[Any]) -> None:
        """Let jobs in, as many as may be."""
        if submission.outside:
            self._board.submissions[submission] = None
        self._board.outside += len(submission.outside)
        while self._board.admit(submission):
            pass

    def next(self, now: float) -> tuple[Load | None, float]:
        """The next load to send, or None and the time at which to ask again without anything having happened."""
        self._board.take_up(now)
        if now >= self._look_at:
            self._look_at = ask_stragglers_again(self._board, now)
        wake = min(self._board.next_due(), self._look_at)
        for channel in list(self._board.busy):
            load, at = self._load(channel, now)
            if not channel:
                del self._board.busy[channel]
                if self._board.is_draining:
                    self._look_at = now  # what is under way is all there is: less patience with stragglers
            elif load is not None:
                self._board.busy.move_to_end(channel)
            if load is not None:
                self._board.loads[load] = None
                self._look_at = min(self._look_at, now + _LOOK_S)
                return load, now
            wake = min(wake, at)
        return None, wake

    def asks(self, load: Load, requests: Sequence[tuple[Entry, ChatRequest, Hashable]]) -> bool:
        """Note what a load's jobs want to know, and whether anything of it has to be sent."""
        load.questions = [question for question in load.questions if not question.settled and question.is_wanted]
        for entry, request, identity in requests:
            if not entry.submission.closed:
                question = self._board.question(load.channel, entry, request, identity)
                if question is not None:
                    load.questions.append(question)
        self._board.release(load, load.taken - len(load.questions))
        if not load.questions:
            self.abandon(load)
        return bool(load.questions)

    def sent(self, load: Load, now: float) -> None:
        """The load leaves."""
        load.sent_at = now
        load.until = min(entry.submission.until for question in load.questions for entry in question.entries)
        load.is_hedge = all(question.loads for question in load.questions)
        self._board.counters.requests += 1
        self._board.counters.chunks += len(load.questions) > 1
        self._board.counters.sent += len(load.questions)
        load.channel.hedge_budget.sent(len(load.questions))
        for question in load.questions:
            question.loads.append(load)
            question.attempts += 1
            if question.attempts == 1:
                question.queued_s = now - question.entries[0].submission.began
                self._board.counters.queued.add(question.queued_s)

    def settle(self, load: Load, outcome: Outcome, now: float) -> list[Delivery]:
        """Note what came of a load; what to tell which jobs."""
        return settle(self._board, load, outcome, now)

    def probed(self, load: Load, error: ServerError | None, now: float) -> None:
        """Note whether a server that was down says that it is well."""
        self._board.forget(load)
        server = load.server
        if server is None or load.attempt.aborted:
            return
        if error is None:
            server.seems_well(now)
        else:
            server.failed(now, str(error), is_busy=isinstance(error, OverloadedError))

    def abandon(self, load: Load) -> None:
        """The load is not sent, or nobody waits for what comes of it."""
        self._board.forget(load)
        if load.server is not None and load.is_trial:
            load.server.abandoned()

    def break_off(self, load: Load) -> None:
        """Nothing more comes of the load or of its questions."""
        self.abandon(load)
        for question in load.questions:
            self._board.close(question)

    def cost(self, load: Load, cpu_seconds: float, *, failed: bool) -> None:
        """Note what a load cost this process."""
        if load.server is not None and load.questions and not load.attempt.aborted:
            load.server.chunks.ended(len(load.questions), cpu_seconds, failed=failed)

    def follow(self, entry: Entry, request: ChatRequest, identity: Hashable) -> None:
        """A job that has begun asks something else: at once, and alone."""
        if entry.submission.closed:
            return
        channel = entry.task.channel
        question = self._board.question(channel, entry, request, identity)
        if question is not None:
            self._board.rush(channel, [question])

    def ended(self, entry: Entry, result: Any) -> bool:
        """Note a job's result, and let the next one in; True if it was the submission's last."""
        last = entry.submission.end(entry, result)
        if last:
            del self._board.submissions[entry.submission]
        else:
            self._board.admit(entry.submission)
        return last

    def drop(self, submission: Submission[Any]) -> None:
        """Nobody waits for a submission any more: forget what waits, and close what is under way for it alone."""
        if submission.is_over:
            submission.closed = True
            return
        submission.closed = True
        self._board.submissions.pop(submission, None)
        self._board.counters.dropped += len(submission.active) + len(submission.outside)
        self._board.outside -= len(submission.outside)
        submission.outside.clear()
        for entry in submission.active:
            question = entry.question
            if question is not None and not question.settled and not question.is_wanted:
                self._board.close(question)
            if entry.is_in_line:
                entry.task.channel.disown(entry)
        submission.active.clear()
        for question in submission.returning:
            if question.is_wanted:
                self._board.rush(question.channel, [question])
        submission.returning.clear()

    def clear(self, error: Exception) -> list[Submission[Any]]:
        """End all that has not ended, with this error; the submissions that are over with it."""
        unfinished = list(self._board.submissions)
        for submission in unfinished:
            for index, result in enumerate(submission.results):
                if result is None:
                    submission.results[index] = error
            self.drop(submission)
        return unfinished

    def _load(self, channel: Channel, now: float) -> tuple[Load | None, float]:
        """A load for one of the channel's servers, or None and when to look again."""
        urgent = self._next_urgent(channel)
        if not channel:
            return None, math.inf
        sick = channel.pool.due_for_probe(now)
        if sick is not None:
            return self._probe(channel, sick, now), now
        wake = math.inf
        is_placeless = True
        for server, group in self._places(channel, urgent, now):
            is_placeless = False
            size = len(urgent) or self._size(channel, group, server, now)
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
                return self._fill(Load(channel, Attempt(), server), group, size, now), now
            size = shared_limit.take(size)
            if size:
                return self._fill(Load(channel, Attempt(), server, shared=size), group, size, now), now
            wake = min(wake, now + _POLL_S)
        # With all servers full, the next answer is what to wait for.
        return self._give_up(channel, now) if is_placeless and channel.pool.is_down else (None, wake)

    def _places(
        self, channel: Channel, urgent: Sequence[Question], now: float
    ) -> Iterator[tuple[Server, Group | None]]:
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
            if group.has_siblings:
                server = pool.home(group.routing_key(), waiting)
            else:
                server = pool.choose(now, without=refused)
            if server is not None and server.address not in refused:
                yield server, group
        group = next(channel.front(1))
        key = group.routing_key() if group.has_siblings else None
        server = pool.choose(now, without=refused, key=key, waiting=waiting)
        if server is not None:
            yield server, group

    def _probe(self, channel: Channel, server: Server, now: float) -> Load:
        """A load that asks a server that is down whether it is well."""
        server.begin_trial(now)
        server.requests += 1
        return Load(channel, Attempt(), server, is_probe=True)

    def _fill(self, load: Load, group: Group | None, size: int, now: float) -> Load:
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
            load.entries = channel.take(size, group, self._joins(load))
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
        self._board.release(load, size - len(load.questions) - len(load.entries))
        return load

    @staticmethod
    def _joins(load: Load) -> Callable[[Group], bool]:
        """Which groups may fill up a chunk that begins with one that is at home: those that are, too."""
        pool, waiting = load.channel.pool, load.channel.count

        def joins(group: Group) -> bool:
            return group.has_siblings and pool.home(group.routing_key(), waiting) is load.server

        return joins

    @staticmethod
    def _next_urgent(channel: Channel) -> list[Question]:
        """The next questions that were under way before, but for those that have been settled since."""
        while channel.urgent:
            open_ones = [question for question in channel.urgent[0] if not question.settled]
            if open_ones:
                channel.urgent[0] = open_ones
                return open_ones
            channel.urgent.popleft()
        return []

    def _size(self, channel: Channel, group: Group | None, server: Server, now: float) -> int:
        """Conversations for the next load; 0 to wait for company."""
        first = channel.first() if group is None else group.entries[0]
        if not channel.use_chunks or first.task.alone or not server.takes_chunks(now) or server.down_since is not None:
            return 1
        limit = min(server.limit.value, channel.pool.most)
        size = server.chunks.best(channel.pool.most, limit, server.requests)
        if size == 1 or self._board.counters.requests % _ALONE_EVERY == 0:
            return 1
        if server.in_flight and channel.count < size and first.submission.ready_at > now:
            return 0
        # An equal share for each request under way: so the last ones are small, and end together.
        share = -(-(channel.count + self._board.outside) // (server.requests + 1))
        return max(min(size, share), 1)

    def _give_up(self, channel: Channel, now: float) -> tuple[Load | None, float]:
        """All servers are down: fail those who have waited long enough, as a load that goes nowhere."""
        patience: dict[Submission[Any], float] = {}

        def left(submission: Submission[Any]) -> float:
            if submission not in patience:
                patience[submission] = channel.pool.patience(now, submission.began)
            return patience[submission]

        entries = channel.remove(lambda submission: left(submission) <= 0)
        begun = [question for waiting in channel.urgent for question in waiting] + self._board.delayed(channel)
        told = {question for load in self._board.loads if load.server is None for question in load.questions}
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
