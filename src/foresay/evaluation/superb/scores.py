"""How many heads do on the same utterances: numbers for choosing among them, and intervals for those that are chosen."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.measure import Population
from foresay.results import FEWEST
from foresay.statistics.estimates import Estimate, estimate, mean
from foresay.statistics.intervals import ConfidenceInterval, bootstrap
from foresay.statistics.verification import PRIORS, detection_cost, equal_error_rate, verification

Floats: TypeAlias = NDArray[np.float64]


class HeadScores(ABC):
    """A metric of G heads."""

    values: Floats
    """(G,)"""
    over: Population
    """What is drawn again for an interval."""

    @abstractmethod
    def interval(self, heads: Sequence[int], seed: int) -> ConfidenceInterval:
        """Return the interval of the mean over some heads, those that differ in their start alone."""


class Ratios(HeadScores):
    """Sums over utterances, one divided by the other: right ones by all, edits by words."""

    def __init__(self, counts: Floats, totals: Floats, ids: Sequence[str], speakers: Sequence[str] = ()) -> None:
        """`counts`, `totals` (G, U) of the utterances `ids`; with five `speakers` (U,) or more, speakers are drawn, not utterances."""
        names = sorted(set(speakers))
        self.over = Population("utterances", tuple(ids))
        if len(names) >= FEWEST:
            places = np.searchsorted(names, speakers)
            sums = np.eye(len(names))[places]  # (U, speakers)
            counts, totals, self.over = counts @ sums, totals @ sums, Population("speakers", tuple(names))
        self._counts, self._totals = counts, totals
        self.values = counts.sum(1) / totals.sum(1)

    def interval(self, heads: Sequence[int], seed: int) -> ConfidenceInterval:
        """Return the interval of the ratio of sums over these heads, which all have the same totals.

        An utterance of which the total is 0 but the count is not (slots of one that has none) is drawn with the others.
        """
        counts, totals = (of[list(heads)].sum(0) for of in (self._counts, self._totals))
        if totals.all():
            return bootstrap(counts, totals, seed=seed)
        with np.errstate(divide="ignore", invalid="ignore"):  # a draw without totals has no value, and there is no interval
            found = estimate(np.stack([counts, totals], 1), lambda drawn: {"ratio": drawn[:, 0] / drawn[:, 1]}, seed)["ratio"]
        if found.draws is None or not np.isfinite(found.draws).all():
            return ConfidenceInterval((), ())
        return found.interval or ConfidenceInterval((), ())


class TrialScores(HeadScores):
    """A rate or a cost of trials, each of which asks whether two utterances are of one speaker. Speakers are drawn again."""

    def __init__(self, metric: str, values: Floats, estimates: Callable[[int, int], Mapping[str, Estimate]], over: Population) -> None:
        """`estimates`: of a head and a seed, all metrics."""
        self.values, self.over = values, over
        self._metric, self._estimates = metric, estimates

    def interval(self, heads: Sequence[int], seed: int) -> ConfidenceInterval:
        """Return the interval of the mean over some heads, draw by draw."""
        return mean(self._estimates(head, seed)[self._metric] for head in heads).interval or ConfidenceInterval((), ())


def of_trials(scores: Floats, speakers: NDArray[np.str_]) -> dict[str, HeadScores]:
    """Rate trials with scores (G, N) of pairs of speakers (N, 2): `EER` and the costs."""
    same = speakers[:, 0] == speakers[:, 1]
    estimates = cache(lambda head, seed: verification(scores[head], speakers, seed))
    over = Population("speakers", tuple(np.unique(speakers).tolist()))
    values = {"EER": [equal_error_rate(row, same) for row in scores]} | {
        f"minDCF({prior})": [detection_cost(row, same, prior) for row in scores] for prior in PRIORS
    }
    return {metric: TrialScores(metric, np.array(one), estimates, over) for metric, one in values.items()}


Counted: TypeAlias = Mapping[str, tuple[Floats, Floats]]
"""Metric -> counts and totals of a batch, (G, B) each."""


def joined(batches: Sequence[Counted], manifest: Manifest, places: Sequence[int]) -> dict[str, HeadScores]:
    """Put the counts of all batches together, which are of the recordings in these places, in this order.

    Raises:
        UserError: there is nothing to divide by.
    """
    ids, speakers = [manifest.ids[place] for place in places], [manifest.speakers[manifest.speaker_codes[place]] for place in places]
    found: dict[str, HeadScores] = {}
    for metric in batches[0]:
        counts, totals = (np.concatenate([batch[metric][part] for batch in batches], 1) for part in (0, 1))
        if not totals.any():
            msg = f"{metric} of {manifest.name} is a share of nothing: nobody speaks in any of its turns, or no slot begins and ends"
            raise UserError(msg)
        found[metric] = Ratios(counts, totals, ids, speakers)
    return found
