"""A policy of a few thousand random weights, and a server of it for verl's agent loops."""

import asyncio

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from verl.workers.rollout.replica import TokenOutput


def make_policy(folder, tokenizer):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    policy = LlamaForCausalLM(config)
    policy.save_pretrained(str(folder))
    return policy


class PolicyServer:
    """What verl's `LLMServerClient` is to an agent loop, without vLLM: the weights in the process itself."""

    def __init__(self, folder, tokens):
        self.folder, self.tokens = str(folder), tokens
        self.policy = None

    async def generate(self, request_id, *, prompt_ids, sampling_params, **_):
        return await asyncio.to_thread(self._generate, prompt_ids)

    def _generate(self, prompt_ids):
        if self.policy is None:
            self.policy = LlamaForCausalLM.from_pretrained(self.folder)
        prompt = torch.tensor([prompt_ids])
        with torch.no_grad():
            whole = self.policy.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=self.tokens, do_sample=True
            )
        return TokenOutput(token_ids=whole[0, len(prompt_ids) :].tolist(), stop_reason="completed")
