"""Sleeping and waking up, as vLLM does in its development mode; from the sources of vLLM 0.32."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from llm_judge_remote.testing.chat import Options
from llm_judge_remote.testing.slots import Slots
from llm_judge_remote.testing.stats import Counters, RecordedRequest
from llm_judge_remote.testing.wire import Answer, RequestError, json_answer, validation_error

__all__ = ["SleepMode"]

_MEMORY = ("weights", "kv_cache")


class SleepMode:
    """Whether the server sleeps, and what makes it.

    At level 0 it only takes no conversation any more; at 1 and 2 it has given its memory back as well, and is awake
    when it has all of it again. At level 2 the weights are gone: until they are loaded again, replies are gibberish.

    Args:
        options: Told when the weights are gone.
        slots: Told when conversations have to wait.
        counters: For sleeps and wake-ups.

    Attributes:
        out_of_memory: Whether somebody else has the memory that it needs to wake up.
    """

    def __init__(self, options: Options, slots: Slots, counters: Counters) -> None:
        self._options = options
        self._slots = slots
        self._counters = counters
        self._lock = threading.Lock()
        self._paused = False
        self._given_back: set[str] = set()
        self.out_of_memory = False

    @property
    def sleeping(self) -> bool:
        """Whether it sleeps at any level, or is not all awake again."""
        return self._paused

    def sleep(self, level: int) -> None:
        """Go to sleep, or deeper."""
        with self._lock:
            if level and "weights" not in self._given_back:
                self._given_back.update(_MEMORY)
                self._options.weights_lost |= level > 1
            self._paused = True
            self._slots.sleep(True)

    def wake_up(self, *tags: str) -> None:
        """Take memory back, and go on with what waits when that was the last of it.

        Args:
            tags: `weights` and `kv_cache`; none for all.
        """
        with self._lock:
            self._given_back.difference_update(tags or _MEMORY)
            if not self._given_back:
                self._paused = False
                self._slots.sleep(False)

    def restart(self) -> None:
        """Be as a new process is: awake, with its weights."""
        self.wake_up()
        self._options.weights_lost = False

    def routes(self) -> Mapping[str, Mapping[str, Callable[[RecordedRequest, socket.socket], Answer]]]:
        """The endpoints, by path and method."""
        return {
            "/sleep": {"POST": self._answer_sleep},
            "/wake_up": {"POST": self._answer_wake_up},
            "/is_sleeping": {"GET": lambda *_: json_answer({"is_sleeping": self.sleeping})},
            "/collective_rpc": {"POST": self._answer_rpc},
        }

    def _answer_sleep(self, request: RecordedRequest, _: socket.socket) -> Answer:
        level = parse_qs(request.query).get("level", ["1"])[-1]
        if level not in ("0", "1", "2"):
            raise validation_error("less_than_equal", "query.level", "Input should be less than or equal to 2")
        if not self.sleeping:
            self._counters.add(sleeps=1)
        self.sleep(int(level))
        return json_answer({"status": "sleeping", "level": int(level)})

    def _answer_wake_up(self, request: RecordedRequest, _: socket.socket) -> Answer:
        if self.out_of_memory and self.sleeping:
            raise RequestError(500, "CUDA Error: out of memory at cumem_allocator.cpp")
        tags = parse_qs(request.query).get("tags")
        slept = self.sleeping
        self.wake_up(*tags or ())
        if slept and not self.sleeping:
            self._counters.add(wakeups=1)
        return json_answer({"status": "sleeping" if self.sleeping else "awake", "tags": tags})

    def _answer_rpc(self, request: RecordedRequest, _: socket.socket) -> Answer:
        method = request.body.get("method") if isinstance(request.body, dict) else None
        if method is None:
            raise RequestError(400, "Missing 'method' in request body")
        if method != "reload_weights" or "weights" in self._given_back:
            raise RequestError(500, f"A worker failed in {method}.")
        self._options.weights_lost = False
        return json_answer({"results": [None]})
