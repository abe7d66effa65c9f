"""What goes wrong, and to whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

from llm_judge_remote.testing.conversation import Conversation, unit_interval

__all__ = ["Fault", "FaultBook", "FaultKind"]

FaultKind = Literal[
    "status",
    "hang",
    "reset",
    "drop",
    "truncated",
    "garbage",
    "empty_choices",
    "null_content",
    "no_verdict",
    "drip",
    "drip_headers",
]

REPLY_FAULTS = frozenset({"null_content", "no_verdict"})
"""Faults of a reply: in a batch they touch their own conversation only. All others spoil the whole answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with chat requests. It shows when the service time is over.

    ==================  ==================================================================================
    `kind`              what the client meets
    ==================  ==================================================================================
    `status`            an error with HTTP status `status` (500), and `Retry-After` if `retry_after` is given
    `hang`              nothing for `seconds` (None: until the server stops), in its slot; then a right answer
    `reset`             a TCP reset (RST) in place of an answer
    `drop`              right headers, half of the body, end of the connection
    `truncated`         a complete HTTP answer whose JSON ends in the middle
    `garbage`           200 with a page of HTML
    `empty_choices`     a completion with `"choices": []`
    `null_content`      `"content": null`, and no thinking either
    `no_verdict`        a reply that gives no score
    `drip`              the right body, one byte every `seconds` (0.05)
    `drip_headers`      the same from the status line on
    ==================  ==================================================================================

    In a batch, a fault of one conversation is the fault of the whole answer, that of the first such
    conversation; `null_content` and `no_verdict` touch their own conversation only.

    Attributes:
        kind: See above.
        status: For `status`: the HTTP status, 400 to 599.
        retry_after: For `status`: the `Retry-After` header, seconds or an HTTP date.
        times: How often it strikes at most; None for no limit.
        share: Of the conversations it could strike, how many it does, in [0, 1]. Which ones is a function of
            the server's seed, the conversation and its attempt.
        match: Only conversations whose text holds this, or for which this returns true.
        first_attempt_only: Spare conversations that the server has met before.
        seconds: For `hang`, `drip` and `drip_headers`.
    """

    kind: FaultKind
    _: KW_ONLY
    status: int | None = None
    retry_after: float | str | None = None
    times: int | None = None
    share: float = 1.0
    match: str | Callable[[Conversation], bool] | None = None
    first_attempt_only: bool = False
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse a fault that could not happen."""
        if self.kind not in get_args(FaultKind):
            msg = f"{self.kind!r} is no kind of fault; there are {', '.join(get_args(FaultKind))}"
            raise ValueError(msg)
        if self.status is not None and (self.kind != "status" or not 400 <= self.status <= 599):
            msg = f"status={self.status} is for the kind 'status', and from 400 to 599"
            raise ValueError(msg)
        if not 0.0 <= self.share <= 1.0:
            msg = f"share={self.share} is not in [0, 1]"
            raise ValueError(msg)
        if (self.times is not None and self.times < 1) or (self.seconds is not None and not self.seconds >= 0):
            msg = f"times={self.times} is not at least 1, or seconds={self.seconds} is below 0"
            raise ValueError(msg)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """A fault from the command line.

        The form is `KIND[:STATUS][:SHARE][:NAME=VALUE...]`, STATUS for the kind `status` only:
        `status:503:0.01`, `hang:0.005:seconds=60`, `status:429:times=3:retry_after=1`,
        `garbage:0.1:first_attempt_only`.

        Raises:
            ValueError: The text has another form, or a value is out of range.
        """
        kind, *rest = text.split(":")
        options: dict[str, Any] = {}
        places = ["status", "share"] if kind == "status" else ["share"]
        for part in rest:
            name, equals, value = part.partition("=")
            if not equals:
                name, value = (part, "") if part in _PARSERS else (places.pop(0) if places else "", part)
            if name not in _PARSERS:
                form = "KIND[:STATUS][:SHARE][:NAME=VALUE...]"
                msg = f"{part!r} in the fault {text!r} is not understood; the form is {form}"
                raise ValueError(msg)
            options[name] = _PARSERS[name](value)
        return cls(kind, **options)  # type: ignore[arg-type]  # __post_init__ checks the kind


_PARSERS: dict[str, Callable[[str], object]] = {
    "status": int,
    "share": float,
    "times": int,
    "seconds": float,
    "retry_after": str,
    "match": str,
    "first_attempt_only": lambda value: value.lower() not in ("0", "false", "no"),
}


class FaultBook:
    """The faults in force, and how often each may still strike. Safe in threads.

    Args:
        seed: Decides, with conversation and attempt, whom a `share` strikes.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def inject(self, faults: Iterable[Fault]) -> None:
        """Put faults in force, behind those that are."""
        with self._lock:
            for fault in faults:
                self._entries.append(_Entry(fault, fault.times))

    def replace(self, faults: Iterable[Fault]) -> None:
        """Put these in force and no others."""
        with self._lock:
            self._entries = [_Entry(fault, fault.times) for fault in faults]

    def active(self) -> tuple[Fault, ...]:
        """The faults that can still strike, in order."""
        with self._lock:
            return tuple(entry.fault for entry in self._entries if entry.left != 0)

    def strike(self, conversation: Conversation) -> Fault | None:
        """The first fault that strikes this conversation, counted as one of its times."""
        if not self._entries:
            return None
        with self._lock:
            for number, entry in enumerate(self._entries):
                if entry.left != 0 and self._strikes(number, entry.fault, conversation):
                    if entry.left is not None:
                        entry.left -= 1
                    return entry.fault
        return None

    def _strikes(self, number: int, fault: Fault, conversation: Conversation) -> bool:
        if fault.first_attempt_only and conversation.attempt > 1:
            return False
        if isinstance(fault.match, str):
            if fault.match not in conversation.text:
                return False
        elif fault.match is not None and not fault.match(conversation):
            return False
        # The number keeps two faults of equal share from choosing the same conversations.
        return fault.share >= 1.0 or fault.share > unit_interval(
            "fault", self._seed, number, conversation.key, conversation.attempt
        )


@dataclass(slots=True)
class _Entry:
    fault: Fault
    left: int | None
