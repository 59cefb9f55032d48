"""wav2vec 2.0 (so XLSR and XLS-R), HuBERT and WavLM in other people's files: one table of names, one of settings, both ways.

    ours <--> transformers (config.json, model.safetensors)          ours <-- fairseq, unilm (.pt)

What follows from a tensor's presence or shape is never taken from the settings beside it, sometimes wrong: published HuBERT LARGE says
that its convolutions have a bias, or not, depending on who converted it.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.hub._tensors import Names, Tensors, check, misfit, to_theirs, translated
from foresay.hub.encoder import EncoderOnly, EncoderOnlySettings
from foresay.models.representation._masked_transformer import MaskedTransformer, MaskedTransformerSettings
from foresay.models.representation.hubert import HuBERT, HuBERTSettings
from foresay.models.representation.wav2vec2 import Wav2Vec2, Wav2Vec2Settings
from foresay.models.representation.wavlm import WavLM, WavLMSettings
from foresay.settings import Table, from_table

MOST_LAYERS = 1000
"""Of a network that is built to be filled."""
BLOCKS = "transformer.blocks.*."
# ours, transformers, fairseq; our queries, keys and values are one matrix, and WavLM's gates of all blocks one: taken apart below
NETWORK = (
    ("convolutions.convolutions.*", "feature_extractor.conv_layers.*.conv", "feature_extractor.conv_layers.*.0"),
    ("convolutions.norms.*", "feature_extractor.conv_layers.*.layer_norm", "feature_extractor.conv_layers.*.2.1"),
    ("latent_norm", "feature_projection.layer_norm", "layer_norm"),
    ("projection", "feature_projection.projection", "post_extract_proj"),
    ("mask_vector", "masked_spec_embed", "mask_emb"),
    ("position.gain", "encoder.pos_conv_embed.conv.weight_g", "encoder.pos_conv.0.weight_g"),
    ("position.direction", "encoder.pos_conv_embed.conv.weight_v", "encoder.pos_conv.0.weight_v"),
    ("position.bias", "encoder.pos_conv_embed.conv.bias", "encoder.pos_conv.0.bias"),
    ("transformer.norm", "encoder.layer_norm", "encoder.layer_norm"),
    (f"{BLOCKS}attention.query", "encoder.layers.*.attention.q_proj", "encoder.layers.*.self_attn.q_proj"),
    (f"{BLOCKS}attention.key", "encoder.layers.*.attention.k_proj", "encoder.layers.*.self_attn.k_proj"),
    (f"{BLOCKS}attention.value", "encoder.layers.*.attention.v_proj", "encoder.layers.*.self_attn.v_proj"),
    (f"{BLOCKS}attention.output", "encoder.layers.*.attention.out_proj", "encoder.layers.*.self_attn.out_proj"),
    (f"{BLOCKS}attention_norm", "encoder.layers.*.layer_norm", "encoder.layers.*.self_attn_layer_norm"),
    (f"{BLOCKS}feed_forward.0", "encoder.layers.*.feed_forward.intermediate_dense", "encoder.layers.*.fc1"),
    (f"{BLOCKS}feed_forward.3", "encoder.layers.*.feed_forward.output_dense", "encoder.layers.*.fc2"),
    (f"{BLOCKS}feed_forward_norm", "encoder.layers.*.final_layer_norm", "encoder.layers.*.final_layer_norm"),
)
RELATIVE_POSITIONS = (
    (
        "position_bias.table",
        "encoder.layers.0.attention.rel_attn_embed.weight",
        "encoder.layers.0.self_attn.relative_attention_bias.weight",
    ),
    ("position_bias.gate.*", "encoder.layers.*.attention.gru_rel_pos_linear", "encoder.layers.*.self_attn.grep_linear"),
    ("position_bias.gate_scale.*", "encoder.layers.*.attention.gru_rel_pos_const", "encoder.layers.*.self_attn.grep_a"),
)
GATES = {
    "position_bias.gate_weight": "position_bias.gate.{}.weight",
    "position_bias.gate_bias": "position_bias.gate.{}.bias",
    "position_bias.gate_scale": "position_bias.gate_scale.{}",
}
"""Of all blocks, and of each."""
FAIRSEQ_GROUP_NORM = ("convolutions.norms.*", "feature_extractor.conv_layers.*.2")

SETTINGS = (
    ("strides", "conv_stride", "conv_feature_layers"),
    ("layers", "num_hidden_layers", "encoder_layers"),
    ("heads", "num_attention_heads", "encoder_attention_heads"),
    ("pre_norm", "do_stable_layer_norm", "layer_norm_first"),
    ("input_dropout", "feat_proj_dropout", "dropout_input"),
    ("dropout", "hidden_dropout", "dropout"),
    ("attention_dropout", "attention_dropout", "attention_dropout"),
    ("activation_dropout", "activation_dropout", "activation_dropout"),
    ("layer_drop", "layerdrop", "encoder_layerdrop"),
    ("target_dropout", "feat_quantizer_dropout", "dropout_features"),
    ("negative_count", "num_negatives", "num_negatives"),
    ("similarity_temperature", "contrastive_logits_temperature", "logit_temp"),
    ("diversity", "diversity_loss_weight", "diversity_loss_weight"),
)
"""What does not follow from tensors: ours, transformers, fairseq. Masking is not here: its settings there are those of fine-tuning."""


@dataclass(frozen=True)
class Family:
    """What models of a kind were pre-trained with, beside the network that all share."""

    model: type[MaskedTransformer]
    settings: type[Any]
    transformers: Names
    """Of the heads; empty where transformers has none."""
    fairseq: Names
    decided: Callable[[Callable[[str], torch.Size]], Table]
    """Settings that follow from the shapes of the heads."""
    network: tuple[tuple[str, str, str], ...] = ()
    """What its network has beside that of all: ours, transformers, fairseq."""
    words: tuple[tuple[str, str, str], ...] = ()
    """Its settings beside those of all, likewise."""


def _quantizer(shape: Callable[[str], torch.Size]) -> Table:
    target_size, code_size = shape("target_projection.weight")
    codebooks = code_size // shape("quantizer.entries")[-1]
    codes = shape("quantizer.projection.weight")[0] // codebooks
    return {"codebooks": codebooks, "codes": codes, "code_size": code_size, "target_size": target_size}


def _labels(shape: Callable[[str], torch.Size]) -> Table:
    classes, target_size = shape("label_vectors")
    return {"classes": classes, "target_size": target_size}


PREDICTION = (("final_projection", "final_proj"), ("label_vectors", "label_embs_concat"))

FAMILIES = {
    "wav2vec2": Family(
        Wav2Vec2,
        Wav2Vec2Settings,
        (
            ("quantizer.entries", "quantizer.codevectors"),
            ("quantizer.projection", "quantizer.weight_proj"),
            ("target_projection", "project_q"),
            ("context_projection", "project_hid"),
        ),
        (
            ("quantizer.entries", "quantizer.vars"),
            ("quantizer.projection", "quantizer.weight_proj"),
            ("target_projection", "project_q"),
            ("context_projection", "final_proj"),
        ),
        _quantizer,
    ),
    "hubert": Family(HuBERT, HuBERTSettings, (), PREDICTION, _labels),
    "wavlm": Family(
        WavLM,
        WavLMSettings,
        (),
        PREDICTION,
        _labels,
        RELATIVE_POSITIONS,
        (("buckets", "num_buckets", "num_buckets"), ("farthest", "max_bucket_distance", "max_distance")),
    ),
}


def transformers_names(family: str) -> Names:
    """List our names and those of transformers."""
    return [(ours, theirs) for ours, theirs, _ in _network_names(family)] + list(FAMILIES[family].transformers)


def fairseq_names(family: str) -> Names:
    """List our names and those of fairseq."""
    return [(ours, theirs) for ours, _, theirs in _network_names(family)] + [FAIRSEQ_GROUP_NORM, *FAMILIES[family].fairseq]


def words(family: str) -> tuple[tuple[str, str, str], ...]:
    """List what a family's settings are called: by us, by transformers, by fairseq."""
    return SETTINGS + FAMILIES[family].words


