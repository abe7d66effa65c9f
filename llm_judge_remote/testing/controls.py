"""What a test can see of a server, and change while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llm_judge_remote.testing.chat import Options
from llm_judge_remote.testing.conversation import Reply
from llm_judge_remote.testing.faults import Fault, FaultBook
from llm_judge_remote.testing.judges import JudgeFunction, as_judge
from llm_judge_remote.testing.service_time import ServiceTime
from llm_judge_remote.testing.sleep_mode import SleepMode
from llm_judge_remote.testing.slots import Slots
from llm_judge_remote.testing.stats import Counters, RecordedRequest, ServerStats

__all__ = ["Controls"]


class Controls:
    """The upper half of `JudgeServer`, which see."""

    def __init__(self, options: Options, slots: int | None, faults: Iterable[Fault], keep_requests: int) -> None:
        self._options = options
        self._counters = Counters(keep_requests)
        self._slots = Slots(slots, self._counters)
        self._faults = FaultBook(options.seed)
        self._faults.inject(faults)
        self._sleep_mode = SleepMode(options, self._slots, self._counters)

    @property
    def judge(self) -> JudgeFunction:
        """Where replies come from; takes what the argument takes, also while running."""
        return self._options.judge

    @judge.setter
    def judge(self, value: JudgeFunction | Iterable[Reply | str] | Reply | str | None) -> None:
        self._options.judge = as_judge(value)

    @property
    def service_time(self) -> float | ServiceTime | None:
        """Seconds in service, or a function for them; can be set while running."""
        return self._options.service_time

    @service_time.setter
    def service_time(self, value: float | ServiceTime | None) -> None:
        self._options.service_time = value

    @property
    def loading(self) -> bool:
        """Set it to answer 503, but for `/metrics` and `/version`, like a server that is not ready."""
        return self._options.loading

    @loading.setter
    def loading(self, value: bool) -> None:
        self._options.loading = value

    @property
    def sleeping(self) -> bool:
        """Whether it sleeps; set it as `POST /sleep` and `POST /wake_up` would, but for the counts."""
        return self._sleep_mode.sleeping

    @sleeping.setter
    def sleeping(self, value: bool) -> None:
        if value:
            self._sleep_mode.sleep(1)
        else:
            self._sleep_mode.wake_up()

    @property
    def out_of_memory(self) -> bool:
        """Set it to answer a 500 to who would wake the server, as where the trainer still has the GPU's memory."""
        return self._sleep_mode.out_of_memory

    @out_of_memory.setter
    def out_of_memory(self, value: bool) -> None:
        self._sleep_mode.out_of_memory = value

    def pause(self) -> None:
        """Take connections and requests, and answer nothing until `resume`; slots stay taken."""
        self._slots.pause()

    def resume(self) -> None:
        """Answer again."""
        self._slots.resume()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that can still strike, in order; set it to replace them all."""
        return self._faults.active()

    @faults.setter
    def faults(self, value: Iterable[Fault]) -> None:
        self._faults.replace(value)

    def inject(self, *faults: Fault) -> None:
        """Add faults behind those in force."""
        self._faults.inject(faults)

    def clear_faults(self) -> None:
        """Let all go well from now on; what has struck already goes on."""
        self._faults.replace(())

    @property
    def stats(self) -> ServerStats:
        """The counts now."""
        with self._counters.changed:
            return self._counters.snapshot()

    def wait_until(self, condition: Callable[[ServerStats], bool], timeout: float = 10.0) -> ServerStats:
        """Wait for something to have happened: `server.wait_until(lambda stats: stats.queued == 3)`.

        Args:
            condition: Looked at with every change.
            timeout: Seconds to wait at most.

        Returns:
            The first counts that fulfil the condition.

        Raises:
            TimeoutError: It was not fulfilled in time; the message holds the counts.
        """
        return self._counters.wait_until(condition, timeout)

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests read so far, oldest first; at most `keep_requests`, the newest ones."""
        with self._counters.changed:
            return list(self._counters.recorded)
