"""Where a model's own predictions take over from one another in a recording, from the alignment posteriors that it shows.

Windows of 1.28 s, as CPC learns from, every 0.64 s: in each, every position foresees the next M frames. How likely two neighboring frames
have different predictions is averaged over all positions that foresee both. The first and the last of the M frames have the first and the
last prediction for certain, so how likely a change is depends on how far ahead it is: what is usual at a distance is taken off first, or
frames that are not foreseen from everywhere (the first of a recording) could not be compared with others.
"""

from collections.abc import Collection, Iterator
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foresay.contracts import Batch, SpeechModel
from foresay.corpora.batches import load_windows
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import Segment, Window
from foresay.encoding.subjects import Subject
from foresay.evaluation.segmentation.boundary_cues import Curve, add_at_frames, taking_over
from foresay.progress import ProgressBar

POSTERIOR = "alignment_posterior"
WINDOW = 1.28
"""Seconds."""


def posterior_curves(
    subject: Subject, manifest: Manifest, items: Collection[int], device: str = "cpu"
) -> Iterator[tuple[int, Curve, NDArray[np.float64]]]:
    """Yield item, curve (T - 1,) and times (T - 1,) in seconds of each two neighboring frames, of each of some items."""
    model = subject.extractor
    assert isinstance(model, SpeechModel)  # noqa: S101 - only such are asked
    period, lengths = model.hop(model.layer_names[0]), torch.from_numpy(manifest.lengths(model.sample_rate))
    windows = _windows(manifest, sorted(items), model.sample_rate, period)
    encoded = _encode(subject, manifest, windows, device)
    for item, parts in groupby(encoded, key=lambda part: part[0].segments[0].item):
        frames = int(model.frame_count(lengths[item], model.layer_names[0]))
        sums, counts = np.zeros((2, max(frames - 1, 0)))
        for window, changes in parts:
            first = window.segments[0].start // period
            add_at_frames(changes, sums[first:], counts[first:])
        edges = model.first_center + (np.arange(len(sums)) + 0.5) * period
        yield item, sums / np.maximum(counts, 1.0), edges / model.sample_rate


def _windows(manifest: Manifest, items: list[int], sample_rate: int, period: int) -> list[Window]:
    """Cut recordings into windows that begin at whole frames and overlap by half; the last one ends with its recording."""
    size, step = (round(share * WINDOW * sample_rate / period) * period for share in (1.0, 0.5))
    lengths = manifest.lengths(sample_rate).tolist()
    windows = []
    for item in items:
        last = max(0, lengths[item] - size) // period * period
        starts = [*range(0, last, step), last]
        speaker = int(manifest.speaker_codes[item])
        windows += [Window(speaker, (Segment(item, start, min(start + size, lengths[item])),)) for start in starts]
    return windows


def _encode(subject: Subject, manifest: Manifest, windows: list[Window], device: str) -> Iterator[tuple[Window, NDArray[np.float64]]]:
    """Yield each window with how much likelier than usual a change is: (W, M - 1)."""
    model = subject.extractor
    assert isinstance(model, SpeechModel)  # noqa: S101
    size = round(WINDOW * model.sample_rate)
    for first in ProgressBar(range(0, len(windows), model.group), f"aligning, {subject.name}", "batch"):
        part = windows[first : first + model.group]
        company = [part[i % len(part)] for i in range(model.group)]  # negatives come from a whole group
        waveforms, _ = load_windows(manifest, company, model.sample_rate).audio
        padded = functional.pad(waveforms, (0, max(0, size - waveforms.shape[1])))
        with torch.no_grad():
            changes = taking_over(model.inspect(_batch(padded).to(device))[POSTERIOR].double())  # (g, W, M - 1)
        unusual = (changes - changes.mean(dim=(0, 1))).cpu().numpy()
        yield from zip(part, unusual, strict=False)


def _batch(waveforms: Tensor) -> Batch:
    """Make a group of (g, S) waveforms a batch, whose negatives are always drawn alike."""
    group, samples = waveforms.shape
    lengths = torch.full((group,), samples)
    return Batch(ids=("",) * group, waveforms=waveforms, lengths=lengths, keys=torch.arange(group), speakers=torch.zeros_like(lengths))
