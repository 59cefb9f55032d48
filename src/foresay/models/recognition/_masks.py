"""Masks of fine-tuning: sparse spans of frames and channels (wav2vec 2.0, appendix B), or SpecAugment by the name of a policy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from foresay import draws
from foresay.contracts import Masks


def draw_spans(lengths: Sequence[int], keys: Tensor, probability: float, length: int, purpose: draws.LearningPurpose) -> Tensor:
    """Mask spans of `length` frames, or channels, each begun with `probability`: (B, T) bool on the CPU, T the largest of `lengths`.

    For fine-tuning, where masks are sparse: as many spans as there are on average (one more or fewer at random), at places drawn without
    replacement, and they may overlap. What is not longer than a span is not masked.
    """
    masks = np.zeros((len(lengths), max(lengths)), dtype=bool)
    for mask, count, key in zip(masks, lengths, keys.tolist(), strict=True):
        if count <= length:
            continue
        random = draws.stream(purpose, key)
        starts = random.permutation(count - length + 1)[: int(probability * count + random.random())]
        mask[(starts[:, None] + np.arange(length)).ravel()] = True
    return torch.from_numpy(masks)


class SpecAugment(NamedTuple):
    """Masks on a spectrogram of 100 frames a second (arXiv:1904.08779, Table 1; arXiv:1912.05533). Time is not warped."""

    bands: int
    """F: of 80 bands, a mask covers at most so many."""
    band_masks: int
    frames: int
    """T: a mask covers at most so many frames."""
    share: float
    """p: and no more than this share of the utterance."""
    frame_masks: int
    per_frame: float = 0.0
    """Masks for each frame of the utterance, at most `frame_masks` of them; 0: always so many."""


SPEC_AUGMENT = {
    "LB": SpecAugment(27, 1, 100, 1.0, 1),
    "LD": SpecAugment(27, 2, 100, 1.0, 2),
    "SM": SpecAugment(15, 2, 70, 0.2, 2),
    "SS": SpecAugment(27, 2, 70, 0.2, 2),
    "adaptive": SpecAugment(27, 2, 100, 0.04, 20, per_frame=0.04),
}
"""Policies by their names; `adaptive` (LibriFullAdapt) masks as much of a short utterance as of a long one."""
FULL_BANDS = 80


def draw_spec_augment(policy: SpecAugment, counts: Sequence[int], channels: int, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Draw what a policy masks of utterances of so many frames: (B, T) and (B, `channels`), bool on the CPU.

    The width of each mask is uniform from 0 to the widest; of other than 80 channels a mask covers the same share.
    """
    frames = np.zeros((len(counts), max(counts)), dtype=bool)
    bands = np.zeros((len(counts), channels), dtype=bool)
    for times, tones, count, key in zip(frames, bands, counts, keys.tolist(), strict=True):
        random = draws.stream("masked spans", key)
        masks = min(int(policy.per_frame * count), policy.frame_masks) if policy.per_frame else policy.frame_masks
        _cover(times[:count], masks, min(policy.frames, int(policy.share * count)), random)
        _cover(tones, policy.band_masks, round(policy.bands * channels / FULL_BANDS), draws.stream("masked channels", key))
    return torch.from_numpy(frames), torch.from_numpy(bands)


def covered(frames: Tensor, masks: Masks, vector: Tensor) -> Tensor:
    """Mask frames (B, T, D) by a vector (D,), and channels by 0."""
    return torch.where(masks.frames[..., None], vector.to(frames.dtype), frames).masked_fill(masks.channels[:, None], 0.0)


def leveled(frames: Tensor, masks: Masks, counts: Tensor) -> Tensor:
    """Mask frames (B, T, D), and channels of them, by the mean of each utterance's `counts` (B,) frames."""
    own = torch.arange(frames.shape[1], device=frames.device) < counts[:, None]
    mean = (frames * own[..., None]).sum(1, keepdim=True) / own.sum(1).clamp(min=1)[:, None, None]
    return torch.where(masks.frames[..., None] | masks.channels[:, None], mean, frames)


def _cover(mask: npt.NDArray[np.bool_], spans: int, widest: int, random: np.random.Generator) -> None:
    """Set spans of a (T,) mask, each of 0 to `widest` places."""
    for width in random.integers(widest + 1, size=spans).tolist():
        start = int(random.integers(len(mask) - width + 1))
        mask[start : start + width] = True
