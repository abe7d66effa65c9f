"""Reward function for RL training that asks a remote LLM judge how well each rollout matches its reference.

A trainer calls `compute_score`, `compute_score_batched` or `compute_score_async`; other programs use `Judge`.
"""

from llm_judge_remote.client.stats import DispatchStats
from llm_judge_remote.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    ConfigError,
    ConnectionDroppedError,
    DatasetError,
    DeadlineExceededError,
    IncapableError,
    InvalidReplyError,
    JudgeError,
    JudgingFailedError,
    NoVerdictError,
    OverloadedError,
    PromptTooLongError,
    RegistryError,
    RequestRejectedError,
    ServerError,
    ServerUnavailableError,
    StatusError,
    UnknownModelError,
)
from llm_judge_remote.judge import Judge
from llm_judge_remote.judgement import Judgement, Outcome
from llm_judge_remote.reward import compute_score, compute_score_async, compute_score_batched
from llm_judge_remote.sample import Sample
from llm_judge_remote.settings import JudgeSettings

__version__ = "0.1.0"

__all__ = [
    "AttemptTimeoutError",
    "AuthenticationError",
    "ConfigError",
    "ConnectionDroppedError",
    "DatasetError",
    "DeadlineExceededError",
    "DispatchStats",
    "IncapableError",
    "InvalidReplyError",
    "Judge",
    "JudgeError",
    "JudgeSettings",
    "Judgement",
    "JudgingFailedError",
    "NoVerdictError",
    "Outcome",
    "OverloadedError",
    "PromptTooLongError",
    "RegistryError",
    "RequestRejectedError",
    "Sample",
    "ServerError",
    "ServerUnavailableError",
    "StatusError",
    "UnknownModelError",
    "__version__",
    "compute_score",
    "compute_score_async",
    "compute_score_batched",
]
