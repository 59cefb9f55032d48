"""Aligned Contrastive Predictive Coding: tell what comes next, not exactly when.

Chorowski et al., "Aligned Contrastive Predictive Coding" (arXiv:2104.11946). CPC must say which latent stands 10, 20, ... 120 ms ahead.
ACPC makes K predictions of the next M >= K frames and aligns them first: each prediction may cover several frames, in order. The
context need not learn timing, and latents that share a prediction grow alike: the code becomes piecewise constant, as speech is.

    waveform (B, S) --> encoder --> z (B, T, D), a latent every 10 ms ------- the next M latents, and 128 negatives a position
                                    |                                                             |
                                    +--> context (LSTM) --> c (B, T, D)                           v
                                            |                              s (B, W, M, K): does frame m match prediction k?
                                            +--> K heads --> p (B, K, W, D) ---^                  |
                                                                                                  v
      p^3  . . . . . # # #                                                          sum over monotonic paths
      p^2  . . # # # . . .        <-- one path; `soft` sums over all                              |
      p^1  # # . . . . . .                                                                        v
           z_{t+1} ... z_{t+M}                                                      loss, gradient = -posterior
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from foresay.context.recurrent import RecurrentContext
from foresay.contracts import Batch, Losses
from foresay.encoders.strided_convolutions import StridedConvolutions
from foresay.models._causal import CausalModel
from foresay.negatives import NegativeSampler
from foresay.objectives.aligned_contrastive import align, aligned_contrastive_loss
from foresay.objectives.contrastive import Scores, Similarity, contrastive_scores
from foresay.settings import find_class


@dataclass(frozen=True)
class ACPCSettings:
    """Section 4 of the paper; K = 8, M = 12 of its tables."""

    sample_rate: int = 16_000
    channels: int = 256
    kernels: tuple[int, ...] = (10, 8, 4, 4, 4)
    strides: tuple[int, ...] = (5, 4, 2, 2, 2)
    paddings: tuple[int, ...] = (3, 2, 1, 1, 1)
    norm: Literal["channel", "batch", "none"] = "channel"
    context: Literal["lstm", "gru", "rnn"] = "lstm"
    context_size: int = 256
    context_layers: int = 2
    predictor: str = "transformer"
    predictions: int = 8
    """K: predictions made at every position (Table 1)."""
    matched: int = 12
    """M: frames that they are aligned to (Table 1)."""
    alignment: Literal["soft", "hard"] = "soft"
    """Sum over all alignments, as the paper does through CTC (section 3), or only the best one."""
    dropout: float = 0.1
    """Inside the prediction heads."""
    output_dropout: float = 0.0
    """On the predictions; the authors' scripts used 0.5, which the paper does not mention."""
    negatives: str = "reference"
    negative_count: int = 128
    negative_group: int = 8
    """Utterances among which negatives are drawn; the paper's "8 groups" of a batch of 64."""
    similarity: Similarity = "mean"


class ACPC(CausalModel):
    """Aligned Contrastive Predictive Coding."""

    def __init__(self, settings: ACPCSettings) -> None:
        s = settings
        super().__init__(
            StridedConvolutions(s.channels, s.kernels, s.strides, s.paddings, s.norm, s.negative_group),
            RecurrentContext(s.context, s.channels, s.context_size, s.context_layers),
            s.sample_rate,
        )
        self.settings = settings
        self.group = s.negative_group
        self.predictor: nn.Module = find_class("foresay.predictors", s.predictor, "Predictor")(
            s.context_size, s.channels, s.predictions, s.dropout
        )
        self.output_dropout = nn.Dropout(s.output_dropout)
        self.negatives: NegativeSampler = find_class("foresay.negatives", s.negatives, NegativeSampler)(s.negative_count, s.negative_group)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long windows: the cost of aligning the K predictions to the next M frames, a mean over positions."""
        latents, scores = self._score(batch)
        term, accuracy = aligned_contrastive_loss(scores, self.settings.alignment)
        return Losses({"aligned_contrastive": term}, {"accuracy": accuracy, "latent_std": latents.detach().float().std(dim=(0, 1)).mean()})

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`alignment_posterior` (B, W, M, K): at each position, which prediction each of the next M frames is aligned to."""
        _, scores = self._score(batch)
        return {"alignment_posterior": align(scores, self.settings.alignment).posterior}

    def _score(self, batch: Batch) -> tuple[Tensor, Scores]:
        latents = self.encoder(batch.waveforms)  # (B, T, D)
        contexts, _ = self.context(latents)  # (B, T, D)
        positions = self.positions(latents, self.settings.matched)
        predictions = self.output_dropout(self.predictor(contexts[:, :positions]))  # (B, K, W, D)
        negatives = self.negatives(latents, batch.keys, positions, self.settings.matched)
        return latents, contrastive_scores(predictions, latents, negatives, self.settings.matched, self.settings.similarity)
