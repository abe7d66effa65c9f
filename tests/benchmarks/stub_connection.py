"""A client's connection to the stub server: requests out of bytes, and answers into them."""

from __future__ import annotations

import asyncio
import re
import socket
import struct

import orjson
import stub_replies
from stub_slots import Ask
from stub_state import OVERLOADED, Stub

__all__ = ["Connection"]

_SINGLE = b"POST /v1/chat/completions "
_BATCH = b"POST /v1/chat/completions/batch "
_MARK = re.compile(rb"#id=(\d{1,18})")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,10})", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_ENGINE_DEAD = b'{"error":{"message":"EngineDeadError","type":"InternalServerError","code":500}}'
_GARBAGE = b'{"id": "chatcmpl-x", "choices": [{"mess'


class Connection(asyncio.Protocol):
    """One client connection; it answers one request after the other."""

    transport: asyncio.Transport

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.received = bytearray()
        self.needed = 0  # bytes, before it is worth looking again
        self.ask: Ask | None = None
        self.closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        counts = self.stub.counts
        counts.connections += 1
        counts.connections_total += 1
        counts.connections_peak = max(counts.connections_peak, counts.connections)

    def connection_lost(self, error: Exception | None) -> None:
        self.stub.counts.connections -= 1
        ask, self.ask = self.ask, None
        if ask is not None and not self.stub.options.no_abort:
            self.stub.slots.abandon(ask)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while self.ask is None and self.received and len(self.received) >= self.needed:
            if not self._next_request():
                return

    def _next_request(self) -> bool:
        """Take a request from what was received, if it is there as a whole."""
        received = self.received
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = _LENGTH.search(received, 0, end)
        self.needed = end + 4 + (int(length[1]) if length else 0)
        if len(received) < self.needed:
            return False
        request = bytes(received[: self.needed])
        del received[: self.needed]
        self.needed = 0
        self.closes = _CLOSE.search(request, 0, end) is not None
        if request.startswith(_SINGLE):
            self._single(request, end)
        elif request.startswith(_BATCH) and not self.stub.options.no_batch:
            self._batch(request, end)
        else:
            self._other(request)
        return True

    def _single(self, request: bytes, end: int) -> None:
        stub, counts = self.stub, self.stub.counts
        counts.requests += 1
        counts.conversations += 1
        counts.bytes_in += len(request)
        mark = _MARK.search(request, end)
        number = int(mark[1]) if mark else 0
        tokens = len(request) // 4
        if stub.is_instant:
            stub.attempt(number)
            counts.ok += 1
            self._send(200, stub_replies.chat(stub.model, number, tokens))
        elif not stub.has_room(1):
            counts.rejected += 1
            self._write(stub.busy)
        else:
            self.ask = Ask(self._answer, tokens)
            stub.slots.enter(self.ask, (stub.turn(self.ask, number),))

    def _batch(self, request: bytes, end: int) -> None:
        stub, counts = self.stub, self.stub.counts
        counts.requests += 1
        counts.batches += 1
        counts.bytes_in += len(request)
        try:
            conversations = orjson.loads(memoryview(request)[end + 4 :])["messages"]
            numbers = [_number(conversation) for conversation in conversations]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            numbers = []
        if not numbers:
            self._send(400, b'{"error":{"message":"no conversations","type":"BadRequestError","code":400}}')
            return
        counts.conversations += len(numbers)
        tokens = len(request) // 4
        if stub.is_instant:
            for number in numbers:
                stub.attempt(number)
            counts.ok += 1
            self._send(200, stub_replies.batch(stub.model, numbers, [False] * len(numbers), tokens))
        elif not stub.has_room(len(numbers)):
            counts.rejected += len(numbers)
            self._write(stub.busy)
        else:
            ask = self.ask = Ask(self._answer, tokens)
            stub.slots.enter(ask, [stub.turn(ask, number) for number in numbers])

    def _answer(self, ask: Ask) -> None:
        """All conversations of the request are over."""
        if self.ask is not ask:  # with -N it may outlive its connection
            return
        fault = ask.fault
        turns = ask.turns
        if len(turns) == 1:
            body = stub_replies.chat(
                self.stub.model, turns[0].number, ask.prompt_tokens, has_verdict=turns[0].fault != "noscore"
            )
        else:
            missing = [turn.fault == "noscore" for turn in turns]
            body = stub_replies.batch(self.stub.model, [turn.number for turn in turns], missing, ask.prompt_tokens)
        if fault == "drip":
            self._write(stub_replies.head(200, len(body)))
            self._drip(ask, body, 0)
            return
        self.ask = None
        if fault is None:
            self.stub.counts.ok += 1
            self._send(200, body)
        elif fault in ("500", "503", "429"):
            error = _ENGINE_DEAD if fault == "500" else OVERLOADED
            self._send(int(fault), error, b"" if fault == "500" else self.stub.retry_after())
        elif fault == "garbage":
            self._send(200, _GARBAGE)
        elif fault == "trunc":
            self.transport.write(stub_replies.head(200, len(body)) + body[: len(body) // 2])
            self.transport.close()
        elif fault == "reset":
            # With no time to linger the kernel sends a reset in place of an orderly end.
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.transport.abort()
        if self.received and not self.transport.is_closing():
            self.data_received(b"")

    def _drip(self, ask: Ask, body: bytes, sent: int) -> None:
        """A byte at a time; the slot is free already."""
        if self.ask is not ask:
            return
        if sent == len(body):
            self.ask = None
            return
        self.transport.write(body[sent : sent + 1])
        asyncio.get_running_loop().call_later(self.stub.options.drip_ms / 1000, self._drip, ask, body, sent + 1)

    def _other(self, request: bytes) -> None:
        if request.startswith(b"GET /health"):
            self._send(200, b"")
        elif request.startswith(b"GET /v1/models"):
            self._send(200, b'{"object":"list","data":[{"id":"%s","object":"model"}]}' % self.stub.model)
        elif request.startswith(b"GET /metrics"):
            self._send(200, self.stub.metrics())
        elif request.startswith(b"POST /admin/reset"):
            self.stub.reset()
            self._send(200, b"{}")
        else:
            self._send(404, b'{"detail":"Not Found"}')

    def _send(self, status: int, body: bytes, extra: bytes = b"") -> None:
        self._write(stub_replies.head(status, len(body), extra) + body)

    def _write(self, answer: bytes) -> None:
        self.transport.write(answer)
        if self.closes:
            self.transport.close()


def _number(conversation: list[dict[str, str]]) -> int:
    for message in conversation:
        mark = _MARK.search(message["content"].encode())
        if mark:
            return int(mark[1])
    return 0
