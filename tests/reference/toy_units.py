"""A model made of units: the loudness of a clip by which units it has."""

from dataclasses import dataclass

from torch import nn

from foresay.contracts import Batch, Losses, Term, Tokenizer, Trainable


@dataclass(frozen=True)
class ToyUnitsSettings:
    width: int = 4


class ToyUnits(Trainable):
    def __init__(self, settings: ToyUnitsSettings, units: Tokenizer) -> None:
        super().__init__()
        self.settings, self.units = settings, units
        self.embedding = nn.Embedding(units.vocabulary, settings.width)
        self.head = nn.Linear(settings.width, 1)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        waveforms, lengths = batch.audio
        ids = self.units.encode(waveforms, lengths).ids[:, 0]
        found = self.head(self.embedding(ids).mean(dim=1))[:, 0]
        return Losses({"error": Term((found - waveforms.abs().mean(dim=1)).square().sum(), len(batch.ids))}, {})