def _network_names(family: str) -> tuple[tuple[str, str, str], ...]:
    return NETWORK + FAMILIES[family].network


@dataclass(frozen=True)
class ReadCheckpoint:
    """What a file of other people's holds."""

    source: str
    family: str
    names: Names
    tensors: Tensors
    """By our names."""
    left: tuple[str, ...]
    """Names of tensors that the tables do not know."""
    stated: Table
    """Settings that stand beside the tensors, in our words."""
    fine_tuned: bool


def assemble(found: ReadCheckpoint, overrides: Mapping[str, Any]) -> MaskedTransformer:
    """Build the model whose tensors were found: with its heads, if it was pre-trained and kept them, or else an `EncoderOnly`.

    `overrides`: settings that shall be otherwise.

    Raises:
        UserError: a tensor is missing, left over, or of a shape that does not fit; nothing is half-loaded.
    """
    family = FAMILIES[found.family]
    heads = {ours for ours, _ in family.fairseq}
    own = {name for name in found.tensors if name in heads or name.rpartition(".")[0] in heads}
    tensors = dict(found.tensors)
    whole = bool(own) and not found.fine_tuned

    def theirs(name: str) -> str:
        return translated(name, found.names) or name

    def shape(name: str) -> torch.Size:
        if name not in tensors:
            raise misfit(found.source, missing=[theirs(name)])
        return tensors[name].shape

    table = found.stated | _network(shape, tensors, found.stated)
    if whole:
        table |= family.decided(shape)
    else:
        table |= {"family": found.family, "fine_tuned": found.fine_tuned}
        tensors = {name: tensor for name, tensor in tensors.items() if name not in own}
    cls, settings_class = (family.model, family.settings) if whole else (EncoderOnly, EncoderOnlySettings)
    known = {field.name for field in dataclasses.fields(settings_class)}
    settings = from_table(settings_class, {k: v for k, v in table.items() if k in known} | dict(overrides), found.source)
    if settings.layers > MOST_LAYERS:
        msg = f"{found.source} says that it has {settings.layers:,} layers, which cannot be meant: was the file damaged?"
        raise UserError(msg)
    try:
        with torch.device("meta"):
            model = cls(settings)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        msg = f"{found.source}: its settings do not fit together: {error}"
        raise UserError(msg) from error
    if whole and "quantizer.entries" in tensors:  # (1, G V, d) there
        tensors["quantizer.entries"] = tensors["quantizer.entries"].reshape(table["codebooks"], table["codes"], -1)
    for name in tensors:
        if name.startswith("position_bias.gate_scale."):  # (1, H, 1, 1) there
            tensors[name] = tensors[name].flatten()
    # Fine-tuned without masks, a checkpoint has none; it is not needed for features.
    tensors.setdefault("mask_vector", torch.zeros(settings.size))
    check(tensors, _unpacked(model.state_dict()), found.left, found.source, theirs)
    model.load_state_dict({name: tensor.float() for name, tensor in _packed(tensors).items()}, assign=True)
    return model


