"""What servers say of their work, in the words of vLLM 0.32 and SGLang 0.5."""

from llm_judge_remote.monitoring.figures import Figures, read_figures

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="judge"} 25.0
vllm:num_requests_waiting{engine="0",model_name="judge"} 7.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="judge",reason="capacity"} 7.0
vllm:engine_sleep_state{engine="0",model_name="judge",sleep_state="awake"} 1.0
vllm:engine_sleep_state{engine="0",model_name="judge",sleep_state="weights_offloaded"} 0.0
vllm:engine_sleep_state{engine="0",model_name="judge",sleep_state="discard_all"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="judge"} 0.15
vllm:prefix_cache_queries_total{engine="0",model_name="judge"} 1000.0
vllm:prefix_cache_queries_created{engine="0",model_name="judge"} 1.7952987762692528e+09
vllm:prefix_cache_hits_total{engine="0",model_name="judge"} 810.0
vllm:external_prefix_cache_queries_total{engine="0",model_name="judge"} 5.0
vllm:num_preemptions_total{engine="0",model_name="judge"} 2.0
vllm:prompt_tokens_total{engine="0",model_name="judge"} 1200.0
vllm:generation_tokens_total{engine="0",model_name="judge"} 90.0
"""

SGLANG = """\
sglang:num_running_reqs{engine_type="unified",model_name="judge",pp_rank="0",tp_rank="0"} 3.0
sglang:num_running_reqs{engine_type="unified",model_name="judge",pp_rank="0",tp_rank="1"} 3.0
sglang:num_queue_reqs{engine_type="unified",model_name="judge",pp_rank="0",priority="",tp_rank="0"} 4.0
sglang:num_queue_reqs{engine_type="unified",model_name="judge",pp_rank="0",priority="5",tp_rank="0"} 1.0
sglang:token_usage{engine_type="unified",model_name="judge",pp_rank="0",tp_rank="0"} 0.28
sglang:prompt_tokens_total{is_streaming="false",model_name="judge"} 800.0
sglang:prompt_tokens_total{is_streaming="true",model_name="judge"} 200.0
sglang:cached_tokens_total{cache_source="device",model_name="judge"} 400.0
sglang:cached_tokens_total{cache_source="host",model_name="judge"} 100.0
sglang:generation_tokens_total{is_streaming="false",model_name="judge"} 70.0
sglang:num_retracted_requests_total{model_name="judge",pp_rank="0",tp_rank="0"} 6.0
"""


def test_vllm_s_figures_are_read():
    assert read_figures(VLLM) == Figures(
        model="judge",
        running=25,
        waiting=7,
        kv_cache=0.15,
        prefix_queries=1000,
        prefix_hits=810,
        prompt_tokens=1200,
        generation_tokens=90,
        preemptions=2,
        sleep_level=0,
    )


def test_sglang_s_figures_are_read_and_neither_ranks_nor_priorities_are_counted_twice():
    assert read_figures(SGLANG) == Figures(
        model="judge",
        running=3,
        waiting=4,
        kv_cache=0.28,
        prefix_queries=1000,
        prefix_hits=500,
        prompt_tokens=1000,
        generation_tokens=70,
        preemptions=6,
    )


def test_several_engines_add_up_and_of_their_caches_the_fullest_counts():
    second = VLLM.replace('engine="0"', 'engine="1"').replace("} 0.15", "} 0.75")
    both = read_figures(VLLM + second)
    assert (both.running, both.prompt_tokens, both.kv_cache) == (50, 2400, 0.75)


def test_older_names_are_known():
    older = VLLM.replace("kv_cache_usage_perc", "gpu_cache_usage_perc").replace("vllm:prefix", "vllm:gpu_prefix")
    assert read_figures(older) == read_figures(VLLM)


def test_the_level_at_which_a_server_sleeps_is_told():
    asleep = VLLM.replace('sleep_state="awake"} 1.0', 'sleep_state="awake"} 0.0')
    assert read_figures(asleep.replace('"weights_offloaded"} 0.0', '"weights_offloaded"} 1.0')).sleep_level == 1
    assert read_figures(asleep.replace('"discard_all"} 0.0', '"discard_all"} 1.0')).sleep_level == 2


def test_what_is_not_said_is_not_known():
    assert read_figures("<html>404</html>") == Figures()
    assert read_figures("vllm:num_requests_running 1").waiting is None
