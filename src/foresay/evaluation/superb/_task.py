"""What the tasks of SUPERB share: heads of all learning rates, starts and layers learn from one pass of a frozen model.

    train --> features (`features.py`) --> batches --> all heads, side by side (`side_by_side.py`)
    valid --> features ------------------> now and then: the score of each head; its best weights are kept
    test  --> features ------------------> of each way to add layers, the learning rate that is best on valid: its score, with an interval

Yang et al., "SUPERB: Speech processing Universal PERformance Benchmark" (arXiv:2105.01051). What is learnt is a linear layer, a small head,
and the weight of each layer of the model. The rate is chosen among powers of ten for each model and task, for it decides more than the
model does. A row of results is a way to add layers (`sum`, `normed sum`, or one layer by its name), with the head that was published or
another one. For rankings of models depend on the head (Zaiem et al., arXiv:2306.00452).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, product
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from foresay import draws
from foresay.contracts import Extractor, FeatureExtractor
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError, nearest
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.evaluation.superb.features import FeatureBatch, Features, FeatureStore
from foresay.evaluation.superb.scores import Counted, HeadScores, joined
from foresay.evaluation.superb.side_by_side import SideBySide
from foresay.progress import ProgressBar
from foresay.results import Result
from foresay.settings import require_positive, require_shares

PUBLISHED = "published"
"""The head of the paper."""
SUM, NORMED = "sum", "normed sum"
"""Ways to add layers: as published, and of layers each of whose frames has mean 0 and variance 1."""
BESIDE = ("*-trials.txt", "*-relevant.txt", "documents.jsonl")
"""Lists that lie beside manifests."""
POOL = 8
"""Batches whose recordings are sorted by length before they are cut, so that little is padded."""


@dataclass(frozen=True)
class SuperbProtocol:
    """How heads learn, and how one is chosen."""

    name: str
    updates: int
    batch: int = 32
    """Utterances an update."""
    size: int = 256
    """Of the linear layer that all features go through first."""
    hidden: int = 1024
    """Of what comes after it, where the head has that."""
    depth: int = 1
    """LSTM layers, of a head that has some."""
    dropout: float = 0.0
    """Of what they return."""
    frame: float | None = None
    """Seconds. Where the head takes time, as many frames of a model are put side by side as are about so long; None: each for itself."""
    augment: bool = False
    """Whether features are warped and masked in training (SpecAugment), of a head that does."""
    rates: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
    """Learning rates, all of which are tried."""
    seeds: int = 1
    """Starts of each head; the score is their mean."""
    checks: int = 20
    """How often all heads are scored on valid."""
    heads: tuple[str, ...] = (PUBLISHED,)
    """Kinds of heads."""
    normed: bool = False
    """Whether the published head is also given layers that are normalized."""
    single: bool = False
    """Whether each layer is also measured alone."""
    seconds: float | None = None
    """When learning ends, if it is not done before."""
    slots: Literal["clean", "superb"] = "clean"
    """Which values of slots are compared with which, where there are slots (`statistics/slots.py`)."""
    chosen_on: Literal["valid", "test"] = "valid"
    """What decides which weights and which rate count. By `test` the number is too good; some published ones are."""
    chosen_by: str | None = None
    """The metric that decides; None: the first of the task."""
    decided_on: Literal["valid", "test"] = "valid"
    """What decides on thresholds and the like, where the task has any, once the heads have learnt."""

    def __post_init__(self) -> None:
        require_shares(self, "dropout")
        require_positive(self, "rates", "updates", "batch", "size", "hidden", "depth", "frame", "seeds", "checks", "seconds")


def protocols(published: SuperbProtocol, *, tiny: Mapping[str, Any]) -> dict[str, SuperbProtocol]:
    """Name the protocols of a task: `superb`, as it was published; `clean`, all chosen on valid; `tiny`, the same for minutes of speech."""
    clean = replace(published, name="clean", normed=True, single=True, slots="clean", chosen_on="valid", decided_on="valid")
    return {"superb": published, "clean": clean, "tiny": replace(clean, name="tiny", **tiny)}


class LabelledPart(NamedTuple):
    """Recordings with what is to be said of each."""

    manifest: Manifest
    features: Features
    answers: Mapping[int, Any]
    """Place -> the answer."""

    @property
    def places(self) -> list[int]:
        """The recordings that have both frames and an answer."""
        return [place for place in self.features.places if place in self.answers]


@dataclass(frozen=True)
class HeadStart:
    """One head of many."""

    rate: float
    seed: int
    only: int | None
    """The layer that counts; None: all, as they are learnt."""


@dataclass
class HeadGroup:
    """Heads of one kind that learn side by side."""

    kind: str
    normed: bool
    starts: list[HeadStart]
    heads: SideBySide
    scores: np.ndarray[Any, np.dtype[np.float64]]
    """(G,): the best so far of each on what it is chosen on, higher being better; at first none."""
    decided: list[Any] = field(default_factory=list)
    """(G,): what was decided for each once it had learnt, such as a threshold; nothing, where a task has nothing to decide."""

    def way(self, only: int | None, layers: Sequence[str]) -> str:
        """How its heads add layers, in a row of results; `layers` are the names of all."""
        added = (NORMED if self.normed else SUM) if only is None else layers[only]
        return added if self.kind == PUBLISHED else f"{added}, {self.kind}"


class SuperbTask(Measure[SuperbProtocol], ABC):
    """A task that a head learns; the first of `metrics` is the one that it is chosen by."""

    by_layer = False
    joint = True
    beside = BESIDE
    folder: ClassVar[str]
    """Where its manifests lie in a corpus for SUPERB, such as `ks`."""
    pools: ClassVar[bool] = False
    """Whether its heads need no more of an utterance than mean and deviation over time."""
    alone: ClassVar[frozenset[str]] = frozenset()
    """Kinds of heads that PyTorch cannot compute in one call for all, such as an LSTM."""
    decay: ClassVar[float] = 0.0
    """Of AdamW."""
    store: "Stores | None" = None
    """Where features are kept, for several tasks; None: this one alone."""

    def __init__(self, protocol: SuperbProtocol) -> None:
        """Take a protocol.

        Raises:
            UserError: the task has no such heads.
        """
        super().__init__(protocol)
        known = self.protocols["superb"].heads
        if strange := [kind for kind in protocol.heads if kind not in known]:
            msg = f"{self.name} has no head {strange[0]!r}: {nearest(strange[0], known)}"
            raise UserError(msg)

    @abstractmethod
    def classes(self, train: Manifest) -> tuple[str, ...]:
        """List what can be answered, by the manifest to learn from."""

    @abstractmethod
    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, Any]:
        """Return what is to be said of each recording, by its place; what has no answer is left out.

        Raises:
            UserError: there is an answer that is none of the classes, or none at all.
        """

    @abstractmethod
    def head(self, kind: str, layers: int, size: int, classes: int, start: HeadStart, *, normed: bool) -> nn.Module:
        """Build a head on L layers of D features. It takes features and lengths, as in `FeatureBatch`."""

    @abstractmethod
    def loss(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[Any], classes: Sequence[str]) -> Tensor:
        """Return the loss of each head: outputs (G, B, …) -> (G,)."""

    @abstractmethod
    def scores(self, group: HeadGroup, part: LabelledPart, classes: Sequence[str], *, kept: bool) -> dict[str, HeadScores]:
        """Score all heads of a group on a part, as they are now or, `kept`, with the weights that were kept."""

    def part(self, manifest: Manifest, features: Features, classes: Sequence[str], *, learnt: bool) -> LabelledPart:  # noqa: ARG002
        """Join recordings with what is to be said of each. `learnt`: whether heads learn from them, or are scored."""
        return LabelledPart(manifest, features, self.answers(manifest, classes))

    def decide(self, group: HeadGroup, part: LabelledPart, classes: Sequence[str]) -> None:
        """Decide what remains to be decided once heads have learnt, such as a threshold: `group.decided`."""

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it takes audio."""
        return isinstance(model, FeatureExtractor) and "audio" in model.modalities

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Learn on `corpora.train`, choose on `corpora.valid`, test on `corpora.test`.

        Raises:
            UserError: a corpus is missing, or its answers do not fit.
        """
        return [row for subject in with_untrained(subjects) for row in self._measure(subject, corpora, seed, device)]

    def judged(self, group: HeadGroup, part: LabelledPart, *, kept: bool) -> Iterator[tuple[list[int], FeatureBatch, Tensor]]:
        """Yield places of recordings, their features, and the outputs of all heads (G, B, …), batch by batch."""
        for some in _cut(sorted(part.places, key=lambda place: part.features.counts[place]), self.protocol.batch):
            given = part.features.batch(some)
            yield some, given, group.heads.judged(*given, kept=kept)

    def _measure(self, subject: Subject, corpora: Corpora, seed: int, device: str) -> list[Result]:
        started = perf_counter()
        if (by := self.protocol.chosen_by) not in {None, *self.metrics}:
            msg = f"{self.name} has no metric {by!r} to choose by: {nearest(str(by), self.metrics)}"
            raise UserError(msg)
        train, valid, test = corpora.three(self.name)
        classes = self.classes(train)
        stores = self.store or Stores()
        features = stores.of(subject, device)
        span = 1 if self.pools else features.span(self.protocol.frame)
        encode = features.pooled if self.pools else partial(features.frames, span=span)
        parts = [self.part(manifest, encode(manifest), classes, learnt=manifest is train) for manifest in (train, valid, test)]
        for part in parts:
            if not part.places:
                msg = f"{part.manifest.name} has no recording with a frame and an answer for {self.name}: is it the right manifest?"
                raise UserError(msg)
        groups = self._groups(features, span, len(classes), seed, device)
        updates = self._learn(groups, parts[0], parts[1] if self.protocol.chosen_on == "valid" else parts[2], classes, seed, subject.name)
        for group in groups:
            self.decide(group, parts[1] if self.protocol.decided_on == "valid" else parts[2], classes)
        about = {
            **features.about,
            "rms": parts[0].features.rms(),
            "span": span,
            "classes": len(classes),
            "updates": updates,
            "trained_on": train.name,
            "utterances": [len(part.places) for part in parts],
        }
        where = Where("test", test, seed, started)
        return [row for group in groups for row in self._rows(subject, group, parts[2], classes, where, about)]

    def _groups(self, features: FeatureStore, span: int, classes: int, seed: int, device: str) -> list[HeadGroup]:
        """Build all heads."""
        protocol, layers = self.protocol, len(features.stack.names)
        found = []
        normed_too = [(PUBLISHED, True)] if protocol.normed else []
        for kind, normed in [*((kind, False) for kind in protocol.heads), *normed_too]:
            alone = range(layers) if protocol.single and layers > 1 and not normed and kind == PUBLISHED and kind not in self.alone else ()
            starts = [HeadStart(*one) for one in product(protocol.rates, range(protocol.seeds), (None, *alone))]
            heads = []
            for start in starts:
                with draws.torch_seeded("heads, initially", seed, start.seed):
                    heads.append(self.head(kind, layers, span * features.stack.size, classes, start, normed=normed))
            rates = [start.rate for start in starts]
            side = SideBySide(heads, rates, decay=self.decay, seed=seed, grouped=kind not in self.alone, device=device)
            found.append(HeadGroup(kind, normed, starts, side, np.full(len(side), -np.inf)))
        return found

    def _learn(
        self, groups: Sequence[HeadGroup], train: LabelledPart, valid: LabelledPart, classes: Sequence[str], seed: int, name: str
    ) -> int:
        """Let all heads learn; keep the best weights of each. Return how many updates there were."""
        protocol, started, headline = self.protocol, perf_counter(), self.protocol.chosen_by or next(iter(self.metrics))
        sign = 1 if self.metrics[headline].direction == "higher" else -1
        every = max(1, protocol.updates // protocol.checks)
        batches = _drawn(train, protocol.batch, seed)
        for update in ProgressBar(range(1, protocol.updates + 1), f"{self.name}, {name}", "update"):
            places = next(batches)
            given = train.features.batch(places)
            answers = [train.answers[place] for place in places]
            for group in groups:
                group.heads.update(self.loss(group.heads(*given), given, answers, classes))
            late = protocol.seconds is not None and perf_counter() - started > protocol.seconds
            if update % every == 0 or update == protocol.updates or late:
                for group in groups:
                    values = sign * self.scores(group, valid, classes, kept=False)[headline].values
                    better = values > group.scores
                    group.scores = np.where(better, values, group.scores)
                    group.heads.keep(torch.from_numpy(better))
            if late:
                break
        return update

    def _rows(
        self, subject: Subject, group: HeadGroup, test: LabelledPart, classes: Sequence[str], where: Where, about: Mapping[str, Any]
    ) -> Iterator[Result]:
        """Write down how the heads do whose rate was best, of each way to add layers."""
        scores = self.scores(group, test, classes, kept=True)
        for only in dict.fromkeys(start.only for start in group.starts):
            chosen_by = {
                rate: [g for g, start in enumerate(group.starts) if (start.rate, start.only) == (rate, only)]
                for rate in self.protocol.rates
            }
            found = {rate: float(group.scores[heads].mean()) for rate, heads in chosen_by.items()}
            rate = max(found, key=lambda one: found[one])
            heads = chosen_by[rate]
            details = {**about, "rate": rate, "grid": {f"{one:g}": abs(value) for one, value in found.items()}}
            if group.decided:
                details["decided"] = [group.decided[head] for head in heads]
            if only is None:
                shares = group.heads.best["sum.weights"][heads].softmax(1).mean(0)
                details["weights"] = shares.tolist()
            for metric, one in scores.items():
                details["seeds"] = one.values[heads].tolist()
                value, interval = float(one.values[heads].mean()), one.interval(heads, where.seed)
                way = group.way(only, about["layers"])
                yield self.row(subject, way, metric, value, interval, where._replace(over=one.over), **details)


class CountingTask(SuperbTask, ABC):
    """A task whose metrics are ratios of what is counted in each utterance."""

    @abstractmethod
    def count(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[Any], classes: Sequence[str]) -> Counted:
        """Count what each head has right or wrong in each utterance: outputs (G, B, …) -> (G, B) each."""

    def scores(self, group: HeadGroup, part: LabelledPart, classes: Sequence[str], *, kept: bool) -> dict[str, HeadScores]:
        """Divide one sum over utterances by another."""
        batches, places = [], []
        for some, given, outputs in self.judged(group, part, kept=kept):
            places += some
            batches.append(self.count(outputs, given, [part.answers[place] for place in some], classes))
        return joined(batches, part.manifest, places)


class Stores:
    """The features of several models."""

    def __init__(self, folder: Path | None = None, gigabytes: float = 20.0) -> None:
        """`folder`: for what is kept; None: the system's for temporary files. `gigabytes`: at most, of each model."""
        self._folder, self._gigabytes = folder, gigabytes
        self._stores: dict[int, tuple[object, FeatureStore]] = {}

    def of(self, subject: Subject, device: str) -> FeatureStore:
        """Return that of a model."""
        key = id(subject.model)
        if key not in self._stores:
            store = FeatureStore(subject, folder=self._folder, gigabytes=self._gigabytes, device=device)
            self._stores[key] = subject.model, store
        return self._stores[key][1]

    def only(self, subject: Subject) -> Self:
        """Forget the features of all other models."""
        self._stores = {key: kept for key, kept in self._stores.items() if key == id(subject.model)}
        return self


def _cut(places: Sequence[int], size: int) -> list[list[int]]:
    return [list(places[first : first + size]) for first in range(0, len(places), size)]


def _drawn(part: LabelledPart, size: int, seed: int) -> Iterator[list[int]]:
    """Yield the recordings of update after update: an epoch has each once, in an order of its own, those of a batch about as long."""
    places = part.places
    for epoch in count():
        random = draws.stream("order of heads", seed, epoch)
        order = [places[place] for place in random.permutation(len(places))]
        sorted_ = [place for some in _cut(order, POOL * size) for place in sorted(some, key=lambda place: part.features.counts[place])]
        batches = _cut(sorted_, size)
        for number in random.permutation(len(batches)):
            yield batches[number]
