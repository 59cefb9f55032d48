"""Linear separability of items: how often a linear classifier names the class of a clip or a picture from one vector of it.

    train items --> model (frozen) --> one vector each --> LinearProbe of `probe:converged`, one for each modality
    test items  --> the same       --> accuracy of the modality that it learnt (accuracy_audio), and of the other: accuracy_audio_to_image

What is read off across modalities lies at the same place in both. The vectors are standardized as those were that the probe learnt from: if
pictures lie beside the sounds of their class, and not among them, the probe of sounds fails there, and shall.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from foresay.contracts import Extractor, Modality
from foresay.corpora.manifest import Manifest
from foresay.encoding.labelled_frames import LabelledFrames
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.items.items import PROTOCOLS, ItemProtocol, item_labels, item_vectors, shared_modalities
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.evaluation.probes.frame_accuracy import FrameAccuracy
from foresay.evaluation.probes.linear_probe import CONVERGED, fit_probe
from foresay.evaluation.probes.probe import GAIN, MAJORITY
from foresay.results import Metric, Result


class ItemProbe(Measure[ItemProtocol]):
    """Class accuracy of a linear probe on every layer, in each modality and across."""

    name = "item_probe"
    protocols: ClassVar[Mapping[str, ItemProtocol]] = PROTOCOLS
    metrics: ClassVar[Mapping[str, Metric]] = {
        name: metric
        for accuracy in ("audio", "image", "audio_to_image", "image_to_audio")
        for name, metric in {
            f"accuracy_{accuracy}": Metric("higher", "%", headline="_to_" not in accuracy),
            f"{GAIN} in accuracy_{accuracy}": Metric("higher", "%"),
        }.items()
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:
        """Whether the corpus has anything that the model can be given."""
        return bool(shared_modalities(model, corpora.test))

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Train on `corpora.train`, test on `corpora.test`, whose classes must all be in it.

        Raises:
            UserError: a corpus or a class is missing, or there is one class only; an item has no class, or lacks a half.
        """
        train, test = _parts(corpora)
        results: list[Result] = []
        found: dict[_Place, FrameAccuracy] = {}
        for subject in with_untrained(subjects):
            started = perf_counter()
            vectors, tested = (item_vectors(subject, part.manifest, self.protocol.pooling, device) for part in (train, test))
            for place, split, right in _probe(subject, vectors, tested, train, test, seed):
                part = train if split == "train" else test
                where = Where(split, part.manifest, seed, started, Population("items", part.manifest.ids))
                results.append(self._row(place, right, where, train))
                if split == "test":
                    found[place] = right
        where = Where("test", test.manifest, seed, perf_counter(), Population("items", test.manifest.ids))
        gains = [self._gain(place, right, found, where, train) for place, right in found.items() if place.subject.untrained]
        rows = [*results, *filter(None, gains), *self._majority(subjects, found, where, train, test)]
        return sorted(rows, key=lambda row: "_to_" in row.metric)  # within a modality first

    def _row(self, place: "_Place", right: FrameAccuracy, where: Where, train: "_Part") -> Result:
        interval = right.interval(where.seed)
        return self.row(place.subject, place.layer, place.metric, right.value, interval, where, **_about(right, train))

    def _gain(
        self, place: "_Place", right: FrameAccuracy, found: Mapping["_Place", FrameAccuracy], where: Where, train: "_Part"
    ) -> Result | None:
        """What was gained over the untrained copy."""
        copy = found.get(_Place(place.subject.untrained, place.layer, place.metric)) if place.subject.untrained else None
        if copy is None:
            return None
        gained, interval = right.value - copy.value, right.interval_of_gain(copy, where.seed)
        return self.row(place.subject, place.layer, f"{GAIN} in {place.metric}", gained, interval, where, **_about(right, train))

    def _majority(
        self, subjects: Sequence[Subject], found: Mapping["_Place", FrameAccuracy], where: Where, train: "_Part", test: "_Part"
    ) -> list[Result]:
        """What is reached by always naming the class that is the most frequent in training."""
        right = FrameAccuracy(len(test.manifest))
        right.add(LabelledFrames(test.labels, test.labels, torch.arange(len(test.labels))), train.labels.bincount().argmax())
        metrics = dict.fromkeys(place.metric for place in found)
        return [self._row(_Place(Subject(MAJORITY, subjects[0].model, ()), "none", metric), right, where, train) for metric in metrics]


@dataclass(frozen=True)
class _Part:
    """Items and their classes."""

    manifest: Manifest
    labels: Tensor
    """(N,) int64."""
    classes: int


@dataclass(frozen=True)
class _Place:
    """What a number is of."""

    subject: Subject
    layer: str
    metric: str


def _probe(
    subject: Subject,
    vectors: Mapping[Modality, Mapping[str, Tensor]],
    tested: Mapping[Modality, Mapping[str, Tensor]],
    train: _Part,
    test: _Part,
    seed: int,
) -> Iterator[tuple[_Place, str, FrameAccuracy]]:
    """Train a probe for each modality and layer; yield how it does on what it learnt from, and on each modality of the test."""
    for source, layers in vectors.items():
        for layer, inputs in layers.items():
            probe = fit_probe(inputs, train.labels, classes=train.classes, protocol=CONVERGED, seed=seed)
            yield _Place(subject, layer, f"accuracy_{source}"), "train", _count(probe.predict(inputs), train)
            for target, others in tested.items():
                if others[layer].shape[1] == inputs.shape[1]:
                    metric = f"accuracy_{source}" if source == target else f"accuracy_{source}_to_{target}"
                    yield _Place(subject, layer, metric), "test", _count(probe.predict(others[layer]), test)


def _count(predicted: Tensor, part: _Part) -> FrameAccuracy:
    right = FrameAccuracy(len(part.manifest))
    right.add(LabelledFrames(predicted, part.labels, torch.arange(len(part.labels))), predicted)
    return right


def _about(right: FrameAccuracy, train: _Part) -> dict[str, Any]:
    return {"items": right.frames, "classes": train.classes, "trained_on": train.manifest.name}


def _parts(corpora: Corpora) -> tuple[_Part, _Part]:
    train, test = corpora.both("the item probe")
    known, asked = (item_labels(manifest) for manifest in (train, test))
    names = sorted(set(known))
    if unseen := sorted(set(asked) - set(names)):
        msg = (
            f"{len(unseen)} of the {len(set(asked))} classes of {test.name} are not in {train.name}, which has {', '.join(names[:8])}: "
            f"{', '.join(unseen[:8])}. No classifier could name them: are the two of one corpus?"
        )
        raise UserError(msg)
    if len(names) < 2:  # noqa: PLR2004 - one cannot be mistaken for another
        msg = f"all items of {train.name} are of the class {names[0]!r}: there is nothing to classify"
        raise UserError(msg)
    codes = (torch.from_numpy(np.searchsorted(names, labels)) for labels in (known, asked))
    return _Part(train, next(codes), len(names)), _Part(test, next(codes), len(names))
