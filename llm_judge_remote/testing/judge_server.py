"""The server as tests use it: made, started, stopped."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Literal, get_args

from llm_judge_remote.testing.chat import Options
from llm_judge_remote.testing.connections import HttpConnection, Listener
from llm_judge_remote.testing.constraint import ConstraintKind
from llm_judge_remote.testing.controls import Controls
from llm_judge_remote.testing.conversation import Reply
from llm_judge_remote.testing.engine import EngineKind, SelfDescription
from llm_judge_remote.testing.faults import Fault
from llm_judge_remote.testing.judges import JudgeFunction, as_judge
from llm_judge_remote.testing.routes import Api
from llm_judge_remote.testing.service_time import ServiceTime

__all__ = ["JudgeServer"]

_PATIENCE = 5.0  # seconds that `stop` waits for a connection's thread


class JudgeServer(Controls):
    """A threaded HTTP server on a real socket that speaks vLLM's API. It is not an LLM.

    Serves `GET /health`, `/version`, `/metrics`, `/openapi.json`, `/v1/models` and `POST /tokenize`,
    `/v1/chat/completions`, `/v1/chat/completions/batch`, with vLLM's shapes, errors and words. A token is four bytes
    of a prompt (`count_tokens`) and a word of a reply. It does not stream.

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
        engine: What the server says that it is. Nothing else follows from it: `batch_endpoint`, `constraint` and
            others are set by themselves.

            - `vllm`: `/version`, and `owned_by` and `max_model_len` at `/v1/models`; the key guards what is below
              `/v1`;
            - `sglang`: `/server_info` with the version, `/model_info`, both also with `get_` before their names,
              and `owned_by` and `max_model_len` at `/v1/models`; the key guards all but `/health` and `/metrics`;
            - `other`: neither, and no `max_model_len`.
        openapi: Whether `/openapi.json` lists the endpoints; some deployments switch that off.
        sleep: Whether the server can be put to sleep, as vLLM in its development mode: `POST /sleep?level=1` or
            `?level=2`, `POST /wake_up`, `GET /is_sleeping`, and `POST /collective_rpc`, whose one method
            `reload_weights` must follow level 2, or replies are gibberish. While it sleeps `/health` and the like
            answer as ever, and all conversations wait until it is woken, also those under way when it fell asleep
            (vLLM's `mode=keep`; by default it would abort them). A restart wakes it.
        constraint: How the server wants to be told what a reply is held to. The reply is then cut down to its
            last part that is allowed; if none is, it is something short that the grammar allows, and a 400 if
            the server can make up nothing.

            - `structured_outputs`: vLLM's `{"regex": ...}` or `{"choice": [...]}`;
            - `guided_regex`: the field of vLLM before 0.12, a text;
            - `regex`: SGLang's, a text;
            - `response_format`: OpenAI's `json_schema`, an object of one property with a `pattern` or an
              `enum`. The reply is such an object;
            - `ignored`: none; all are passed over in silence, as are those of the other kinds above;
            - `refused`: none; a request that has such a field is a 400.
        logprobs: Whether `logprobs` and `top_logprobs` are honoured: see `Reply.probabilities`. If not, they
            are ignored in silence.
        max_n: How many replies to a conversation there are at most, however many `n` asks for; None for any
            number.
        reasoning_field: Under which name thinking is sent: `reasoning`, `reasoning_content` (older servers),
            or None for a server without a reasoning parser, which leaves it in the content.
        seed: For service times and shares of faults.
        keepalive: Seconds that an idle connection stays open after an answer, as uvicorn's; None for ever.
        keep_requests: How many requests `requests` holds at most.

    Raises:
        ValueError: A number is out of range, or there is no such constraint or engine.
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
        engine: EngineKind = "vllm",
        openapi: bool = True,
        sleep: bool = False,
        constraint: ConstraintKind = "structured_outputs",
        logprobs: bool = True,
        max_n: int | None = None,
        reasoning_field: Literal["reasoning", "reasoning_content"] | None = "reasoning",
        seed: int = 0,
        keepalive: float | None = 5.0,
        keep_requests: int = 10_000,
    ) -> None:
        if min(slots or 1, max_n or 1, max_model_len) < 1 or 0 in (slots, max_n) or keep_requests < 0:
            msg = f"{slots=}, {max_n=} and {max_model_len=} start at 1, {keep_requests=} at 0"
            raise ValueError(msg)
        if constraint not in get_args(ConstraintKind):
            msg = f"{constraint=} is none of {', '.join(get_args(ConstraintKind))}"
            raise ValueError(msg)
        self._host = host
        self._port = port
        self._keepalive = keepalive
        options = Options(
            model=model,
            api_key=api_key,
            judge=as_judge(judge),
            service_time=service_time,
            max_model_len=max_model_len,
            clamp_max_tokens=clamp_max_tokens,
            batch_endpoint=batch_endpoint,
            constraint=constraint,
            logprobs=logprobs,
            max_n=max_n,
            reasoning_field=reasoning_field,
            seed=seed,
        )
        super().__init__(options, slots, faults, keep_requests)
        self._api = Api(
            options,
            self._slots,
            self._faults,
            self._counters,
            about=SelfDescription(engine, model, max_model_len),
            sleep_mode=self._sleep_mode if sleep else None,
            openapi=openapi,
        )
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
                self._sleep_mode.restart()
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
