"""Which server a group of samples belongs to: the same one in every process, and with hardly a change when servers do.

Rendezvous hashing (Thaler and Ravishankar, 1998), with weights by the logarithmic method (Schindelhauer and Schomaker,
2005): a server of weight w scores `-w / ln(u)`, with u in (0, 1) a hash of key and address; the highest score wins. So
each server gets its part of the groups, and one that goes away moves only its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b

__all__ = ["group_key", "preference"]


def group_key(parts: Iterable[str]) -> str:
    """A key for what a group's prompts begin with: 32 hexadecimal digits, the same in every process.

    Args:
        parts: Texts in order; where one ends and the next begins counts.
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def preference(key: str, weights: Mapping[str, float]) -> list[str]:
    """The order in which a group likes servers.

    Args:
        key: The group's.
        weights: By address; above 0.
    """
    return sorted(weights, key=lambda address: _score(key, address, weights[address]), reverse=True)


def _score(key: str, address: str, weight: float) -> float:
    draw = int.from_bytes(blake2b(f"{key} {address}".encode(), digest_size=8).digest(), "little")
    return -weight / math.log((draw + 0.5) / 2**64)
