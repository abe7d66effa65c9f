"""The chat endpoints: one conversation, or a batch of them, from a request to an answer."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llm_judge_remote.testing import bodies
from llm_judge_remote.testing.constraint import ConstraintKind, Grammar, read_grammar
from llm_judge_remote.testing.conversation import Conversation, Reply
from llm_judge_remote.testing.faults import REPLY_FAULTS, Fault, FaultBook
from llm_judge_remote.testing.generation import Generated, generate
from llm_judge_remote.testing.judges import JudgeFunction, ScriptRanOutError
from llm_judge_remote.testing.logprobs import top_logprobs
from llm_judge_remote.testing.reading import Attempts, conversations, json_object, positive
from llm_judge_remote.testing.service_time import ServiceTime, seconds_for
from llm_judge_remote.testing.slots import Slots
from llm_judge_remote.testing.stats import Counters, RecordedRequest
from llm_judge_remote.testing.wire import Answer, RequestError, context_error, to_json

__all__ = ["BATCH_PATH", "CHAT_PATH", "Chat", "Options"]

CHAT_PATH = "/v1/chat/completions"
BATCH_PATH = "/v1/chat/completions/batch"

_NO_VERDICT = Reply("The candidate resembles the reference in parts.")
_GIBBERISH = "!" * 16  # what vLLM says with weights that were dropped and not loaded again
_HTML = b"<html><body><h1>It works!</h1></body></html>"


@dataclass(slots=True)
class Options:
    """What `JudgeServer` was told; see there."""

    model: str
    api_key: str | None
    judge: JudgeFunction
    service_time: float | ServiceTime | None
    max_model_len: int
    clamp_max_tokens: bool
    batch_endpoint: bool
    constraint: ConstraintKind
    logprobs: bool
    max_n: int | None
    reasoning_field: str | None
    seed: int
    loading: bool = False
    weights_lost: bool = False


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What a request wants of its replies, and how many to each conversation."""

    copies: int
    grammar: Grammar | None
    top_logprobs: int | None


@dataclass(slots=True)
class _Order:
    """One conversation, and all that is settled before it goes into service."""

    conversation: Conversation
    wishes: _Wishes
    budget: int
    fault: Fault | None
    seconds: float
    said: list[Reply | str]


