"""Perplexity of units: how many bits a language model of units takes for each, and for a second of speech, beside n-grams.

    recordings --> tokenizer --> units, in the form that is modelled --> log p of each by those before it

A number per unit depends on how many units there are, how long each lasts and whether runs are merged, so that models are not ranked by
it; bits a second can be compared: what it would cost to send the units. Durations, where runs are merged, are not among them, and neither
are the ends of recordings. The n-grams (interpolated modified Kneser-Ney) are of the units of --train-corpus, which the model should have
learnt from.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Extractor, TokenModel
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.generation._pairs import CONTROL
from foresay.evaluation.generation._units import (
    count_units,
    encode_units,
    joined,
    said_of_training,
    said_of_windows,
    score_symbols,
    score_units,
    token_model,
)
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import NO_RANK, Metric, Result
from foresay.statistics.intervals import bootstrap, bootstrap_difference

MODEL, BIGRAM = "language model", "bigram"
NGRAMS = {"unigram": 1, BIGRAM: 2, "trigram": 3}
BITS, RATE, PERPLEXITY, SAVED = "bits per unit", "bits per second", "perplexity", "bits per unit below bigram"


@dataclass(frozen=True)
class UnitProtocol:
    """What is scored."""

    name: str


class UnitPerplexity(Measure[UnitProtocol]):
    """Cross-entropy of units by a model, and by n-grams."""

    name = "unit_perplexity"
    by_layer = False
    protocols: ClassVar[Mapping[str, UnitProtocol]] = {"modelled": UnitProtocol("modelled")}
    metrics: ClassVar[Mapping[str, Metric]] = {
        BITS: Metric("none", "bits"),
        RATE: Metric("lower", "bits/s", headline=True),
        PERPLEXITY: NO_RANK,
        SAVED: Metric("higher", "bits", headline=True),
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a language model of units."""
        return isinstance(model, TokenModel)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Score the units of `corpora.test`; n-grams are counted in `corpora.train`.

        Raises:
            UserError: a model is no language model of units, there is no corpus to count in, or no recording lasts a unit.
        """
        train, test = corpora.both(f"the control of {self.name}, an n-gram of units,")
        return [row for subject in with_untrained(subjects) for row in self._rows(subject, train, test, seed, device)]

    def _rows(self, subject: Subject, train: Manifest, test: Manifest, seed: int, device: str) -> Iterator[Result]:
        started = perf_counter()
        model = token_model(subject, self.name)
        units = encode_units(subject, test, device)
        if not units:
            msg = f"no recording of {test.name} lasts a unit, so that there is nothing to score"
            raise UserError(msg)
        counted = encode_units(subject, train, device)
        scored = {MODEL: score_units(model, units, device)}
        scored |= {name: score_symbols(count_units(counted, order), units) for name, order in NGRAMS.items()}
        bits = {name: _by_recording({place: bits_of(row) for place, row in rows.items()}, test) for name, rows in scored.items()}
        counts = _by_recording({place: float(len(own)) for place, own in units.items()}, test)
        seconds = np.where(counts > 0, test.durations, 0.0)
        where = Where("test", test, seed, started)
        about = {"units": int(counts.sum()), "trained_units": sum(map(len, counted.values())), "seconds": round(float(seconds.sum()), 2)}
        left_out, windows = self._left_out(counts, test), said_of_windows(model, units)
        for name, own in bits.items():
            value, interval, rate = float(own.sum() / counts.sum()), bootstrap(own, counts, seed=seed), float(own.sum() / seconds.sum())
            control = {} if name == MODEL else {CONTROL: True, "trained_on": train.name}
            said = joined(left_out, windows if name == MODEL else {})
            yield self.row(subject, name, BITS, value, interval, where, **about, **said, **control)
            yield self.row(subject, name, RATE, rate, bootstrap(own, seconds, seed=seed), where, **control)
            yield self.row(subject, name, PERPLEXITY, 2**value, None, where, **control)
        saved = float((bits[BIGRAM] - bits[MODEL]).sum() / counts.sum())
        difference = bootstrap_difference(bits[BIGRAM], counts, bits[MODEL], counts, seed=seed)
        said = said_of_training(subject, Corpora(test, train))
        yield self.row(subject, MODEL, SAVED, saved, difference, where, trained_on=train.name, **said)

    def _left_out(self, counts: NDArray[np.float64], manifest: Manifest) -> dict[str, Any]:
        """Say what is left out."""
        short = [manifest.ids[place] for place in np.flatnonzero(counts == 0).tolist()]
        if not short:
            return {}
        note = f"{self.name}: {len(short):,} of {len(manifest):,} recordings are left out, which last less than a unit, such as {short[0]}"
        return {"left_out": len(short), "note": note}


def bits_of(scores: Tensor) -> float:
    """Sum log p (U,) in nats, and give it in bits, as what it costs."""
    return -float(scores.double().sum()) / math.log(2)


def _by_recording(values: Mapping[int, float], manifest: Manifest) -> NDArray[np.float64]:
    """Put numbers in the places of their recordings: (items,), 0 where there are none."""
    found = np.zeros(len(manifest))
    found[list(values)] = list(values.values())
    return found
