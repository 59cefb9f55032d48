"""Causal language models of text, of transformers: tiny, untrained, and with weights that are far from 0."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from foresay.hub.causal_lm import HubBody, HubBodySettings

PLACES = 40
"""Symbols that they read at most."""
SHARED = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "max_position_embeddings": PLACES}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**SHARED, "intermediate_size": 24, "num_key_value_heads": 1, "tie_word_embeddings": False},
    "qwen2": {**SHARED, "intermediate_size": 24, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "opt": {**SHARED, "ffn_dim": 24, "word_embed_proj_dim": 8, "dropout": 0.0, "tie_word_embeddings": True},
    "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": PLACES, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}
"""Rotary positions, such with tied embeddings, learnt positions with embeddings of another size, and learnt positions."""


def write_tiny(family: str, folder: Path, **changed: Any) -> Any:  # noqa: ANN401 - settings; a model of transformers
    """Write one into a folder as transformers does, and return it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(family, vocab_size=23, **FAMILIES[family] | changed)
    torch.manual_seed(1)
    whole = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    transformers.logging.disable_progress_bar()
    whole.save_pretrained(folder)
    return whole


def tiny_body(family: str = "llama") -> HubBody:
    """Build the body of one, untrained."""
    pytest.importorskip("transformers")
    return HubBody(HubBodySettings(json.dumps({"model_type": family, "vocab_size": 23, **FAMILIES[family]})))
