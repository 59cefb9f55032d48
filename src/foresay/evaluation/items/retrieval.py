"""Which picture belongs to this sound, and which sound to this picture? The nearest by cosine, of all items of a corpus of pairs.

    R@1_audio_to_image          share of sounds whose own picture is the nearest          R@5: is among the five nearest
    class_R@1_audio_to_image    share of sounds whose nearest picture is of their class
    ..._image_to_audio          from pictures to sounds

Where vectors lie equally near, the order is a draw, and the share is what it is on average: what maps everything to one point is at
chance. Chance is reported as the model `chance`. A pair can be found among others of its class only if its halves share more than a class.
"""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from foresay.contracts import Extractor, Modality
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.items.items import PROTOCOLS, ItemProtocol, item_vectors, shared_modalities
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import Metric, Result
from foresay.statistics.estimates import Statistic
from foresay.statistics.intervals import bootstrap

CHANCE = "chance"
FIRST = (1, 5)
"""How many of the nearest are looked at."""
AT_ONCE = 1000
"""Queries whose similarities are held at once."""
DIGITS = 9
"""Of a cosine; what differs less lies equally near."""
DIRECTIONS: Sequence[tuple[Modality, Modality]] = (("audio", "image"), ("image", "audio"))


class Retrieval(Measure[ItemProtocol]):
    """Recall among the nearest, in both directions."""

    name = "retrieval"
    protocols: ClassVar[Mapping[str, ItemProtocol]] = PROTOCOLS
    metrics: ClassVar[Mapping[str, Metric]] = {
        f"{whose}@{first}_{source}_to_{target}": Metric("higher", "%", headline=(whose, first) == ("R", 1))
        for whose in ("R", "class_R")
        for first in FIRST
        for source, target in DIRECTIONS
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:
        """Whether there are pairs, and the model takes both halves."""
        return len(shared_modalities(model, corpora.test)) == len(DIRECTIONS)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Search in `corpora.test`; nothing is learnt. Without classes the rows by class are missing.

        Raises:
            UserError: a model or the corpus has one modality only; an item lacks a half; a layer is not finite.
        """
        test = corpora.test
        names = [item.label for item in test]
        labels = None if None in names else np.unique(np.array(names), return_inverse=True)[1].reshape(-1)
        results: dict[tuple[str, str, str], Result] = {}
        for subject in with_untrained(subjects):
            self._refuse_one(subject, corpora)
            where = Where("test", test, seed, perf_counter(), Population("items", test.ids))
            vectors = item_vectors(subject, test, self.protocol.pooling, device)
            for layer in subject.layers:
                for source, target in DIRECTIONS:
                    for found in retrieval(vectors[source][layer], vectors[target][layer], labels, seed):
                        metric, about = f"{found.metric}_{source}_to_{target}", found.details
                        row = self.row(subject, layer, metric, found.value, found.interval, where, **about)
                        chance = self.row(Subject(CHANCE, subject.model, ()), "none", metric, about["chance"], None, where, **about)
                        results |= {(subject.name, layer, metric): row, (CHANCE, "none", metric): chance}
        return sorted(results.values(), key=lambda row: row.model == CHANCE)

    def _refuse_one(self, subject: Subject, corpora: Corpora) -> None:
        if not self.serves(subject.model, corpora):
            alone = len(subject.model.modalities) < len(DIRECTIONS)
            who = f"{subject.name} takes {subject.model.modalities[0]} alone" if alone else f"{corpora.test.name} has no pairs of both"
            msg = (
                f"retrieval goes from sounds to pictures and back, and {who}: use a model trained with model.modalities = both, and a "
                "corpus of pairs (such as `foresay corpus make bars`)"
            )
            raise UserError(msg)


def retrieval(queries: Tensor, candidates: Tensor, labels: ArrayLike | None = None, seed: int = 0) -> list[Statistic]:
    """Search for the candidate (N, D) that belongs to each query (N, D), in the same place, and with `labels` (N,) for any of its class.

    Details: `items`, and `chance`: what is reached at random.

    Raises:
        UserError: the two are not of one size.
    """
    if queries.shape != candidates.shape:
        msg = f"vectors of shape {tuple(queries.shape)} and {tuple(candidates.shape)} have no cosine: the layer must be as wide in both"
        raise UserError(msg)
    own = np.arange(len(queries))
    wanted = {"R": own} if labels is None else {"R": own, "class_R": np.asarray(labels)}
    findings = []
    for name, classes in wanted.items():
        ranks = [torch.cat(parts) for parts in zip(*_compared(queries, candidates, torch.from_numpy(classes)), strict=True)]
        everyone, alike = torch.zeros(len(own)), torch.from_numpy(np.bincount(classes)[classes]).double()
        for first in FIRST:
            hits = _hits(*ranks, first=first).numpy()
            chance = float(_hits(everyone, torch.full_like(alike, len(own)), alike, first=first).mean())
            about = {"items": len(own), "chance": chance}
            findings.append(Statistic(f"{name}@{first}", float(hits.mean()), bootstrap(hits, np.ones_like(hits), seed=seed), about))
    return findings


def _compared(queries: Tensor, candidates: Tensor, classes: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of some queries each: how many candidates are nearer than the nearest wanted, how many as near, and of those how many are wanted."""
    units, others = (functional.normalize(vectors.double(), dim=-1) for vectors in (queries, candidates))
    for some, own in zip(units.split(AT_ONCE), classes.split(AT_ONCE), strict=True):
        cosines = (some @ others.T).round(decimals=DIGITS)
        wanted = own[:, None] == classes
        best = torch.where(wanted, cosines, -torch.inf).amax(dim=1, keepdim=True)
        tied = cosines == best
        yield (cosines > best).sum(dim=1).double(), tied.sum(dim=1).double(), (tied & wanted).sum(dim=1).double()


def _hits(nearer: Tensor, tied: Tensor, wanted: Tensor, *, first: int) -> Tensor:
    """How likely one of the wanted is among the `first`, if the tied come in any order: (N,)."""
    missed = torch.ones_like(tied)
    for drawn in range(first):
        places = nearer + drawn < first  # is there room for another of the tied?
        missed = torch.where(places, missed * (tied - wanted - drawn).clamp(min=0) / (tied - drawn).clamp(min=1), missed)
    return 1 - missed
