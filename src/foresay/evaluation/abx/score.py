"""How often X is nearer to A than to B, and what the mean of cells is a mean of.

    error of a cell = mean over its triplets of [d(X, A) > d(X, B)] + ½ [d(X, A) = d(X, B)]          0: always right, ½: chance

Cells are averaged step by step, so that no pair of phones, speaker or context counts more for being frequent:

    within            contexts, then speakers, then pairs of phones
    across            contexts and X's speakers together, then A's speakers, then pairs            Libri-Light, ZeroSpeech 2021
    across, `cpc2`    contexts, then A's and X's speakers together, then pairs                     the second version of CPC_audio

A pair of phones is ordered: (a, b) asks whether a is taken for b.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from foresay.draws import stream
from foresay.errors import UserError
from foresay.evaluation.abx.dataset import Dataset
from foresay.evaluation.abx.pairs import PairDistances, pair_distances
from foresay.evaluation.abx.task import Cells, Groups, Indices, Task
from foresay.progress import ProgressBar
from foresay.results import FEWEST
from foresay.statistics.intervals import ConfidenceInterval

Order = Literal["librilight", "cpc2"]
Floats = NDArray[np.float64]

MOST_PAIRS = 1_000_000_000
"""Comparisons of two tokens, above which nobody would wait for the score."""
PAIRS_AT_ONCE = 8_000_000
TRIPLETS_AT_ONCE = 4_000_000


class _Means(NamedTuple):
    """Errors of each speaker on each pair of phones: sums and counts of what the order averages before speakers. Arrays of (R,)."""

    sums: Floats
    counts: Floats
    speakers: Indices
    pairs: Indices


@dataclass(frozen=True, eq=False)
class Score:
    """The errors of C cells."""

    task: Task
    errors: Floats
    """(C,) from 0 to 1."""
    order: Order

    @classmethod
    def of(cls, dataset: Dataset, task: Task, order: Order = "librilight") -> Self:
        """Compare all triplets of a task that was made of the dataset's items.

        Raises:
            UserError: there are too many.
        """
        return cls(task, cell_errors(dataset, task), order)

    @property
    def value(self) -> float:
        """The error, averaged step by step."""
        return _mean_of_pairs(self._means.sums, self._means.counts, self._means.pairs)

    @property
    def phone_pairs(self) -> int:
        """Ordered pairs of phones that are compared."""
        return len(np.unique(self._means.pairs))

    def interval(self, seed: int, draws: int = 1000) -> ConfidenceInterval:
        """Return the 95 % interval of the value over speakers of A and B; empty where there are fewer than five.

        Speakers are drawn again with replacement, and pairs of phones that none of the drawn says are left out; since that moves the
        mean of the draws, they are moved back to the value. Scores of one task draw alike.
        """
        sums, counts, speakers, pairs = self._means
        names, places = np.unique(speakers, return_inverse=True)
        if len(names) < FEWEST:
            return ConfidenceInterval((), names)
        drawn = stream("speakers", seed).multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=draws)
        values = np.array([_mean_of_pairs(draw[places] * sums, draw[places] * counts, pairs) for draw in drawn])
        return ConfidenceInterval(values - values.mean() + self.value, names)

    @cached_property
    def _means(self) -> _Means:
        groups, (a, b, x) = self.task.groups, self.task.cells
        pairs = groups.phones[a] * len(groups.phone_names) + groups.phones[b]
        labels = [pairs, groups.speakers[a]]
        if self.order == "cpc2":
            labels.append(groups.speakers[x])
        before, place, counts = np.unique(np.stack(labels), axis=1, return_inverse=True, return_counts=True)
        means = np.bincount(place.reshape(-1), self.errors) / counts
        (pairs, speakers), place, counts = np.unique(before[:2], axis=1, return_inverse=True, return_counts=True)
        sums = np.bincount(place.reshape(-1), means)
        return _Means(np.asarray(sums, dtype=np.float64), counts.astype(np.float64), speakers, pairs)


def cell_errors(dataset: Dataset, task: Task) -> Floats:
    """Compare the triplets of each cell: (C,)."""
    groups, cells = task.groups, task.cells
    sizes = groups.sizes
    pairs = np.cumsum(sizes[cells.x] * (sizes[cells.a] + sizes[cells.b]))
    if pairs[-1] > MOST_PAIRS:
        msg = (
            f"{len(cells.a):,} cells of some {pairs[-1]:.1e} comparisons would take days: compare fewer tokens of each phone "
            "(`--option abx.max_size_group=10`) and fewer speakers (`--option abx.max_x_across=5`)"
        )
        raise UserError(msg)
    # Tokens are compared within their context only, so cutting between contexts computes nothing twice.
    contexts = groups.contexts[cells.a]
    begins = np.flatnonzero(np.diff(contexts, prepend=-1))
    parts = begins[np.flatnonzero(np.diff(pairs[begins] // PAIRS_AT_ONCE, prepend=-1))]
    errors = np.empty(len(cells.a))
    title = f"abx, {task.speaker} speakers"
    with ProgressBar[int](what=title, unit="cell", total=len(errors)) as bar:
        for begin, end in zip(parts, np.append(parts[1:], len(errors)), strict=True):
            errors[begin:end] = _errors(dataset, task, Cells(*(group[begin:end] for group in cells)))
            bar.update(int(end - begin))
    return errors


def _errors(dataset: Dataset, task: Task, cells: Cells) -> Floats:
    groups = task.groups
    partners = np.concatenate([cells.a, cells.b])
    sides = np.concatenate([cells.x, cells.x])
    keys = np.minimum(sides, partners) * len(groups.sizes) + np.maximum(sides, partners)
    unique, place = np.unique(keys, return_inverse=True)
    first, second = np.divmod(unique, len(groups.sizes))
    found = pair_distances(dataset, groups, first, second)
    to_a, to_b = np.split(place.reshape(-1), 2)
    errors = np.empty(len(cells.a))
    for chosen in _of_one_shape(groups, cells):
        some = Cells(*(group[chosen] for group in cells))
        x_to_a = _distances(found, groups, to_a[chosen], some.x, some.a)
        x_to_b = _distances(found, groups, to_b[chosen], some.x, some.b)
        errors[chosen] = _share_of_errors(x_to_a, x_to_b, itself=task.speaker == "within")
    return errors


def _of_one_shape(groups: Groups, cells: Cells) -> Iterator[Indices]:
    """Yield cells whose groups have the same sizes, so many at once as fit into memory."""
    a, b, x = (groups.sizes[group] for group in cells)
    most = int(groups.sizes.max()) + 1
    shapes = (a * most + b) * most + x
    order = np.argsort(shapes, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(shapes[order])) + 1):
        step = max(1, TRIPLETS_AT_ONCE // int(a[same[0]] * b[same[0]] * x[same[0]]))
        yield from (same[begin : begin + step] for begin in range(0, len(same), step))


def _distances(found: PairDistances, groups: Groups, place: Indices, x: Indices, y: Indices) -> NDArray[np.float32]:
    """Look up the distances of X's tokens from those of Y, of cells of one shape: (C, X, Y)."""
    size_x, size_y = int(groups.sizes[x[0]]), int(groups.sizes[y[0]])
    of_x, of_y = np.arange(size_x)[:, None], np.arange(size_y)
    starts, turned = found.starts[place][:, None, None], (x > y)[:, None, None]
    inside = np.where(turned, of_y * size_x + of_x, of_x * size_y + of_y)
    if x[0] == y[0]:  # a group with itself, within speakers
        inside = np.broadcast_to(np.minimum(of_x, of_y) * size_y + np.maximum(of_x, of_y), inside.shape)
    return found.values[turned.astype(np.int64), starts + inside]


def _share_of_errors(x_to_a: NDArray[np.float32], x_to_b: NDArray[np.float32], *, itself: bool) -> Floats:
    """(C, X, A) and (C, X, B) -> (C,). With `itself` A is X, and a token is not compared with itself: that distance is not a number."""
    near, far = x_to_a[:, :, :, None], x_to_b[:, :, None, :]
    wrong = (near > far).sum(axis=(1, 2, 3)) + 0.5 * (near == far).sum(axis=(1, 2, 3))
    _, size_x, size_a = x_to_a.shape
    return wrong / (size_x * (size_a - itself) * x_to_b.shape[2])


def _mean_of_pairs(sums: Floats, counts: Floats, pairs: Indices) -> float:
    """Average over the speakers of each pair, then over the pairs that are left."""
    total, weight = np.bincount(pairs, sums), np.bincount(pairs, counts)
    present = weight > 0
    return float((total[present] / weight[present]).mean())
