"""A tokenizer whose units are the levels of `levels.py`: which of eight values the sample at each frame's center has."""

from dataclasses import dataclass

import torch
from torch import Tensor

from foresay.contracts import Batch, Losses, Tokenizer, Trainable
from foresay.fingerprint import of_model
from reference.levels import HOP, STEP, trained


@dataclass(frozen=True)
class LevelUnitsSettings:
    several: int = 1


class LevelUnits(Trainable, Tokenizer):
    """Unit u is level u."""

    layer = "level"
    vocabulary = 8

    def __init__(self, settings: LevelUnitsSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or LevelUnitsSettings()
        self.encoder = trained()
        self.levels = self.settings.several

    @property
    def fingerprint(self) -> str:
        return of_model(self.encoder)

    def quantize(self, frames: Tensor) -> Tensor:
        return frames.argmax(-1, keepdim=True)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        raise NotImplementedError


def spoken(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Make waveforms (B, S) whose frames have these units, and their lengths (B,)."""
    clips = [STEP * torch.tensor(row).repeat_interleave(HOP) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips])
