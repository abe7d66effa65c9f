"""An OpenAI-shaped client over the judge's dispatcher, for workflows that ask a judge questions of their own.

Written for workflows that judge with AReaL's `ArealOpenAI`: what they call runs against this client as it is, and
gets what all requests of this package get: bounded load, retries, failover between servers, chunks::

    client = JudgeClient(["10.0.0.1:8000", "10.0.0.2:8000"])
    completion = await client.chat.completions.create(
        messages=[{"role": "user", "content": "Is 4 the answer to 2 + 2? Say yes or no."}],
        temperature=1.0,
        max_completion_tokens=64,
    )
    completion.choices[0].message.content

The `openai` package is not needed. Scores in [0, 1] with a fallback are what `compute_score_async` is for; here an
error is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_judge_remote.errors import ConfigError
from llm_judge_remote.integrations.chat_arguments import Arguments
from llm_judge_remote.integrations.chat_completion import ChatCompletion
from llm_judge_remote.reward import process_judge
from llm_judge_remote.setting_types import without_secrets
from llm_judge_remote.settings import JudgeSettings

__all__ = ["Chat", "Completions", "JudgeClient"]


class JudgeClient:
    """Asks the judge, in the words of `openai.AsyncOpenAI`.

    All clients of a process share its one judge, with the reward functions. A client holds settings only: it may be
    pickled, used from several event loops, and needs no closing.

    Args:
        addr: The judge's addresses, `host:port` or URLs; or a registry, `file://` or `etcd://`, where they are looked
            up while the run goes on (see `registry_url`). None for what the settings say.
        settings: How to ask; None for what the environment, the YAML file and `overrides` say.
        **overrides: Settings by name: `model_name`, `timeout`, `max_retries`, `api_key` and the like.

    Attributes:
        chat: `chat.completions.create` is the one call.

    Raises:
        ConfigError: No judge is named, or a setting is unknown or of no use.
    """

    def __init__(
        self, addr: str | Sequence[str] | None = None, *, settings: JudgeSettings | None = None, **overrides: Any
    ) -> None:
        if settings is not None and (addr is not None or overrides):
            msg = "settings is given, and so are others: put them all into settings"
            raise ConfigError(msg)
        if addr is not None:
            overrides["server_url"] = addr if isinstance(addr, str) else list(addr)
        self.settings = settings if settings is not None else JudgeSettings(**overrides)
        if not self.settings.server_url:
            msg = "no judge is named: give addr, or set LLM_JUDGE_SERVER_URL"
            raise ConfigError(msg)
        self.chat = Chat(Completions(self.settings))

    async def close(self) -> None:
        """Do nothing: the connections are the process's."""

    async def __aenter__(self) -> JudgeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.settings,)

    def __repr__(self) -> str:
        return f"JudgeClient({list(map(without_secrets, self.settings.server_url))})"


def _rebuilt(settings: JudgeSettings) -> JudgeClient:
    return JudgeClient(settings=settings)


class Chat:
    """`client.chat`."""

    def __init__(self, completions: Completions) -> None:
        self.completions = completions


class Completions:
    """`client.chat.completions`."""

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings

    async def create(self, *, messages: Any, **options: Any) -> ChatCompletion:
        """Ask the judge; cancelling it gives up what is under way.

        Args:
            messages: Chat messages with text; at least one.
            **options: As OpenAI names them. What is not given, or None, is as in the settings.

                - Honoured: `model` (`default` and `auto` stand for the setting), `temperature`, `top_p`, `seed`, `n`,
                  `max_completion_tokens` or `max_tokens`, `max_total_tokens` (an upper bound of the reply: prompts
                  are not counted here), `timeout` (seconds for the whole call, in place of `deadline`),
                  `prompt_cache_key` (conversations with the same key go to the same server, one after the other).
                - Passed on to the server: `stop`, `frequency_penalty`, `presence_penalty`, `logit_bias`,
                  `response_format`, `reasoning_effort`, and what `extra_body` holds, of which
                  `chat_template_kwargs={"enable_thinking": ...}` is a setting here too.
                - Taken and of no effect: `store`, `metadata`, `user`, `areal_cache` and the like; nothing is stored.
                - Refused: streams, tools, log-probabilities, headers, and what is not known.

        Returns:
            The reply, or `n` of them. A text may be empty, as where the whole reply is a thought.

        Raises:
            ConfigError: An argument is refused, or nobody could run with these settings.
            ServerError: No server answered, after retries and failover; its kind says what went wrong.
            DeadlineExceededError: `timeout`, or the setting `deadline`, has passed.
        """
        arguments = Arguments(messages, options, self._settings)
        judge = process_judge(self._settings)
        reply = await judge.ask_async(arguments.request, self._settings, key=arguments.key, timeout=arguments.timeout)
        return ChatCompletion.of(reply, arguments.request.model)
