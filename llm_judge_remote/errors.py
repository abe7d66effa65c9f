"""Everything this package raises.

::

    JudgeError
     ├── ConfigError              settings that nobody could run with
     ├── ServerError              one attempt at a server did not bring a usable reply
     │    ├── ServerUnavailableError   nobody answers: refused, unresolved, or the breaker is open
     │    ├── ConnectionDroppedError   the connection ended before the reply did
     │    ├── AttemptTimeoutError      the attempt took longer than `timeout`
     │    ├── InvalidReplyError        an answer that is not a chat completion
     │    ├── IncapableError           the server cannot do what the settings insist on
     │    └── StatusError              an HTTP status other than 200
     │         ├── OverloadedError          429, 503: the server asks for less
     │         ├── AuthenticationError      401, 403: the key
     │         ├── UnknownModelError        404: the model, or the path
     │         ├── PromptTooLongError       400: more tokens than the model takes
     │         └── RequestRejectedError     any other 4xx: the same request would fail again
     ├── RegistryError            where servers are looked up cannot be asked, or takes no entry
     ├── DatasetError             input that cannot be read as rows, or output that cannot be written
     ├── NoVerdictError           the judge replied, and gave no score
     ├── DeadlineExceededError    the call's `deadline` passed first
     └── JudgingFailedError       `fallback="raise"` or `on_unavailable="raise"`: rows were left without a judge's score

Every error can be pickled: trainers pass them between processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge_remote.judgement import Judgement

__all__ = [
    "AttemptTimeoutError",
    "AuthenticationError",
    "ConfigError",
    "ConnectionDroppedError",
    "DatasetError",
    "DeadlineExceededError",
    "IncapableError",
    "InvalidReplyError",
    "JudgeError",
    "JudgingFailedError",
    "NoVerdictError",
    "OverloadedError",
    "PromptTooLongError",
    "RegistryError",
    "RequestRejectedError",
    "ServerError",
    "ServerUnavailableError",
    "StatusError",
    "UnknownModelError",
]


class JudgeError(Exception):
    """The root of all errors of this package.

    Attributes:
        attempts: Requests that were sent before it was raised.
    """

    attempts: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls __init__ with `args` alone, which loses keyword arguments.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[JudgeError], args: tuple[Any, ...], state: dict[str, Any]) -> JudgeError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(JudgeError, ValueError):
    """Settings that nobody could run with; the message names the setting, the value and what to do."""


class ServerError(JudgeError):
    """One attempt at a server did not bring a usable reply.

    Attributes:
        server: The server's address, or "" when there was none to ask.
        retryable: Whether the same request may succeed when sent again.
        answered: Whether it shows that the server is there and works.
    """

    retryable = True
    answered = False

    def __init__(self, message: str, *, server: str = "") -> None:
        super().__init__(message)
        self.server = server


class ServerUnavailableError(ServerError):
    """Nobody answers: connection refused, name not resolved, or the breaker is open.

    Attributes:
        sent: False when no request left this process, because the server is known to be down.
    """

    def __init__(self, message: str, *, server: str = "", sent: bool = True) -> None:
        super().__init__(message, server=server)
        self.sent = sent
        self.retryable = sent


class ConnectionDroppedError(ServerError):
    """The connection ended before the reply did."""


class AttemptTimeoutError(ServerError):
    """The attempt took longer than `timeout` (or what was left of `deadline`)."""


class InvalidReplyError(ServerError):
    """The server answered 200 with something that is not a chat completion."""

    answered = True


class IncapableError(ServerError):
    """The server works, and cannot do what the settings insist on."""

    retryable = False
    answered = True


class StatusError(ServerError):
    """The server answered with an HTTP status other than 200.

    Attributes:
        status: The HTTP status.
        retry_after: Seconds that the server asked to wait, or None.
    """

    def __init__(self, message: str, *, status: int, server: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, server=server)
        self.status = status
        self.retry_after = retry_after
        self.retryable = status >= 500 or status in (408, 429)
        self.answered = status < 500


class OverloadedError(StatusError):
    """429 or 503: the server asks for less."""

    def __init__(self, message: str, *, status: int, server: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, status=status, server=server, retry_after=retry_after)
        self.answered = True


class AuthenticationError(StatusError):
    """401 or 403: the key is missing, wrong, or not allowed."""


class UnknownModelError(StatusError):
    """404: the server does not serve this model, or not at this path."""


class PromptTooLongError(StatusError):
    """400: the prompt and the reply's budget are more tokens than the model takes.

    Attributes:
        prompt_tokens: What the prompt has, or None where the server did not tell.
        token_limit: What the model takes, prompt and reply together, or None.
    """

    prompt_tokens: int | None = None
    token_limit: int | None = None


class RequestRejectedError(StatusError):
    """Any other 4xx: the same request would be rejected again."""


class RegistryError(JudgeError):
    """Where servers are looked up cannot be asked, or takes no entry."""


class DatasetError(JudgeError):
    """Input that cannot be read as rows, or output that cannot be written; the message names file, line and column."""


class NoVerdictError(JudgeError):
    """The judge replied, and gave no score that can be read.

    Attributes:
        reply: The judge's text.
    """

    def __init__(self, message: str, *, reply: str = "") -> None:
        super().__init__(message)
        self.reply = reply


class DeadlineExceededError(JudgeError):
    """The call's `deadline` passed before the sample was judged."""


class JudgingFailedError(JudgeError):
    """Rows were left without a judge's score, and the settings ask to stop rather than to fall back.

    Attributes:
        judgements: Every row of the call in order, judged rows included: nothing that was paid for is lost.
    """

    def __init__(self, message: str, *, judgements: Sequence[Judgement] = ()) -> None:
        super().__init__(message)
        self.judgements = list(judgements)
