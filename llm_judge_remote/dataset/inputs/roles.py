"""Which column of an input holds the problem, which the references, and which chat messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_judge_remote.errors import DatasetError

__all__ = ["Columns", "Roles", "assign"]

PROBLEM_NAMES = ("problem", "question", "prompt", "input", "instruction")
REFERENCE_NAMES = ("solution", "answer", "ground_truth", "reference", "output", "response")
MESSAGES_NAMES = ("messages", "conversations")
_VERL_REFERENCE = "reward_model.ground_truth"


@dataclass(frozen=True, slots=True)
class Columns:
    """The names that the user gives; what is left out is found among the usual names.

    A name may be a path into objects: `reward_model.ground_truth`.

    Attributes:
        problem: Where the problem is; usually `problem`, `question`, `prompt`, `input` or `instruction`.
        references: Where the references are, the solution first; usually one of `solution`, `answer`, `ground_truth`,
            `reference`, `output` and `response`, or verl's `reward_model.ground_truth`.
        messages: Where chat messages are; usually `messages` or `conversations`, and not looked for when `problem` is
            given.
    """

    problem: str | None = None
    references: tuple[str, ...] = ()
    messages: str | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of one input.

    Attributes:
        problem: That of the problem, or None where chat messages hold it.
        references: Those of the references, the solution first; none where the chats' last assistant turn is it.
        messages: That of chat messages, or None.
        problem_first: Whether a problem counts even where there are chat messages.
    """

    problem: str | None
    references: tuple[str, ...]
    messages: str | None
    problem_first: bool = False

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        names = (self.problem, *self.references, self.messages)
        return tuple(dict.fromkeys(name for name in names if name is not None))


def assign(there: Sequence[str], given: Columns, file: str) -> Roles:
    """The roles of the columns that an input has.

    Args:
        there: The names of its columns.
        given: What the user says about them.
        file: The input's name, for the message.

    Raises:
        DatasetError: One is not there; the message lists those that are.
    """

    def named(name: str, option: str) -> str:
        if name in there or name.partition(".")[0] in there:
            return name
        msg = f"{file}: there is no column {name!r}, which {option} names; {_listed(there)}"
        raise DatasetError(msg)

    references = tuple(named(name, "--reference") for name in given.references)
    messages = given.messages and named(given.messages, "--messages")
    if given.problem is not None:
        problem: str | None = named(given.problem, "--problem")
    else:
        messages = messages or _usual(there, MESSAGES_NAMES)
        problem = _usual(there, PROBLEM_NAMES)
        if problem is None and messages is None:
            raise _none_usual(there, file, "a problem", PROBLEM_NAMES, "--problem")
        if {"instruction", "input"} <= set(there) and messages is None and problem in ("instruction", "input"):
            msg = (
                f"{file}: both 'instruction' and 'input' may be the problem, and often it is the two together: "
                f"--problem names the one to take; {_listed(there)}"
            )
            raise DatasetError(msg)
    if not references:
        usual = _usual(there, REFERENCE_NAMES)
        if usual is None and "reward_model" in there:
            usual = _VERL_REFERENCE
        if usual is None and messages is None:
            raise _none_usual(there, file, "a solution", REFERENCE_NAMES, "--reference")
        references = () if usual is None else (usual,)
    return Roles(problem, references, messages or None, problem_first=given.problem is not None)


def _usual(there: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of the usual names that is there, in whatever case."""
    for name in names:
        if name in there:
            return name
    folded = {name.casefold(): name for name in reversed(there)}
    return next((folded[name] for name in names if name in folded), None)


def _none_usual(there: Sequence[str], file: str, what: str, names: Sequence[str], option: str) -> DatasetError:
    return DatasetError(
        f"{file}: no column is {what} by its name ({', '.join(names)}); {option} names one; {_listed(there)}"
    )


def _listed(there: Sequence[str]) -> str:
    return f"there are {', '.join(map(repr, there))}" if there else "there are none"
