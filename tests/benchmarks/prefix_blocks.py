"""How much of a set of prompts a server's prefix cache could give, were it large enough."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["possible_hits"]


def possible_hits(prompts: Sequence[Sequence[int]], block: int) -> int:
    """Tokens of the prompts that an earlier prompt brought already, in whole blocks.

    vLLM keeps full blocks only, finds them by all that stands before, and computes at least a prompt's last token
    anew. The sum does not depend on the order of the prompts, but for prompts that are each other's beginning.

    Args:
        prompts: Each prompt's tokens.
        block: Tokens in a block of the cache.
    """
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}  # a block's number, by the number of the one before it
    hits = 0
    for prompt in prompts:
        before, is_known = 0, True
        last = (len(prompt) - 1) // block
        for index in range(len(prompt) // block):
            key = (before, tuple(prompt[index * block : (index + 1) * block]))
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(numbers) + 1
                is_known = False
            if is_known and index < last:
                hits += block
            before = number
    return hits
