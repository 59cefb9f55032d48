"""BEST-RQ: masked prediction of random-projection codes of the spectrogram.

Chiu et al., "Self-supervised Learning with Random-projection Quantizer for Speech Recognition" (arXiv:2202.01855).

    log-mel (B, 4 T, 80), normalized --+--> four frames side by side (B, T, 320) --> random projection, nearest entry --> codes (B, T, G)
                                       |                                                                                       |
                     spans of 400 ms become noise                                                                              v
                                       +--> two convolutions (B, T, D) --> Conformer --> (B, T, D) -- masked --> softmax (M, G, V): loss

Neither projection nor codebook learns: there is nothing that could collapse, and nothing to be made beforehand. The codes say little
of speech, and need not say more: to predict them the model must know what was said. Several codebooks, drawn independently,
give each frame several targets (USM, arXiv:2303.01037).
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Term, on_host, sent
from foresay.errors import UserError
from foresay.layers.transformer import PositionalConvolution, Transformer
from foresay.masking import SpanMask, masked_rows
from foresay.models.representation._masked_spectrogram import (
    STACK,
    MaskedSpectrogram,
    MaskedSpectrogramSettings,
    MaskNoise,
    SpectrogramClips,
)
from foresay.quantizers.random_projection import RandomProjectionQuantizer, code_use
from foresay.settings import require_positive


@dataclass(frozen=True)
class BestRQSettings(MaskedSpectrogramSettings):
    """BEST-RQ's 0.6 B model (section 4), the only size in the paper."""

    encoder: Literal["conformer", "transformer"] = "conformer"
    """`transformer`: that of HuBERT, pre-norm, with a positional convolution of `position_kernel` frames."""
    position_kernel: int = 128
    position_groups: int = 16
    mask_probability: float = 0.01
    """Of a frame of 10 ms to begin a masked span."""
    mask_length: int = 40
    """Frames of 10 ms: 400 ms."""
    codebooks: int = 1
    """G: USM has 16, whose losses are averaged."""
    codes: int = 8192
    """V: entries of a codebook."""
    code_size: int = 16
    """Features in which frames and entries are compared."""
    quantizer_seed: int | None = None
    """Of projections and entries: two runs with the same one learn the same codes. None: drawn as the weights are, from the run's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "position_kernel", "position_groups", "codebooks", "codes", "code_size")


class PreparedTargets(NamedTuple):
    """A batch, and what was drawn for it."""

    clips: SpectrogramClips
    mask: Tensor
    """(B, 4 T) bool, of frames of 10 ms."""
    noise: MaskNoise
    rows: Tensor
    """(M,) int64: which of all B x T stacks are masked as a whole, and so asked for."""
    kept: Tensor | None
    """(L,) bool on the CPU: the blocks that are run; None: all."""


class BestRQ(MaskedSpectrogram):
    """BEST-RQ."""

    def __init__(self, settings: BestRQSettings) -> None:
        s = settings
        super().__init__(s, _Positioned(s) if s.encoder == "transformer" else None)
        self.settings = s
        if s.mask_length < 3 * STACK:  # of two spans that are cut to the share of one, one still hides a stack
            msg = (
                f"masked spans of {s.mask_length} frames of 10 ms may hide no stack of {STACK} frames as a whole, and so ask for nothing: "
                f"set model.mask_length to at least {3 * STACK} (BEST-RQ: 40)"
            )
            raise UserError(msg)
        self.mask = SpanMask(s.mask_probability, s.mask_length)
        self.quantizer = RandomProjectionQuantizer(STACK * s.bands, s.codes, s.code_size, s.codebooks, s.quantizer_seed)
        self.codebooks = s.codebooks
        self.heads = nn.Linear(s.size, s.codebooks * s.codes)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of one masked view of each utterance, a mean over the stacks of frames that are masked as a whole, and over books."""
        return self.compute(self.prepare(batch, step))

    @on_host
    def prepare(self, batch: Batch, step: int) -> PreparedTargets:
        """Draw what is masked, the noise in its place, and the blocks that are run."""
        # Something must not be masked, and so much be masked in one piece that a whole stack is.
        shortest = max(self.settings.mask_length + 1, (2 * STACK - 1) / self.mask.share)
        clips, counts = self.clips(batch, math.ceil(shortest / STACK))
        device = clips.waveforms.device
        mask = self.mask([STACK * count for count in counts], batch.keys)
        rows = masked_rows(mask.unflatten(1, (-1, STACK)).all(-1))
        if step == 0 and torch.is_grad_enabled():  # in training
            self._warn_of_rare_codes(len(rows))
        noise = self.draw_noise(mask, batch.drawn_by, self.settings.bands, device)
        return PreparedTargets(clips, sent(mask, device), noise, sent(rows, device), self.blocks.draw((self.seed, step)))

    def compute(self, given: PreparedTargets) -> Losses:
        """Compute the loss."""
        s = self.settings
        energies = self._energies(given)
        targets = self.quantizer(_stacked(energies).index_select(0, given.rows))  # (M, G)
        states = self._states(energies, given).flatten(0, 1).index_select(0, given.rows)
        found = self.heads(states).unflatten(-1, (s.codebooks, s.codes))  # (M, G, V)
        total = F.cross_entropy(found.flatten(0, 1).float(), targets.flatten(), reduction="sum") / s.codebooks
        accuracy = (found.argmax(-1) == targets).float().mean()
        return Losses({"prediction": Term(total, len(targets))}, {"accuracy": accuracy, **code_use(targets, s.codes)})

    def codes(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Quantize the spectrogram of waveforms (B, S), of which `lengths` (B,) are real: codes (B, T, G) of stacks of four frames."""
        counts = STACK * self.frame_count(lengths, "L0")
        energies = self.energies(waveforms, lengths, counts, int(counts.max()))
        return self.quantizer(_stacked(energies)).unflatten(0, (len(energies), -1))

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`mask` (B, 4 T), of frames of 10 ms; `codes` (B, T, G) of all frames of 40 ms; `found` (B, T): the share predicted right."""
        given = self.prepare(batch, 1)._replace(kept=None)
        energies = self._energies(given)
        codes = self.quantizer(_stacked(energies)).unflatten(0, (len(energies), -1))
        found = self.heads(self._states(energies, given)).unflatten(-1, (-1, self.settings.codes)).argmax(-1)
        return {"mask": given.mask, "codes": codes, "found": (found == codes).float().mean(-1)}

    def _energies(self, given: PreparedTargets) -> Tensor:
        """(B, 4 T, bands)."""
        clips = given.clips
        return self.energies(clips.waveforms, clips.samples, STACK * clips.frames, given.mask.shape[1])

    def _states(self, energies: Tensor, given: PreparedTargets) -> Tensor:
        """Encode what is not masked: (B, T, D)."""
        latents = self.subsampling(self.with_noise(energies, given.noise), STACK * given.clips.frames)
        states: list[Tensor] = self.blocks(latents, given.clips.ends, kept=given.kept)
        return states[-1]

    def _warn_of_rare_codes(self, asked: int) -> None:
        """Warn if the run asks for fewer frames than there are codes; `asked`: in this batch."""
        if self.updates is None or asked * self.updates >= self.settings.codes:
            return
        msg = (
            f"the codebook has {self.settings.codes} entries, and {self.updates} updates of {asked} masked frames, as in the first "
            f"batch here, ask for {asked * self.updates}: most never occur, and little can be learnt of those that do. For so little audio "
            "choose fewer (model.codes: best-rq-tiny has 256)"
        )
        warnings.warn(msg, stacklevel=2)


def _stacked(energies: Tensor) -> Tensor:
    """Put four frames side by side: (B, 4 T, bands) -> (B T, 4 bands)."""
    return energies.unflatten(1, (-1, STACK)).flatten(2).flatten(0, 1)


class _Positioned(nn.Module):
    """A Transformer with positions, called as a Conformer is."""

    def __init__(self, s: BestRQSettings) -> None:
        super().__init__()
        if s.causal or s.left_context is not None:
            msg = (
                'the Transformer of BEST-RQ attends in both directions: for causal = true or a left_context set model.encoder = "conformer"'
            )
            raise UserError(msg)
        self.position = PositionalConvolution(s.size, s.position_kernel, s.position_groups)
        self.transformer = Transformer(
            s.size,
            s.layers,
            s.heads,
            s.inner,
            pre_norm=True,
            dropout=s.dropout,
            attention_dropout=s.attention_dropout,
            layer_drop=s.layer_drop,
            checkpoint=s.checkpoint,
        )

    def draw(self, update: tuple[int, int] | None) -> Tensor | None:
        """Draw which blocks are run."""
        return self.transformer.draw(update)

    def forward(self, frames: Tensor, lengths: Tensor | None, *, kept: Tensor | None = None, depth: int | None = None) -> list[Tensor]:
        """(B, T, D) -> L0 … Ln."""
        states: list[Tensor] = self.transformer(frames + self.position(frames, lengths), lengths, kept=kept, depth=depth)
        return states
