"""A tiny network of the library transformers, and its weights by our names."""

from typing import Any

import torch
from torch import Tensor

from foresay.models.representation._masked_transformer import MaskedTransformer

TINY = {"channels": 16, "size": 32, "layers": 3, "heads": 2, "inner": 48, "position_kernel": 16, "position_groups": 4}
"""Settings of ours that `tiny_network` has."""


def tiny_network(*, norm: str, pre_norm: bool, bias: bool) -> Any:  # noqa: ANN401 - transformers is optional
    """Build transformers' Wav2Vec2Model with random weights, none of them at the value that it begins with."""
    import transformers  # noqa: PLC0415 - an extra

    config = transformers.Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm=norm,
        do_stable_layer_norm=pre_norm,
        conv_bias=bias,
    )
    network = transformers.Wav2Vec2Model(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network


def hidden_states(network: Any, waveforms: Tensor, attended: Tensor | None = None) -> list[Tensor]:  # noqa: ANN401
    """Encode (B, S) as transformers does; the last state is normalized in the pre-norm kind too, as it was before transformers 5."""
    outputs = network(waveforms, attention_mask=attended, output_hidden_states=True)
    return [*outputs.hidden_states[:-1], outputs.last_hidden_state]


def our_name(name: str) -> str:
    """Turn the name of a weight in transformers' Wav2Vec2Model into ours; those of queries, keys and values share one."""
    for theirs, ours in (
        ("feature_extractor.conv_layers.", "convolutions.convolutions."),
        ("feature_projection.layer_norm", "latent_norm"),
        ("feature_projection.projection", "projection"),
        ("encoder.pos_conv_embed.conv.parametrizations.weight.original0", "position.gain"),
        ("encoder.pos_conv_embed.conv.parametrizations.weight.original1", "position.direction"),
        ("encoder.pos_conv_embed.conv", "position"),
        ("encoder.layers.", "transformer.blocks."),
        ("encoder.layer_norm", "transformer.norm"),
        ("masked_spec_embed", "mask_vector"),
        ("final_layer_norm", "feed_forward_norm"),
        ("feed_forward.intermediate_dense", "feed_forward.0"),
        ("feed_forward.output_dense", "feed_forward.3"),
        ("attention.out_proj", "attention.output"),
        ("attention.q_proj", "attention.query_key_value"),
        ("attention.k_proj", "attention.query_key_value"),
        ("attention.v_proj", "attention.query_key_value"),
    ):
        name = name.replace(theirs, ours)
    if name.startswith("transformer.blocks"):
        return name.replace(".layer_norm", ".attention_norm")
    if ".layer_norm" in name:
        return name.replace("convolutions.convolutions", "convolutions.norms").replace(".layer_norm", "")
    return name.replace(".conv.", ".")


def by_our_names(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights, or gradients of them; queries, keys and values are put together in this order."""
    names = sorted(theirs, key=lambda name: [part in name for part in ("q_proj", "k_proj", "v_proj")], reverse=True)
    ours: dict[str, Tensor] = {}
    for name in names:
        own = our_name(name)
        ours[own] = torch.cat([ours[own], theirs[name]]) if own in ours else theirs[name]
    return ours


def take_weights(model: MaskedTransformer, network: Any) -> None:  # noqa: ANN401
    """Give our model the weights of transformers' network: every one, and no other."""
    model.load_state_dict(by_our_names(network.state_dict()))
