"""A model that needs transcripts, and learns how long they are."""

from dataclasses import dataclass

import torch
from torch import nn

from foresay.contracts import Batch, Losses, Term, Trainable


@dataclass(frozen=True)
class ToyReaderSettings:
    size: int = 1


class ToyReader(Trainable):
    needs = ("audio", "text")

    def __init__(self, settings: ToyReaderSettings) -> None:
        super().__init__()
        self.settings = settings
        self.slope = nn.Parameter(torch.zeros(settings.size))

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        letters = torch.tensor([float(len(text)) for text in batch.text or ()])
        error = (batch.audio.lengths / 16_000 * self.slope - letters).square().sum()
        return Losses({"error": Term(error, len(batch.ids))}, {})
