"""Whether several servers are the one judge that they are to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_judge_remote.client.capabilities import Capabilities
from llm_judge_remote.diagnosis.server.look import Seen

__all__ = ["alike"]

_MOST_NAMED = 4
_DIFFERENT = "serve the same on all of them, or a row's score depends on where it goes"


def alike(told: Mapping[str, Capabilities | None], well: int) -> Seen:
    """Whether all judge, and serve the same, in the same release.

    Args:
        told: What each server told of itself, by address; None where it told nothing.
        well: How many of them judge.
    """
    if not well:
        return Seen("error", f"none of the {len(told)} servers judges", "see the findings of each")
    known = {address: each for address, each in told.items() if each is not None}
    told_by_what = {
        "models": {address: ", ".join(each.models) for address, each in known.items()},
        "max_model_len": {address: str(each.max_model_len) for address, each in known.items()},
        "releases": {address: f"{each.engine} {each.version}".strip() for address, each in known.items()},
    }
    differences = [_difference(what, values) for what, values in told_by_what.items() if len(set(values.values())) > 1]
    if differences:
        return Seen("warning", ". ".join(differences), _DIFFERENT)
    if well < len(told):
        words = f"{well} of {len(told)} servers judge; the others' rows go to them"
        return Seen("warning", words, "see the findings of each")
    names = ", ".join(next(iter(known.values())).models) if known else "what they do not tell"
    return Seen("ok", f"all {len(told)} judge, and serve {names}")


def _difference(what: str, values: Mapping[str, str]) -> str:
    where: dict[str, list[str]] = {}
    for address, value in values.items():
        where.setdefault(value, []).append(address)
    told = (f"{value} at {_shown(addresses)}" for value, addresses in where.items())
    return f"different {what}: {'; '.join(told)}"


def _shown(addresses: Sequence[str]) -> str:
    more = len(addresses) - _MOST_NAMED
    return ", ".join(addresses[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
