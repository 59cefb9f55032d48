"""SpecAugment on features (Park et al., arXiv:1904.08779), as the recognizers of SUPERB have it: in training, and drawn for each utterance.

    time        a frame is moved by up to 5, and what lies before and after it is stretched
    channels    spans of them are 0 throughout
    frames      spans of them are 0

Stretched frames are interpolated linearly, where the reference code has cubic curves; spans of frames lie within an utterance, where they
may there lie in its padding.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class FeatureAugmentation(NamedTuple):
    """How much is hidden; the defaults are those of SUPERB's speech recognition."""

    warp: int = 5
    """Frames that one is moved by, at most."""
    channels: int = 50
    """A span of channels is shorter than that."""
    channel_spans: int = 4
    frames: int = 40
    """A span of frames is shorter than that."""
    frame_spans: int = 2
    adaptive: float = 0.0
    """Above 0, for each frame of an utterance so many spans, `ADAPTIVE_SPANS` at most, each shorter than this share of it."""


ADAPTIVE_SPANS = 20


def augmented(frames: Tensor, lengths: Tensor, policy: FeatureAugmentation) -> Tensor:
    """Move and hide frames and channels of (B, T, D), of which `lengths` (B,) count, by what torch draws."""
    warped = warp(frames, lengths, policy.warp)
    everywhere = torch.full_like(lengths, size := frames.shape[2])
    widest = torch.full_like(lengths, policy.channels)
    channels = _spans(everywhere, size, widest, torch.full_like(lengths, policy.channel_spans))
    counts, longest = torch.full_like(lengths, policy.frame_spans), torch.full_like(lengths, policy.frames)
    if policy.adaptive:
        share = (policy.adaptive * lengths).long()
        counts, longest = share.clamp(max=ADAPTIVE_SPANS), share.clamp(max=policy.frames)
    return warped.masked_fill(channels[:, None] | _spans(lengths, frames.shape[1], longest, counts)[..., None], 0.0)


def warp(frames: Tensor, lengths: Tensor, most: int) -> Tensor:
    """Move one frame of each utterance by up to `most`, and all others in proportion; short ones stay as they are. (B, T, D)."""
    counts = lengths[:, None]
    center = most + (_drawn(frames, len(frames), 1) * (counts - 2 * most)).long()  # most ... T - most - 1
    moved = center + 1 + (_drawn(frames, len(frames), 1) * 2 * most).long() - most
    long_enough = counts > 2 * most
    center, moved = (torch.where(long_enough, places, counts).clamp(min=1) for places in (center, moved))
    times = torch.arange(frames.shape[1], device=frames.device) + 0.5  # the middles of frames
    after = center + (times - moved) * (counts - center) / (counts - moved).clamp(min=1)
    source = torch.where(times < moved, times * center / moved, after) - 0.5
    source = torch.where(times < counts, torch.minimum(source.clamp(min=0), counts - 1), times - 0.5)
    below = source.long()
    share = (source - below)[..., None]
    above = (below + 1).clamp(max=frames.shape[1] - 1)
    first, second = (frames.gather(1, places[..., None].expand_as(frames)) for places in (below, above))
    return first.lerp(second, share)


def _spans(sizes: Tensor, size: int, widest: Tensor, counts: Tensor) -> Tensor:
    """Draw `counts` (B,) spans in the first `sizes` (B,) of `size` places, each shorter than `widest` (B,): (B, size) bool."""
    most = int(counts.max())
    draws = _drawn(sizes, 2, len(sizes), most)
    widths = (draws[0] * torch.minimum(widest, sizes)[:, None]).long()
    starts = (draws[1] * (sizes[:, None] - widths + 1)).long()
    drawn = torch.arange(most, device=sizes.device) < counts[:, None]
    places = torch.arange(size, device=sizes.device)
    inside = (places >= starts[..., None]) & (places < (starts + widths)[..., None]) & drawn[..., None]
    return inside.any(1)


def _drawn(like: Tensor, *size: int) -> Tensor:
    """Draw from 0 to 1 where a tensor is, from the stream that dropout draws from: `side_by_side` opens it for each update."""
    return torch.empty(size, device=like.device).uniform_()
