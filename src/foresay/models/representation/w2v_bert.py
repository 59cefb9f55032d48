"""w2v-BERT: contrastive learning of a code, and masked prediction of that code from higher blocks, jointly.

Chung et al., "w2v-BERT: Combining Contrastive Learning and Masked Language Modeling for Self-Supervised Speech Pre-Training"
(arXiv:2108.06209).

    log-mel (B, 4 T, 80), normalized --> two convolutions --> latents (B, T, D) -- masked --> quantizer, G books of V codes --> q and code
                                             |                                                                           |          |
                                spans of 400 ms become noise                                                             v          |
                                             +--> lower blocks --> masked: c (B, M, D') ----> cosine(c, q) / 0.1: contrastive loss  |
                                                       |                                                                            v
                                                       +--> upper blocks --> masked --> softmax (M, G, V) ---------> cross-entropy loss

    loss = contrastive + 0.1 x share of codes not used + 1.0 x cross-entropy

The contrastive task keeps the code from collapsing; masked prediction alone would let it. Masked prediction gives the upper blocks the task
of a language model.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Term, on_host, sent
from foresay.errors import UserError
from foresay.masking import MaskedPositions, SpanMask, masked_places
from foresay.models.representation._masked_spectrogram import (
    STACK,
    MaskedSpectrogram,
    MaskedSpectrogramSettings,
    MaskNoise,
    SpectrogramClips,
)
from foresay.objectives.masked_contrastive import MaskedContrastiveLoss, Pool, diversity_loss, draw_distractors, masked_contrastive_loss
from foresay.quantizers.gumbel import GumbelQuantizer, Quantized, code_use, falling_temperature
from foresay.settings import require_positive

PUBLISHED_UPDATES = 400_000
"""Of XL: where nobody says how many are planned."""


@dataclass(frozen=True)
class W2vBERTSettings(MaskedSpectrogramSettings):
    """w2v-BERT XL, 0.6 B (section 4)."""

    contrastive_layers: int = 12
    """Lower blocks, whose output the contrastive loss takes; the others predict the codes."""
    mask_probability: float = 0.065
    """Of a frame of 40 ms to begin a masked span."""
    mask_length: int = 10
    """Frames of 40 ms: 400 ms."""
    codebooks: int = 1
    codes: int = 1024
    """V: entries of a codebook."""
    code_size: int = 1024
    """Features of one entry of each codebook, side by side."""
    target_size: int = 1024
    """D': features in which contexts and targets are compared."""
    temperature_start: float = 2.0
    temperature_floor: float = 0.1
    temperature_share: float = 1.497862
    """Share of all updates after which the Gumbel temperature, falling exponentially, reaches its floor: that of a factor of 0.999995 an
    update (fairseq2's configuration) in 400,000, at whose end it is 0.27."""
    diversity: float = 0.1
    """Weight of the share of codes that are not used (alpha, section 3)."""
    prediction: float = 1.0
    """Weight of the cross-entropy (gamma, section 3)."""
    similarity_temperature: float = 0.1
    negative_count: int = 100
    """K: distractors from the same utterance."""
    group: int = 8
    """Utterances that share the mean of the diversity loss and stay on one device; the paper does not say how many do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "codebooks", "codes", "code_size", "target_size", "negative_count", "group")
        require_positive(self, "temperature_start", "temperature_floor", "temperature_share", "similarity_temperature")


class PreparedCodes(NamedTuple):
    """A batch, and what was drawn for it."""

    clips: SpectrogramClips
    mask: Tensor
    """(B, T) bool."""
    noise: MaskNoise
    masked: MaskedPositions
    """The M masked frames of an utterance."""
    own: Tensor
    """(B, M) int64: which target of its utterance is a masked frame's own."""
    distractors: Tensor
    """(B, M, N) int64: which ones it is contrasted with."""
    code_noise: Tensor | None
    """(B, M, G, V)."""
    temperature: Tensor
    """() of the codes."""
    kept: Tensor | None
    """(L,) bool on the CPU: the blocks that are run; None: all."""


