"""Counting right frames, and the majority class, against loops."""

from pathlib import Path

import torch

from foresay.encoding.labelled_frames import LabelledFrames, PhoneLabels
from foresay.evaluation.probes.frame_accuracy import FrameAccuracy, majority_class
from reference.levels import PHONES, write_corpus

CLASSES = {name: index for index, name in enumerate(PHONES)}


def test_counts_are_of_utterances() -> None:
    accuracy = FrameAccuracy(3)
    labels = torch.tensor([0, 1, 1, 2])
    accuracy.add(LabelledFrames(torch.zeros(4, 1), labels, torch.tensor([0, 0, 2, 2])), torch.tensor([0, 0, 1, 2]))
    accuracy.add(LabelledFrames(torch.zeros(4, 1), labels, torch.tensor([2, 2, 2, 2])), torch.tensor([0, 0, 0, 0]))
    assert accuracy.frames == 8
    assert accuracy.value == 4 / 8
    assert accuracy.interval(seed=0) == ()  # of two utterances
    assert accuracy.interval(seed=0).places.tolist() == [0, 2]


def test_intervals_are_over_utterances_with_labels() -> None:
    accuracy = FrameAccuracy(8)
    utterances = torch.tensor([0, 1, 3, 4, 6, 7]).repeat_interleave(4)
    predicted = torch.tensor([1, 1, 1, 0]).repeat(6)
    predicted[:2] = 0  # of the first utterance one frame in four is right, of the others three
    accuracy.add(LabelledFrames(torch.zeros(24, 1), torch.ones(24, dtype=torch.int64), utterances), predicted)
    interval = accuracy.interval(seed=0)
    assert interval.places.tolist() == [0, 1, 3, 4, 6, 7]
    assert 1 / 4 < interval[0] < accuracy.value == 16 / 24 < interval[1] == 3 / 4
    assert accuracy.interval_of_gain(accuracy, seed=0) == (0.0, 0.0)


def test_the_majority_class_is_exact(tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train.jsonl", 5, seed=1)
    test = write_corpus(tmp_path / "test.jsonl", 3, seed=2)

    def classes(manifest: object) -> list[str]:
        """Frame by frame, by a loop over phones."""
        found = []
        for item in manifest:
            times = [0.005 + 0.01 * t for t in range(round(item.duration / 0.01 + 0.5)) if 0.005 + 0.01 * t < item.duration]
            found += [next(phone.label for phone in item.phones if phone.start <= time < phone.end) for time in times]
        return found

    learnt, tested = classes(train), classes(test)
    most = max(PHONES, key=learnt.count)
    train_accuracy, test_accuracy = majority_class(PhoneLabels(train, CLASSES), PhoneLabels(test, CLASSES))
    assert (train_accuracy.frames, test_accuracy.frames) == (len(learnt), len(tested))
    assert train_accuracy.value == learnt.count(most) / len(learnt)
    assert test_accuracy.value == tested.count(most) / len(tested)
