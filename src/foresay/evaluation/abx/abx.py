"""ABX: is a phone nearer to itself, said by the same or by another speaker, than to another phone?

Each triplet is a forced choice: X is of A's phone, and an error is made if its frames, warped in time, are nearer to B's. No classifier is
trained, so ABX measures distances between sounds in the features as they are. 0 % is perfect, 50 % chance.
T. Schatz et al., "Evaluating speech features with the Minimal-Pair ABX task", Interspeech 2013; J. Kahn et al., "Libri-Light", ICASSP 2020.

    recordings -> layer (T, D) -> tokens -> cells of triplets -> errors -> mean over contexts, speakers, pairs of phones
                                  `Dataset`  `Task`              `Score`

Protocols: `librilight` and `zerospeech2021` are those evaluations, whose code is one, down to the frame it loses; Libri-Light's loader
normalizes a model's features over time, ZeroSpeech takes them as they come. They want an item file; without one, triphones are made.
`phone` and `triphone` are for any corpus with phone times; frames are where the model says that they are, none is lost, and how much is
compared must be said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from foresay.corpora.manifest import Manifest
from foresay.encoding.parts import Cutting
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.abx.dataset import Dataset, Normalization, Slicing, make_dataset
from foresay.evaluation.abx.items import NO_PHONES, Items, Unit, items_of, read_items
from foresay.evaluation.abx.score import Order, Score
from foresay.evaluation.abx.task import Context, Speaker, Task
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import Metric, Result
from foresay.settings import to_table

ALL = 0
FEWEST_CELLS = 100
"""Cells of triphones that must be found where nobody has chosen them; fewer are a handful of words that happen to be alike."""


@dataclass(frozen=True)
class AbxProtocol:
    """All that decides an ABX error but the features."""

    name: str
    unit: Unit
    """What tokens are made of if there is no item file."""
    context: Context
    """Whether A, B and X have the same phones before and after (`within`), or whatever they have (`any`)."""
    slicing: Slicing
    """Which frames are a token's: see `make_dataset`."""
    normalization: Normalization
    order: Order = "librilight"
    """In which steps cells are averaged across speakers: see `abx_score.py`."""
    distance: Literal["angular", "cosine", "euclidean", "kl"] = "angular"
    speaker: Literal["both", "within", "across"] = "both"
    max_size_group: int | None = None
    """Tokens taken of each phone, speaker and context at most; 0 takes all. Where None it must be said."""
    max_x_across: int | None = None
    """Speakers of X at most; 0 takes all. Where None it must be said, if speakers are crossed."""
    items: str | None = None
    """Item file."""
    no_phones: tuple[str, ...] = NO_PHONES
    """Labels of which no token is made."""

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """What is measured."""
        return ("within", "across") if self.speaker == "both" else (self.speaker,)

    def dataset(
        self,
        features: Mapping[str, ArrayLike | Tensor],
        items: Items,
        frame_rate: float,
        device: str = "cpu",
        first_center: float | None = None,
    ) -> Dataset:
        """Cut the tokens out of the features (T, D) of each recording. `first_center`: seconds, for the slicing `clock`."""
        return make_dataset(
            features,
            items,
            frame_rate,
            slicing=self.slicing,
            normalization=self.normalization,
            distance=self.distance,
            device=device,
            first_center=first_center,
        )

    def task(self, dataset: Dataset, speaker: Speaker, seed: int = 0) -> Task:
        """Choose what is compared."""
        return Task.of(
            dataset.items,
            speaker=speaker,
            context=self.context,
            max_size_group=self._said("max_size_group", "tokens of a phone by one speaker"),
            max_x_across=self._said("max_x_across", "other speakers who say X") if speaker == "across" else None,
            seed=seed,
        )

    def _said(self, size: Literal["max_size_group", "max_x_across"], what: str) -> int | None:
        """Return a size, None for all."""
        most: int | None = getattr(self, size)
        if most is None or most < 0:
            msg = (
                f"abx:{self.name} does not say how many {what} are compared, and the error depends on it: say `--option abx.{size}=…`, or "
                f"{ALL} for all of them. ZeroSpeech 2021 takes 10 tokens (max_size_group) and 5 speakers (max_x_across)"
            )
            raise UserError(msg)
        return None if most == ALL else most


LIBRILIGHT = AbxProtocol(
    "librilight",
    unit="triphone",
    context="within",
    slicing="librilight",
    normalization="librilight",
    max_size_group=10,
    max_x_across=5,
)
ZEROSPEECH2021 = replace(LIBRILIGHT, name="zerospeech2021", normalization="none")
PHONE = AbxProtocol("phone", unit="phone", context="any", slicing="clock", normalization="none")
TRIPHONE = replace(PHONE, name="triphone", unit="triphone", context="within")


def abx(
    features: Mapping[str, ArrayLike | Tensor],
    items: Items,
    frame_rate: float,
    protocol: AbxProtocol,
    *,
    seed: int = 0,
    device: str = "cpu",
    first_center: float | None = None,
) -> dict[Speaker, Score]:
    """Measure plain arrays: the features (T, D) of each recording, by its id.

    `first_center`: seconds from the start to the center of frame 0's receptive field, for the slicing `clock`; None: half a frame.

    Raises:
        UserError: the protocol does not say how much is compared; the features do not fit the items; there is nothing to compare.
    """
    dataset = protocol.dataset(features, items, frame_rate, device, first_center)
    return {speaker: Score.of(dataset, protocol.task(dataset, speaker, seed), protocol.order) for speaker in protocol.speakers}


