"""A Llama with random weights and hardly any: `python tiny_model.py TOKENIZER_FOLDER TARGET_FOLDER`.

It says nothing of sense, and so quickly that a server is busy with HTTP alone. Run it with an interpreter that has
torch and transformers.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

__all__: list[str] = []


def main() -> None:
    """Write the checkpoint."""
    import torch  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 (only where there is a vLLM)
    import transformers  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    source, target = map(Path, sys.argv[1:3])
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=transformers.AutoConfig.from_pretrained(str(source)).vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=8192,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
    )
    transformers.LlamaForCausalLM(config).to(torch.float32).save_pretrained(str(target))
    for file in source.iterdir():
        if file.name.startswith(("tokenizer", "chat_template", "special_tokens")):
            shutil.copy(file, target)


if __name__ == "__main__":
    main()
