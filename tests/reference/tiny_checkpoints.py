"""Very small wav2vec 2.0, HuBERT and WavLM checkpoints with random weights, as transformers, fairseq and unilm write them."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")

VARIANTS = {
    "base": {},
    "base with bias": {"conv_bias": True},
    "group norm, pre-norm": {"do_stable_layer_norm": True},
    "layer norm, post-norm": {"feat_extract_norm": "layer"},
    "large": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
    "large without bias": {"feat_extract_norm": "layer", "do_stable_layer_norm": True},
}
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (24,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "num_codevectors_per_group": 6,
    "codevector_dim": 16,
    "proj_codevector_dim": 20,
}
FAIRSEQ = {
    "feature_projection.layer_norm.": "layer_norm.",
    "feature_projection.projection.": "post_extract_proj.",
    "masked_spec_embed": "mask_emb",
    "encoder.pos_conv_embed.conv.": "encoder.pos_conv.0.",
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
    "attention.rel_attn_embed.": "attention.relative_attention_bias.",
    "attention.gru_rel_pos_linear.": "attention.grep_linear.",
    "attention.gru_rel_pos_const": "attention.grep_a",
    "attention.": "self_attn.",
    "feed_forward.intermediate_dense.": "fc1.",
    "feed_forward.output_dense.": "fc2.",
    "quantizer.codevectors": "quantizer.vars",
    "project_hid.": "final_proj.",
}
"""transformers' words and fairseq's; their converters say the same."""


def network(kind: str, variant: str = "base", seed: int = 0) -> nn.Module:
    """Build transformers' own `kind` (Wav2Vec2Model, …), every tensor random, norms too."""
    torch.manual_seed(seed)
    family = re.sub("(For|Model).*", "", kind)
    own = {"num_buckets": 16, "max_bucket_distance": 11} if family == "WavLM" else {}  # near and far within a second
    config = getattr(transformers, f"{family}Config")(**SMALL, **VARIANTS[variant], **own)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def write_folder(model: nn.Module, folder: Path, *, standardize: bool = False) -> Path:
    """Save it as transformers does."""
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": standardize, "sampling_rate": 16_000}))
    return folder


def fairseq_state(model: nn.Module) -> dict[str, Tensor]:
    """Give its tensors by fairseq's names."""
    state: dict[str, Tensor] = {}
    layered = model.config.feat_extract_norm == "layer"
    for name, tensor in model.state_dict().items():
        inner = re.sub(r"^(wav2vec2|hubert|wavlm)\.", "", name)
        before_attention = "encoder.layers" in inner and ".layer_norm." in inner and ".final_" not in inner
        inner = inner.replace(".layer_norm.", ".self_attn_layer_norm.") if before_attention else inner
        if inner.startswith("feature_extractor"):
            inner = inner.replace(".conv.", ".0.").replace(".layer_norm.", ".2.1." if layered else ".2.")
        for theirs, fairseqs in FAIRSEQ.items():
            inner = inner.replace(theirs, fairseqs)
        state[inner] = tensor.clone()
    return state


def fairseq_settings(model: nn.Module) -> dict[str, object]:
    """Say its settings as fairseq does."""
    c = model.config
    return {
        "_name": "wav2vec2",
        "encoder_layers": c.num_hidden_layers,
        "encoder_attention_heads": c.num_attention_heads,
        "layer_norm_first": c.do_stable_layer_norm,
        "conv_feature_layers": "[(24, 10, 5)] + [(24, 3, 2)] * 4 + [(24,2,2)] + [(24,2,2)]",
        "dropout": 0,
        "encoder_layerdrop": 0.05,
    }


@torch.no_grad()
def hidden_states(model: nn.Module, waveforms: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
    """Encode (B, S) with transformers: L0, …, Ln. With `lengths` (B,), what lies beyond them is masked."""
    mask = None if lengths is None else (torch.arange(waveforms.shape[1]) < lengths[:, None]).long()
    base = getattr(model, model.base_model_prefix, model)
    outputs = base(waveforms, attention_mask=mask, output_hidden_states=True)
    return [*outputs.hidden_states[:-1], outputs.last_hidden_state]