class Abx(Measure[AbxProtocol]):
    """ABX errors within and across speakers of every layer."""

    name = "abx"
    protocols: ClassVar[Mapping[str, AbxProtocol]] = {p.name: p for p in (LIBRILIGHT, ZEROSPEECH2021, PHONE, TRIPHONE)}
    metrics: ClassVar[Mapping[str, Metric]] = {
        f"error {speaker} speakers": Metric("lower", "%", headline=True) for speaker in ("within", "across")
    }

    def __init__(self, protocol: AbxProtocol) -> None:
        super().__init__(protocol)
        self.files = (Path(protocol.items),) if protocol.items else ()

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Measure on `corpora.test`.

        Raises:
            UserError: the corpus has no phones or no speakers; the item file does not fit it; there is too little or too much to compare.
        """
        protocol, manifest = self.protocol, corpora.test
        items = read_items(protocol.items) if protocol.items else items_of(manifest, protocol.unit, protocol.no_phones)
        rows = []
        for subject in with_untrained(subjects):
            for layer in subject.layers:
                started = perf_counter()
                recordings = _Recordings(subject, layer, manifest, device)
                dataset = protocol.dataset(recordings, items, recordings.frame_rate, device, recordings.first_center)
                for speaker in protocol.speakers:
                    task = protocol.task(dataset, speaker, seed)
                    self._refuse_few(task, manifest)
                    score = Score.of(dataset, task, protocol.order)
                    rows.append(self._row(subject, layer, dataset, score, Where("test", manifest, seed, started)))
                    started = perf_counter()
        return rows

    def _refuse_few(self, task: Task, manifest: Manifest) -> None:
        if self.protocol.unit == "triphone" and not self.protocol.items and len(task.cells.a) < FEWEST_CELLS:
            msg = (
                f"the triphones of {manifest.name} make only {len(task.cells.a)} cells {task.speaker} speakers, of {task.triplets} "
                f"triplets; fewer than {FEWEST_CELLS} cells say little. Compare whole phones (`abx:phone`), or give more speech; "
                "`--option abx.context=any` compares triphones whatever stands around them"
            )
            raise UserError(msg)

    def _row(self, subject: Subject, layer: str, dataset: Dataset, score: Score, where: Where) -> Result:
        task = score.task
        about = {
            "tokens": len(task.groups.tokens),
            "speakers": len(task.groups.speaker_names),
            "phone_pairs": score.phone_pairs,
            "cells": len(task.cells.a),
            "triplets": task.triplets,
            "interval_over": "speakers of A and B",
            "tokens_without_frames": dataset.without_frames,
            "tokens_cut_short": dataset.cut_short,
            **{key: value for key, value in to_table(self.protocol).items() if key not in {"name", "speaker", "no_phones"}},
        }
        if dataset.without_frames or dataset.cut_short:
            tokens = len(dataset.items) + dataset.without_frames
            about["note"] = (
                f"abx of {subject.name}, {layer}: of {tokens:,} tokens {dataset.without_frames:,} hold no frame and were left out, "
                f"{dataset.cut_short:,} lost one or two that the layer lacks at a recording's end"
            )
        metric, over = f"error {task.speaker} speakers", Population("speakers", task.groups.speaker_names)
        return self.row(subject, layer, metric, score.value, score.interval(where.seed), where._replace(over=over), **about)


class _Recordings(Mapping[str, Tensor]):
    """The features (T, D) of a corpus's recordings, encoded when they are asked for, each by itself, long ones in parts (`parts.py`)."""

    def __init__(self, subject: Subject, layer: str, manifest: Manifest, device: str) -> None:
        extractor = subject.extractor
        self.frame_rate = extractor.sample_rate / extractor.hop(layer)
        self.first_center = extractor.first_center / extractor.sample_rate
        self._subject, self._layer, self._manifest, self._device = subject, layer, manifest, device
        self._lengths = manifest.lengths(extractor.sample_rate).tolist()
        self._places = {name: place for place, name in enumerate(manifest.ids)}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, name: str) -> Tensor:
        subject, place = self._subject, self._places[name]
        recording = (self._manifest.path, self._manifest.digest, place)
        (features,) = subject.kept.get(subject.extractor, recording, (self._layer,), lambda: self._encode(place))[self._layer]
        return features.float()

    def _encode(self, place: int) -> dict[str, list[Tensor]]:
        """Encode the layer, and of a recording that is not cut also those on its clock, if they can be kept."""
        extractor, length = self._subject.extractor, self._lengths[place]
        cutting = Cutting(extractor, [self._layer])
        if self._subject.kept.has_room and length <= cutting.longest:
            hop = extractor.hop(self._layer)
            cutting = Cutting(extractor, [layer for layer in self._subject.layers if extractor.hop(layer) == hop])
        parts = list(cutting.encode(partial(self._manifest.read, place, extractor.sample_rate), length, self._device))
        return {layer: [torch.cat([part[layer] for part in parts])] for layer in cutting.hops}
