"""BEST-RQ: hide spans of the spectrogram, and tell into which cells of a space cut up at random they would have fallen.

Chiu et al., "Self-supervised Learning with Random-projection Quantizer for Speech Recognition" (arXiv:2202.01855).

    log-mel (B, 4 T, 80), normalized --+--> four frames side by side (B, T, 320) --> random projection, nearest entry --> codes (B, T, G)
                                       |                                                                                       |
                     spans of 400 ms become noise                                                                              v
                                       +--> two convolutions (B, T, D) --> Conformer --> (B, T, D) -- masked --> softmax (M, G, V): loss

Neither projection nor codebook learns: there is nothing that could collapse, and nothing to be made beforehand. The codes tell little of
speech, and need not tell more: to foretell them the model must know what was said. Several books, drawn apart, ask several such questions
of each frame (USM, arXiv:2303.01037).
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Term, sent
from foresay.errors import UserError
from foresay.layers.transformer import PositionalConvolution, Transformer
from foresay.masking import SpanMask, masked_rows
from foresay.models.representation._masked_spectrogram import STACK, MaskedSpectrogram, MaskedSpectrogramSettings
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
        self.heads = nn.Linear(s.size, s.codebooks * s.codes)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of one masked view of each utterance, a mean over the stacks of frames that are masked as a whole, and over books."""
        s = self.settings
        energies, counts, mask = self._masked(batch)
        rows = sent(masked_rows(mask.unflatten(1, (-1, STACK)).all(-1)), energies.device)  # of all B x T stacks, those that are asked for
        targets = self.quantizer(energies.unflatten(1, (-1, STACK)).flatten(2).flatten(0, 1).index_select(0, rows))  # (M, G)
        if step == 0 and torch.is_grad_enabled():  # in training
            self._warn_of_rare_codes(len(targets))
        states = self._states(energies, mask, counts, batch, step).flatten(0, 1).index_select(0, rows)
        found = self.heads(states).unflatten(-1, (s.codebooks, s.codes))  # (M, G, V)
        total = F.cross_entropy(found.flatten(0, 1).float(), targets.flatten(), reduction="sum") / s.codebooks
        accuracy = (found.argmax(-1) == targets).float().mean()
        return Losses({"prediction": Term(total, len(targets))}, {"accuracy": accuracy, **code_use(targets, s.codes)})

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`mask` (B, 4 T), of frames of 10 ms; `codes` (B, T, G) of all frames of 40 ms; `found` (B, T): the share of them told right."""
        energies, counts, mask = self._masked(batch)
        codes = self.quantizer(energies.unflatten(1, (-1, STACK)).flatten(2).flatten(0, 1)).unflatten(0, (len(energies), -1))
        found = self.heads(self._states(energies, mask, counts, batch, None)).unflatten(-1, (-1, self.settings.codes)).argmax(-1)
        return {"mask": mask, "codes": codes, "found": (found == codes).float().mean(-1)}

    def _masked(self, batch: Batch) -> tuple[Tensor, list[int], Tensor]:
        """Hear a batch, and draw what is masked: energies (B, 4 T, bands), T of each utterance, mask (B, 4 T) on the CPU."""
        # Something must be heard, and so much hidden in one piece that a whole stack is.
        shortest = max(self.settings.mask_length + 1, (2 * STACK - 1) / self.mask.share)
        energies, counts = self.energies_of(batch, math.ceil(shortest / STACK))
        return energies, counts, self.mask([STACK * count for count in counts], batch.keys)

    def _states(self, energies: Tensor, mask: Tensor, counts: list[int], batch: Batch, step: int | None) -> Tensor:
        """Hear what is not masked: (B, T, D)."""
        frames = sent(torch.tensor(counts), energies.device)
        latents = self.subsampling(self.noise_at(energies, mask, batch.drawn_by), STACK * frames)
        update = None if step is None else (self.seed, step)
        return self.blocks(latents, None if min(counts) == max(counts) else frames, update=update)[-1]

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


class _Positioned(nn.Module):
    """A Transformer that is told where frames stand, called as a Conformer is."""

    def __init__(self, s: BestRQSettings) -> None:
        super().__init__()
        if s.causal or s.left_context is not None:
            msg = 'the Transformer of BEST-RQ hears both directions: for causal = true or a left_context set model.encoder = "conformer"'
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

    def forward(
        self, frames: Tensor, lengths: Tensor | None, *, update: tuple[int, int] | None = None, depth: int | None = None
    ) -> list[Tensor]:
        """(B, T, D) -> L0 … Ln."""
        states: list[Tensor] = self.transformer(frames + self.position(frames, lengths), lengths, update=update, depth=depth)
        return states