def exported(model: MaskedTransformer, family: str) -> tuple[Tensors, Tensors]:
    """Give a model's tensors by the names of transformers: those of the network, and those of the heads of its pre-training.

    transformers knows no head of HuBERT and WavLM, nor those of the ablations of wav2vec 2.0: of these there are none.
    """
    tensors = _unpacked(model.state_dict())
    network = to_theirs(tensors, [(ours, theirs) for ours, theirs, _ in _network_names(family)])
    network = {name: tensor.view(1, -1, 1, 1) if name.endswith("gru_rel_pos_const") else tensor for name, tensor in network.items()}
    names = FAMILIES[family].transformers
    heads = to_theirs(tensors, names)
    found = {theirs for _, theirs in names if theirs in heads or f"{theirs}.weight" in heads}
    if not names or len(found) < len(names) or any(name.startswith("target_encoder.") for name in tensors):
        return network, {}
    heads["quantizer.codevectors"] = heads["quantizer.codevectors"].flatten(0, 1)[None]
    return network, heads


def _network(shape: Callable[[str], torch.Size], tensors: Mapping[str, Tensor], stated: Table) -> Table:
    """Infer the network's settings from its tensors. How many layers there should be is taken from what is stated: lost ones show."""
    convolutions = len(stated.get("strides", MaskedTransformerSettings.strides))
    blocks = len({name.split(".")[2] for name in tensors if name.startswith("transformer.blocks.")})
    layered = "convolutions.norms.1.weight" in tensors
    size, width, position_kernel = shape("position.direction")
    table = {
        "channels": shape("convolutions.convolutions.0.weight")[0],
        "kernels": [shape(f"convolutions.convolutions.{number}.weight")[2] for number in range(convolutions)],
        "norm": "layer" if layered else "group",
        "convolution_bias": "convolutions.convolutions.0.bias" in tensors,
        "size": size,
        "layers": stated.get("layers", blocks),
        "inner": shape("transformer.blocks.0.feed_forward.0.weight")[0],
        "position_kernel": position_kernel,
        "position_groups": size // width,
    }
    if "position_bias.table" in tensors:
        table["buckets"] = len(tensors["position_bias.table"])
    # The author's rule (fairseq issue 4687): layer norm goes with standardized waveforms and the whole gradient.
    return table | ({"feature_gradient": 1.0, "feature_penalty": 0.0} if layered else {})


def _packed(tensors: Mapping[str, Tensor]) -> Tensors:
    """Make queries, keys and values one matrix, and one tensor of what all blocks have of a gate."""
    packed = dict(tensors)
    for name in tensors:
        if ".attention.query." in name:
            parts = [packed.pop(name.replace("query", part)) for part in ("query", "key", "value")]
            packed[name.replace("query", "query_key_value")] = torch.cat(parts)
    for ours, theirs in GATES.items():
        blocks = [packed.pop(name) for name in itertools.takewhile(packed.__contains__, map(theirs.format, itertools.count()))]
        if blocks:
            packed[ours] = torch.stack(blocks)
    return packed


def _unpacked(tensors: Mapping[str, Tensor]) -> Tensors:
    """Take queries, keys and values apart, and the gates of the blocks."""
    unpacked: Tensors = {}
    for name, tensor in tensors.items():
        if "query_key_value" in name:
            unpacked |= {
                name.replace("query_key_value", part): value.contiguous()
                for part, value in zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            }
        elif name in GATES:
            unpacked |= {GATES[name].format(block): value for block, value in enumerate(tensor)}
        else:
            unpacked[name] = tensor
    return unpacked


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def strangers(config: Mapping[str, Any]) -> bool:
    """Whether a configuration of transformers is of a variant that our network does not have (adapters, batch norm, other activations)."""
    ours = {
        "add_adapter": False,
        "adapter_attn_dim": None,
        "conv_pos_batch_norm": False,
        "feat_proj_layer_norm": True,
        "layer_norm_eps": 1e-5,
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
    }
    return (
        any(config.get(key, value) != value for key, value in ours.items())
        or len(set(map(str, _listed(config.get("conv_dim", [512]))))) > 1
    )
