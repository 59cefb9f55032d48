"""Span masks: which frames of an utterance are masked, for the model to predict.

wav2vec 2.0, section 3.1 and appendix A (arXiv:2006.11477); HuBERT and WavLM mask the same way. Every frame begins a hidden span with
probability p. Spans may overlap, so what is hidden in one piece is longer than a span, and differs from place to place:

    spans of 10            ----------    ----------          ----------
                                   ----------
    hidden            . . . ################## . . . . . . . ########## . . . .

Of 15 s, p = 0.065 and spans of 10 hide 49 %, in pieces of 14.5 frames on average (the appendix: 14.7), 10 in the median, 100 at most.
The reference code uncovers frames at random until all utterances of a device's batch have as many hidden ones as the poorest, which breaks
the pieces (8 frames on average, and 46 %, in batches of six) and makes a mask depend on its batch mates. Here spans are laid until the
expected number of frames is hidden, and what is too much is uncovered at the ends of pieces: equally long utterances have equally many
hidden frames, on one device or eight, and a batch stays rectangular.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from foresay import draws
from foresay.contracts import sent
from foresay.errors import UserError

SpanLengths: TypeAlias = Literal["fixed", "uniform", "poisson", "normal"]


class MaskedPositions(NamedTuple):
    """Where a mask is set, utterance by utterance."""

    frames: Tensor
    """(B, M) int64: the masked frames in order; an utterance that has fewer than M is filled up with frame 0."""
    real: Tensor
    """(B, M) bool: not filled up."""
    rows: Tensor
    """(N,) int64: the real ones among all B x M places."""

    @property
    def counts(self) -> list[int]:
        """Masked frames of each utterance, as long as all this is on the CPU; M is the largest."""
        counts: list[int] = self.real.sum(1).tolist()
        return counts

    def to(self, device: torch.device) -> Self:
        """Send to where the frames are. The masks were drawn on the CPU: nobody waits for the device to learn how much is masked."""
        return self._replace(frames=sent(self.frames, device), real=sent(self.real, device), rows=sent(self.rows, device))

    def chosen(self, values: Tensor) -> Tensor:
        """Keep the real ones of what stands at these places: (B, M, …) -> (N, …)."""
        return values.flatten(0, 1).index_select(0, self.rows)

    def of(self, values: Tensor) -> Tensor:
        """Read (B, T, D) values at these places: (B, M, D)."""
        return values.gather(1, self.frames[..., None].expand(-1, -1, values.shape[-1]))


class SpanMask:
    """Hides spans of so many frames, until the share of frames is hidden that spans begun with `probability` hide on average.

    `spans` says how long they are: `fixed`: all `length`; `uniform`: `length` - `spread` to `length` + `spread`; `poisson`: mean
    `length`; `normal`: mean `length`, standard deviation `spread`, at least 1. Without `overlap` spans neither meet nor touch, and each
    arrangement of them is as likely.
    """

    def __init__(self, probability: float, length: int, *, spans: SpanLengths = "fixed", spread: float = 0.0, overlap: bool = True) -> None:
        if not 0 < probability < 1 or length < 1:
            msg = (
                f"frames begin a masked span with probability {probability}, and the span has {length} frames: give a probability between "
                "0 and 1 (wav2vec 2.0: 0.065; fairseq's mask_prob is this times the length) and a length of at least 1 (10)"
            )
            raise UserError(msg)
        self.length, self.overlap = length, overlap
        self._lengths, chances = _length_distribution(spans, length, spread)
        self._cumulated = torch.from_numpy(chances.cumsum())
        longer = 1 - chances.cumsum()  # P(L > l) for the lengths that there are
        reaching = np.concatenate([np.ones(int(self._lengths[0])), np.repeat(longer[:-1], np.diff(self._lengths))])  # P(L > 0, 1, …)
        self.share: float = 1 - float(np.prod(1 - probability * reaching)) if overlap else probability * float(self._lengths @ chances)
        """Of the frames, how many are masked: 0.49 for p = 0.065 and spans of 10."""
        if self.share >= 1:
            msg = f"spans that do not overlap would mask {self.share:.2f} of all frames: lower the probability or the length"
            raise UserError(msg)

    def __call__(self, lengths: Sequence[int], keys: Tensor | None) -> Tensor:
        """Mask utterances of so many frames, by their keys (B,): (B, T) bool on the CPU, T the largest length, False beyond the others.

        Raises:
            UserError: there are no keys, or an utterance is too short to hide anything in.
        """
        if keys is None:
            msg = "this batch has no keys to draw masks from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
            raise UserError(msg)
        masks = np.zeros((len(lengths), max(lengths)), dtype=bool)
        for mask, frames, key in zip(masks, lengths, keys.tolist(), strict=True):
            hidden = round(self.share * frames)
            if frames <= self.length or hidden < 2:  # noqa: PLR2004 - one masked frame would have no other as a distractor
                msg = (
                    f"an utterance of {frames} frames is too short for masked spans of {self.length} with unmasked frames around. "
                    f"Usual causes: very short clips, or a small data.window. Use at least {2 * self.length} frames an utterance "
                    "(one lasts 20 ms in wav2vec 2.0), or a shorter model.mask_length"
                )
                raise UserError(msg)
            random = draws.generator("mask", key)
            (self._lay if self.overlap else self._arrange)(mask[:frames], hidden, random)
        return torch.from_numpy(masks)

    def _lay(self, mask: npt.NDArray[np.bool_], hidden: int, random: torch.Generator) -> None:
        """Set `hidden` frames of a (T,) mask: spans begin at frames drawn without replacement, and may overlap."""
        starts = torch.randperm(len(mask) - int(self._lengths[0]) + 1, generator=random)
        lengths = self._draw(len(starts), random)
        left = hidden
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            span = mask[start : start + length]
            left -= len(span) - int(np.count_nonzero(span))
            span[:] = True
            if left <= 0:
                break
        while left < 0:
            ends = np.flatnonzero(mask & ~np.append(mask[1:], False))
            uncovered = ends[torch.randperm(len(ends), generator=random)[:-left].numpy()]
            mask[uncovered] = False
            left += len(uncovered)

    def _arrange(self, mask: npt.NDArray[np.bool_], hidden: int, random: torch.Generator) -> None:
        """Set `hidden` frames of a (T,) mask: spans do not touch; they go to different gaps before, between and after unmasked frames."""
        lengths = self._draw(hidden, random)
        ends = lengths.cumsum(0)
        count = int(torch.searchsorted(ends, hidden)) + 1
        lengths, before = lengths[:count], ends[:count] - lengths[:count]
        gaps = len(mask) - hidden + 1
        if count > gaps:
            msg = f"{count} spans, {hidden} frames in all, do not stand apart in {len(mask)} frames: lower the mask's probability"
            raise UserError(msg)
        starts = torch.randperm(gaps, generator=random)[:count].sort().values + before
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            mask[start : start + length] = True
        mask[int(starts[-1]) + hidden - int(before[-1]) :] = False  # the last span ends where enough is hidden

    def _draw(self, count: int, random: torch.Generator) -> Tensor:
        """Draw lengths of spans: (count,) int64."""
        drawn = torch.rand(count, generator=random, dtype=torch.float64)
        return torch.from_numpy(self._lengths)[torch.searchsorted(self._cumulated, drawn).clamp(max=len(self._lengths) - 1)]


def masked_places(mask: Tensor) -> MaskedPositions:
    """List the masked frames of a (B, T) mask on the CPU."""
    counts = mask.sum(1)
    frames = (~mask).long().argsort(dim=1, stable=True)[:, : int(counts.max())]
    real = torch.arange(frames.shape[1]) < counts[:, None]
    return MaskedPositions(frames * real, real, masked_rows(real))


def masked_rows(mask: Tensor) -> Tensor:
    """Number the masked frames of a (B, T) mask on the CPU among all B x T: (N,) int64."""
    return mask.flatten().nonzero()[:, 0]


def near_edges(mask: Tensor, lengths: Sequence[int], steps: int) -> Tensor:
    """Keep the masked frames that are at most so many steps from an unmasked one (Table 13, "predict exactly U time steps from edges").

    (B, T) mask and frames of each utterance -> (B, T). Frames beyond an utterance's end do not count as unmasked.
    """
    unmasked = ~mask & (torch.arange(mask.shape[1]) < torch.tensor(lengths)[:, None])
    near = F.max_pool1d(unmasked.float(), 2 * steps + 1, stride=1, padding=steps) > 0
    return mask & near


def _length_distribution(spans: SpanLengths, length: int, spread: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """List the lengths that spans may have, and how likely each is."""
    if spans == "fixed":
        return np.array([length]), np.ones(1)
    if spans == "uniform":
        lengths = np.arange(max(length - round(spread), 1), length + round(spread) + 1)
        return lengths, np.full(len(lengths), 1 / len(lengths))
    deviation = math.sqrt(length) if spans == "poisson" else max(spread, 1e-3)
    drawn = np.arange(0 if spans == "poisson" else math.floor(length - 8 * deviation), math.ceil(length + 8 * deviation) + 1)
    if spans == "poisson":
        logarithms = np.array([n * math.log(length) - math.lgamma(n + 1) for n in drawn])
    else:
        logarithms = -((drawn - length) ** 2) / (2 * deviation**2)
    chances = np.bincount(np.maximum(drawn, 1), np.exp(logarithms - logarithms.max()))  # a span has at least one frame
    chances = chances[1:] / chances.sum()
    return np.arange(1, len(chances) + 1), chances
