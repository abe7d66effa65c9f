"""What to do about an error of a server."""

from __future__ import annotations

from llm_judge_remote.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    ConnectionDroppedError,
    IncapableError,
    InvalidReplyError,
    JudgeError,
    OverloadedError,
    PromptTooLongError,
    RegistryError,
    ServerUnavailableError,
    StatusError,
    UnknownModelError,
)

__all__ = ["remedy"]

_REMEDIES: dict[type[JudgeError], str] = {
    ServerUnavailableError: "start the server, or give the address and port that it listens on (from another machine "
    "it is reached only if it was started with --host 0.0.0.0)",
    ConnectionDroppedError: "read the server's log; an https:// server that is asked by http:// does this, too",
    AttemptTimeoutError: "read the server's log: it hangs, or has too much to do; if it is only slow, raise timeout",
    AuthenticationError: "give the server's key: LLM_JUDGE_SERVER_API_KEY=KEY, or api_key in the YAML file",
    UnknownModelError: "set model_name (--model) to a name that the server lists, or to auto",
    OverloadedError: "wait until it has loaded its model, or until others ask it for less",
    PromptTooLongError: "start the server with a larger --max-model-len, or lower max_new_tokens",
    InvalidReplyError: "give the address of a server that speaks OpenAI's API, without a path behind it",
    IncapableError: "set structured_output to auto",
    RegistryError: "see that the registry runs, and that its address is right",
}


_NO_TLS = "WRONG_VERSION_NUMBER"  # OpenSSL's word for an answer that is no TLS


def remedy(error: JudgeError) -> str:
    """What to do about an error; "" where there is nothing to be said."""
    if _NO_TLS in str(error):
        return "write http:// in the address: what listens there does not speak TLS"
    for kind, words in _REMEDIES.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, StatusError) and error.status >= 500:
        return "read the server's log, which says why it failed"
    if isinstance(error, StatusError):
        return "the server does not take what it was sent: see its words, and its release's notes"
    return ""
