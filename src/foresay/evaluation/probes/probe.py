"""Linear phone separability: the share of frames whose phone a linear classifier names rightly, the model being frozen.

    train windows   -> model (eval mode) -> layer (N, D) -> LinearProbe learns the phone at each frame's center
    test recordings -> the same                          -> accuracy = right frames / labelled frames

The protocol `paper` is that of CPC's reference code (eval/linear_separability.py), which Table 2 and Figure 5 of the ACPC paper use:
windows joined over a speaker's utterances and cut elsewhere each epoch, the model's state new in each; one linear layer, softmax, Adam.
Departures, all of them repairs: accuracies are not divided by one batch too few; a test recording is cut from its start, by itself;
a frame's label is that at its center, wherever its window begins. `converged` learns until nothing is gained; the `-carried` protocols do
not cut recordings: see `linear_probe.py`.

All layers of all subjects learn in one pass over the audio. Beside them stands what is reached without features: the majority class.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import perf_counter
from typing import Any, ClassVar

from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.labelled_frames import PhoneLabels, SubjectLayer
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.evaluation.probes.frame_accuracy import FrameAccuracy, majority_class
from foresay.evaluation.probes.linear_probe import CONVERGED, CONVERGED_CARRIED, PAPER, PAPER_CARRIED, ProbeProtocol
from foresay.evaluation.probes.probe_learning import Learner, encode_batches, learn
from foresay.results import Metric, Result
from foresay.statistics.intervals import ConfidenceInterval

MAJORITY = "majority class"
ACCURACY, GAIN = "accuracy", "gain over untrained"


class Probe(Measure[ProbeProtocol]):
    """Phone accuracy of a linear probe on every layer, and what it gains over an untrained copy."""

    name = "probe"
    protocols: ClassVar[Mapping[str, ProbeProtocol]] = {p.name: p for p in (PAPER, CONVERGED, PAPER_CARRIED, CONVERGED_CARRIED)}
    metrics: ClassVar[Mapping[str, Metric]] = {ACCURACY: Metric("higher", "%", headline=True), GAIN: Metric("higher", "%")}

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Train on `corpora.train`, test on `corpora.test`.

        Raises:
            UserError: a corpus is missing, lacks phones or is too small; a layer gives numbers that are not finite.
        """
        started = perf_counter()
        train, test = _phones(corpora)
        learners: dict[SubjectLayer, Learner] = {}
        tested: dict[SubjectLayer, FrameAccuracy] = {}
        everyone = with_untrained(subjects)
        for _, group in groupby(sorted(everyone, key=_sample_rate), key=_sample_rate):
            same_rate = list(group)  # those that can encode the same batch
            learners |= learn(self.protocol, same_rate, train, seed, device)
            _refuse_unlabelled(same_rate, learners, train.manifest)
            for place, frames in encode_batches(self.protocol, same_rate, test, device, title="testing"):
                predicted = learners[place].probe.predict(frames.features)
                tested.setdefault(place, FrameAccuracy(len(test.manifest), device)).add(frames, predicted)
            _refuse_unlabelled(same_rate, tested, test.manifest)
        rows = _Rows(self, train, test, seed, started)
        accuracies = [row for place in learners for row in rows.accuracies(place, learners[place], tested[place])]
        gains = [rows.gain(s, s.untrained, layer, tested) for s in subjects if s.untrained for layer in s.layers]
        majority = SubjectLayer(Subject(MAJORITY, subjects[0].model, ()), "none")
        return accuracies + gains + rows.both(majority, *majority_class(train, test))


@dataclass(frozen=True)
class _Rows:
    """Writes counts down as results."""

    probe: Probe
    train: PhoneLabels
    test: PhoneLabels
    seed: int
    started: float

    def accuracies(self, place: SubjectLayer, learner: Learner, tested: FrameAccuracy) -> list[Result]:
        return self.both(place, learner.train, tested, updates=learner.probe.updates)

    def gain(self, subject: Subject, untrained: Subject, layer: str, tested: Mapping[SubjectLayer, FrameAccuracy]) -> Result:
        learnt, copy = tested[SubjectLayer(subject, layer)], tested[SubjectLayer(untrained, layer)]
        interval = learnt.interval_of_gain(copy, self.seed)
        return self._row(SubjectLayer(subject, layer), GAIN, "test", learnt.value - copy.value, interval, frames=learnt.frames)

    def both(self, place: SubjectLayer, train: FrameAccuracy, test: FrameAccuracy, **details: int) -> list[Result]:
        return [
            self._row(place, ACCURACY, split, right.value, right.interval(self.seed), frames=right.frames, **details)
            for split, right in (("train", train), ("test", test))
        ]

    def _row(self, place: SubjectLayer, metric: str, split: str, value: float, interval: ConfidenceInterval, **details: int) -> Result:
        about: dict[str, Any] = {"classes": len(self.train.vocabulary), "trained_on": self.train.manifest.name, **details}
        if split == "test":
            about["unseen_phones"] = sorted(self.test.vocabulary.keys() - self.train.vocabulary.keys())
        where = Where(split, (self.train if split == "train" else self.test).manifest, self.seed, self.started)
        return self.probe.row(place.subject, place.layer, metric, value, interval, where, **about)


def _phones(corpora: Corpora) -> tuple[PhoneLabels, PhoneLabels]:
    """Give the phones of the training corpus numbers; those that only the test corpus has come after, and no probe ever names them."""
    train, test = corpora.both("the probe")
    if train.phone_set and test.phone_set and train.phone_set != test.phone_set:
        msg = (
            f"{train.name} is labelled with the phones of {train.phone_set}, {test.name} with those of {test.phone_set}: import both alike"
        )
        raise UserError(msg)
    known, tested = (_labels(manifest) for manifest in (train, test))
    unseen = [label for label in tested if label not in known]
    classes = {label: index for index, label in enumerate((*known, *unseen))}
    return PhoneLabels(train, {label: classes[label] for label in known}), PhoneLabels(test, classes)


def _labels(manifest: Manifest) -> tuple[str, ...]:
    labels = checked_phones(manifest)
    if not labels:
        msg = (
            f"{manifest.name} has no phone times: no item of it has `phones`, a list of [start, end, label] in seconds. Import the corpus "
            "with phones (`foresay corpus import timit … --phones timit39`) or with alignments; until then only measures that need no "
            "labels work"
        )
        raise UserError(msg)
    return labels


def _refuse_unlabelled(subjects: Iterable[Subject], found: Mapping[SubjectLayer, object], manifest: Manifest) -> None:
    for subject in subjects:
        for layer in subject.layers:
            if SubjectLayer(subject, layer) not in found:
                msg = (
                    f"no frame of {manifest.name} of {subject.name}, layer {layer}, has a phone: "
                    "do the phone times lie within the recordings?"
                )
                raise UserError(msg)


def _sample_rate(subject: Subject) -> int:
    return subject.extractor.sample_rate
