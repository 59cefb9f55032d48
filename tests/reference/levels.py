"""A language of levels: a phone is a constant waveform, so that a model which looks at one sample knows the phone, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from foresay.contracts import Batch, Frames, Losses, SpeechModel
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest

RATE, HOP = 16000, 160
PHONES = ("a", "b", "c", "d")
STEP = 0.125
"""Between the levels of two phones; 16-bit samples hold it exactly."""


def write_corpus(
    path: Path, utterances: int, *, phones: Sequence[str] = PHONES, speakers: int = 2, seed: int = 0, labelled: bool = True
) -> Manifest:
    """Write recordings of some two seconds and their manifest. Phones last 20 to 200 ms; the first is the most frequent."""
    random = np.random.default_rng(seed)
    items = []
    for number in range(utterances):
        names = random.choice(phones, size=20, p=[0.4, *(len(phones) - 1) * [0.6 / (len(phones) - 1)]])
        edges = np.concatenate([[0], np.cumsum(random.integers(320, 3200, size=len(names)))])
        waveform = np.repeat([STEP * (1 + PHONES.index(name)) if name in PHONES else -STEP for name in names], np.diff(edges))
        audio = path.parent / "audio" / f"{path.stem}-{number}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, waveform, RATE)
        intervals = tuple(Interval(a / RATE, b / RATE, str(name)) for a, b, name in zip(edges, edges[1:], names, strict=False))
        items.append(
            Item(
                id=f"{path.stem}-{number}",
                audio=audio,
                duration=len(waveform) / RATE,
                sample_rate=RATE,
                speaker=f"speaker {number % speakers}",
                text=" ".join(names),
                phones=intervals if labelled else None,
            )
        )
    write_manifest(path, items)
    return Manifest.open(path)


@dataclass(frozen=True)
class LevelsSettings:
    """Nothing to set."""


class Levels(SpeechModel):
    """Layer `level`: one of eight dimensions is on, by the sample at the frame's center; untrained, none. Layer `nothing`: none."""

    sample_rate = RATE
    layer_names = ("level", "nothing")
    receptive_field = 1
    first_center = 79

    def __init__(self, settings: LevelsSettings) -> None:
        super().__init__()
        self.settings = settings
        self.sensitivity = torch.nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise NotImplementedError

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002
        return lengths // HOP

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        wanted = layers or self.layer_names
        levels = (waveforms[:, self.first_center :: HOP] / STEP).round().long() % 8
        values = {"level": self.sensitivity * torch.nn.functional.one_hot(levels, 8)}
        values["nothing"] = torch.zeros_like(values["level"])
        return Frames({name: values[name] for name in wanted}, dict.fromkeys(wanted, lengths // HOP), dict.fromkeys(wanted, RATE / HOP))

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.waveforms is not None
        return {"loudness": batch.waveforms.abs()}


def trained() -> Levels:
    """A copy whose features depend on its input."""
    model = Levels(LevelsSettings()).eval()
    with torch.no_grad():
        model.sensitivity.fill_(1.0)
    return model
