"""verl's custom reward function, by file path; `pkg://llm_judge_remote` is the same without a path.

The functions belong to the installed package wherever this file is loaded from, however often, and under whatever
name: the judge, its connections and its limits are the process's one. A copy of the file works as well.
"""

from llm_judge_remote.reward import compute_score, compute_score_async, compute_score_batched

__all__ = ["compute_score", "compute_score_async", "compute_score_batched"]
