"""One conversation by itself, for those who do not judge rows but ask questions of their own."""

from __future__ import annotations

import functools
import time

from llm_judge_remote.client.chat import ChatReply, ChatRequest
from llm_judge_remote.client.runtime import Runtime
from llm_judge_remote.client.submission import Job, Task
from llm_judge_remote.errors import DeadlineExceededError
from llm_judge_remote.settings import JudgeSettings

__all__ = ["ask"]


async def ask(
    runtime: Runtime, request: ChatRequest, settings: JudgeSettings, key: str, timeout: float | None
) -> ChatReply:
    """Send a request through the process's dispatcher and wait for its reply; see `Judge.ask_async`."""
    dispatcher = runtime.dispatcher
    began = time.monotonic()
    task = Task(
        functools.partial(_conversation, request),
        runtime.channel(settings),
        request.sampling,
        (request.sampling, key),
        (key,),
        alone=request.draws > 1,
    )
    until = None if timeout is None else began + timeout
    submission = dispatcher.submit([task], 1, began=began, linger=settings.linger, until=until)
    try:
        await submission.wait_async(timeout, dispatcher.wakeups)
    finally:
        dispatcher.cancel(submission)
    result = submission.results[0]
    if isinstance(result, BaseException):
        raise result
    if result is None:
        last = submission.last_errors.get(0)
        msg = f"no reply within {timeout:g} s{f'; before that: {last}' if last is not None else ''}"
        raise DeadlineExceededError(msg)
    return result


def _conversation(request: ChatRequest) -> Job[ChatReply]:
    return (yield request)
