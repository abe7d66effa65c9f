"""A real HTTP server that speaks vLLM's API, for tests and rehearsals. It is not an LLM.

In a test::

    from llm_judge_remote.testing import Fault, JudgeServer

    with JudgeServer(judge="REWARD: 0.75") as server:
        ...                                            # point the client at server.url
        assert server.stats.conversations == 1

    with JudgeServer(faults=[Fault("status", status=503, retry_after=1, times=2)]) as server:
        ...                                            # the first two requests fail

    with JudgeServer(service_time=lognormal(mean=1.0, sigma=0.5), slots=64) as server:
        ...                                            # 64 conversations at once, the others queue

    with JudgeServer(judge=SimulatedJudge(accuracy=0.9, gullibility=["echoes", "obeys"])) as server:
        ...                                            # errs at a known rate, and can be fooled in known ways

From a shell, with the same options: `python -m llm_judge_remote.testing --help`.

What goes wrong, and how long things take, is a function of the seed, the conversation and how often it was
asked: the same traffic meets the same faults in every run, in whatever order it arrives.
"""

from llm_judge_remote.testing.constraint import ConstraintKind
from llm_judge_remote.testing.conversation import Conversation, Reply, count_tokens
from llm_judge_remote.testing.engine import EngineKind
from llm_judge_remote.testing.faults import Fault, FaultKind
from llm_judge_remote.testing.judge_server import JudgeServer
from llm_judge_remote.testing.judges import JudgeFunction, lexical_judge
from llm_judge_remote.testing.service_time import ServiceTime, exponential, fixed, lognormal
from llm_judge_remote.testing.simulated_judge import SimulatedJudge, Weakness
from llm_judge_remote.testing.stats import RecordedRequest, ServerStats

__all__ = [
    "ConstraintKind",
    "Conversation",
    "EngineKind",
    "Fault",
    "FaultKind",
    "JudgeFunction",
    "JudgeServer",
    "RecordedRequest",
    "Reply",
    "ServerStats",
    "ServiceTime",
    "SimulatedJudge",
    "Weakness",
    "count_tokens",
    "exponential",
    "fixed",
    "lexical_judge",
    "lognormal",
]
