"""A synthesizer that only notes what it is given in training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Synthesized, Synthesizer, Term, Tokenizer, Tokens


@dataclass(frozen=True)
class ToyVocoderSettings:
    sample_rate: int = 16_000


class ToyVocoder(Synthesizer):
    """The loss is 0; `given` are the batches."""

    needs = ("audio", "labels")

    def __init__(self, settings: ToyVocoderSettings, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.settings, self.tokenizer, self.sample_rate = settings, tokenizer, settings.sample_rate
        tokenizer.requires_grad_(requires_grad=False)  # type: ignore[attr-defined]
        self.weight = nn.Parameter(torch.zeros(()))
        self.given: list[Batch] = []

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        self.given.append(batch)
        return Losses({"nothing": Term(self.weight.square(), 1.0)}, {})

    def predict_pitch(self, tokens: Tokens, voices: Tensor) -> Tensor:
        raise NotImplementedError

    def synthesize(self, tokens: Tokens, voices: Tensor, pitch: Tensor | None = None) -> Synthesized:
        raise NotImplementedError
