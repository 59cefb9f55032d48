"""Masked prediction of cluster labels, which HuBERT and WavLM share: the cluster of each masked frame is predicted.

    latents --> spans masked (57 %) --> Transformer --> (B, T, D) -- masked frames --> (M, D') -- softmax of cosines / 0.1 --> loss
                                                                                                     labels (B, T) ---^
    loss = cross-entropy + 10 x mean square of the convolutions' output

arXiv:2106.07447, section II. A subclass says with which network, and with which sizes.
"""

from abc import ABC
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, on_host, sent
from foresay.errors import UserError
from foresay.layers.transformer import PositionBias
from foresay.masking import SpanMask, masked_rows
from foresay.models.representation._masked_transformer import Clips, MaskedTransformer, MaskedTransformerSettings
from foresay.objectives.masked_prediction import PredictionLoss, masked_prediction_loss
from foresay.settings import require_positive


@dataclass(frozen=True)
class MaskedPredictionSettings(MaskedTransformerSettings):
    """HuBERT BASE, second iteration (arXiv:2106.07447, section IV-B), which WavLM BASE shares."""

    classes: int = 500
    """C: of the labels; 100 in HuBERT's first iteration."""
    mask_probability: float = 0.08
    mask_length: int = 10
    target_size: int = 256
    """D': features in which states and classes are compared."""
    similarity_temperature: float = 0.1
    """tau (eq. 3)."""
    unmasked: float = 0.0
    """Weight of the unmasked frames: 1 - alpha of eq. 2, of which the paper finds 0 the best (Table V)."""
    feature_penalty: float = 10.0
    """Weight of the mean square of the convolutions' output (released configuration)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "classes", "target_size", "similarity_temperature")


class Asked(NamedTuple):
    """Frames whose classes are predicted."""

    rows: Tensor
    """(N,) int64: which of all B x T."""
    labels: Tensor
    """(N,) int64; -1: none."""


class PreparedLabels(NamedTuple):
    """A batch, and what was drawn for it."""

    clips: Clips
    mask: Tensor
    """(B, T) bool."""
    masked: Asked
    rest: Asked | None
    """The frames that are not masked, where they are predicted too."""
    kept: Tensor | None
    """(L,) bool on the CPU: the blocks that are run; None: all."""


class MaskedPrediction(MaskedTransformer, ABC):
    """Predicts the classes of masked frames."""

    needs = ("audio", "labels")

    def __init__(self, settings: MaskedPredictionSettings, position_bias: PositionBias | None = None) -> None:
        """`position_bias`: what is added to the attention's logits; None: nothing."""
        super().__init__(settings, position_bias)
        s = self.settings = settings
        self.classes = s.classes
        self.mask = SpanMask(s.mask_probability, s.mask_length)
        self.final_projection = nn.Linear(s.size, s.target_size)
        self.label_vectors = nn.Parameter(torch.rand(s.classes, s.target_size))

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of one masked view of each utterance, a mean over masked frames that have a label."""
        return self.compute(self.prepare(batch, step))

    @on_host
    def prepare(self, batch: Batch, step: int) -> PreparedLabels:
        """Draw what is masked, and read which classes are asked for."""
        clips, counts = self.clips(batch)
        mask, labels, device = self.mask(counts, batch.keys), self._labels(batch, max(counts)), clips.waveforms.device
        rest = ~mask & (torch.arange(mask.shape[1]) < torch.tensor(counts)[:, None]) if self.settings.unmasked else None
        return PreparedLabels(
            clips,
            sent(mask, device),
            _asked(mask, labels, device),
            None if rest is None else _asked(rest, labels, device),
            self.transformer.draw((self.seed, step)),
        )

    def compute(self, given: PreparedLabels) -> Losses:
        """Compute the loss."""
        s = self.settings
        latents = self.latents(given.clips)
        states = self.encode(latents.values, given.mask, latents.lengths, kept=given.kept)[-1]
        found = self._predict(states, given.masked)
        terms = {"prediction": found.term}
        if s.feature_penalty:
            terms["feature_penalty"] = latents.penalty(s.feature_penalty)
        scalars = {"accuracy": found.accuracy, "latent_std": latents.values.detach().float().std(dim=(0, 1)).mean()}
        if given.rest is not None:
            plain = self._predict(states, given.rest, s.unmasked)
            terms["unmasked"], scalars["accuracy_unmasked"] = plain.term, plain.accuracy
        return Losses(terms, scalars, {"accuracy": "prediction", "accuracy_unmasked": "unmasked"})

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`mask` (B, T), and `class_probability` (B, T, C) of all frames, those that are masked from the others alone."""
        clips, counts = self.clips(batch)
        latents = self.latents(clips)
        mask = self.mask(counts, batch.keys).to(latents.values.device)
        projected = self.final_projection(self.encode(latents.values, mask, latents.lengths)[-1])
        vectors = nn.functional.normalize(self.label_vectors, dim=-1)
        logits = nn.functional.normalize(projected, dim=-1) @ vectors.T / self.settings.similarity_temperature
        return {"mask": mask, "class_probability": logits.softmax(-1)}

    def _predict(self, states: Tensor, asked: Asked, weight: float = 1.0) -> PredictionLoss:
        """Predict the classes of some frames from states (B, T, D)."""
        chosen = self.final_projection(states.flatten(0, 1).index_select(0, asked.rows))
        return masked_prediction_loss(chosen, self.label_vectors, asked.labels, self.settings.similarity_temperature, weight)

    def _labels(self, batch: Batch, frames: int) -> Tensor:
        """(B, T), on the CPU."""
        if batch.labels is None:
            kind = type(self).__name__
            msg = f"{kind} learns labels, and this batch has none: the recipe's [parts.labels] say whose (`foresay recipes hubert-tiny`)"
            raise UserError(msg)
        if batch.labels.shape[1] != frames:
            msg = f"labels of {batch.labels.shape[1]} frames, where the model has {frames}: they must be read at the model's frames"
            raise UserError(msg)
        if int(batch.labels.max()) >= self.settings.classes:
            msg = (
                f"a label is {int(batch.labels.max())}, but the model has {self.settings.classes} classes: set model.classes to the number "
                "of clusters (parts.labels.clusters), or were these labels made with other clusters?"
            )
            raise UserError(msg)
        return batch.labels


def _asked(frames: Tensor, labels: Tensor, device: torch.device) -> Asked:
    """List some frames, a mask (B, T), with their labels (B, T): both on the CPU, the list on the device."""
    rows = masked_rows(frames)
    return Asked(sent(rows, device), sent(labels.flatten()[rows], device))
