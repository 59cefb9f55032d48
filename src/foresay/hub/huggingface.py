"""Models of the Hugging Face hub that have no table here, as extractors: data2vec, UniSpeech, whatever has a convolutional front end.

    waveform --> standardized, if the checkpoint's preprocessor says so --> transformers' own network --> layers L0 (before the first
    Transformer block), L1, L2, … (after each)

A thin adapter on the library `transformers` (the extra `hf`): the network is theirs, the promises are those of `FeatureExtractor`. Each
clip is encoded by itself: with padding the published base models would give it other features, for their group norm takes in the padding.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foresay.contracts import FeatureExtractor, Frames, Model
from foresay.errors import UserError
from foresay.extras import optional
from foresay.files import parse_json_object, read_text
from foresay.hub._tensors import misfit
from foresay.settings import Table
from foresay.trust import is_trusted

MASK_VECTOR = "masked_spec_embed"
"""Is not needed for features; fine-tuned without masks, a checkpoint has none."""


@dataclass(frozen=True)
class HuggingFaceSettings:
    """A network of transformers, and how its waveforms are prepared."""

    config: str
    """The text of its config.json."""
    standardize: bool = False
    sample_rate: int = 16_000
    """Hz."""


class HuggingFaceModel(Model, FeatureExtractor):
    """A network of transformers, untrained; `read_model` gives it the weights of a checkpoint."""

    def __init__(self, settings: HuggingFaceSettings) -> None:
        """Build the network.

        Raises:
            UserError: it takes no waveforms, or transformers knows none of its kind.
        """
        self.adapt(settings, _untrained(parse_json_object(settings.config, "the checkpoint's config.json")))

    @classmethod
    def around(cls, network: Any, settings: HuggingFaceSettings) -> "HuggingFaceModel":  # noqa: ANN401 - of transformers, or of code that is trusted
        """Adapt a network that is there: one whose code came with its weights cannot be built again."""
        model = cls.__new__(cls)
        model.adapt(settings, network)
        return model

    def adapt(self, settings: HuggingFaceSettings, network: Any) -> None:  # noqa: ANN401 - as above
        """Begin with a network that is there."""
        super().__init__()
        self.settings, self.network = settings, network
        config = network.config
        self.standardize, self.sample_rate = settings.standardize, settings.sample_rate
        self.layer_names = tuple(f"L{number}" for number in range(config.num_hidden_layers + 1))
        self.kernels, self.strides = tuple(config.conv_kernel), tuple(config.conv_stride)
        self.downsampling = functools.reduce(int.__mul__, self.strides)
        self.receptive_field = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            self.receptive_field = (self.receptive_field - 1) * stride + kernel
        self.first_center = self.receptive_field // 2

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - all layers have one rate
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths.clamp(min=0)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode (B, S) waveforms; a clip shorter than the receptive field has no frames."""
        chosen = self.layer_names if layers is None else tuple(layers)
        counts = self.frame_count(lengths, chosen[0])
        values = {layer: waveforms.new_zeros(len(waveforms), int(counts.max()), self.network.config.hidden_size) for layer in chosen}
        for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
            if count == 0:
                continue
            clip = waveforms[row : row + 1, :length]
            if self.standardize:
                clip = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
            outputs = self.network(clip, output_hidden_states=True)
            hidden = [*outputs.hidden_states[:-1], outputs.last_hidden_state]  # pre-norm: only the latter has had its norm (transformers 5)
            for layer in chosen:
                values[layer][row, :count] = hidden[self.layer_names.index(layer)][0]
        rate = self.sample_rate / self.downsampling
        return Frames(values, dict.fromkeys(chosen, counts), dict.fromkeys(chosen, rate))


def read_model(folder: Path) -> HuggingFaceModel:
    """Read a checkpoint from a folder.

    Raises:
        UserError: it cannot be read, lacks weights, or takes no waveforms.
    """
    with optional("transformers", "hf", f"a checkpoint of the kind of {folder}"):
        import transformers  # noqa: PLC0415 - an extra, and four seconds
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        network, found = transformers.AutoModel.from_pretrained(folder, output_loading_info=True, trust_remote_code=is_trusted())
    except Exception as error:  # whatever it makes of a damaged folder
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"{folder} cannot be loaded ({why}): is it a folder with config.json and weights, saved by save_pretrained?"
        raise UserError(msg) from error
    if missing := sorted(name for name in found["missing_keys"] if name != MASK_VECTOR):
        raise misfit(str(folder), missing)  # transformers would go on, with random numbers in their place
    file = folder / "preprocessor_config.json"
    prepared = parse_json_object(read_text(file), str(file)) if file.is_file() else {}
    rate = prepared.get("sampling_rate", 16_000)
    if type(rate) is not int or rate <= 0:
        msg = f"{file}: sampling_rate must be a whole number of Hz, not {rate!r}"
        raise UserError(msg)
    _refuse_other_kinds(vars(network.config), network.config.model_type)
    settings = HuggingFaceSettings(network.config.to_json_string(use_diff=False), bool(prepared.get("do_normalize", False)), rate)
    return HuggingFaceModel.around(network, settings)


def _untrained(table: Table) -> Any:  # noqa: ANN401 - of transformers, which may not be there
    """Build the network that a config.json describes."""
    kind = table.pop("model_type", None)
    with optional("transformers", "hf", f"a network of the kind {kind!r}"):
        import transformers  # noqa: PLC0415 - an extra, and four seconds
    _refuse_other_kinds(table, kind)
    try:
        config = transformers.AutoConfig.for_model(kind, **table)
        return transformers.AutoModel.from_config(config, trust_remote_code=is_trusted())
    except (AttributeError, ImportError, KeyError, OSError, TypeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        msg = f"transformers {transformers.__version__} cannot build a network of the kind {kind!r} ({why}): is it too old for it?"
        raise UserError(msg) from error


def _refuse_other_kinds(config: Mapping[str, object], kind: object) -> None:
    if "conv_kernel" not in config:
        msg = f"the checkpoint is a {kind}, which does not encode waveforms through convolutions as wav2vec 2.0, HuBERT and WavLM do"
        raise UserError(msg)
