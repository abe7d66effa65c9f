"""Replies kept for the next time: successes only, and only when asked for (setting `cache`)."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from llm_judge_remote.client.chat import ChatReply, ChatRequest, Passage
from llm_judge_remote.client.submission import Job
from llm_judge_remote.errors import ConfigError

__all__ = ["MemoryCache", "ReplyCache", "key_of", "open_cache", "remembering"]

Result = TypeVar("Result")

_ENTRY_BYTES = 500  # an entry without its text, as measured: key, reply, numbers, the dictionary's share
_TOKEN_BYTES = 180  # a tuple, a text and a number
_FROM_CACHE = Passage(attempts=0, cached=True)


class ReplyCache(Protocol):
    """Replies by `key_of` their request; safe in threads, belongs to the process that made it."""

    @property
    def hits(self) -> int:
        """How often this process found what it looked for."""

    def get(self, key: bytes) -> ChatReply | None:
        """The reply that was put under this key, or None."""

    def put(self, key: bytes, reply: ChatReply) -> None:
        """Keep a reply: what the judge said and what it cost, not how it came here."""

    def close(self) -> None:
        """Keep nothing more; `get` then finds nothing."""


class MemoryCache:
    """Replies in this process's memory; those that were not asked for longest make room for new ones.

    Args:
        capacity: Replies at most.
        capacity_bytes: Bytes at most, of the replies' text as Python holds it, 500 for each reply, and 180 for each
            token's each alternative.

    Attributes:
        hits: How often it was found what was looked for.
    """

    def __init__(self, capacity: int = 100_000, capacity_bytes: int = 256 << 20) -> None:
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self.hits = 0
        self._bytes = 0
        self._entries: OrderedDict[bytes, tuple[ChatReply, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> ChatReply | None:
        """The reply that was put under this key, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            self.hits += 1
            return entry[0]

    def put(self, key: bytes, reply: ChatReply) -> None:
        """Keep a reply."""
        kept = reply.after(Passage())
        size = sum(_ENTRY_BYTES + _text_bytes(each) for each in (kept, *kept.others))
        with self._lock:
            replaced = self._entries.pop(key, None)
            if replaced is not None:
                self._bytes -= replaced[1]
            self._entries[key] = (kept, size)
            self._bytes += size
            while len(self._entries) > self._capacity or self._bytes > self._capacity_bytes:
                self._bytes -= self._entries.popitem(last=False)[1][1]

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0


def _text_bytes(reply: ChatReply) -> int:
    alternatives = sum(len(token.alternatives) + 1 for token in reply.tokens)
    return _TOKEN_BYTES * alternatives + sum(map(sys.getsizeof, (reply.content, reply.reasoning, reply.finish_reason)))


def open_cache(where: str) -> ReplyCache | None:
    """The cache that the setting `cache` asks for.

    Args:
        where: "" for none, `memory`, or the path of an SQLite file, which is made if it is not there.

    Raises:
        ConfigError: The file cannot be used, or is something else.
    """
    if not where:
        return None
    if where == "memory":
        return MemoryCache()
    try:
        from llm_judge_remote.client.cache_file import SqliteCache  # noqa: PLC0415 (not every Python has sqlite3)
    except ModuleNotFoundError as error:
        msg = f"cache={where!r} is a file, and this Python cannot use one ({error}); set cache to `memory`"
        raise ConfigError(msg) from None
    return SqliteCache(where)


def key_of(request: ChatRequest, servers: Sequence[str]) -> bytes:
    """A digest of everything that shapes the reply.

    That is the request's body; and where the model is `auto`, the servers, as the name alone says nothing then.

    Args:
        request: What is asked.
        servers: The addresses that it may be asked at, in any order.

    Raises:
        TypeError: The request cannot be sent: it holds what JSON does not know.
    """
    digest = hashlib.blake2b(request.body(request.model, "structured_outputs"), digest_size=32)
    if request.needs_grammar:
        digest.update(b"\0held")
    if request.model == "auto":
        for server in sorted(set(servers)):
            digest.update(b"\0" + server.encode())  # no byte 0 in the body, which is JSON
    return digest.digest()


def remembering(
    job: Job[Result], cache: ReplyCache, servers: Sequence[str], succeeded: Callable[[Result], bool]
) -> Job[Result]:
    """The same job; what it asks is looked up first, and the replies that ended it well are kept.

    Only the last reply is kept, with those to the draws before it that belong together with it, and only when the job
    succeeds with them: what was cut off, empty or without a verdict, so that it was asked again, is asked again another
    time too. A reply from the cache has `passage.cached` set and 0 attempts.

    Args:
        job: Not begun yet.
        cache: Where to look, and to keep.
        servers: The addresses that the job's requests may be asked at.
        succeeded: Whether a job that returned this has what it wanted.
    """
    answered: dict[bytes, ChatReply] = {}  # by key: what servers said to the draws that belong together
    try:
        request = first = next(job)
        while True:
            if not _draws_on(request, first):
                first, answered = request, {}
            key = _key_if_any(request, servers)
            known = cache.get(key) if key is not None else None
            if known is not None:
                request = job.send(known.after(_FROM_CACHE))
                continue
            try:
                reply = yield request
            except GeneratorExit:
                job.close()
                raise
            except BaseException as error:  # noqa: BLE001 (whatever it is, it is the job's)
                request = job.throw(error)
            else:
                if key is not None:
                    answered[key] = reply
                request = job.send(reply)
    except StopIteration as end:
        result: Result = end.value
    if answered and succeeded(result):
        for key, reply in answered.items():
            cache.put(key, reply)
    return result


def _draws_on(request: ChatRequest, first: ChatRequest) -> bool:
    """Whether it asks for more draws of what was asked first: by another seed, as with the same one it asks again."""
    return request.seed != first.seed and replace(request, seed=first.seed, draws=first.draws) == first


def _key_if_any(request: ChatRequest, servers: Sequence[str]) -> bytes | None:
    try:
        return key_of(request, servers)
    except (TypeError, UnicodeEncodeError):  # whoever sends it says why it cannot be sent
        return None
