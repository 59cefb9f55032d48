"""Folders of the Hugging Face hub, read into our own networks and written from them. The library transformers is not needed for it.

config.json                                         the network's settings, and of which family it is
preprocessor_config.json or processor_config.json   whether waveforms are standardized
model.safetensors or pytorch_model.bin              its tensors, whole or in shards with an index

What recognizes text has more: `recognizers.py`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch

from foresay.errors import UserError
from foresay.extras import optional
from foresay.files import parse_json_object, read_text, write_text
from foresay.hub._pickles import only_tensors, read_pickle
from foresay.hub._tensors import Tensors, to_ours, without_prefix
from foresay.hub.encoder import EncoderOnly
from foresay.hub.wav2vec2 import FAMILIES, ReadCheckpoint, assemble, exported, strangers, transformers_names, words
from foresay.models.representation._masked_transformer import MaskedTransformer
from foresay.models.representation.wav2vec2 import Wav2Vec2Settings
from foresay.settings import Table

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
KINDS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}
"""Families, as the names of transformers' classes begin."""
PREFIXES = tuple(f"{family}." for family in KINDS)
TASK_HEADS = re.compile(r"(lm_head|projector|classifier|tdnn\.\d+\.kernel|objective|feature_extractor)\.(weight|bias)|layer_weights")
"""What fine-tuning for recognition, classification and speaker verification adds in transformers."""


def fetch(name: str) -> Path:
    """Find a folder, or fetch it from the hub by its name. Weights are fetched in one format only."""
    folder = Path(name)
    if folder.is_dir():
        return folder
    with optional("huggingface_hub", "hf", f"hf:{name} is no folder here, and to fetch it"):
        import huggingface_hub  # noqa: PLC0415 - of the extra hf
    try:
        folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=["pytorch_model*"]))
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0]
        msg = f"hf:{name} cannot be loaded ({why}): is it a folder with config.json and weights, or a name on the hub, within reach?"
        raise UserError(msg) from error
    return folder


def read_config(folder: Path) -> Table:
    """Read `config.json`."""
    return read_json(folder / CONFIG, "is this a folder of the Hugging Face hub, with config.json and weights?")


def is_ours(config: Mapping[str, Any]) -> bool:
    """Whether our own network is what a configuration of transformers describes."""
    family = config.get("model_type")
    return isinstance(family, str) and family in FAMILIES and not strangers(config)


def read_folder(folder: Path, overrides: Mapping[str, Any]) -> MaskedTransformer:
    """Read a checkpoint in the format of transformers. `overrides`: settings that shall be otherwise (`standardize`, `padding_in_norm`, …).

    Raises:
        UserError: something is missing, left over, or does not fit.
    """
    found, _ = read_checkpoint(folder)
    return assemble(found, overrides)


def read_checkpoint(folder: Path) -> tuple[ReadCheckpoint, Tensors]:
    """Read what a folder holds of a network, and what fine-tuning added to it, by their names."""
    config = read_config(folder)
    family = config["model_type"]
    names = transformers_names(family)
    tensors, rest = to_ours(without_prefix(_weights(folder), PREFIXES), names, str(folder))
    heads = {name: tensor for name, tensor in rest.items() if TASK_HEADS.fullmatch(name)}
    stated = {ours: config[theirs] for ours, theirs, _ in words(family) if theirs in config}
    prepared = _preprocessor(folder)
    # Where nothing is said: all networks with a layer norm in their convolutions were trained on standardized waveforms.
    stated["standardize"] = prepared.get("do_normalize", "convolutions.norms.1.weight" in tensors)
    stated["sample_rate"] = prepared.get("sampling_rate", 16_000)
    left = tuple(name for name in rest if name not in heads)
    return ReadCheckpoint(str(folder), family, names, tensors, left, stated, fine_tuned=bool(heads)), heads


def _preprocessor(folder: Path) -> Table:
    """Read how waveforms are prepared; transformers 5 writes it into the description of its processor."""
    if (folder / PREPROCESSOR).is_file():
        return read_json(folder / PREPROCESSOR)
    nested = read_json(folder / PROCESSOR).get("feature_extractor") if (folder / PROCESSOR).is_file() else {}
    if not isinstance(nested, dict):
        msg = f'{folder / PROCESSOR} must have an object "feature_extractor", not {nested!r}: was it edited by hand?'
        raise UserError(msg)
    return nested


