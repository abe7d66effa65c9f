"""What is under way: jobs that have been let in, what they ask, and the requests that carry it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.chat import ChatRequest
from llm_judge_remote.client.question import Load, Question
from llm_judge_remote.client.stats import Counters
from llm_judge_remote.client.submission import Entry, Submission

__all__ = ["Board"]


class Board:
    """The state that the decisions of `Schedule` are about, and the moves that keep it whole.

    Attributes:
        counters: What has happened so far.
        busy: Channels in which something waits; the first has its turn.
        loads: Requests under way, the oldest first.
        submissions: Those that are not over.
        outside: Jobs of theirs that have not been let in.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self.busy: OrderedDict[Channel, None] = OrderedDict()
        self.loads: dict[Load, None] = {}
        self.submissions: dict[Submission[Any], None] = {}
        self.outside = 0
        self._delayed: list[tuple[float, int, Question]] = []
        self._numbers = itertools.count()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, now or later, and nothing is under way."""
        return not (self.busy or self._delayed or self.loads)

    @property
    def is_draining(self) -> bool:
        """Whether what is under way is all that there is."""
        return not (self.busy or self.outside)

    @property
    def waiting(self) -> int:
        """Conversations that wait."""
        urgent = sum(len(questions) for channel in self.busy for questions in channel.urgent)
        return self.outside + sum(channel.count for channel in self.busy) + urgent + len(self._delayed)

    def admit(self, submission: Submission[Any]) -> bool:
        """Let a submission's next job in; False when it has no place or no further one."""
        while submission.returning and submission.has_place:
            self._resume(submission.returning.popleft())
        entry = submission.admit()
        if entry is None:
            return False
        self.outside -= 1
        entry.task.channel.add(entry)
        self.busy[entry.task.channel] = None
        return True

    def question(self, channel: Channel, entry: Entry, request: ChatRequest, identity: Hashable) -> Question | None:
        """What an entry asks; None when the same is being asked already, for another."""
        known = channel.asked.get(identity)
        if known is not None:
            known.entries.append(entry)
            entry.question = known
            if known.is_delayed:
                self._pause(entry)
            self.counters.shared += 1
            return None
        question = Question(channel, request, identity, [entry])
        channel.asked[identity] = entry.question = question
        return question

    def rush(self, channel: Channel, questions: list[Question]) -> None:
        """These go next, in one request."""
        channel.urgent.append(questions)
        for question in questions:
            question.is_rushed = True
        self.busy[channel] = None

    def delay(self, question: Question, until: float) -> None:
        """Put a question aside until its next attempt is due; its place goes to another job meanwhile."""
        if question.is_delayed:
            return
        question.is_delayed = True
        heapq.heappush(self._delayed, (until, next(self._numbers), question))
        for entry in question.entries:
            self._pause(entry)
        for entry in question.entries:
            self.admit(entry.submission)

    def next_due(self) -> float:
        """When the first of the delayed questions is due."""
        return self._delayed[0][0] if self._delayed else math.inf

    def take_up(self, now: float) -> None:
        """Let the delayed questions that are due go next, as far as their submissions have places."""
        while self._delayed and self._delayed[0][0] <= now:
            question = heapq.heappop(self._delayed)[2]
            owner = next((entry.submission for entry in question.entries if not entry.submission.closed), None)
            if question.settled or owner is None:
                continue
            if owner.has_place:
                self._resume(question)
            else:
                owner.returning.append(question)

    def delayed(self, channel: Channel) -> list[Question]:
        """The channel's questions that wait until their next attempt is due."""
        return [each for _, _, each in self._delayed if each.channel is channel and not each.settled]

    def _pause(self, entry: Entry) -> None:
        if not entry.is_paused:
            entry.is_paused = True
            entry.submission.paused += 1

    def _unpause(self, question: Question) -> None:
        question.is_delayed = False
        for entry in question.entries:
            if entry.is_paused:
                entry.is_paused = False
                entry.submission.paused -= 1

    def _resume(self, question: Question) -> None:
        if not question.settled:
            self._unpause(question)
            self.rush(question.channel, [question])

    def close(self, question: Question) -> None:
        """The question is settled; what is still under way for it alone is given up."""
        question.settled = True
        self._unpause(question)
        question.channel.asked.pop(question.identity, None)
        for load in question.loads:
            if all(other.settled for other in load.questions):
                load.attempt.abort()

    def release(self, load: Load, count: int) -> None:
        """Give back room that a load does not need."""
        if load.server is not None and count:
            load.server.in_flight -= count
            load.taken -= count
            if load.shared:
                load.shared -= count
                load.shared_limit.give_back(count)

    def forget(self, load: Load) -> None:
        """The load is not under way any more."""
        if load in self.loads:
            del self.loads[load]
            if load.server is not None:
                self.release(load, load.taken)
                load.server.requests -= 1
                if load.is_chunk:
                    load.server.chunk_is_back()
