"""verl's reward manager with a judge (0.7.1 and newer).

::

    reward:
      num_workers: 1
      reward_manager:
        source: importlib
        name: JudgeRewardManager
        module:
          path: pkg://llm_judge_remote.integrations.verl

Wherever this module was imported, the manager is also known by the name `llm_judge`; with
`VERL_USE_EXTERNAL_MODULES=llm_judge_remote.integrations.verl` in the environment verl imports it in every process.
The calls stand here too, for verl's `custom_reward_function.path` to name the same module.
"""

from llm_judge_remote.integrations.verl_manager import JudgeRewardManager
from llm_judge_remote.reward import compute_score, compute_score_async, compute_score_batched

__all__ = ["JudgeRewardManager", "compute_score", "compute_score_async", "compute_score_batched"]
