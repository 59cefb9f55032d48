"""Networks that predict the next symbol: each symbol of a text from all before it, and the end after the last.

<s>  the  cat  sat     given         (B, U + 1)
the  cat  sat  </s>    predicted     -log p of each, summed
"""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.contracts import Batch, LanguageModel, Losses, Term, Trainable, sent
from foresay.contracts.models import on_host

_NOT_COUNTED = -100


class NextSymbol(Trainable, LanguageModel):
    """A language model that is a network, trained on texts."""

    needs = ("text",)

    edge: int
    """The number of what begins and ends a text."""

    @abstractmethod
    def numbers(self, text: str) -> list[int]:
        """Number the symbols of a text."""

    @abstractmethod
    def states(self, given: Tensor) -> list[Tensor]:
        """Return what block 1 is given, what it gives, … what the last one gives, normalized: (B, U) numbers -> (B, U, D) each."""

    @abstractmethod
    def logits(self, given: Tensor) -> Tensor:
        """Score what follows each place: (B, U) numbers -> (B, U, V'), of V' outputs; of what comes later nothing is used."""

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.parameters()).device

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """-log p of every symbol and of every end of a sentence."""
        given, predicted = self.prepare(batch)
        counted = int((predicted != _NOT_COUNTED).sum())
        total = self.compute(sent(given, self.device), sent(predicted, self.device))
        return Losses({"nats": Term(total, float(counted))}, {})

    def compute(self, given: Tensor, predicted: Tensor) -> Tensor:
        """Sum -log p of what is predicted (B, U + 1) from what is given (B, U + 1): ()."""
        return F.cross_entropy(self.logits(given).flatten(0, 1).float(), predicted.flatten(), reduction="sum")

    @on_host
    def prepare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Number the symbols of a batch: what is given, and what is predicted of each place, (B, U + 1) each, on the CPU."""
        rows = [self.numbers(text) for text in batch.text or ()]
        longest = max(map(len, rows), default=0)
        given = torch.tensor([[self.edge, *row, *[self.edge] * (longest - len(row))] for row in rows])
        predicted = torch.tensor([[*row, self.edge, *[_NOT_COUNTED] * (longest - len(row))] for row in rows])
        return given, predicted

    def counts(self, batch: Batch, step: int, phase: str = "train") -> dict[str, float]:
        """Count the symbols, and the ends."""
        return {"nats": float((self.prepare(batch)[1] != _NOT_COUNTED).sum())}
