"""Query by example: how well a spoken query matches some stretch of each document, by subsequence dynamic time warping.

    cost(i, j) = distance(i, j) + min(cost(i-1, j), cost(i-1, j-1), cost(i-1, j-2))        cost(0, j) = distance(0, j)

Every frame i of the query is matched once, beginning and ending anywhere; from one to the next a document goes on by 0, 1 or 2 frames. The
score is minus the least cost of a last frame, divided by the frames of the query (SUPERB's way: the asymmetric step pattern of the package
dtw, open at both ends).

The frames of many documents stand in one row: a frame of the query is a few operations on all of it, and nothing is padded.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Distance: TypeAlias = Literal["cosine", "cosine_exp"]
"""1 - cosine, from 0 to 2, or e to that power, less 1, which SUPERB takes: what is far apart is farther."""

SHORTEST = 5
"""Frames of a query below which the reference code does not match it: all its scores are 0."""
EPS = 1e-12
"""A variance that is a smaller share of the squared mean is what rounding leaves."""
CELLS = {"cpu": 2_000_000, "cuda": 200_000_000}
"""Distances held at once."""


class FeatureMoments(NamedTuple):
    """What it takes to give each feature mean 0 and standard deviation 1 over frames."""

    frames: int
    total: Tensor
    """(…, D) float64, the sum over frames, and"""
    squares: Tensor
    """that of squares."""

    @classmethod
    def of(cls, clips: Iterable[Tensor]) -> "FeatureMoments":
        """Add up clips (T, …, D), of which there is at least one."""
        each = (cls(len(clip), clip.double().sum(0), clip.double().square().sum(0)) for clip in clips)
        return reduce(cls.plus, each)

    def plus(self, other: "FeatureMoments") -> "FeatureMoments":
        """Those of the frames of both."""
        return FeatureMoments(self.frames + other.frames, self.total + other.total, self.squares + other.squares)

    def standardized(self, clip: Tensor) -> Tensor:
        """Shift and scale a clip (T, …, D); a feature that never changes becomes 0."""
        mean = self.total / self.frames
        variance = (self.squares / self.frames - mean.square()) * (self.frames / max(1, self.frames - 1))
        steady = variance <= EPS * mean.square()
        return ((clip - mean) * variance.clamp(min=1e-18).rsqrt()).masked_fill(steady, 0.0).float()


def match(queries: Sequence[Tensor], documents: Sequence[Tensor], *, distance: Distance, scaled: bool) -> Tensor:
    """Score Q queries (T, D) against N documents (T, D), of at least a frame each: (Q, N) float32, the higher the better.

    `scaled`: whether the distances of a frame of the query from those of a document are scaled to run from 0 to 1, as SUPERB does.
    """
    scores = torch.zeros(len(queries), len(documents))
    units = [F.normalize(query.float(), dim=1) for query in queries]
    longest = max((len(query) for query in queries), default=1)
    first = 0
    for block in _blocks(documents, longest):
        lengths = torch.tensor([len(document) for document in block], device=block[0].device)
        frames = F.normalize(torch.cat(block).float(), dim=1)
        barriers = _barriers(lengths)
        for query, unit in enumerate(units):
            if len(unit) >= SHORTEST:
                distances = _distances(unit, frames, lengths, distance, scaled=scaled)
                scores[query, first : first + len(block)] = -_least_costs(distances, lengths, barriers) / len(unit)
        first += len(block)
    return scores


def _blocks(documents: Sequence[Tensor], longest: int) -> Iterator[list[Tensor]]:
    """Cut the documents into runs whose distances from the longest query fit."""
    block: list[Tensor] = []
    frames = 0
    for document in documents:
        if block and (frames + len(document)) * longest > CELLS[document.device.type]:
            yield block
            block, frames = [], 0
        block.append(document)
        frames += len(document)
    if block:
        yield block


def _distances(query: Tensor, frames: Tensor, lengths: Tensor, distance: Distance, *, scaled: bool) -> Tensor:
    """Compare unit vectors (T, D) and (F, D) of documents of such lengths (N,): (T, F)."""
    found = 1.0 - frames @ query.T  # (F, T)
    if distance == "cosine_exp":
        found = found.expm1()
    if scaled:
        least, most = (torch.segment_reduce(found, side, lengths=lengths) for side in ("min", "max"))
        spread = (most - least).clamp(min=1e-9)
        found = (found - least.repeat_interleave(lengths, dim=0)) / spread.repeat_interleave(lengths, dim=0)
    return found.T.contiguous()


def _barriers(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """What it costs to come from one frame and from two frames before, infinite from another document: (F - 1,) and (F - 2,)."""
    document = torch.repeat_interleave(lengths)
    one, two = ((document[step:] != document[:-step]).float() for step in (1, 2))
    return one.masked_fill(one > 0, torch.inf), two.masked_fill(two > 0, torch.inf)


def _least_costs(distances: Tensor, lengths: Tensor, barriers: tuple[Tensor, Tensor]) -> Tensor:
    """Warp (T, F) -> (N,)."""
    cost = distances[0]
    for row in distances[1:]:
        best = cost.clone()
        torch.minimum(best[1:], cost[:-1] + barriers[0], out=best[1:])
        torch.minimum(best[2:], cost[:-2] + barriers[1], out=best[2:])
        cost = best.add_(row)
    return torch.segment_reduce(cost, "min", lengths=lengths)
