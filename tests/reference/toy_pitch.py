"""Pitch by the number of crossings of zero in each hop, and its range, which is the same for all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foresay.contracts import Pitch, PitchEncoder


@dataclass(frozen=True)
class ToyPitchSettings:
    hop: int = 200


class ToyPitch(PitchEncoder):
    size, sample_rate = 2, 16_000

    def __init__(self, settings: ToyPitchSettings) -> None:
        super().__init__()
        self.settings, self.hop, self.code_hop = settings, settings.hop, settings.hop

    def track(self, waveforms: Tensor, lengths: Tensor) -> Pitch:
        frames = waveforms.unfold(1, self.hop, self.hop)
        crossings = (frames[..., 1:] * frames[..., :-1] < 0).sum(-1)
        loud = frames.abs().mean(-1) > 0.01
        return Pitch(crossings * loud * self.sample_rate / (2.0 * self.hop), torch.as_tensor(lengths) // self.hop)

    def normalize(self, pitch: Pitch, speakers: Sequence[str | None]) -> Tensor:  # noqa: ARG002
        return torch.stack([torch.where(pitch.voiced, (pitch.hertz / 200).clamp(min=1e-3).log(), 0.0), pitch.voiced.float()], dim=-1)

    def restore(self, normalized: Tensor, speakers: Sequence[str | None], pitch: Pitch | None = None) -> Tensor:  # noqa: ARG002
        return torch.where(normalized[..., 1] > 0.5, 200 * normalized[..., 0].exp(), 0.0)

    def encode(self, normalized: Tensor) -> Tensor:
        return normalized

    def decode(self, encoded: Tensor, frames: int) -> Tensor:
        return encoded[:, :frames]
