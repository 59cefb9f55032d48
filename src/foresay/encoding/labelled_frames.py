"""Frames and their phones: the label of a frame is the phone whose interval holds the time at the frame's center."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Batch, Frames
from foresay.corpora.alignments import labels_at
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import Window
from foresay.encoding.subjects import Subject
from foresay.errors import UserError

UNLABELLED = -1


class SubjectLayer(NamedTuple):
    """A layer of a subject."""

    subject: Subject
    layer: str


class LabelledFrames(NamedTuple):
    """The N frames of some windows that have a label, at one place."""

    features: Tensor
    """(N, D) float32."""
    labels: Tensor
    """(N,) int64."""
    utterances: Tensor
    """(N,) int64: places in the manifest."""


class PhoneLabels:
    """The phones of a corpus as classes, on the clock of any window or recording."""

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
            phones = self.manifest[item].phones or ()
            labels[inside] = labels_at(phones, (centers[inside] - begin + start) / sample_rate, self.vocabulary)
            utterances[inside] = item
            begin += stop - start
        return labels, utterances

    def of_recordings(self, period: float = 0.01) -> Iterator[NDArray[np.int64]]:
        """Yield each utterance's classes (T,) at half a period, one and a half, … (seconds)."""
        for item in self.manifest:
            yield labels_at(item.phones or (), np.arange(period / 2, item.duration, period), self.vocabulary)


def encode_labelled(
    subjects: Sequence[Subject], batch: Batch, windows: Sequence[Window], phones: PhoneLabels
) -> Iterator[tuple[SubjectLayer, LabelledFrames]]:
    """Yield the labelled frames of each layer asked for of each subject, where there are any."""
    for subject in subjects:
        frames = subject.encode(batch)
        for layer in subject.layers:
            place = SubjectLayer(subject, layer)
            labelled = _labelled(place, frames, windows, phones)
            if len(labelled.labels):
                yield place, labelled


def _labelled(place: SubjectLayer, frames: Frames, windows: Sequence[Window], phones: PhoneLabels) -> LabelledFrames:
    extractor, values = place.subject.extractor, frames.values[place.layer]  # (B, T, D)
    times = np.arange(values.shape[1], dtype=np.float64)
    centers = extractor.first_center + times * (extractor.sample_rate / frames.frame_rate[place.layer])
    both = [phones.of_window(window, centers, extractor.sample_rate) for window in windows]
    labels, utterances = (np.stack(rows) for rows in zip(*both, strict=True))  # (B, T)
    known = (labels != UNLABELLED) & (times < frames.lengths[place.layer].cpu().numpy()[:, None])
    features = values[torch.from_numpy(known).to(values.device)].float()
    if not features.isfinite().all():
        broken = int((~features.isfinite().all(dim=1)).nonzero()[0])
        msg = (
            f"layer {place.layer} of {place.subject.name} is not finite on {phones.manifest.ids[utterances[known][broken]]}: "
            "the model has diverged, or the recording is damaged (`foresay corpus check` says)"
        )
        raise UserError(msg)
    return LabelledFrames(features, *(torch.from_numpy(array[known]).to(values.device) for array in (labels, utterances)))
