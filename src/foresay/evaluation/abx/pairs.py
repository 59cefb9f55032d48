"""Distances between all tokens of pairs of groups, each once: matrix products, then time warping of many pairs at once.

The tokens of a group and those of its partners make one product: a rectangle of frame distances. Rectangles are laid down one after the
other in a pool of memory, in which every pair of tokens is a window, with an offset and strides. Windows of like size are warped together,
while the next pool is being filled.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.evaluation.abx.dataset import Dataset
from foresay.evaluation.abx.dtw import dtw
from foresay.evaluation.abx.frame_distances import DISTANCES
from foresay.evaluation.abx.task import Groups, Indices, consecutive
from foresay.threads import one_thread

POOL = 40_000_000
"""Frame distances that are warped together, 160 MB; the next are computed meanwhile."""
GRAIN = 8
"""Lengths are rounded up to so many frames: pairs of equal rounded lengths are warped together."""
CELLS = {"cpu": 1_200_000, "cuda": 100_000_000}
"""Frame distances warped at once: what the second-level cache holds, or what keeps a GPU busy."""


class PairDistances(NamedTuple):
    """Distances between the tokens of K pairs of groups."""

    values: NDArray[np.float32]
    """(2, V). Tokens i of the first group and j of the second: `values[:, starts + i * size of the second + j]`. Row 0 warps i to j, row 1
    j to i, which differs where paths tie. Of a group with itself only i < j is there, the rest is not a number."""
    starts: Indices
    """(K,)"""


def pair_distances(dataset: Dataset, groups: Groups, first: Indices, second: Indices) -> PairDistances:
    """Compare the groups `first` (K,), ascending, with the groups `second` (K,). Products and warping have a thread each."""
    plan = _Plan.of(dataset, groups, first, second)
    values = np.full((2, int(plan.counts.sum())), np.nan, dtype=np.float32)
    with one_thread(), ThreadPoolExecutor(max_workers=1) as beside:
        warping: Future[None] | None = None
        for pairs in plan.pools:
            pool, windows = plan.fill(dataset, pairs), plan.windows(pairs)
            if warping:
                warping.result()  # or there would be three pools
            warping = beside.submit(_warp, pool, windows, values)
        if warping:
            warping.result()
    return PairDistances(values, plan.starts)


class _Windows(NamedTuple):
    """Where P pairs of tokens lie in a pool, and where their distances go. Arrays of (P,)."""

    offset: Indices
    row_stride: Indices
    column_stride: Indices
    rows: Indices
    columns: Indices
    place: Indices


@dataclass(frozen=True, eq=False)
class _Plan:
    """K pairs of groups: which of them share a rectangle, and where in a pool that is."""

    groups: Groups
    first: Indices
    second: Indices
    counts: Indices
    """(K,) pairs of tokens."""
    starts: Indices
    """(K,) where their distances go."""
    lengths: Indices
    """Of tokens, in the order of the groups: frames."""
    inner: Indices
    """The same order: frames of the group's tokens before it."""
    frames: Indices
    """The frames of all tokens, group after group."""
    frame_starts: Indices
    """(G,): where a group's frames begin there."""
    frame_counts: Indices
    """(G,)"""
    rectangles: Indices
    """(R + 1,): the first pair of each rectangle, and K."""
    bases: Indices
    """(K,): where in its pool a pair's rectangle begins."""
    widths: Indices
    """(K,): columns of that rectangle."""
    lefts: Indices
    """(K,): columns of it before the pair's own."""
    pools: list[slice]
    """Runs of pairs whose rectangles make a pool."""

    @classmethod
    def of(cls, dataset: Dataset, groups: Groups, first: Indices, second: Indices) -> Self:
        """Cut the pairs into rectangles, of one group with many, and these into pools."""
        lengths = dataset.lengths[groups.tokens]
        ends = lengths.cumsum()
        frame_counts = np.add.reduceat(lengths, groups.starts)
        frame_starts = (ends - lengths)[groups.starts]
        counts = groups.sizes[first] * groups.sizes[second]
        areas = np.cumsum(frame_counts[first] * frame_counts[second])
        columns = frame_counts[second].cumsum()
        pool = areas // POOL
        cuts = np.flatnonzero((np.diff(first, prepend=-1) != 0) | (np.diff(pool, prepend=-1) != 0))
        rectangles = np.append(cuts, len(first))
        begins = np.append(np.flatnonzero(np.diff(pool, prepend=-1)), len(first))
        rectangle_of = np.repeat(np.arange(len(cuts)), np.diff(rectangles))
        pool_of = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
        above, before = (np.append(0, total)[:-1] for total in (areas, columns))
        widths = np.add.reduceat(frame_counts[second], cuts)
        return cls(
            groups=groups,
            first=first,
            second=second,
            counts=counts,
            starts=counts.cumsum() - counts,
            lengths=lengths,
            inner=ends - lengths - np.repeat(frame_starts, groups.sizes),
            frames=consecutive(dataset.starts[groups.tokens], lengths),
            frame_starts=frame_starts,
            frame_counts=frame_counts,
            rectangles=rectangles,
            bases=above[cuts][rectangle_of] - above[begins[:-1]][pool_of],
            widths=widths[rectangle_of],
            lefts=before - before[cuts][rectangle_of],
            pools=[slice(begin, end) for begin, end in pairwise(begins.tolist())],
        )

    def fill(self, dataset: Dataset, pairs: slice) -> Tensor:
        """Compute the rectangles of a pool."""
        distance, device = DISTANCES[dataset.distance], dataset.frames.device
        pool = torch.empty(int((self.frame_counts[self.first[pairs]] * self.frame_counts[self.second[pairs]]).sum()), device=device)
        chosen = self.rectangles[np.searchsorted(self.rectangles, pairs.start) : np.searchsorted(self.rectangles, pairs.stop) + 1]
        for begin, end in pairwise(chosen.tolist()):
            rows, columns = self._frames(dataset, self.first[begin : begin + 1]), self._frames(dataset, self.second[begin:end])
            base = int(self.bases[begin])
            pool[base : base + len(rows) * len(columns)].view(len(rows), len(columns)).copy_(distance.between(rows, columns))
        return pool

    def _frames(self, dataset: Dataset, groups: Indices) -> Tensor:
        """Put the frames of some groups one after the other: (sum of frames, D) float64."""
        indices = self.frames[consecutive(self.frame_starts[groups], self.frame_counts[groups])]
        return dataset.frames.index_select(0, torch.from_numpy(indices).to(dataset.frames.device)).double()

    def windows(self, pairs: slice) -> _Windows:
        """Describe the pairs of tokens in a pool."""
        counts = self.counts[pairs]
        pair = np.repeat(np.arange(pairs.start, pairs.stop), counts)
        inside = consecutive(np.zeros_like(counts), counts)
        first, second = self.first[pair], self.second[pair]
        row, column = np.divmod(inside, self.groups.sizes[second])
        wanted = (first != second) | (row < column)
        pair, inside, row, column = pair[wanted], inside[wanted], row[wanted], column[wanted]
        row, column = row + self.groups.starts[first[wanted]], column + self.groups.starts[second[wanted]]
        stride = self.widths[pair]
        offset = self.bases[pair] + self.inner[row] * stride + self.lefts[pair] + self.inner[column]
        return _Windows(offset, stride, np.ones_like(stride), self.lengths[row], self.lengths[column], self.starts[pair] + inside)


