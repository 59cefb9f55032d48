"""Are units good ones? How many are in use, their bits per second and durations, and how well they agree with phones, beside shuffled ones.

    test corpus -> layer -> tokenizer -> units (T,) of each recording -> `unit_rates.py`: bits, durations, use
                                                                      -> n(unit, phone): PNMI, purities; the same of shuffled units

Lakhotia et al. (GSLM, arXiv:2102.01192) count bits so; PNMI is that of HuBERT (arXiv:2106.07447, section IV-E). Where a corpus is small,
units agree with phones by chance: how much, the row `frames, shuffled` says, whose units are the same in another order. What ABX and
probes say of units, they say of the layer `units` of the same model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay import draws
from foresay.contracts import Extractor, Tokenizer
from foresay.corpora.phones import checked_phones
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.encoding.unit_frames import UnitFrames
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import NO_RANK, NO_RANK_SHARE, Metric, Result
from foresay.statistics.cluster_scores import rate_agreement
from foresay.statistics.estimates import Estimate
from foresay.statistics.unit_rates import BY_COUNT, BY_ENTROPY, DURATION, EFFECTIVE, FRAMES, RATE, USED, rate_units

SHUFFLED = "frames, shuffled"
AGREEMENT = ("PNMI", "phone purity", "cluster purity")


@dataclass(frozen=True)
class UnitsProtocol:
    """How units are written in bits: `unigram`, each by how frequent it is."""

    name: str


class Units(Measure[UnitsProtocol]):
    """Bits, durations and use of a tokenizer's units, and their agreement with phones."""

    name = "units"
    by_layer: ClassVar[bool] = False
    protocols: ClassVar[Mapping[str, UnitsProtocol]] = {"unigram": UnitsProtocol("unigram")}
    metrics: ClassVar[Mapping[str, Metric]] = {
        "PNMI": Metric("higher", headline=True),
        "phone purity": Metric("higher", "%"),
        "cluster purity": NO_RANK_SHARE,
        BY_ENTROPY: Metric("none", "bit/s"),
        BY_COUNT: Metric("none", "bit/s"),
        RATE: NO_RANK,
        DURATION: Metric("none", "ms"),
        EFFECTIVE: NO_RANK,
        USED: NO_RANK_SHARE,
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it gives units."""
        return isinstance(model, UnitFrames)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Write `corpora.test` in units. A corpus without phones still gives bits, durations and use.

        Raises:
            UserError: a model gives no units, or the corpus is shorter than a frame.
        """
        return [row for subject in subjects for row in self._rows(subject, corpora, seed, device)]

    def _rows(self, subject: Subject, corpora: Corpora, seed: int, device: str) -> list[Result]:
        started, tokenizer, test = perf_counter(), _tokenizer(subject), corpora.test
        phones = checked_phones(test)
        found = _encode(subject, tokenizer, corpora, phones, device)
        where = Where("test", test, seed, started, Population("utterances", found.names))
        about: dict[str, Any] = {"units": tokenizer.vocabulary, "tokenizer": tokenizer.fingerprint, "frames": len(found.joined)}
        rates = rate_units(found.units, tokenizer.vocabulary, tokenizer.frame_rate, seed)
        rows = [self._row(subject, of, metric, number, where, about) for (of, metric), number in rates.items()]
        if not phones:
            return [replace(row, details={**row.details, "note": _no_phones(test.name)}) for row in rows]
        about |= {"labelled_frames": int((found.phones >= 0).sum()), "phones": len(phones)}
        for of, units, control in ((FRAMES, found.joined, {}), (SHUFFLED, found.shuffled(seed), {"control": True})):
            rated = rate_agreement(units, found.phones, found.utterances, tokenizer.vocabulary, seed)
            rows += [self._row(subject, of, metric, rated[metric], where, about | control) for metric in AGREEMENT if rated]
        return rows

    def _row(self, subject: Subject, of: str, metric: str, number: Estimate, where: Where, about: Mapping[str, Any]) -> Result:
        return self.row(subject, of, metric, number.value, number.interval, where, **about)


class _InUnits(NamedTuple):
    """A corpus written in units."""

    names: list[str]
    """(U,): ids of the recordings."""
    units: list[NDArray[np.int64]]
    """Of each (T,)."""
    phones: NDArray[np.int64]
    """(N,) of all frames, -1 where there is none."""

    @property
    def joined(self) -> NDArray[np.int64]:
        """Units of all frames: (N,)."""
        return np.concatenate(self.units)

    @property
    def utterances(self) -> NDArray[np.int64]:
        """Which recording each frame is of: (N,)."""
        return np.repeat(np.arange(len(self.units)), [len(units) for units in self.units])

    def shuffled(self, seed: int) -> NDArray[np.int64]:
        """Units of the frames that have a phone, in another order: (N,)."""
        units, known = self.joined, self.phones >= 0
        units[known] = draws.stream("shuffled units", seed).permutation(units[known])
        return units


def _encode(subject: Subject, tokenizer: Tokenizer, corpora: Corpora, phones: Sequence[str], device: str) -> _InUnits:
    layer, vocabulary = tokenizer.layer, {label: number for number, label in enumerate(phones)}
    names, units, labels = [], [], []
    for recording in encode_recordings(replace(subject, layers=(layer,)), corpora.test, device):
        names.append(recording.item.id)
        units.append(tokenizer.quantize(recording.features[layer])[:, 0].cpu().numpy())
        labels.append(recording.labels(layer, vocabulary))
    if not sum(map(len, units)):
        msg = f"no recording of {corpora.test.name} lasts a frame of {subject.name}, so that there are no units"
        raise UserError(msg)
    return _InUnits(names, units, np.concatenate(labels))


def _tokenizer(subject: Subject) -> Tokenizer:
    if not isinstance(subject.model, UnitFrames):
        msg = f"{subject.name} gives no units: `foresay units fit {subject.name} --layer L --clusters K …` finds some in one of its layers"
        raise UserError(msg)
    return subject.model.tokenizer


def _no_phones(corpus: str) -> str:
    return f"{corpus} has no phone times: without them nothing is known of how units agree with phones"
