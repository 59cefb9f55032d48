"""Pairs of levels, for tasks on features of several layers: a frame says two numbers from 0 to 7, and each layer knows one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from foresay.contracts import FeatureExtractor, Frames
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.subjects import Subject

RATE, HOP, CENTER = 16000, 160, 79
STEP = 0.125
"""Between two levels; 16-bit samples hold it exactly."""


class PairedLevels(FeatureExtractor):
    """Layers `first` and `second`: one of eight dimensions is on, by the number. `wide`: both; `slow`: every other frame of `first`.

    It counts the recordings that it encodes.
    """

    sample_rate = RATE
    layer_names = ("wide", "slow", "first", "second")
    receptive_field = 2
    first_center = CENTER

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.encoded = scale, 0

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        return lengths // self.hop(layer)

    def hop(self, layer: str) -> int:
        return 2 * HOP if layer == "slow" else HOP

    def size(self, layer: str) -> int:
        return 16 if layer == "wide" else 8

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        self.encoded += len(waveforms)
        wanted = self.chosen(layers)
        numbers = [(waveforms[:, CENTER + place :: HOP] / STEP).round().long() for place in (0, 1)]
        first, second = (self.scale * F.one_hot(number, 8) for number in numbers)
        values = {"first": first, "second": second, "wide": torch.cat([first, second], -1), "slow": first[:, ::2]}
        rates = {name: RATE / HOP / (2 if name == "slow" else 1) for name in wanted}
        return Frames({name: values[name] for name in wanted}, {name: self.frame_count(lengths, name) for name in wanted}, rates)


def subject(*layers: str, name: str = "pairs", scale: float = 1.0) -> Subject:
    """The model under its name."""
    return Subject(name, PairedLevels(scale), layers or ("first", "second"))


def write_clips(path: Path, clips: Mapping[str, ArrayLike], **said: Mapping[str, Any]) -> Manifest:
    """Write recordings, pairs (T, 2) each, and their manifest; `said`: field of an item -> what it is, of each clip."""
    items = []
    for name, clip in clips.items():
        pairs = np.asarray(clip)
        waveform = np.zeros((len(pairs), HOP))
        waveform[:, CENTER : CENTER + 2] = pairs * STEP
        audio = path.parent / "audio" / f"{name}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, waveform.flatten(), RATE)
        fields = {field: values[name] for field, values in said.items()}
        items.append(Item(id=name, audio=audio, duration=waveform.size / RATE, sample_rate=RATE, **fields))
    write_manifest(path, items)
    return Manifest.open(path)


def pairs_of(manifest: Manifest, place: int) -> Tensor:
    """Read a recording's pairs back: (T, 2)."""
    waveform = torch.from_numpy(manifest.read(place, RATE))
    return (waveform.unflatten(0, (-1, HOP))[:, CENTER : CENTER + 2] / STEP).round().long()
