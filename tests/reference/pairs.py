"""Pairs whose class lies open: a clip is a constant level, a picture a constant grey, and the model's features are exactly these levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional

from foresay.contracts import Batch, Frames, ImageExtractor, Losses, SpeechModel
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.images.write import write_png

RATE, HOP = 16000, 160
CLASSES = ("one", "two", "three")
STEP = 0.125
"""Between the levels of two classes; 16-bit samples hold it exactly. A grey of 8-bit pixels is that of the next darker one."""


def write_pairs(path: Path, count: int, *, halves: Sequence[str] = ("audio", "image"), labelled: bool = True) -> Manifest:
    """Write pairs, one class after the other, and their manifest; clips of 0.1 s and more, pictures of 16 x 16."""
    items = []
    for number in range(count):
        place = number % len(CLASSES)
        audio, image = (path.parent / half / f"{path.stem}-{number}.{suffix}" for half, suffix in (("audio", "wav"), ("image", "png")))
        samples = 1600 + HOP * number
        for file in (audio, image):
            file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, np.full(samples, STEP * (place + 1)), RATE)
        write_png(image, np.full((16, 16, 3), round(255 * STEP * (place + 1)), dtype=np.uint8))
        half = Item(id=f"{path.stem}-{number}", label=CLASSES[place] if labelled else None)
        audio_fields = {"audio": audio, "duration": samples / RATE, "sample_rate": RATE} if "audio" in halves else {}
        image_fields = {"image": image} if "image" in halves else {}
        items.append(Item(half.id, label=half.label, **audio_fields, **image_fields))
    write_manifest(path, items)
    return Manifest.open(path)


@dataclass(frozen=True)
class SensesSettings:
    """What it takes, and how far the classes of pictures lie from those of sounds."""

    modalities: Literal["audio", "image", "both"] = "both"
    turn: int = 0


class Senses(SpeechModel, ImageExtractor):
    """Layer `level`: one of four dimensions is on, by the level; of pictures, `turn` dimensions further. Untrained, none is on."""

    sample_rate = RATE
    layer_names = ("level",)
    receptive_field = 1
    first_center = 0

    def __init__(self, settings: SensesSettings) -> None:
        super().__init__()
        self.settings = settings
        self.modalities = ("audio", "image") if settings.modalities == "both" else (settings.modalities,)
        self.sensing = torch.nn.Parameter(torch.zeros(()))
        self.sides: set[int] = set()

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise NotImplementedError

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002
        return lengths // HOP

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        values = self._levels(waveforms[:, ::HOP])
        return Frames({"level": values}, {"level": lengths // HOP}, {"level": RATE / HOP})

    def image_features(self, images: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        self.sides.add(images.shape[-1])
        values = self._levels(images[:, 0, :4, 0]).roll(self.settings.turn, dims=-1)
        return Frames({"level": values}, {"level": torch.full((len(images),), 4)}, {})

    def _levels(self, values: Tensor) -> Tensor:
        return self.sensing * functional.one_hot((values / STEP - 1).round().long().clamp(0, 3), 4)


def senses(modalities: Literal["audio", "image", "both"] = "both", turn: int = 0, *, trained: bool = True) -> Senses:
    """Build a model of audio and images, or an untrained copy."""
    model = Senses(SensesSettings(modalities, turn)).eval()
    with torch.no_grad():
        model.sensing.fill_(1.0 if trained else 0.0)
    return model
