"""Where servers are looked up, and where they say that they are there."""

from llm_judge_remote.servers.registry.addresses import lookup
from llm_judge_remote.servers.registry.pruning import prune
from llm_judge_remote.servers.registry.registration import Registration, register
from llm_judge_remote.servers.registry.registry import Registry, open_registry
from llm_judge_remote.servers.registry.watch import Watch

__all__ = ["Registration", "Registry", "Watch", "lookup", "open_registry", "prune", "register"]
