"""A model made of another: a line through the features of an encoder, trained to give the loudness of a clip."""

from dataclasses import dataclass

from torch import Tensor, nn

from foresay.contracts import Batch, FeatureExtractor, Losses, Term, Trainable


@dataclass(frozen=True)
class ToyHeadSettings:
    layer: str
    freeze: bool = False


class ToyHead(Trainable):
    def __init__(self, settings: ToyHeadSettings, encoder: FeatureExtractor) -> None:
        super().__init__()
        self.settings, self.encoder = settings, encoder
        self.head = nn.Linear(encoder.size(settings.layer), 1)
        if isinstance(encoder, nn.Module) and settings.freeze:
            encoder.requires_grad_(requires_grad=False)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        waveforms, lengths = batch.audio
        loudness = waveforms.abs().mean(dim=1)
        error = (self.predict(waveforms, lengths) - loudness).square().sum()
        return Losses({"error": Term(error, len(batch.ids))}, {})

    def predict(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        frames = self.encoder.features(waveforms, lengths, (self.settings.layer,)).values[self.settings.layer]
        return self.head(frames.mean(dim=1))[:, 0]
