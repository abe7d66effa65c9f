"""A schedule played like a board game: no threads, no sockets, and the time is whatever the test says."""

import functools

from llm_judge_remote.client.channel import Channel
from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.schedule import Schedule
from llm_judge_remote.client.submission import Submission, Task
from llm_judge_remote.servers.pool import Patience, ServerPool
from llm_judge_remote.servers.server import Server


def request(text, max_tokens=16):
    message = {"role": "user", "content": text}
    return ChatRequest((message,), "m", 0.0, 1.0, max_tokens, enable_thinking=False)


class Game:
    """One channel, and what is sent through it."""

    def __init__(self, *addresses, most=256, outage_grace=5.0, startup=0.0, slack=0.25, **options):
        self.servers = [Server(address, most) for address in addresses or ["a"]]
        pool = ServerPool(self.servers, patience=Patience(outage_grace, startup=startup), most=most, slack=slack)
        self.channel = Channel(None, pool, **options)
        self.schedule = Schedule()
        self.now = 100.0
        self.health = {}  # what servers answer to the question whether they are well: an error, or nothing for yes

    def submit(self, *rows, width=128, deadline=float("inf")):
        """Rows are texts, or (text, group) or (text, group, kind)."""
        tasks = []
        for row in rows:
            text, group, kind = (*row, *("g", "k")[len(row) - 1 :]) if isinstance(row, tuple) else (row, "g", "k")
            start = functools.partial(self._job, text, kind)
            tasks.append(Task(start, self.channel, kind, group, prefix=(str(group),)))
        submission = Submission(tasks, width, self.now, until=self.now + deadline)
        self.schedule.submit(submission)
        return submission

    @staticmethod
    def _job(text, kind):
        return (yield request(text, 16 if kind == "k" else 32))

    def chunks_of(self, size):
        """Let every server take chunks of this size."""
        for server in self.servers:
            server.has_batch_endpoint = True
            server.chunks = _Fixed(size)

    def take(self):
        """The next load, with its requests made; None if nothing goes now."""
        load, self.wake = self.schedule.next(self.now)
        if load is None:
            return None
        if load.is_probe:
            self.schedule.probed(load, self.health.get(load.server.address), self.now)
            return self.take()
        asked = []
        for entry in load.entries:
            entry.job = entry.task.start()
            made = next(entry.job)
            asked.append((entry, made, made.identity))
        if not self.schedule.asks(load, asked):
            return self.take()
        if load.server is not None:
            self.schedule.sent(load, self.now)
        return load

    def take_all(self):
        loads = []
        while (load := self.take()) is not None:
            loads.append(load)
        return loads

    def settle(self, load, outcome=None):
        """The load's outcome reaches the jobs; the texts of those that ended with it."""
        if outcome is None:
            outcome = [ChatReply("yes", "", "stop", 1, 1, load.server.address) for _ in load.questions]
        ended = []
        for entry, answer in self.schedule.settle(load, outcome, self.now):
            try:
                if isinstance(answer, Exception):
                    entry.job.throw(answer)
                else:
                    entry.job.send(answer)
            except StopIteration as end:
                result = end.value
            except Exception as error:
                result = error
            self.schedule.ended(entry, result)
            ended.append(result)
        return ended

    def finish(self):
        """Answer all that there is."""
        order = []
        for _ in range(10_000):
            loads = self.take_all()
            if not loads:
                return order
            for load in loads:
                order += texts(load)
                self.settle(load)
        raise AssertionError


class _Fixed:
    """Chunks of one size, whatever is measured."""

    def __init__(self, size):
        self.size = size

    def best(self, most, parallel, requests):
        return min(self.size, most)

    def ended(self, size, cpu_seconds, *, failed):
        pass


def texts(load):
    return [question.request.messages[0]["content"] for question in load.questions]


def nothing_is_left(game):
    in_flight = [(server.in_flight, server.requests) for server in game.servers]
    return game.schedule.is_idle and not game.channel.asked and in_flight == [(0, 0)] * len(in_flight)
