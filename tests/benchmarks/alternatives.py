"""The other ways to ask: each posts ready-made bodies, and reads no more of an answer than its verdict."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from job import AIOHTTP, OPENAI, REQUESTS, Job
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from llm_judge_remote.client.chat import CHAT_PATH, ChatRequest

__all__ = ["ALTERNATIVES", "Alternative", "read_score"]

_VERDICT = re.compile(rb"REWARD: (\d(?:\.\d{1,2})?)")
_HEADERS = {"Content-Type": "application/json"}
_BACKOFF_S = 0.1
_RETRIED = (429, 500, 502, 503, 504)


def read_score(answer: bytes) -> float | None:
    """The verdict in an answer's bytes, or None."""
    found = _VERDICT.search(answer)
    return float(found[1]) if found else None


class Alternative:
    """A client with ready-made bodies.

    Args:
        job: What to do.
        model: The model's name.
    """

    def __init__(self, job: Job, model: str) -> None:
        self.job = job
        self.model = model

    def ready(self, asked: Iterable[ChatRequest]) -> Sequence[Any]:
        """What `run` takes, made before the clock starts."""
        return [request.body(self.model, "structured_outputs") for request in asked]

    def run(self, made: Sequence[Any]) -> list[float | None]:
        """Ask all; None for what got no verdict."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections."""


class RequestsPool(Alternative):
    """`ThreadPoolExecutor.map` over one `requests.Session`; urllib3's `Retry` where retries are asked for."""

    def __init__(self, job: Job, model: str) -> None:
        super().__init__(job, model)
        self._url = job.url + CHAT_PATH
        self._pool = ThreadPoolExecutor(job.in_flight)
        self._session = requests.Session()
        retry: Retry | int = 0
        if job.retries:
            retry = Retry(total=job.retries, backoff_factor=_BACKOFF_S, status_forcelist=_RETRIED, allowed_methods=None)
        self._session.mount("http://", HTTPAdapter(pool_maxsize=job.in_flight, max_retries=retry))

    def run(self, made: Sequence[Any]) -> list[float | None]:
        return list(self._pool.map(self._post, made))

    def _post(self, body: bytes) -> float | None:
        try:
            answer = self._session.post(self._url, data=body, headers=_HEADERS, timeout=self.job.timeout)
        except requests.RequestException:
            return None
        return read_score(answer.content) if answer.status_code == 200 else None

    def close(self) -> None:
        self._pool.shutdown()
        self._session.close()


class _OnALoop(Alternative):
    """As many tasks as may be in flight, each asking one after the other."""

    def __init__(self, job: Job, model: str) -> None:
        super().__init__(job, model)
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._open())

    def run(self, made: Sequence[Any]) -> list[float | None]:
        return self._loop.run_until_complete(self._all(made))

    async def _all(self, made: Sequence[Any]) -> list[float | None]:
        found: list[float | None] = [None] * len(made)
        waiting = iter(enumerate(made))

        async def ask_on() -> None:
            for index, each in waiting:
                found[index] = await self._ask(each)

        await asyncio.gather(*(ask_on() for _ in range(self.job.in_flight)))
        return found

    def close(self) -> None:
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _open(self) -> None: ...

    async def _ask(self, each: Any) -> float | None:
        raise NotImplementedError

    async def _close(self) -> None: ...


class Aiohttp(_OnALoop):
    """One `aiohttp.ClientSession`; a plain loop with a doubling pause where retries are asked for."""

    async def _open(self) -> None:
        import aiohttp  # noqa: PLC0415 (may not be installed)

        self._errors = (aiohttp.ClientError, asyncio.TimeoutError)
        self._url = self.job.url + CHAT_PATH
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.job.in_flight),
            timeout=aiohttp.ClientTimeout(total=self.job.timeout),
        )

    async def _ask(self, each: Any) -> float | None:
        for attempt in range(self.job.retries + 1):
            if attempt:
                await asyncio.sleep(_BACKOFF_S * 2**attempt * random.uniform(0.5, 1))
            try:
                async with self._session.post(self._url, data=each, headers=_HEADERS) as answer:
                    content = await answer.read()
                    if answer.status == 200:
                        return read_score(content)
            except self._errors:
                continue
        return None

    async def _close(self) -> None:
        await self._session.close()


class OpenAI(_OnALoop):
    """`openai.AsyncOpenAI` with its own retries; it makes its bodies itself, from ready-made messages."""

    async def _open(self) -> None:
        import openai  # noqa: PLC0415 (may not be installed)

        self._error = openai.OpenAIError
        self._client = openai.AsyncOpenAI(
            base_url=self.job.url + "/v1", api_key="none", timeout=self.job.timeout, max_retries=self.job.retries
        )

    def ready(self, asked: Iterable[ChatRequest]) -> Sequence[Any]:
        return [self._arguments(request) for request in asked]

    def _arguments(self, request: ChatRequest) -> dict[str, Any]:
        extra: dict[str, Any] = {"chat_template_kwargs": {"enable_thinking": request.enable_thinking}}
        if request.grammar is not None:
            extra["structured_outputs"] = {"regex": request.grammar.reply}
        return {
            "model": self.model,
            "messages": list(request.messages),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "extra_body": extra,
        }

    async def _ask(self, each: Any) -> float | None:
        try:
            answer = await self._client.chat.completions.create(**each)
            return read_score((answer.choices[0].message.content or "").encode())
        except (self._error, AttributeError, TypeError, IndexError, ValueError):
            return None

    async def _close(self) -> None:
        await self._client.close()


ALTERNATIVES: dict[str, Callable[[Job, str], Alternative]] = {
    REQUESTS: RequestsPool,
    AIOHTTP: Aiohttp,
    OPENAI: OpenAI,
}
