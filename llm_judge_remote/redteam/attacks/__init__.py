"""The corpus: what people, models in training and papers have tried on LLM judges.

Names are unique; kinds group what works in the same way. The papers are named beside the attacks.
"""

from __future__ import annotations

from llm_judge_remote.redteam.attack import Attack
from llm_judge_remote.redteam.attacks.empty import EMPTY
from llm_judge_remote.redteam.attacks.orders import ORDERS
from llm_judge_remote.redteam.attacks.structure import STRUCTURE
from llm_judge_remote.redteam.attacks.surface import SURFACE
from llm_judge_remote.redteam.attacks.verdicts import VERDICTS

__all__ = ["ATTACKS"]

ATTACKS: tuple[Attack, ...] = (*EMPTY, *VERDICTS, *ORDERS, *STRUCTURE, *SURFACE)
"""All attacks, those of a kind together."""
