"""Pitch VQ-VAE: normalized pitch quantized to one of a few codewords for each stretch of frames (F0 quantizer).

Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations" (arXiv:2104.00355), section 3.1: 20 codes at
12.5 Hz say how the pitch of an utterance moves, in 54 bits a second.

    waveform (B, S) --> normalized pitch (B, T, 2) --> encoder --> nearest of V codewords (B, T / 8, D) --> decoder --> (B, T, 2)

    loss = squared error of normalized pitch, where there is one  +  cross-entropy of voicing  +  beta squared distance to the codewords

The paper's encoder strides over frames of 5 ms with overlap. Here a code is that of its own frames alone, so that none depends on what
stands beside an utterance in its batch; it is the decoder that looks at several codes. Beyond an utterance there is silence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Pitch, PitchEncoder, Term, Trainable, sent
from foresay.quantizers.moving_codebook import MovingCodebook
from foresay.settings import require_not_negative, require_positive

DILATIONS = (1, 3)
"""Of the decoder's blocks: a code is read with four before and after it."""


@dataclass(frozen=True)
class PitchVQVAESettings:
    """Sizes and the loss."""

    codes: int = 20
    """V."""
    size: int = 128
    """D, of a codeword."""
    frames: int = 8
    """That a code stands for: of a tracker every 10 ms, 12.5 codes a second, as in the paper."""
    channels: int = 128
    """Of encoder and decoder."""
    decay: float = 0.99
    """Of the codewords' moving averages."""
    commitment: float = 0.02
    """beta; that of Jukebox (arXiv:2005.00341), whose quantizer it is."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "codes", "size", "frames", "channels")
        if self.codes < 2 or not self.decay < 1:  # noqa: PLR2004 - one code says nothing
            msg = f"codes = {self.codes} and decay = {self.decay}: it takes two codes at least, and a decay below 1"
            raise ValueError(msg)


class PitchVQVAE(Trainable, PitchEncoder):
    """Encoder, codebook and decoder of pitch in each speaker's range."""

    def __init__(self, settings: PitchVQVAESettings, statistics: PitchEncoder) -> None:
        """`statistics`: what tracks and normalizes pitch, such as a run of `pitch-statistics`; it is not trained."""
        super().__init__()
        s = self.settings = settings
        self.statistics, self.size = statistics, s.size
        self.sample_rate, self.hop, self.code_hop = statistics.sample_rate, statistics.hop, statistics.hop * s.frames
        for parameter in statistics.parameters():
            parameter.requires_grad_(False)  # noqa: FBT003 - torch's own
        self.encoder = nn.Sequential(
            nn.Linear(2 * s.frames, s.channels), nn.GELU(), nn.Linear(s.channels, s.channels), nn.GELU(), nn.Linear(s.channels, s.size)
        )
        self.codebook = MovingCodebook(s.codes, s.size, decay=s.decay)
        self.decoder = nn.Sequential(
            nn.Conv1d(s.size, s.channels, 1),
            *(_Block(s.channels, dilation) for dilation in DILATIONS),
            nn.Conv1d(s.channels, 2 * s.frames, 1),
        )

    @property
    def bits_per_second(self) -> float:
        """log2 V bits a code."""
        return math.log2(self.settings.codes) * self.sample_rate / self.code_hop

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Compute the loss of a batch of waveforms and, where they are known, who speaks."""
        waveforms, lengths = batch.audio
        pitch = self.statistics.track(waveforms, lengths)
        normalized = self.statistics.normalize(pitch, batch.speaker_names or [None] * len(waveforms))  # (B, T, 2)
        count = normalized.shape[1]
        vectors = self._vectors(normalized)
        quantized = self.codebook(vectors)
        codes = -(-pitch.lengths // self.settings.frames)
        self.codebook.wait(vectors, quantized.codes, codes)
        found = self._decoded(quantized.values, count)
        real = sent(torch.arange(count) < pitch.lengths[:, None], found.device).float()
        meant = sent(torch.arange(vectors.shape[1]) < codes[:, None], found.device).float()
        voiced = normalized[..., 1]
        error = ((found[..., 0] - normalized[..., 0]).square() * voiced).sum()
        voicing = (F.binary_cross_entropy_with_logits(found[..., 1], voiced, reduction="none") * real).sum()
        commitment = (quantized.distances * meant).sum() / self.settings.size
        right = ((found[..., 1] > 0) == (voiced > 0)) * real
        terms = {
            "pitch": Term(error, voiced.sum()),
            "voicing": Term(voicing, float(pitch.lengths.sum())),
            "commitment": Term(commitment, float(codes.sum()), self.settings.commitment),
        }
        return Losses(terms, {"voicing_accuracy": right.sum() / real.sum().clamp(min=1)}, {"voicing_accuracy": "voicing"})

    def after_step(self, step: int) -> dict[str, float]:
        """Move the codewords."""
        self.codebook.after_step(self.seed, step)
        return {}

    def track(self, waveforms: Tensor, lengths: Tensor) -> Pitch:
        """Measure the pitch of waveforms (B, S), of which `lengths` (B,) samples are real, as the statistics do."""
        return self.statistics.track(waveforms, lengths)

    def normalize(self, pitch: Pitch, speakers: Sequence[str | None]) -> Tensor:
        """Say where pitch lies in each speaker's range, as the statistics do: (B, T, 2)."""
        return self.statistics.normalize(pitch, speakers)

    def restore(self, normalized: Tensor, speakers: Sequence[str | None], pitch: Pitch | None = None) -> Tensor:
        """Return the pitch of normalized frames (B, T, 2) in each speaker's range, as the statistics do: Hz (B, T)."""
        return self.statistics.restore(normalized, speakers, pitch)

    def codes(self, normalized: Tensor) -> Tensor:
        """Quantize normalized frames (B, T, 2): codes (B, ceil(T / frames)) int64."""
        codes: Tensor = self.codebook(self._vectors(normalized)).codes
        return codes

    def encode(self, normalized: Tensor) -> Tensor:
        """Quantize normalized frames (B, T, 2): codewords (B, ceil(T / frames), D)."""
        return self.codebook.codewords[self.codes(normalized)]

    def decode(self, encoded: Tensor, frames: int) -> Tensor:
        """Return the first normalized frames (B, T, 2) that codewords (B, T / frames, D) stand for, as many as are asked for."""
        pitch, voicing = self._decoded(encoded, frames).unbind(-1)
        voiced = voicing > 0
        return torch.stack([torch.where(voiced, pitch, 0.0), voiced.to(pitch.dtype)], dim=-1)

    def _vectors(self, normalized: Tensor) -> Tensor:
        """Encode normalized frames (B, T, 2), which silence follows: (B, ceil(T / frames), D)."""
        missing = -normalized.shape[1] % self.settings.frames
        stretches = F.pad(normalized, (0, 0, 0, missing)).unflatten(1, (-1, self.settings.frames))
        vectors: Tensor = self.encoder(stretches.flatten(2))
        return vectors

    def _decoded(self, encoded: Tensor, frames: int) -> Tensor:
        """Decode codewords (B, M, D), around which there is silence: pitch and the logit of voicing (B, T, 2)."""
        silence = self.encode(encoded.new_zeros(1, self.settings.frames, 2)).expand(len(encoded), sum(DILATIONS), -1)
        around = torch.cat([silence, encoded, silence], dim=1).transpose(1, 2)
        found = self.decoder(around)[..., sum(DILATIONS) : -sum(DILATIONS)]
        return found.transpose(1, 2).unflatten(2, (-1, 2)).flatten(1, 2)[:, :frames]


class _Block(nn.Module):
    """A residual convolution over codes (B, C, M)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.narrow = nn.Conv1d(channels, channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, M) -> (B, C, M)."""
        changed: Tensor = self.narrow(F.gelu(self.wide(F.gelu(values))))
        return values + changed
