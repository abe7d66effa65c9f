"""How long a conversation is in service."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from llm_judge_remote.testing.conversation import Conversation

__all__ = ["ServiceTime", "exponential", "fixed", "lognormal", "parse_service_time", "seconds_for"]

ServiceTime = Callable[[random.Random], float]
"""From a source of chance to seconds; negative ones count as 0."""


def fixed(seconds: float) -> ServiceTime:
    """Always the same time, in seconds."""
    return lambda _: seconds


def exponential(mean: float) -> ServiceTime:
    """Exponentially distributed times around a mean in seconds."""
    return lambda rng: rng.expovariate(1.0) * mean


def lognormal(mean: float, sigma: float) -> ServiceTime:
    """Log-normally distributed times, as those of language models are, roughly.

    Args:
        mean: Seconds, above 0; the mean of the times themselves, not of their logarithms.
        sigma: Standard deviation of the logarithms; 0.5 puts the 99th percentile at 2.8 times the mean.
    """
    mu = math.log(mean) - sigma**2 / 2  # since the mean of a log-normal is exp(mu + sigma^2 / 2)
    return lambda rng: rng.lognormvariate(mu, sigma)


def seconds_for(service_time: float | ServiceTime | None, seed: int, conversation: Conversation) -> float:
    """The service time of one conversation: a function of seed, conversation and attempt."""
    if service_time is None:
        return 0.0
    if not callable(service_time):
        return float(service_time)
    rng = random.Random(f"service {seed} {conversation.attempt} {conversation.key.hex()}")
    return max(0.0, service_time(rng))


_MAKERS: dict[str, Callable[..., ServiceTime]] = {
    "": fixed,
    "fixed": fixed,
    "exponential": exponential,
    "lognormal": lognormal,
}


def parse_service_time(text: str) -> ServiceTime:
    """A service time from the command line: `0.5`, `fixed:0.5`, `exponential:MEAN` or `lognormal:MEAN,SIGMA`.

    Raises:
        ValueError: The text is none of these, or a number is below 0.
    """
    name, _, numbers = text.rpartition(":")
    try:
        values = [float(number) for number in numbers.split(",")]
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise ValueError
        return _MAKERS[name](*values)
    except (KeyError, TypeError, ValueError):
        msg = f"{text!r} is no service time; write 0.5, fixed:0.5, exponential:MEAN or lognormal:MEAN,SIGMA"
        raise ValueError(msg) from None
