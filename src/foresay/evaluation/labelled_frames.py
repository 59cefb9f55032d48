"""Frames and their phones: the label of a frame is the phone whose interval holds the time at the frame's center."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Batch, Frames
from foresay.corpora.alignments import labels_at
from foresay.corpora.manifest import Manifest
from foresay.corpora.sampling import Window
from foresay.errors import UserError
from foresay.evaluation.measure import Subject

UNLABELLED = -1


@dataclass(frozen=True)
class LabelledFrames:
    """The N frames of some windows that have a label, of one layer."""

    features: Tensor
    """(N, D)."""
    labels: Tensor
    """(N,) int64."""
    utterances: Tensor
    """(N,) int64: places in the manifest."""


class PhoneLabels:
    """The phones of a corpus as classes."""

    def __init__(self, manifest: Manifest, vocabulary: Mapping[str, int]) -> None:
        self.manifest = manifest
        self.vocabulary = vocabulary

    def of_window(self, window: Window, centers: NDArray[np.float64], sample_rate: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Class and utterance of each of T frames, from their centers (T,) in samples of the window.

        A window may run over several utterances: each center is carried back to the one it lies in. Where no phone is, the class is -1.
        """
        labels = np.full(len(centers), UNLABELLED)
        utterances = np.full(len(centers), window.segments[0].item)
        begin = 0
        for item, start, stop in window.segments:
            inside = (centers >= begin) & (centers < begin + stop - start)
            phones = self.manifest[item].phones
            if phones:
                labels[inside] = labels_at(phones, (centers[inside] - begin + start) / sample_rate, self.vocabulary)
            utterances[inside] = item
            begin += stop - start
        return labels, utterances

    def of_recordings(self, period: float = 0.01) -> Iterator[NDArray[np.int64]]:
        """Classes of each utterance on a clock of its own, frames centered on half a period, one and a half, …"""
        for item in self.manifest:
            if item.phones:
                yield labels_at(item.phones, np.arange(period / 2, item.duration, period), self.vocabulary)
            else:
                yield np.full(0, UNLABELLED)


def labelled_frames(subject: Subject, batch: Batch, windows: Sequence[Window], phones: PhoneLabels) -> dict[str, LabelledFrames]:
    """Hear a batch: the labelled frames of each layer asked for."""
    assert batch.waveforms is not None  # noqa: S101 - it was read from windows
    assert batch.lengths is not None  # noqa: S101
    with torch.no_grad():
        frames = subject.extractor.features(batch.waveforms, batch.lengths, subject.layers)
    return {layer: _of_layer(subject, frames, layer, windows, phones) for layer in subject.layers}


def _of_layer(subject: Subject, frames: Frames, layer: str, windows: Sequence[Window], phones: PhoneLabels) -> LabelledFrames:
    values = frames.values[layer]  # (B, T, D)
    extractor = subject.extractor
    centers = extractor.first_center + np.arange(values.shape[1]) * (extractor.sample_rate / frames.frame_rate[layer])
    labels, utterances = (
        np.stack(both) for both in zip(*(phones.of_window(window, centers, extractor.sample_rate) for window in windows), strict=True)
    )
    beyond = np.arange(values.shape[1]) >= frames.lengths[layer].cpu().numpy()[:, None]
    labels[beyond] = UNLABELLED
    labelled = torch.from_numpy(labels != UNLABELLED).to(values.device)
    features = values[labelled].float()
    if not features.isfinite().all():
        first = int((~values.isfinite().all(dim=-1) & labelled).nonzero()[0, 0])
        names = ", ".join(phones.manifest.ids[segment.item] for segment in windows[first].segments)
        msg = f"layer {layer} of {subject.name} is not finite on {names}: has the model diverged, or is the recording damaged?"
        raise UserError(msg)
    known = labels != UNLABELLED
    return LabelledFrames(
        features,
        torch.from_numpy(labels[known]).to(values.device),
        torch.from_numpy(utterances[known]).to(values.device),
    )
