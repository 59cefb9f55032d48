"""Right frames of labelled frames, utterance by utterance, so that an interval can be drawn over utterances."""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.encoding.labelled_frames import UNLABELLED, LabelledFrames, PhoneLabels
from foresay.statistics.intervals import ConfidenceInterval, bootstrap, bootstrap_difference


class FrameAccuracy:
    """Counts of U utterances. They stay where the frames are, so that a GPU need not be waited for."""

    def __init__(self, utterances: int, device: torch.device | str = "cpu") -> None:
        self._right = torch.zeros(utterances, dtype=torch.int64, device=device)
        self._labelled = torch.zeros(utterances, dtype=torch.int64, device=device)

    def add(self, frames: LabelledFrames, predicted: Tensor) -> None:
        """Count frames, of which the classes `predicted` (N,) were named."""
        self._right.index_add_(0, frames.utterances, (predicted == frames.labels).long())
        self._labelled.index_add_(0, frames.utterances, torch.ones_like(frames.labels))

    @property
    def frames(self) -> int:
        """Labelled frames."""
        return int(self._labelled.sum())

    @property
    def value(self) -> float:
        """Share of the labelled frames that were right."""
        return int(self._right.sum()) / self.frames

    def interval(self, seed: int) -> ConfidenceInterval:
        """Where the value would lie with other utterances, 95 times in 100."""
        return bootstrap(*self._counts(), seed=seed)

    def interval_of_gain(self, other: Self, seed: int) -> ConfidenceInterval:
        """The same for this value minus another's on the same utterances."""
        return bootstrap_difference(*self._counts(), *other._counts(), seed=seed)

    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._right.cpu().numpy(), self._labelled.cpu().numpy()


def majority_class(train: PhoneLabels, test: PhoneLabels) -> tuple[FrameAccuracy, FrameAccuracy]:
    """Always name the class that is the most frequent in training: what is reached without features. Frames of 10 ms, of all recordings."""
    counts = sum(np.bincount(labels[labels != UNLABELLED], minlength=len(train.vocabulary)) for labels in train.of_recordings())
    most_frequent = torch.tensor(int(np.argmax(counts)))
    accuracies = FrameAccuracy(len(train.manifest)), FrameAccuracy(len(test.manifest))
    for phones, accuracy in zip((train, test), accuracies, strict=True):
        for utterance, labels in enumerate(phones.of_recordings()):
            known = torch.from_numpy(labels[labels != UNLABELLED])
            accuracy.add(LabelledFrames(known, known, torch.full_like(known, utterance)), most_frequent)
    return accuracies
