"""The reward manager: verl's rows in, rewards and the judge's metrics out."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from llm_judge_remote.integrations.verl_gathering import Begun, Gatherer
from llm_judge_remote.integrations.verl_groups import Groups
from llm_judge_remote.integrations.verl_options import Options
from llm_judge_remote.integrations.verl_rows import Row
from llm_judge_remote.judgement import Judgement
from llm_judge_remote.reward import begin

__all__ = ["JudgeRewardManager"]

log = logging.getLogger(__name__)

_PACKAGE = __name__.partition(".")[0]


@register("llm_judge")
class JudgeRewardManager(RewardManagerBase):  # type: ignore[misc]
    """Judges what verl's reward workers are handed.

    Rows that come within a moment (`linger`) are judged in one call, those of one prompt side by side; of many, the
    first are sent while verl still makes the tasks of the others. The problem is that of the data set's `extra_info`,
    else the prompt itself, so that no column is needed for it.

    The settings are those of `reward.custom_reward_function.reward_kwargs` and `reward.reward_kwargs`, as OmegaConf has
    them, the environment and the YAML file. Beside settings, `reward_kwargs` may hold:

    - `group_wait` (10): with `fallback=group_mean`, the seconds that a row which was not judged waits at most, after
      its own end, for the scores of its group: the rows with its `uid`. verl spreads them by chance over
      `reward.num_workers`, of which one is enough: with more, only those are waited for that came to the same worker.
    - `overlong_buffer_cfg` and `max_resp_len`: verl's own, of its `dapo` manager.

    Args:
        config: The trainer's whole configuration.
        tokenizer: That of the policy, which decodes its answers.
        compute_score: What verl made of `reward.custom_reward_function`. A function that is not this package's is
            called for each row in place of the judge, as verl's `naive` manager would, with the prompt in its
            `extra_info`; verl's own default is not.
        reward_router_address: `host:port` of verl's own generative reward model, if it runs one.
        reward_model_tokenizer: That model's.

    Raises:
        ConfigError: Nobody could run with these settings.
    """

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Callable[..., Any] | None = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        if len(inspect.signature(RewardManagerBase.__init__).parameters) > 3:
            super().__init__(config, tokenizer, compute_score)
        else:  # verl 0.7.0
            super().__init__(config, tokenizer)
        options = Options.of(config)
        self._overlong = options.overlong
        self._call: dict[str, Any] = dict(options.call)
        self._router: dict[str, Any] = {}
        if reward_router_address is not None:
            self._router = {
                "reward_router_address": reward_router_address,
                "reward_model_tokenizer": reward_model_tokenizer,
            }
        self._function = compute_score if options.has_function and not _is_ours(compute_score) else None
        if self._function is not None:
            log.info("the custom reward function %r stands in for the judge", self._function)
        self._gatherer: Gatherer[Row, Judgement] = Gatherer(self._begin, options.settings.linger, options.group_size)
        self._groups: Groups | None = None
        if options.settings.fallback == "group_mean":
            all_here = options.workers == 1
            self._groups = Groups(options.group_size, options.group_wait, all_here=all_here)
            if not all_here and options.group_size > 1:
                log.warning(
                    "fallback=group_mean sees only the rows of its own worker: set reward.num_workers=1, not %d",
                    options.workers,
                )

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The reward of one rollout.

        Args:
            data: A `DataProto`; of several sequences the last one counts, as with verl's own managers.

        Returns:
            `reward_score`, a float: the score, in [0, 1], less the overlong penalty if there is one; and
            `reward_extra_info`, the flat dict of `Judgement.to_dict`, with `overlong_reward` and `overlong` (1 or 0) if
            `overlong_buffer_cfg.log` is set. Its keys are the same for every row.

        Raises:
            JudgingFailedError: Only with `fallback="raise"` or `on_unavailable="raise"`.
            ConfigError: No server is known.
        """
        row = Row.of(data)
        if self._function is not None:
            details = await self._ask_function(self._function, row)
        elif self._groups is None or not row.uid:
            details = await self._judged(row)
        else:
            details = await self._groups.settle(row.uid, self._judged(row))
        reward = float(details["score"] if "score" in details else details["acc"])
        if self._overlong is not None:
            penalty = self._overlong.penalty(row.length)
            reward += penalty
            if self._overlong.log:
                details = {**details, "overlong_reward": penalty, "overlong": int(penalty < 0)}
        return {"reward_score": reward, "reward_extra_info": details}

    async def _judged(self, row: Row) -> dict[str, Any]:
        judgement = await self._gatherer(row, row.uid)
        return judgement.to_dict()

    def _begin(self, rows: Sequence[Row]) -> Begun[Judgement]:
        """Begin to judge rows in one call."""
        asked = [
            (row.data_source, text, row.ground_truth, row.extra_info)
            for row, text in zip(rows, self._texts(rows), strict=True)
        ]
        return begin(asked, {**self._router, **self._call})

    async def _ask_function(self, function: Callable[..., Any], row: Row) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        (text,) = await loop.run_in_executor(None, self._texts, [row])
        call = functools.partial(
            function,
            data_source=row.data_source,
            solution_str=text,
            ground_truth=row.ground_truth,
            extra_info=dict(row.extra_info),
            **self._router,
        )
        result = await call() if inspect.iscoroutinefunction(function) else await loop.run_in_executor(None, call)
        return dict(result) if isinstance(result, dict) else {"acc": result}

    def _texts(self, rows: Sequence[Row]) -> list[str]:
        return [self.tokenizer.decode(row.token_ids, skip_special_tokens=True) for row in rows]


def _is_ours(function: Any) -> bool:
    """Whether a function is one of this package, as it is or as verl wraps it with `reward_kwargs`."""
    while isinstance(function, functools.partial):
        function = function.args[0] if function.args else function.func
    module: str = getattr(function, "__module__", None) or ""
    return module.partition(".")[0] == _PACKAGE