def write_folder(model: MaskedTransformer, folder: Path) -> None:
    """Write a model into an empty folder, as `transformers.AutoModel.from_pretrained` reads it.

    wav2vec 2.0 keeps the heads of its pre-training (`Wav2Vec2ForPreTraining`), unless it is an ablation that transformers does not know.
    """
    family = family_of(model)
    network, heads = exported(model, family)
    inside = {f"{family}.{name}": tensor for name, tensor in network.items()} if heads else network
    write_tensors(inside | heads, folder)
    kind = f"{KINDS[family]}{'ForPreTraining' if heads else 'Model'}"
    write_json(folder / CONFIG, {"architectures": [kind], **config_of(model), **(_pretraining(model.settings) if heads else {})})
    write_json(folder / PREPROCESSOR, preprocessor_of(model))


def family_of(model: MaskedTransformer) -> str:
    """Name the family of a network: `wav2vec2`, `hubert` or `wavlm`."""
    return model.settings.family if isinstance(model, EncoderOnly) else type(model).__module__.rpartition(".")[2]


def write_tensors(tensors: Tensors, folder: Path) -> None:
    """Write the weights, by the names of transformers."""
    safetensors.torch.save_file({name: t.contiguous() for name, t in tensors.items()}, folder / SAFE, metadata={"format": "pt"})


def preprocessor_of(model: MaskedTransformer) -> Table:
    """Say how waveforms are prepared, in the words of transformers."""
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": model.sample_rate,
        "do_normalize": model.settings.standardize,
        "padding_value": 0.0,
        "padding_side": "right",
        # As published: what was trained with group norm is given no mask there.
        "return_attention_mask": model.settings.norm == "layer",
    }


def config_of(model: MaskedTransformer) -> Table:
    """Say the settings of a network in the words of transformers."""
    s, family = model.settings, family_of(model)
    config = {
        "model_type": family,
        "hidden_size": s.size,
        "intermediate_size": s.inner,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "conv_dim": [s.channels] * len(s.kernels),
        "conv_kernel": list(s.kernels),
        "conv_bias": s.convolution_bias,
        "num_feat_extract_layers": len(s.kernels),
        "feat_extract_norm": s.norm,
        "feat_extract_activation": "gelu",
        "num_conv_pos_embeddings": s.position_kernel,
        "num_conv_pos_embedding_groups": s.position_groups,
        "torch_dtype": "float32",
    }
    return config | {theirs: vars(s)[ours] for ours, theirs, _ in words(family) if ours in vars(s)}


def _pretraining(s: Wav2Vec2Settings) -> Table:
    """Say the settings of wav2vec 2.0's pre-training."""
    return {
        "num_codevector_groups": s.codebooks,
        "num_codevectors_per_group": s.codes,
        "codevector_dim": s.code_size,
        "proj_codevector_dim": s.target_size,
        "mask_time_prob": s.mask_probability * s.mask_length,
        "mask_time_length": s.mask_length,
    }


def _weights(folder: Path) -> Tensors:
    """Read all tensors of a folder."""
    for whole in (SAFE, PICKLED):
        if (folder / whole).is_file():
            return _tensors_of(folder / whole)
        index = folder / f"{whole}.index.json"
        if index.is_file():
            shards = _shards(index)
            return {name: tensor for shard in shards for name, tensor in _tensors_of(folder / shard).items()}
    msg = f"{folder} cannot be loaded: it holds neither {SAFE} nor {PICKLED}. Was it saved by save_pretrained, and copied whole?"
    raise UserError(msg)


def _shards(index: Path) -> list[str]:
    """Name the files that the tensors are in, all beside the index."""
    named = read_json(index).get("weight_map")
    shards = set(map(str, named.values())) if isinstance(named, dict) else set()
    if not shards or any(Path(shard).name != shard for shard in shards):
        msg = f'{index} names no files beside it: "weight_map" must be an object of tensors and their files'
        raise UserError(msg)
    return sorted(shards)


def _tensors_of(file: Path) -> Tensors:
    if file.suffix != ".safetensors":
        return only_tensors(read_pickle(file), file)
    try:
        return safetensors.torch.load_file(file)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        msg = f"{file} cannot be read ({error}): a download may have been cut off"
        raise UserError(msg) from error


def read_json(file: Path, hint: str = "") -> Table:
    """Read a file of a folder.

    Raises:
        UserError: it cannot be read; `hint` says what else to look for.
    """
    try:
        return parse_json_object(read_text(file), str(file))
    except UserError as error:
        msg = f"{file.parent} cannot be loaded: {file.name} cannot be read ({error}) {hint}".strip()
        raise UserError(msg) from error


def write_json(file: Path, content: Table) -> None:
    """Write a file of a folder."""
    write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
