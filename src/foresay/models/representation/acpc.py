"""Aligned Contrastive Predictive Coding (ACPC): contrastive prediction of future latents, with predictions aligned to them.

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

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.context import Context
from foresay.contracts import Batch, Losses
from foresay.encoders.strided_convolutions import StridedConvolutions
from foresay.models.representation._encoder_and_context import CausalModel
from foresay.negatives import DrawnNegatives, build_sampler
from foresay.objectives.aligned_contrastive import Lattice, align, aligned_contrastive_loss
from foresay.objectives.contrastive import Scores, Similarity, contrastive_scores
from foresay.settings import find_class, require_at_most, require_not_negative, require_positive, require_shares


@dataclass(frozen=True)
class ACPCSettings:
    """Section 4 of the paper; K = 8, M = 12 of its tables."""

    sample_rate: int = 16_000
    channels: int = 256
    kernels: tuple[int, ...] = (10, 8, 4, 4, 4)
    strides: tuple[int, ...] = (5, 4, 2, 2, 2)
    paddings: tuple[int, ...] = (3, 2, 1, 1, 1)
    norm: Literal["channel", "batch", "none"] = "channel"
    context: str = "lstm"
    context_size: int = 256
    context_layers: int = 2
    predictor: str = "transformer"
    predictions: int = 8
    """K: predictions made at every position (Table 1)."""
    matched: int = 12
    """M: frames that they are aligned to (Table 1)."""
    alignment: Literal["soft", "hard"] = "soft"
    """Sum over all alignments, as the paper does through CTC (section 3), or only the best one."""
    skip_begin: int = 0
    """Of the first predictions, how many may match nothing (the authors' code; so are the next seven, none used in the paper)."""
    skip_end: int = 0
    """Of the last predictions, how many may match nothing."""
    self_loop: bool = False
    """z_t itself stands before prediction 1: the first frames may still match the present. Then M >= K + 1."""
    blank: bool = False
    """A learned vector for frames that belong to no prediction: before, between and after them."""
    masked: tuple[str, ...] = ()
    """Forbidden cells, slices of frames and of predictions: "0:2, 3:" forbids predictions 3, 4, … for frames 0 and 1."""
    temperature: float = 1.0
    """Of the alignment: below 1 nearer to the best one, above 1 nearer to all alike."""
    normalize_latents: bool = False
    """Layer-normalize the targets and the negatives, over D."""
    normalize_predictions: bool = False
    """Layer-normalize the predictions over D (the authors' code takes their mean over K)."""
    dropout: float = 0.1
    """Inside the prediction heads."""
    output_dropout: float = 0.0
    """On the predictions; the authors' scripts used 0.5, which the paper does not mention."""
    negatives: str = "reference"
    negative_count: int = 128
    negative_group: int = 8
    """Utterances among which negatives are drawn; the paper's "8 groups" of a batch of 64."""
    negative_options: dict[str, float | str] = field(default_factory=dict)
    """Of the sampler itself, such as the length of a queue."""
    similarity: Similarity = "mean"

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "channels", "kernels", "strides", "context_size", "context_layers")
        require_positive(self, "predictions", "matched", "temperature", "negative_count", "negative_group")
        require_shares(self, "dropout", "output_dropout")
        require_at_most(self, 1000, "context_layers")


class ACPC(CausalModel):
    """Aligned Contrastive Predictive Coding."""

    aligns = True
    forbidden: Tensor | None
    """(M, K): cells of the lattice that no alignment may use."""

    def __init__(self, settings: ACPCSettings) -> None:
        s = settings
        super().__init__(
            StridedConvolutions(s.channels, s.kernels, s.strides, s.paddings, s.norm, s.negative_group),
            find_class("foresay.context", s.context, Context)(s.channels, s.context_size, s.context_layers),
            s.sample_rate,
        )
        self.settings = settings
        self.group = s.negative_group
        self.predictor: nn.Module = find_class("foresay.predictors", s.predictor, nn.Module)(
            s.context_size, s.channels, s.predictions, s.dropout
        )
        self.output_dropout = nn.Dropout(s.output_dropout)
        self.blank = nn.Parameter(torch.zeros(s.channels)) if s.blank else None
        self.negatives = build_sampler(s.negatives, s.negative_count, s.negative_group, s.channels, s.negative_options)
        self.lattice = Lattice(s.alignment, s.skip_begin, s.skip_end, s.blank, s.masked, s.temperature)
        cells = self.lattice.forbidden(s.matched, s.predictions + s.self_loop + s.blank)
        self.register_buffer("forbidden", cells, persistent=False)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long windows: the cost of aligning the K predictions to the next M frames, a mean over positions."""
        drawn = self._draw(batch)
        losses, targets = self.compute(batch.audio.waveforms, batch.targets, drawn)
        self.negatives.keep(targets, drawn)
        return losses

    def compute(self, waveforms: Tensor, others: Tensor | None, drawn: DrawnNegatives) -> tuple[Losses, Tensor]:
        """Compute the loss of (B, S) waveforms, and what is predicted: latents (B, T, D), of `others` if there are any."""
        latents = self.encoder(waveforms)  # (B, T, D)
        targets = latents if others is None else self.encoder(others)
        contexts, _ = self.context(latents)  # (B, T, D)
        term, accuracy = aligned_contrastive_loss(self._score(contexts, targets, drawn), self.lattice, self.forbidden)
        scalars = {"accuracy": accuracy, "latent_std": latents.detach().float().std(dim=(0, 1)).mean()}
        return Losses({"aligned_contrastive": term}, scalars), targets.detach()

    def after_step(self, step: int) -> dict[str, float]:
        """Let the encoder and the sampler remember what they were given."""
        self.encoder.after_step()
        self.negatives.after_step()
        return {}

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`alignment_posterior` (B, W, M, K): at each position, which prediction each of the next M frames is aligned to."""
        latents = self.encoder(batch.audio.waveforms)
        targets = latents if batch.targets is None else self.encoder(batch.targets)
        scores = self._score(self.context(latents)[0], targets, self._draw(batch))
        return {"alignment_posterior": align(scores, self.lattice, self.forbidden).posterior}

    def _draw(self, batch: Batch) -> DrawnNegatives:
        waveforms, ahead = batch.audio.waveforms, self.settings.matched
        frames, positions = self.counted(waveforms, ahead)
        return self.negatives.drawn(frames, batch.keys, positions, ahead, device=waveforms.device)

    def _score(self, contexts: Tensor, targets: Tensor, drawn: DrawnNegatives) -> Scores:
        """Score predictions made from contexts (B, T, D) against targets (B, T, D)."""
        s, positions = self.settings, drawn.rows.shape[1]
        if s.normalize_latents:
            targets = F.layer_norm(targets, targets.shape[-1:])
        predictions = self.output_dropout(self.predictor(contexts[:, :positions]))  # (B, K, W, D)
        if s.normalize_predictions:
            predictions = F.layer_norm(predictions, predictions.shape[-1:])
        predictions = self._with_extra_states(predictions, targets[:, :positions])
        return contrastive_scores(predictions, targets, self.negatives(targets, drawn), s.matched, s.similarity)

    def _with_extra_states(self, predictions: Tensor, current: Tensor) -> Tensor:
        """Put z_t (B, W, D) before the predictions (B, K, W, D), and the blank after them, where there are such states."""
        states = [predictions]
        if self.settings.self_loop:
            states.insert(0, current[:, None])
        if self.blank is not None:
            states.append(self.blank.expand_as(current)[:, None])
        return torch.cat(states, dim=1) if len(states) > 1 else predictions
