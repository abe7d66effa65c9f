"""The server as tests use it: start, stop, change, count."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Literal

from llm_judge_remote.testing.chat import Options
from llm_judge_remote.testing.connections import HttpConnection, Listener
from llm_judge_remote.testing.conversation import Reply
from llm_judge_remote.testing.faults import Fault, FaultBook
from llm_judge_remote.testing.judges import JudgeFunction, as_judge
from llm_judge_remote.testing.routes import Api
from llm_judge_remote.testing.service_time import ServiceTime
from llm_judge_remote.testing.slots import Slots
from llm_judge_remote.testing.stats import Counters, RecordedRequest, ServerStats

__all__ = ["JudgeServer"]

_PATIENCE = 5.0  # seconds that `stop` waits for a connection's thread


class JudgeServer:
    """A threaded HTTP server on a real socket that speaks vLLM's API. It is not an LLM.

    Serves `GET /health`, `/version`, `/metrics`, `/v1/models` and `POST /tokenize`, `/v1/chat/completions`,
    `/v1/chat/completions/batch`, with vLLM's shapes, errors and words. A token is four bytes of a prompt
    (`count_tokens`) and a word of a reply. It does not stream.

    Use it as a context manager, or call `start` and `stop`. It can be started again and then has the same
    port; counts go on. All methods are safe in threads; a judge may call them too, `stop` included.

    Args:
        port: Port to listen on; 0 for a free one.
        host: Address to listen on.
        model: The one model served. A request for another gets a 404; one that names none is answered.
        api_key: Key that requests below `/v1` must carry (`Authorization: Bearer KEY`); None asks for none.
        judge: Where replies come from:

            - a function of a `Conversation`, that returns a `Reply` or its text; what it raises ends the
              connection and the thread, so that a test sees it;
            - one `Reply` or text: the reply to everything;
            - an iterable of them: a script, used up in the order in which conversations arrive; when it ran
              out, the answer is a 500 that says so;
            - None: `lexical_judge`.

            It is asked when the conversation arrives, before it queues for a slot.
        service_time: Seconds that a conversation is in service, or a function of a `random.Random` (`fixed`,
            `exponential`, `lognormal`); None for no time at all. Times are a function of seed, conversation
            and attempt.
        slots: How many conversations are in service at once; the others queue, first come first served. None
            for any number.
        faults: What goes wrong; see `Fault`. The first that strikes a conversation counts.
        max_model_len: Tokens that prompt and reply may have together; a request that asks for more gets a
            400.
        clamp_max_tokens: Take only prompts that are too long by themselves for an error, and otherwise lower
            `max_tokens` to what is left, as vLLM 0.32 does.
        batch_endpoint: Whether `/v1/chat/completions/batch` is there.
        structured_outputs: Whether `structured_outputs` (`regex`, `choice`) is honoured: the reply is cut
            down to its last part that matches, and is a 400 if there is none. If not, it is ignored in
            silence.
        reasoning_field: Under which name thinking is sent: `reasoning`, `reasoning_content` (older servers),
            or None for a server without a reasoning parser, which leaves it in the content.
        seed: For service times and shares of faults.
        keepalive: Seconds that an idle connection stays open after an answer, as uvicorn's; None for ever.
        keep_requests: How many requests `requests` holds at most.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        model: str = "Qwen/Qwen3-32B",
        api_key: str | None = None,
        judge: JudgeFunction | Iterable[Reply | str] | Reply | str | None = None,
        service_time: float | ServiceTime | None = None,
        slots: int | None = None,
        faults: Iterable[Fault] = (),
        max_model_len: int = 32768,
        clamp_max_tokens: bool = False,
        batch_endpoint: bool = True,
        structured_outputs: bool = True,
        reasoning_field: Literal["reasoning", "reasoning_content"] | None = "reasoning",
        seed: int = 0,
        keepalive: float | None = 5.0,
        keep_requests: int = 10_000,
    ) -> None:
        if (slots is not None and slots < 1) or max_model_len < 1 or keep_requests < 0:
            msg = f"{slots=} and {max_model_len=} start at 1, {keep_requests=} at 0"
            raise ValueError(msg)
        self._host = host
        self._port = port
        self._keepalive = keepalive
        self._options = Options(
            model=model,
            api_key=api_key,
            judge=as_judge(judge),
            service_time=service_time,
            max_model_len=max_model_len,
            clamp_max_tokens=clamp_max_tokens,
            batch_endpoint=batch_endpoint,
            structured_outputs=structured_outputs,
            reasoning_field=reasoning_field,
            seed=seed,
        )
        self._counters = Counters(keep_requests)
        self._slots = Slots(slots, self._counters)
        self._faults = FaultBook(seed)
        self._faults.inject(faults)
        self._api = Api(self._options, self._slots, self._faults, self._counters)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._listener: Listener | None = None
        self._last_listener: Listener | None = None

    def start(self) -> JudgeServer:
        """Listen; when this returns, clients can connect. Does nothing if it runs.

        Raises:
            OSError: The port is taken.
        """
        with self._lock:
            if self._listener is None:
                self._stopped = threading.Event()
                serve = partial(
                    HttpConnection,
                    api=self._api,
                    counters=self._counters,
                    stopped=self._stopped,
                    keepalive=self._keepalive,
                )
                self._slots.start()
                try:
                    self._listener = Listener(self._host, self._port, serve, self._counters)
                except OSError:
                    self._slots.stop()
                    raise
                self._last_listener = self._listener
                self._port = self._listener.port
        return self

    def stop(self) -> None:
        """Stop like a process that dies: cut every connection at once, whatever it waits for.

        Returns when all threads have ended and all sockets are closed; called from a judge, it does not wait
        for the threads. Does nothing if it does not run.
        """
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                self._stopped.set()
                self._slots.stop()
                listener.cut()
        last = self._last_listener
        if last is not None and not last.serves_here() and not last.join(_PATIENCE):
            warnings.warn(
                f"{self!r}: a judge has not returned {_PATIENCE:g} s after the stop",
                ResourceWarning,
                stacklevel=2,
            )

    def __enter__(self) -> JudgeServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"JudgeServer({self._host}:{self._port}, {'running' if self._listener else 'stopped'})"

    @property
    def port(self) -> int:
        """The port; kept through a stop. 0 before the first start if it is to be a free one."""
        return self._port

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, without a slash at the end; valid when started, and kept through a stop."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

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