class Chat:
    """Answers chat requests; of sockets it knows only whom to watch during the service."""

    def __init__(self, options: Options, slots: Slots, faults: FaultBook, counters: Counters) -> None:
        self._options = options
        self._slots = slots
        self._faults = faults
        self._counters = counters
        self._attempts = Attempts()

    def answer(self, request: RecordedRequest, client: socket.socket) -> Answer:
        """The answer, when the last conversation's service is over.

        Raises:
            RequestError: The request is wrong, or the script has no reply left.
            CutError: The client is gone, or the server was stopped.
        """
        orders = self._orders(request)
        for order in orders:
            if order.fault is not None:
                self._counters.fault(order.fault.kind)
        self._slots.serve([order.seconds for order in orders], client)
        fault = next((o.fault for o in orders if o.fault is not None and _spoils_answer(o.fault)), None)
        if fault is not None and fault.kind in ("status", "garbage", "reset"):
            return _without_reply(fault)
        return self._completion(orders, fault)

    def _orders(self, request: RecordedRequest) -> list[_Order]:
        """Everything that can be wrong with the request is found here, before the judge is asked."""
        options = self._options
        body = json_object(request, options.model)
        batch = request.path == BATCH_PATH
        wishes = self._wishes(body)
        if batch and wishes.copies > 1:
            words = "Batch chat completions do not support `n > 1`. Please set `n` to 1."
            words += f" (parameter=n, value={wishes.copies})"
            raise RequestError(400, words, param="n")
        if body.get("stream"):
            raise RequestError(400, "This server does not stream.", param="stream")
        # The newer name goes first, as in vLLM.
        wanted = positive(body, "max_completion_tokens") or positive(body, "max_tokens")
        met = conversations(request, body, batch=batch)
        budgets = [self._budget(conversation, wanted) for conversation in met]
        return [self._order(each, wishes, budget) for each, budget in zip(met, budgets, strict=True)]

    def _wishes(self, body: Mapping[str, Any]) -> _Wishes:
        options = self._options
        return _Wishes(
            positive(body, "n") or 1,
            read_grammar(body, options.constraint),
            top_logprobs(body) if options.logprobs else None,
        )

    def _order(self, conversation: Conversation, wishes: _Wishes, budget: int) -> _Order:
        options = self._options
        attempt = self._attempts.count(conversation.key)
        conversation = replace(conversation, attempt=attempt, held=wishes.grammar is not None)
        fault = self._faults.strike(conversation)
        seconds = seconds_for(options.service_time, options.seed, conversation)
        if fault is not None and fault.kind == "hang":
            seconds += math.inf if fault.seconds is None else fault.seconds
        copies = wishes.copies if options.max_n is None else min(wishes.copies, options.max_n)
        said = [self._ask(replace(conversation, draw=draw), fault) for draw in range(copies)]
        return _Order(conversation, wishes, budget, fault, seconds, said)

    def _budget(self, conversation: Conversation, wanted: int | None) -> int:
        """The tokens that the reply may have, if prompt and reply fit."""
        limit = self._options.max_model_len
        room = limit - conversation.prompt_tokens
        if wanted is not None and (wanted > limit or (wanted > room and not self._options.clamp_max_tokens)):
            raise context_error(limit, wanted)
        if room < 0:
            raise context_error(limit, None)
        return room if wanted is None else min(room, wanted)

    def _ask(self, conversation: Conversation, fault: Fault | None) -> Reply | str:
        """What the judge says, unless the fault says something else or leaves nothing to be said."""
        if fault is not None:
            if fault.kind == "null_content":
                return Reply(None)
            if fault.kind in ("no_verdict", "empty_choices", "status", "garbage", "reset"):
                return _NO_VERDICT  # for all but the first, nobody will read it
        try:
            return self._options.judge(conversation)
        except ScriptRanOutError as error:
            raise RequestError(500, str(error)) from None

    def _completion(self, orders: list[_Order], fault: Fault | None) -> Answer:
        options = self._options
        choices: list[Generated] = []
        prompt_tokens = 0
        for order in orders:
            made = [
                generate(
                    each,
                    order.conversation,
                    budget=order.budget,
                    parse_reasoning=options.reasoning_field is not None,
                    grammar=None if _gives_reply(order.fault) else order.wishes.grammar,
                    top_logprobs=order.wishes.top_logprobs,
                )
                for each in ([_GIBBERISH] * len(order.said) if options.weights_lost else order.said)
            ]
            choices += made
            prompt_tokens += made[0].prompt_tokens
            self._counters.replied(
                made[0].prompt_tokens, sum(each.completion_tokens for each in made), made[0].finish_reason
            )
        value = bodies.completion(
            options.model,
            [] if fault is not None and fault.kind == "empty_choices" else choices,
            prompt_tokens=prompt_tokens,
            reasoning_field=options.reasoning_field or "reasoning",
        )
        data = to_json(value)
        if fault is not None and fault.kind == "truncated":
            data = data[: len(data) // 2]
        return Answer(200, data, fault=fault)


def _gives_reply(fault: Fault | None) -> bool:
    return fault is not None and (fault.kind in REPLY_FAULTS or fault.kind == "empty_choices")


def _spoils_answer(fault: Fault) -> bool:
    return fault.kind not in REPLY_FAULTS and fault.kind != "hang"


def _without_reply(fault: Fault) -> Answer:
    if fault.kind == "garbage":
        return Answer(200, _HTML, content_type="text/html; charset=utf-8")
    if fault.kind == "reset":
        return Answer(200, fault=fault)
    headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    return RequestError(fault.status or 500, "A scripted fault.").answer(headers)
