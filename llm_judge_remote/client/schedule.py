"""What goes next, and what becomes of it: every decision of the dispatcher, without threads, sockets or a clock.

The dispatcher holds its lock around each call. A job's way: `submit` lets it in; `next` gives it a place in a load;
`asks` says what it wants to know; `settle` says what came of the load and hands back what to tell the jobs; `ended`
notes a result, or `follow` a further request.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.chat import ChatReply, ChatRequest, Passage
from llm_judge_remote.client.exchange import NoBatchEndpointError
from llm_judge_remote.client.guard import Attempt
from llm_judge_remote.client.question import Load, Question
from llm_judge_remote.client.retry import Retries
from llm_judge_remote.client.stats import Counters
from llm_judge_remote.client.submission import Entry, Submission
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    JudgeError,
    OverloadedError,
    ServerError,
    StatusError,
)
from llm_judge_remote.servers.server import Server

__all__ = ["Delivery", "Outcome", "Schedule"]

Outcome = Sequence[ChatReply | ServerError] | ServerError | NoBatchEndpointError
Delivery = tuple[Entry, ChatReply | Exception]

_ALONE_EVERY = 16  # so that the spread of single latencies stays known while chunks are used
_POLL_S = 0.004  # how often a limit is tried that other processes share
_LOOK_S = 1.0
_FEWEST_SIBLINGS = 20
_CHUNK_PATIENCE = 3.0
_MOST_REJECTIONS = 20  # of one request by busy servers, before they count as failures
_LEAST_PATIENCE_S = 0.05  # below, it is this process or the network that is late


class Schedule:
    """The state of all jobs that have been let in."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._busy: OrderedDict[Channel, None] = OrderedDict()
        self._delayed: list[tuple[float, int, Question]] = []
        self._numbers = itertools.count()
        self._loads: dict[Load, None] = {}
        self._submissions: dict[Submission[Any], None] = {}
        self._outside = 0
        self._look_at = math.inf

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, now or later, and nothing is under way."""
        return not (self._busy or self._delayed or self._loads)

    @property
    def waiting(self) -> int:
        """Conversations that wait."""
        urgent = sum(len(questions) for channel in self._busy for questions in channel.urgent)
        return self._outside + sum(channel.count for channel in self._busy) + urgent + len(self._delayed)

    def submit(self, submission: Submission[Any]) -> None:
        """Let jobs in, as many as may be."""
        if submission.outside:
            self._submissions[submission] = None
        self._outside += len(submission.outside)
        while self._admit(submission):
            pass

    def next(self, now: float) -> tuple[Load | None, float]:
        """The next load to send, or None and the time at which to ask again without anything having happened."""
        while self._delayed and self._delayed[0][0] <= now:
            question = heapq.heappop(self._delayed)[2]
            question.is_delayed = False
            for entry in question.entries:
                entry.submission.paused -= 1
            self._rush(question.channel, [question])
        if now >= self._look_at:
            self._look_at = self._ask_stragglers_again(now)
        wake = min(self._delayed[0][0] if self._delayed else math.inf, self._look_at)
        for channel in list(self._busy):
            load, at = self._load(channel, now)
            if not channel:
                del self._busy[channel]
                if not self._busy:
                    self._look_at = now  # what is under way is all there is: less patience with stragglers
            elif load is not None:
                self._busy.move_to_end(channel)
            if load is not None:
                self._loads[load] = None
                self._look_at = min(self._look_at, now + _LOOK_S)
                return load, now
            wake = min(wake, at)
        return None, wake

    def asks(self, load: Load, requests: Sequence[tuple[Entry, ChatRequest, Hashable]]) -> bool:
        """Note what a load's jobs want to know, and whether anything of it has to be sent."""
        for entry, request, identity in requests:
            if not entry.submission.closed:
                question = self._question(load.channel, entry, request, identity)
                if question is not None:
                    load.questions.append(question)
        self._release(load, load.taken - len(load.questions))
        if not load.questions:
            self.abandon(load)
        return bool(load.questions)

    def sent(self, load: Load, now: float) -> None:
        """The load leaves."""
        load.sent_at = now
        load.is_hedge = all(question.loads for question in load.questions)
        self.counters.requests += 1
        self.counters.chunks += len(load.questions) > 1
        self.counters.sent += len(load.questions)
        load.channel.hedge_budget.sent(len(load.questions))
        for question in load.questions:
            question.loads.append(load)
            question.attempts += 1
            if question.attempts == 1:
                question.queued_s = now - question.entries[0].submission.began
                self.counters.queued.add(question.queued_s)

    def settle(self, load: Load, outcome: Outcome, now: float) -> list[Delivery]:
        """Note what came of a load; what to tell which jobs."""
        self._forget(load)
        for question in load.questions:
            if load in question.loads:
                question.loads.remove(load)
        if load.server is None:  # there was nobody to send it to
            error = load.error or JudgeError("nobody was asked")
            return [told for question in load.questions for told in self._fail(question, error)]
        if load.attempt.aborted:
            load.server.abandoned()
            return []
        if isinstance(outcome, NoBatchEndpointError):
            load.server.has_batch_endpoint = False
            load.server.succeeded()
            for question in load.questions:
                question.attempts -= 1
                self._rush(load.channel, [question])
            return []
        if isinstance(outcome, ServerError):
            return self._settle_failure(load, load.server, outcome, now)
        return self._settle_answer(load, load.server, outcome, now)

    def abandon(self, load: Load) -> None:
        """The load is not sent, or nobody waits for what comes of it."""
        self._forget(load)
        if load.server is not None:
            load.server.abandoned()

    def cost(self, load: Load, cpu_seconds: float, *, failed: bool) -> None:
        """Note what a load cost this process."""
        if load.server is not None and load.questions and not load.attempt.aborted:
            load.server.chunks.ended(len(load.questions), cpu_seconds, failed=failed)

    def follow(self, entry: Entry, request: ChatRequest, identity: Hashable) -> None:
        """A job that has begun asks something else: at once, and alone."""
        if entry.submission.closed:
            return
        channel = entry.task.channel
        question = self._question(channel, entry, request, identity)
        if question is not None:
            self._rush(channel, [question])

    def ended(self, entry: Entry, result: Any) -> bool:
        """Note a job's result, and let the next one in; True if it was the submission's last."""
        last = entry.submission.end(entry, result)
        if last:
            del self._submissions[entry.submission]
        else:
            self._admit(entry.submission)
        return last

    def drop(self, submission: Submission[Any]) -> None:
        """Nobody waits for a submission any more: forget what waits, and close what is under way for it alone."""
        if submission.is_over:
            submission.closed = True
            return
        submission.closed = True
        self._submissions.pop(submission, None)
        self._outside -= len(submission.outside)
        submission.outside.clear()
        self.counters.dropped += len(submission.active)
        for entry in submission.active:
            question = entry.question
            if question is not None and not question.settled and not question.is_wanted:
                self._close(question)
        if any(entry.question is None for entry in submission.active):
            for channel in list(self._busy):
                channel.remove(lambda other: other is submission)
        submission.active.clear()

    def clear(self, error: Exception) -> list[Submission[Any]]:
        """End all that has not ended, with this error; the submissions that are over with it."""
        unfinished = list(self._submissions)
        for submission in unfinished:
            for index, result in enumerate(submission.results):
                if result is None:
                    submission.results[index] = error
            self.drop(submission)
        return unfinished

    def _admit(self, submission: Submission[Any]) -> bool:
        entry = submission.admit()
        if entry is None:
            return False
        self._outside -= 1
        entry.task.channel.add(entry)
        self._busy[entry.task.channel] = None
        return True

    def _delay(self, question: Question, until: float) -> None:
        heapq.heappush(self._delayed, (until, next(self._numbers), question))
        question.is_delayed = True
        for entry in question.entries:
            entry.submission.paused += 1
            self._admit(entry.submission)

    def _rush(self, channel: Channel, questions: list[Question]) -> None:
        channel.urgent.append(questions)
        self._busy[channel] = None

    def _question(self, channel: Channel, entry: Entry, request: ChatRequest, identity: Hashable) -> Question | None:
        """What an entry asks; None when the same is being asked already, for another."""
        known = channel.asked.get(identity)
        if known is not None:
            known.entries.append(entry)
            entry.submission.paused += known.is_delayed
            entry.question = known
            self.counters.shared += 1
            return None
        question = Question(channel, request, identity, [entry])
        channel.asked[identity] = entry.question = question
        return question

    def _load(self, channel: Channel, now: float) -> tuple[Load | None, float]:
        """A load for one of the channel's servers, or None and when to look again."""
        urgent = self._next_urgent(channel)
        if not channel:
            return None, math.inf
        avoid = [address for question in urgent for address in question.failed_at]
        avoid += [load.server.address for question in urgent for load in question.loads if load.server is not None]
        server = channel.pool.choose(now, avoid)
        if server is None:
            # With all servers full, the next answer is what to wait for.
            return self._give_up(channel, now) if channel.pool.is_down else (None, math.inf)
        size = len(urgent) or self._size(channel, server, now)
        if not size:
            return None, channel.first().submission.ready_at
        room = 1 if server.down_since is not None else server.room(channel.pool.most)
        if size > room:
            if server.in_flight and not urgent:
                return None, math.inf  # chunks would crumble if they took whatever room there is
            size = room
        load = Load(channel, Attempt(), server)
        shared_limit = channel.shared_limits.get(server.address)
        if shared_limit is not None:
            size = load.shared = shared_limit.take(size)
            if not size:
                return None, now + _POLL_S
        if urgent:
            load.questions = urgent[:size]
            if size < len(urgent):
                channel.urgent[0] = urgent[size:]
            else:
                channel.urgent.popleft()
        else:
            load.entries = channel.take(size)
        load.taken = size
        load.beside = server.in_flight
        server.in_flight += size
        server.requests += 1
        self._release(load, size - len(load.questions) - len(load.entries))
        if server.down_since is not None:
            server.begin_trial(now)
        return load, now

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

    def _size(self, channel: Channel, server: Server, now: float) -> int:
        """Conversations for the next load; 0 to wait for company."""
        if not channel.use_chunks or server.has_batch_endpoint is False or server.down_since is not None:
            return 1
        limit = min(server.limit.value, channel.pool.most)
        size = server.chunks.best(channel.pool.most, limit, server.requests)
        if size == 1 or self.counters.requests % _ALONE_EVERY == 0:
            return 1
        if server.in_flight and channel.count < size and channel.first().submission.ready_at > now:
            return 0
        # An equal share for each request under way: so the last ones are small, and end together.
        share = -(-(channel.count + self._outside) // (server.requests + 1))
        return max(min(size, share), 1)

    def _give_up(self, channel: Channel, now: float) -> tuple[Load | None, float]:
        """All servers are down: fail those who have waited long enough, as a load that goes nowhere."""
        patience: dict[Submission[Any], float] = {}

        def left(submission: Submission[Any]) -> float:
            if submission not in patience:
                patience[submission] = channel.pool.patience(now, submission.began)
            return patience[submission]

        entries = channel.remove(lambda submission: left(submission) <= 0)
        questions: list[Question] = []
        for waiting in channel.urgent:
            for question in list(waiting):
                if max(left(entry.submission) for entry in question.entries) <= 0:
                    waiting.remove(question)
                    questions.append(question)
        if entries or questions:
            error = channel.pool.unavailable()
            return Load(channel, Attempt(), None, entries, questions, error=error), now
        return None, min(channel.pool.next_trial(now), now + min(patience.values(), default=0.0))

    def _ask_stragglers_again(self, now: float) -> float:
        """Ask once more what takes far longer than its siblings did; when to look next."""
        soonest = now + _LOOK_S if self._loads else math.inf
        patience: dict[tuple[Server, int], float] = {}
        for load in self._loads:
            channel, server = load.channel, load.server
            if server is None or not load.sent_at or load.was_hedged or not channel.hedge:
                continue
            key = (server, len(load.questions))
            if key not in patience:
                patience[key] = self._patience(server, len(load.questions), draining=not self._busy)
            due = load.sent_at + patience[key]
            if due > now:
                soonest = min(soonest, due)
                continue
            late = [question for question in load.questions if not question.settled]
            # A late chunk is charged as the one request that it is: its conversations wait for each other, not for long
            # replies of their own.
            if late and channel.hedge_budget.spend(1):
                load.was_hedged = True
                self.counters.hedged += len(late)
                for question in late:
                    question.hedges += 1
                    self._rush(channel, [question])
                if len(load.questions) > 1:
                    server.chunks.ended(len(load.questions), 0.0, failed=True)
        return soonest

    @staticmethod
    def _patience(server: Server, size: int, *, draining: bool) -> float:
        """Seconds after which a request is a straggler: beyond what 99.5 % of its siblings took, and above the median.

        When nothing waits any more, everybody waits for the stragglers and there is room for them: 90 % then. A chunk
        is one when it takes three times as long as the longest of so many conversations by themselves.
        """
        latencies = server.latencies
        if size > 1:
            return max(_CHUNK_PATIENCE * latencies.longest_of(size), _LEAST_PATIENCE_S)
        if len(latencies) < _FEWEST_SIBLINGS:
            return math.inf
        late = latencies.quantile(0.9 if draining else 0.995)
        return max(late, 1.5 * latencies.quantile(0.5), _LEAST_PATIENCE_S)

    def _settle_answer(
        self, load: Load, server: Server, results: Sequence[ChatReply | ServerError], now: float
    ) -> list[Delivery]:
        server.succeeded()
        server.limit.answered(len(results))
        load.channel.retry_budget.succeeded(len(results))
        if len(results) > 1:
            server.took_chunk()
        else:
            server.latencies.add(now - load.sent_at)
        told: list[Delivery] = []
        for question, result in zip(load.questions, results, strict=True):
            if question.settled:
                continue
            if isinstance(result, ChatReply):
                self.counters.service.add(now - load.sent_at)
                told += self._answer(question, result, load, now)
            elif not question.loads:  # asked again by itself, whatever it travelled with
                self._rush(load.channel, [question])
        return told

    def _settle_failure(self, load: Load, server: Server, error: ServerError, now: float) -> list[Delivery]:
        questions = [question for question in load.questions if not question.settled]
        self._blame(load, server, error, now)
        refused = isinstance(error, StatusError) and error.status in (400, 413, 422)
        if refused and len(load.questions) > 1:
            server.refused_chunk()
            self.counters.split += 1
            middle = len(questions) // 2
            for half in (questions[:middle], questions[middle:]):
                if half:
                    self._rush(load.channel, half)
            return []
        told: list[Delivery] = []
        paid = False
        for question in questions:
            question.failed_at.append(server.address)
            for entry in question.entries:
                entry.submission.last_errors[entry.index] = error
            if question.loads:
                continue  # the other request for it may still be answered
            wait = self._wait_before_retry(question, error, paid=paid)
            paid = True  # a chunk that fails is one request that failed
            if wait is None:
                told += self._fail(question, error)
            else:
                self.counters.retried += 1
                self._delay(question, now + wait)
        return told

    def _blame(self, load: Load, server: Server, error: ServerError, now: float) -> None:
        """What a failed request says about its server."""
        count = len(load.questions)
        if isinstance(error, OverloadedError):
            self.counters.rejected += count
            server.limit.rejected(count, load.beside)
            if not server.in_flight:  # else it keeps others
                server.failed(now, str(error), is_busy=True)
        elif error.answered:
            server.succeeded()
        else:
            server.failed(now, str(error))
            if isinstance(error, AttemptTimeoutError):
                server.limit.timed_out(count)
        if not server.has_batch_endpoint and not isinstance(error, (StatusError, AttemptTimeoutError)):
            server.has_batch_endpoint = None  # it may have been restarted, with another version

    @staticmethod
    def _wait_before_retry(question: Question, error: ServerError, *, paid: bool) -> float | None:
        if question.retries is None:
            question.retries = Retries(question.channel.max_retries, question.channel.retry_budget)
        is_busy = isinstance(error, OverloadedError)
        question.rejections += is_busy
        counts = not is_busy or question.rejections > _MOST_REJECTIONS
        return question.retries.after(error, counts=counts, paid=paid)

    def _answer(self, question: Question, reply: ChatReply, load: Load, now: float) -> list[Delivery]:
        self._close(question)
        self.counters.hedges_won += load.is_hedge
        told: list[Delivery] = []
        attempts = question.attempts
        for entry in question.entries:
            if entry.submission.closed:
                continue
            passage = Passage(
                attempts=attempts,
                queued_s=question.queued_s,
                service_s=now - load.sent_at,
                chunk=len(load.questions),
                hedged=question.hedges > 0,
                shared=not attempts,
            )
            attempts = 0  # counted once, for the first of those who share it
            told.append((entry, reply.after(passage)))
        return told

    def _fail(self, question: Question, error: JudgeError) -> list[Delivery]:
        self._close(question)
        told: list[Delivery] = []
        attempts = question.attempts
        for entry in question.entries:
            if not entry.submission.closed:
                own = copy.copy(error)  # each job gets one of its own to raise and to keep
                own.attempts = attempts
                attempts = 0
                told.append((entry, own))
        return told

    def _close(self, question: Question) -> None:
        """The question is settled; what is still under way for it alone is given up."""
        question.settled = True
        question.channel.asked.pop(question.identity, None)
        for load in question.loads:
            if all(other.settled for other in load.questions):
                load.attempt.abort()

    def _release(self, load: Load, count: int) -> None:
        """Give back room that a load does not need."""
        if load.server is not None and count:
            load.server.in_flight -= count
            load.taken -= count
            if load.shared:
                load.shared -= count
                load.channel.shared_limits[load.server.address].give_back(count)

    def _forget(self, load: Load) -> None:
        """The load is not under way any more."""
        if load in self._loads:
            del self._loads[load]
            if load.server is not None:
                self._release(load, load.taken)
                load.server.requests -= 1
