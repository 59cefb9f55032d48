"""Models of the Hugging Face hub as extractors: wav2vec 2.0, XLS-R, HuBERT, WavLM and whatever else hears waveforms through convolutions.

    waveform --> standardized, if the checkpoint's preprocessor says so --> transformers' own network --> layers 0 (before the first
    Transformer block), 1, 2, … (after each)

A thin adapter on the library `transformers` (the extra `hf`): the network is theirs, the promises are those of `FeatureExtractor`. Each
clip is heard by itself: with padding the published base models would give it other features, for their group norm takes in the padding.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foresay.contracts import FeatureExtractor, Frames
from foresay.errors import UserError


class HuggingFaceModel(nn.Module, FeatureExtractor):
    """A checkpoint by its name on the hub, or from a folder."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network, standardize, self.sample_rate = _fetch(name)
        config = self.network.config
        if "conv_kernel" not in config.to_dict():
            msg = f"{name} is a {config.model_type}, which does not hear waveforms through convolutions as wav2vec 2.0, HuBERT and WavLM do"
            raise UserError(msg)
        self.standardize: bool = standardize
        self.layer_names = tuple(str(layer) for layer in range(config.num_hidden_layers + 1))
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
        """Hear (B, S) waveforms; a clip shorter than the receptive field has no frames."""
        chosen = self.layer_names if layers is None else tuple(layers)
        counts = self.frame_count(lengths, chosen[0])
        values = {layer: waveforms.new_zeros(len(waveforms), int(counts.max()), self.network.config.hidden_size) for layer in chosen}
        for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
            if count == 0:
                continue
            clip = waveforms[row : row + 1, :length]
            if self.standardize:
                clip = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
            hidden = self.network(clip, output_hidden_states=True).hidden_states
            for layer in chosen:
                values[layer][row, :count] = hidden[int(layer)][0]
        rate = self.sample_rate / self.downsampling
        return Frames(values, dict.fromkeys(chosen, counts), dict.fromkeys(chosen, rate))


def _fetch(name: str) -> tuple[Any, bool, int]:
    """Return the network of a checkpoint, whether it wants standardized waveforms, and its sample rate."""
    try:
        import transformers  # noqa: PLC0415 - an extra, and four seconds
    except ImportError as error:
        msg = f"hf:{name} needs the library transformers: pip install 'foresay[hf]'"
        raise UserError(msg) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        network = transformers.AutoModel.from_pretrained(name)
        preprocessor = _preprocessor(name, transformers)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        msg = f"hf:{name} cannot be loaded ({why}): is it a folder with config.json and weights, or a name on the hub, within reach?"
        raise UserError(msg) from error
    return network, bool(preprocessor.get("do_normalize", False)), int(preprocessor.get("sampling_rate", 16_000))


def _preprocessor(name: str, transformers: Any) -> dict[str, Any]:  # noqa: ANN401 - the module
    """Settings of the checkpoint's preprocessor; those of wav2vec 2.0 BASE where a folder has none."""
    folder = Path(name)
    if folder.is_dir():
        file = folder / "preprocessor_config.json"
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return settings
    found: dict[str, Any] = transformers.AutoFeatureExtractor.from_pretrained(name).to_dict()
    return found
