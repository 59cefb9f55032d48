"""Prosody of units: their pitch and their durations, for units that come without, such as those of a language model.

    units (B, T) -----> embeddings + voice --> ConvNeXt --> normalized pitch, and the log odds that there is one (B, T, 2)
    merged (B, U) ----> embeddings --> two convolutions, each with ReLU, norm and dropout --> log of the mean frames (B, U)

Melody depends on where in an utterance a frame is, and on much that units do not say. The best guess of it is flat: its deviation is that
of speech times its correlation with it. It is the better the farther the predictor looks.

Durations: Lee et al., "Direct speech-to-speech translation with discrete units" (arXiv:2107.05604, section 3.3), after FastSpeech 2. They
learn log(1 + frames) by squared errors, whose best guess is a geometric mean, which is below the mean: whole utterances come out too short.
Here the frames follow a Poisson distribution, of which the best guess is the mean.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Term
from foresay.layers.convnext import ConvNeXt
from foresay.layers.dropout import Dropout


class PitchPredictor(nn.Module):
    """From units on a clock, and a voice, to the normalized pitch of each frame."""

    def __init__(self, units: int, voice: int, size: int, blocks: int, kernel: int) -> None:
        """`units`: V, and V itself stands for none; `voice`: D' of the voices' vectors; `kernel`: frames that a block looks at."""
        super().__init__()
        self.units, self.voice = nn.Embedding(units + 1, size), nn.Linear(voice, size)
        self.blocks = ConvNeXt(size, blocks, 2 * size, kernel)
        self.head = nn.Linear(size, 2)

    def forward(self, units: Tensor, voices: Tensor, real: Tensor) -> Tensor:
        """Units (B, T), voices (B, D'), `real` (B, T, 1) as of `ConvNeXt` -> pitch and log odds of voicing (B, T, 2)."""
        predicted: Tensor = self.head(self.blocks(self.units(units) + self.voice(voices)[:, None], real))
        return predicted

    def predict(self, units: Tensor, voices: Tensor, real: Tensor) -> Tensor:
        """As `forward`, but normalized frames: (B, T, 2), zeros where nothing is voiced."""
        pitch, odds = self(units, voices, real).unbind(-1)
        voiced = (odds > 0) * real[..., 0]
        return torch.stack([pitch * voiced, voiced], -1)


def pitch_losses(predicted: Tensor, normalized: Tensor, real: Tensor) -> dict[str, Term]:
    """Compare (B, T, 2), of `PitchPredictor`, with normalized frames (B, T, 2): Huber's errors, and the cross-entropy of voicing.

    Huber's are squared up to a deviation and linear beyond it: a tracker is wrong by an octave now and then, which is many of them.
    """
    pitch, voiced = normalized.unbind(-1)
    errors = F.smooth_l1_loss(predicted[..., 0], pitch, reduction="none") * voiced * real[..., 0]
    entropies = F.binary_cross_entropy_with_logits(predicted[..., 1], voiced, reduction="none") * real[..., 0]
    return {"pitch": Term(errors.sum(), (voiced * real[..., 0]).sum()), "voicing": Term(entropies.sum(), real.sum())}


class DurationPredictor(nn.Module):
    """From merged units to how long each lasts."""

    def __init__(self, units: int, size: int, dropout: float) -> None:
        """`units`: V, and V itself stands for none."""
        super().__init__()
        self.units = nn.Embedding(units + 1, size)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, size, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(size, 1)

    def forward(self, merged: Tensor, real: Tensor) -> Tensor:
        """Merged units (B, U), `real` (B, U, 1), 1 within an utterance's length -> log of the mean frames (B, U)."""
        states = self.units(merged)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            states = self.dropout(norm(F.relu(convolution((states * real).transpose(1, 2)).transpose(1, 2))))
        return self.head(states)[..., 0]

    def predict(self, merged: Tensor, real: Tensor) -> Tensor:
        """As `forward`, but whole frames, at least one: (B, U) int64."""
        return self(merged, real).exp().round().clamp(min=1).long()


def duration_loss(predicted: Tensor, durations: Tensor, inner: Tensor) -> Term:
    """Deviances of the log of mean frames (B, U) from durations (B, U); `inner` (B, U), 1 where the whole of a unit is known.

    A deviance is twice the log of how much likelier frames are by the distribution whose mean they are: 0 where the guess is right.
    """
    known = durations.clamp(min=1).to(predicted.dtype)
    deviances = 2 * (known * (known.log() - predicted) - known + predicted.exp())
    return Term((deviances * inner).sum(), inner.sum())
