"""One of verl's rows as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One rollout.

    Attributes:
        uid: Of its prompt; "" where verl gives none.
        data_source: The data set's name.
        ground_truth: The reference, or several.
        extra_info: What the data set, the tools and verl say of it, and the `prompt`; the row's own copy.
        token_ids: Of the answer, without padding: a 1-D tensor of integers.
    """

    uid: str
    data_source: Any
    ground_truth: Any
    extra_info: Mapping[str, Any]
    token_ids: Any

    @classmethod
    def of(cls, data: Any) -> Row:
        """Read the last row of a `DataProto`; it is not changed, as `extra_info` is shared by a prompt's rollouts."""
        fields = {name: column[-1] for name, column in data.non_tensor_batch.items()}
        answer = data.batch["responses"][-1]
        extra_info = dict(_mapping(fields.get("tool_extra_fields")))
        extra_info.update(_mapping(fields.get("extra_info")))  # a tool does not overrule the data set
        extra_info["num_turns"] = fields.get("__num_turns__")
        extra_info["rollout_reward_scores"] = fields.get("reward_scores", {})
        if extra_info.get("prompt") is None and fields.get("raw_prompt") is not None:
            extra_info["prompt"] = fields["raw_prompt"]
        uid = fields.get("uid")
        return cls(
            uid="" if uid is None else str(uid),
            data_source=fields.get("data_source"),
            ground_truth=_mapping(fields.get("reward_model")).get("ground_truth"),
            extra_info=extra_info,
            token_ids=answer[: _length(data, len(answer))],
        )

    @property
    def length(self) -> int:
        """Tokens of the answer."""
        return len(self.token_ids)


def _length(data: Any, padded: int) -> int:
    """Tokens of the last row's answer, of so many with the padding.

    verl's agent loop pads the sequences of one rollout on the right, prompt and answer together, so that the end of
    the attention mask does not belong to the answer where their prompts differ in length; there it says the length.
    """
    said = data.non_tensor_batch.get("response_len")
    if said is not None:
        return int(said[-1])
    return int(data.batch["attention_mask"][-1, -padded:].sum())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