def _warp(pool: Tensor, windows: _Windows, values: NDArray[np.float32]) -> None:
    """Warp all pairs in the pool."""
    offset, row_stride, column_stride, rows, columns, place = windows
    turned = rows > columns  # the shorter token first: fewer kinds of windows, and fewer cells on a diagonal
    rows, columns = np.minimum(rows, columns), np.maximum(rows, columns)
    row_stride, column_stride = np.where(turned, column_stride, row_stride), np.where(turned, row_stride, column_stride)
    kinds = -(-rows // GRAIN) * (1 << 32) + -(-columns // GRAIN)
    order = np.argsort(kinds, kind="stable")
    for kind in np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1):
        if len(kind) == 0:
            continue
        height, width = int(rows[kind].max()), int(columns[kind].max())
        lanes = max(1, CELLS[pool.device.type] // (height * width))
        for begin in range(0, len(kind), lanes):
            batch = kind[begin : begin + lanes]
            # What lies beyond a token's end is repeated from its last frame; no path to the end goes there.
            down = np.minimum(np.arange(height)[:, None], rows[batch] - 1) * row_stride[batch] + offset[batch]
            right = np.minimum(np.arange(width)[:, None], columns[batch] - 1) * column_stride[batch]
            from_row, from_column = (torch.from_numpy(part.astype(np.int32)).to(pool.device) for part in (down, right))
            distances = pool.index_select(0, (from_row[:, None] + from_column).flatten()).view(height, width, len(batch))
            warped = dtw(distances, torch.from_numpy(rows[batch]), torch.from_numpy(columns[batch])).cpu().numpy()
            values[:, place[batch]] = np.where(turned[batch], warped[::-1], warped)
