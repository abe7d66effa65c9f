"""Releases of verl, and what each reads; from the sources of 0.5.0, 0.6.1, 0.7.0, 0.7.1, 0.8.0 and 0.9.1."""

from __future__ import annotations

import re
from typing import NamedTuple

from llm_judge_remote.diagnosis.setup.versions import installed_version
from llm_judge_remote.errors import ConfigError

__all__ = ["NEWEST", "Release", "release_of"]

_NUMBER = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:\D.*)?")


class Release(NamedTuple):
    """A release, as far as the reward's configuration goes."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def reads_reward(self) -> bool:
        """Whether the keys are below `reward`, and rows are judged one at a time."""
        return self >= (0, 7, 1)

    @property
    def migrates(self) -> bool:
        """Whether it moves the older, top-level keys below `reward` by itself; 0.9 does not any more."""
        return (0, 7, 1) <= self < (0, 9, 0)

    @property
    def has_loop(self) -> bool:
        """Whether there is the reward loop, which awaits functions and loads `pkg://` paths."""
        return self >= (0, 7, 0)

    @property
    def managers(self) -> tuple[str, ...]:
        """Of whom it knows by name."""
        if self.reads_reward:
            return ("naive", "dapo", "gdpo", "rate_limited", "remote")
        return ("naive", "batch", "dapo", "prime", *(("rate_limited", "remote") if self.has_loop else ()))


NEWEST = Release(0, 9, 1)


def release_of(given: str | None) -> tuple[Release, str]:
    """The release to go by, and where that is known from: what was given, or is installed here, or the newest known.

    Raises:
        ConfigError: What was given is no release.
    """
    text, where = (given, "--verl-version") if given else (installed_version("verl"), "installed here")
    if not text:
        return NEWEST, "the newest that is known; none is installed here: --verl-version names another"
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        msg = f"--verl-version {text!r} is no release of verl; write 0.9.1 or the like"
        raise ConfigError(msg)
    return Release(*(int(part or 0) for part in found.groups())), where