class W2vBERT(MaskedSpectrogram):
    """w2v-BERT."""

    def __init__(self, settings: W2vBERTSettings) -> None:
        super().__init__(settings)
        s = self.settings = settings
        if not 0 < s.contrastive_layers < s.layers:
            msg = (
                f"of {s.layers} blocks {s.contrastive_layers} cannot be the lower ones: set model.contrastive_layers to a number from 1 to "
                f"{s.layers - 1} (w2v-BERT XL: 12 of 24, XXL: 12 of 42)"
            )
            raise UserError(msg)
        self.group = s.group
        self.mask = SpanMask(s.mask_probability, s.mask_length)
        self.quantizer, self.codebooks = GumbelQuantizer(s.size, s.codebooks, s.codes, s.code_size), s.codebooks
        self.target_projection = nn.Linear(s.code_size, s.target_size)
        self.context_projection = nn.Linear(s.size, s.target_size)
        self.heads = nn.Linear(s.size, s.codebooks * s.codes)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Losses of one masked view of each utterance, means over masked frames."""
        return self.compute(self.prepare(batch, step))

    @on_host
    def prepare(self, batch: Batch, step: int) -> PreparedCodes:
        """Draw what is masked, the noise in its place, distractors, the noise of codes and the blocks that are run."""
        s = self.settings
        shortest = max(s.mask_length + 1, math.ceil(2 / self.mask.share))  # two masked frames at least: to be contrasted
        clips, counts = self.clips(batch, shortest)
        device = clips.waveforms.device
        mask = self.mask(counts, batch.keys)
        masked = masked_places(mask)
        own = torch.arange(masked.frames.shape[1]) * masked.real
        return PreparedCodes(
            clips,
            sent(mask, device),
            self.draw_noise(mask, batch.drawn_by, s.size, device),
            masked.to(device),
            sent(own, device),
            sent(draw_distractors(own, masked.counts, batch.keys, same=s.negative_count), device),
            self.quantizer.draw(own.shape[1], batch.keys),
            torch.full((), self.temperature(step), device=device),
            self.blocks.draw((self.seed, step)),
        )

    def compute(self, given: PreparedCodes) -> Losses:
        """Compute the losses."""
        s, at = self.settings, given.masked
        latents = self._latents(given)
        quantized = self.quantizer(at.of(latents), given.temperature, given.code_noise)
        states = self.blocks(self.with_noise(latents, given.noise), given.clips.ends, kept=given.kept)
        contrastive = self._contrast(at.of(states[s.contrastive_layers]), quantized, given)
        logits = self.heads(at.chosen(at.of(states[-1]))).unflatten(-1, (s.codebooks, s.codes))  # (M, G, V), of all utterances
        codes = at.chosen(quantized.codes)
        total = F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten(), reduction="sum") / s.codebooks
        terms = {
            "contrastive": contrastive.term,
            "diversity": diversity_loss(quantized.probabilities, at.real, s.group, s.diversity),
            "prediction": Term(total, at.real.sum(), s.prediction),
        }
        scalars = {
            "accuracy": contrastive.accuracy,
            "accuracy_prediction": (logits.argmax(-1) == codes).float().mean(),
            "latent_std": latents.detach().float().std(dim=(0, 1)).mean(),
            "temperature": given.temperature,
        }
        return Losses(terms, scalars | code_use(quantized.codes, at.real, s.codes))

    @staticmethod
    def depends_on_length(settings: W2vBERTSettings) -> bool:  # noqa: ARG004
        """Whether there is a temperature, which falls over a share of all updates."""
        return True

    def temperature(self, step: int) -> float:
        """Say how soft the quantizer's choice is at an update."""
        s = self.settings
        falling = s.temperature_share * (self.updates or PUBLISHED_UPDATES)
        return falling_temperature(step, falling, s.temperature_start, s.temperature_floor)

    def codes(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Quantize the latents of waveforms (B, S), of which `lengths` (B,) are real: codes (B, T, G)."""
        counts = STACK * self.frame_count(lengths, "L0")
        latents = self.subsampling(self.energies(waveforms, lengths, counts, int(counts.max())), counts)
        return self.quantizer(latents, self.settings.temperature_floor).codes

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`mask` (B, T); `codes` (B, T, G) and `code_probability` (B, T, G, V) of all frames, masked or not."""
        given = self.prepare(batch, 0)
        latents = self._latents(given)
        quantized = self.quantizer(latents, 1.0, self.quantizer.draw(latents.shape[1], batch.keys))
        return {"mask": given.mask, "codes": quantized.codes, "code_probability": quantized.probabilities}

    def _latents(self, given: PreparedCodes) -> Tensor:
        """Encode what is masked and what is not: (B, T, D)."""
        clips = given.clips
        counts = STACK * clips.frames
        energies = self.energies(clips.waveforms, clips.samples, counts, STACK * given.mask.shape[1])
        latents: Tensor = self.subsampling(energies, counts)
        return latents

    def _contrast(self, states: Tensor, quantized: Quantized, given: PreparedCodes) -> MaskedContrastiveLoss:
        """Compare states (B, M, D) with the codes of their places, among those of other masked places of the utterance."""
        s = self.settings
        powers = s.codes ** torch.arange(s.codebooks, device=states.device)
        pool = Pool(self.target_projection(quantized.values), (quantized.codes * powers).sum(-1))
        contexts = self.context_projection(states)
        return masked_contrastive_loss(contexts, pool, given.own, given.distractors, given.masked.real, s.similarity_temperature)
