"""A map of whole items: t-SNE of clips, pictures, or both halves of pairs, for a report to color by class and mark by modality.

    unit vectors (N, D), sounds and pictures together --> t-SNE --> (N, 2), in `details` with classes and modalities

If only the class counted, sounds and pictures of one would lie among each other; if only the modality, they would lie in two heaps. How far
the map can be trusted is its value, as in `tsne.py`; the map itself proves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np
import torch

from foresay import draws
from foresay.contracts import Extractor
from foresay.encoding.labelled_frames import UNLABELLED
from foresay.encoding.subjects import Subject, with_untrained
from foresay.evaluation.geometry.tsne import TRUST, make_map
from foresay.evaluation.items.items import ItemProtocol, item_vectors, shared_modalities
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import NO_RANK, Metric, Result
from foresay.settings import require_positive


@dataclass(frozen=True)
class ItemMapProtocol(ItemProtocol):
    """What the points are."""

    points: int = 1000
    """At most, of both modalities together; items are drawn at random, the same for every model."""

    def __post_init__(self) -> None:
        require_positive(self, "points")


class ItemMap(Measure[ItemMapProtocol]):
    """A map of items in every layer, and how far it can be trusted."""

    name = "item_map"
    protocols: ClassVar[Mapping[str, ItemMapProtocol]] = {
        "mean": ItemMapProtocol("mean", "mean"),
        "last": ItemMapProtocol("last", "last"),
    }
    metrics: ClassVar[Mapping[str, Metric]] = {TRUST: NO_RANK}

    def serves(self, model: Extractor, corpora: Corpora) -> bool:
        """Whether the corpus has anything that the model can be given."""
        return bool(shared_modalities(model, corpora.test))

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Encode `corpora.test`; nothing is fitted but the map. Items without a class are drawn without a color.

        Raises:
            UserError: there are too few points; an item lacks a half; scikit-learn is missing; a layer is not finite.
        """
        test = corpora.test
        names = [item.label for item in test]
        classes = sorted({name for name in names if name is not None})
        labels = np.array([UNLABELLED if name is None else classes.index(name) for name in names])
        order = draws.stream("items of a map", seed).permutation(len(test))
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter())
            vectors = item_vectors(subject, test, self.protocol.pooling, device)
            drawn = np.sort(order[: self.protocol.points // len(vectors)])
            for layer in subject.layers:
                halves = {modality: layers[layer][torch.from_numpy(drawn)] for modality, layers in vectors.items()}
                if len({half.shape[1] for half in halves.values()}) > 1:
                    continue  # they are of two spaces, and no map holds both
                found = make_map(torch.cat(list(halves.values())), np.tile(labels[drawn], len(halves)), classes, seed)
                marks = {"modalities": list(halves), "marks": np.repeat(np.arange(len(halves)), len(drawn)).tolist()}
                results.append(self.row(subject, layer, found.metric, found.value, found.interval, where, **found.details, **marks))
        return results
