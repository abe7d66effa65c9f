"""What goes next: the decisions of the dispatcher, without threads, sockets or a clock.

The dispatcher holds its lock around each call. A job's way: `submit` lets it in; `next` gives it a place in a load;
`asks` says what it wants to know; `settle` says what came of the load and hands back what to tell the jobs; `ended`
notes a result, or `follow` a further request.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

from llm_judge_remote.client.board import Board
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.client.placing import next_load
from llm_judge_remote.client.question import Load
from llm_judge_remote.client.settlement import Delivery, Outcome, settle
from llm_judge_remote.client.stats import Counters
from llm_judge_remote.client.stragglers import ask_stragglers_again
from llm_judge_remote.client.submission import Entry, Submission
from llm_judge_remote.errors import OverloadedError, ServerError

__all__ = ["Schedule"]

_LOOK_S = 1.0


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
            load, at = next_load(self._board, channel, now)
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
        if load.server is not None and (load.is_trial or load.is_probe):
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
            if question is not None and not question.settled:
                at = [load.server.address for load in question.loads if load.server is not None]
                submission.given_up[entry.index] = (question.attempts, at[-1] if at else "")
                if not question.is_wanted:
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
