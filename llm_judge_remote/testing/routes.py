"""The endpoints by path, and who may use them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from llm_judge_remote.testing import bodies
from llm_judge_remote.testing.chat import BATCH_PATH, CHAT_PATH, Chat, Options
from llm_judge_remote.testing.conversation import join_texts
from llm_judge_remote.testing.engine import SelfDescription, schema
from llm_judge_remote.testing.faults import FaultBook
from llm_judge_remote.testing.reading import json_object, messages
from llm_judge_remote.testing.sleep_mode import SleepMode
from llm_judge_remote.testing.slots import Slots
from llm_judge_remote.testing.stats import Counters, RecordedRequest
from llm_judge_remote.testing.wire import Answer, RequestError, json_answer, to_json

__all__ = ["Api"]

_Route = Callable[[RecordedRequest, socket.socket], Answer]


class Api:
    """Answers requests.

    Args:
        options: What the server was told.
        slots: Where conversations wait.
        faults: What strikes them.
        counters: Of all that happens.
        about: What the server tells of itself.
        sleep_mode: Its endpoints are served; None for none.
        openapi: Whether the endpoints are listed.
    """

    def __init__(
        self,
        options: Options,
        slots: Slots,
        faults: FaultBook,
        counters: Counters,
        *,
        about: SelfDescription,
        sleep_mode: SleepMode | None,
        openapi: bool,
    ) -> None:
        self._options = options
        self._slots = slots
        self._counters = counters
        self._about = about
        chat = Chat(options, slots, faults, counters).answer
        self._routes: dict[str, Mapping[str, _Route]] = {
            "/health": {"GET": _always(Answer(200))},
            "/metrics": {"GET": self._metrics},
            "/tokenize": {"POST": self._tokenize},
            CHAT_PATH: {"POST": chat},
            **{path: {"GET": _always(answer)} for path, answer in about.answers().items()},
        }
        if options.batch_endpoint:
            self._routes[BATCH_PATH] = {"POST": chat}
        if sleep_mode is not None:
            self._routes |= sleep_mode.routes()
        if openapi:
            self._routes["/openapi.json"] = {"GET": _always(json_answer(schema(self._routes)))}

    def answer(self, request: RecordedRequest, client: socket.socket) -> Answer:
        """The answer to a request; returns when it is time to send it.

        Raises:
            CutError: The client is gone, or the server was stopped.
        """
        methods = self._routes.get(request.path, {})
        self._counters.record(request, request.path if methods else "(unknown)")
        try:
            answer = self._refusal(request) or self._find(request, methods)(request, client)
        except RequestError as error:
            answer = error.answer()
        self._slots.proceed.wait()
        return answer

    def _refusal(self, request: RecordedRequest) -> Answer | None:
        expected = self._options.api_key
        if expected is None or not self._about.is_guarded(request.path):
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and key == expected:
            return None
        self._counters.add(unauthorized=1)
        return Answer(401, to_json({"error": "Unauthorized"}))

    def _find(self, request: RecordedRequest, methods: Mapping[str, _Route]) -> _Route:
        if not methods:
            raise RequestError(404, "Not Found", kind="Not Found")
        if request.method not in methods:
            raise RequestError(405, "Method Not Allowed")
        if self._options.loading and request.path not in ("/metrics", "/version"):
            raise RequestError(503, "The model is being loaded.")
        return methods[request.method]

    def _metrics(self, _: RecordedRequest, __: socket.socket) -> Answer:
        with self._counters.changed:
            stats = self._counters.snapshot()
        return bodies.metrics(self._options.model, stats)

    def _tokenize(self, request: RecordedRequest, _: socket.socket) -> Answer:
        body = json_object(request, self._options.model)
        prompt = body.get("prompt")
        text = prompt if isinstance(prompt, str) else join_texts(messages(body.get("messages"), "body.messages"))
        data = text.encode("utf-8", "surrogatepass")
        tokens = [int.from_bytes(data[start : start + 4], "big") for start in range(0, len(data), 4)]
        limit = self._options.max_model_len
        return json_answer({"count": len(tokens), "max_model_len": limit, "tokens": tokens, "token_strs": None})


def _always(answer: Answer) -> _Route:
    return lambda *_: answer
