"""k-means clustering: K centers that minimize the mean squared distance from a frame to the nearest center.

    frames (N, D) -> codes (N,) = argmin_k |x - center_k|^2            inertia = mean over frames of min_k |x - center_k|^2

Fitting takes three steps. One pass draws a sample of frames. On it, greedy k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages
of careful seeding", SODA 2007, section 7) starts the centers and Lloyd's iterations move them, several times; the best start goes on. Then
Lloyd's iterations over all frames: assign each to its nearest center, move each center to the mean of its frames, and on the way a little
beyond. Most of the way is made on the sample, where it is cheap; the end is that of a full fit.

Frames may come in chunks that together do not fit into memory: nothing of size N is kept, and never an (N, K) table, let alone (N, K, D).
Products are in float32, sums in float64. The same seed and frames give the same centers on a device, however the frames are cut up but
for rounding.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from foresay import draws
from foresay.errors import UserError
from foresay.progress import ProgressBar

Chunk: TypeAlias = Tensor | NDArray[Any]
"""(n, D) frames."""

ROWS = 8192
"""Frames whose distances to all centers are held at once."""
SAMPLED, SEEDED = 64, 32
"""Frames per center in the sample, and those of them that k-means++ chooses from."""
SAMPLE_ITERATIONS = 30
OVERSHOOT = 1.7
"""How far centers move on their way, 1 being to the mean of their frames. Beyond it and short of 2 the inertia falls as well, and what
converges slowly converges sooner: on speech features in half as many passes. The last move is to the mean."""


class KMeans(nn.Module):
    """K = `clusters` centers of D = `size` dimensions, all zero until they are fitted or loaded.

    `spherical`: only directions count. Frames and centers are brought to length 1, so that |x - center|^2 = 2 - 2 cos(x, center).
    """

    centers: Tensor
    """(K, D) float32, saved with the module."""

    def __init__(self, clusters: int, size: int, *, spherical: bool = False) -> None:
        super().__init__()
        self.spherical = spherical
        self.register_buffer("centers", torch.zeros(clusters, size))

    @torch.no_grad()
    def fit(
        self, features: Chunk | Iterable[Chunk], *, seed: int = 0, restarts: int = 3, iterations: int = 100, tolerance: float = 2e-4
    ) -> list[float]:
        """Find the centers, and return the inertia at each pass over all frames, which never rises.

        `features`: frames (N, D), or chunks (n, D) of them that can be gone through again and again, on any device.
        `restarts`: starts on the sample, of which the best goes on. It ends after `iterations` passes, or when what the centers' last
        move gained is less than the share `tolerance` of the inertia. An empty cluster gets a place within the cluster of largest inertia.

        Raises:
            UserError: frames are not (N, D), not finite, or fewer than K; the chunks can be gone through only once.
        """
        chunks = _again_and_again(features)
        random = draws.stream("k-means", seed)
        sample = self._sample(chunks, random)
        few = sample[: SEEDED * len(self.centers)]
        tried = []
        for _ in range(restarts):
            self.centers.copy_(spread_out(few, len(self.centers), random))
            tried.append((self._lloyd([few], SAMPLE_ITERATIONS, tolerance, random)[-1], self.centers.clone()))
        self.centers.copy_(min(tried, key=lambda pair: pair[0])[1])
        self._lloyd([sample], SAMPLE_ITERATIONS, tolerance, random)
        return self._lloyd(chunks, iterations, tolerance, random)

    def assign(self, features: Chunk) -> Tensor:
        """Code of each frame: (N, D) -> (N,) int64, on the device of the centers."""
        return self.nearest(features)[0]

    def inertia(self, features: Chunk | Iterable[Chunk]) -> float:
        """Mean squared distance of frames to their nearest center."""
        chunks = [features] if isinstance(features, Tensor | np.ndarray) else features
        counts, sums = zip(*((len(chunk), float(self.nearest(chunk)[1].double().sum())) for chunk in chunks), strict=True)
        return sum(sums) / sum(counts)

    @torch.no_grad()
    def nearest(self, features: Chunk) -> tuple[Tensor, Tensor]:
        """Code of each frame and its squared distance to that center: (N, D) -> (N,) int64 and (N,) float32."""
        found = [self._nearest(block) for block in self._blocks([features])]
        if not found:
            return torch.zeros(0, dtype=torch.int64, device=self.centers.device), self.centers.new_zeros(0)
        codes, distances = zip(*found, strict=True)
        return torch.cat(codes), torch.cat(distances)

    def _nearest(self, block: Tensor) -> tuple[Tensor, Tensor]:
        origin = self.centers.mean(dim=0)  # about which features that lie far from zero lose no digits
        block, centers = block - origin, self.centers - origin
        relative = torch.addmm(centers.square().sum(dim=1), block, centers.T, alpha=-2.0)  # |x - center|^2 - |x|^2: (n, K)
        smallest, codes = relative.min(dim=1)
        return codes, (smallest + block.square().sum(dim=1)).clamp_(min=0.0)

    def _blocks(self, chunks: Iterable[Chunk]) -> Iterator[Tensor]:
        """Yield all frames, at most ROWS at a time, where the centers are."""
        size = self.centers.shape[1]
        for chunk in chunks:
            if chunk.ndim != 2 or chunk.shape[1] != size:  # noqa: PLR2004 - (N, D)
                msg = f"k-means with centers of {size} dimensions takes frames (N, {size}), not {tuple(chunk.shape)}"
                raise UserError(msg)
            for begin in range(0, len(chunk), ROWS):
                part = chunk[begin : begin + ROWS]
                shared = isinstance(part, Tensor) or part.flags.writeable  # what may only be read (a file) must be copied
                block = (torch.as_tensor(part) if shared else torch.tensor(part)).to(self.centers)
                yield functional.normalize(block) if self.spherical else block

    def _sample(self, chunks: Iterable[Chunk], random: np.random.Generator) -> Tensor:
        """Draw at most SAMPLED x K frames, in random order: each frame draws a number, and those with the smallest are kept."""
        most, seen, limit = SAMPLED * len(self.centers), 0, 1.0
        kept, drawn = self.centers[:0], np.zeros(0)
        waiting: list[tuple[Tensor, NDArray[np.float64]]] = []
        for block in self._blocks(chunks):
            if not block.isfinite().all():
                broken = seen + int((~block.isfinite().all(dim=1)).nonzero()[0])
                msg = f"k-means needs finite frames, and frame {broken} is not: has the model diverged?"
                raise UserError(msg)
            seen += len(block)
            numbers = random.random(len(block))
            small = np.flatnonzero(numbers < limit)
            waiting.append((block[small], numbers[small]))
            if sum(len(part) for part, _ in waiting) > most:
                kept, drawn = _smallest(most, [(kept, drawn), *waiting])
                waiting, limit = [], drawn[-1]
        if seen < len(self.centers):
            msg = f"{seen} frames cannot have {len(self.centers)} centers: give more audio, or ask for fewer clusters"
            raise UserError(msg)
        return _smallest(most, [(kept, drawn), *waiting])[0]

    def _lloyd(self, chunks: Iterable[Chunk], iterations: int, tolerance: float, random: np.random.Generator) -> list[float]:
        """Move the centers until the inertia no longer falls."""
        inertias: list[float] = []
        for _ in ProgressBar(
            iter(range(iterations)), f"k-means, {len(self.centers)} centers", "pass"
        ):  # the number of passes is not known before
            assigned = self._assigned(chunks)
            frames, inertia = float(assigned.counts.sum()), float(assigned.spread.sum())
            inertias.append(inertia / frames)
            means = (assigned.sums / assigned.counts.clamp(min=1)[:, None]).to(self.centers)
            means = torch.where((assigned.counts > 0)[:, None], functional.normalize(means) if self.spherical else means, self.centers)
            gained = float((assigned.counts * (means - self.centers).double().square().sum(dim=1)).sum())
            last = gained <= tolerance * inertia or len(inertias) == iterations
            beyond = means if last else self.centers + OVERSHOOT * (means - self.centers)
            repaired = _repair(beyond, means, assigned, random)
            self.centers.copy_(functional.normalize(beyond) if self.spherical else beyond)
            if last and not repaired:
                break
        return inertias

    def _assigned(self, chunks: Iterable[Chunk]) -> "_Assigned":
        clusters = len(self.centers)
        every = torch.arange(clusters + 1, device=self.centers.device)
        total = _Assigned(*(self.centers.new_zeros(shape, dtype=torch.float64) for shape in (self.centers.shape, clusters, clusters)))
        for block in self._blocks(chunks):
            codes, distances = self._nearest(block)
            codes, order = codes.sort(stable=True)
            edges = torch.searchsorted(codes, every)  # where each cluster's frames begin
            # A sum over bags of rows: fast, and unlike `index_add_` in the same order every time on a GPU too.
            total.sums.add_(functional.embedding_bag(order, block, edges[:-1], mode="sum"))
            total.spread.add_(functional.embedding_bag(order, distances[:, None], edges[:-1], mode="sum")[:, 0])
            total.counts.add_(edges.diff())
        return total


class _Assigned(NamedTuple):
    """What a pass over all frames finds for each cluster, in float64."""

    sums: Tensor
    """(K, D): of its frames."""
    counts: Tensor
    """(K,): its frames."""
    spread: Tensor
    """(K,): their squared distances to the center, summed."""


def spread_out(frames: Tensor, clusters: int, random: np.random.Generator) -> Tensor:
    """Choose centers among frames (N, D) by greedy k-means++: (K, D).

    Each next one is the best of 2 + log K frames drawn in proportion to their squared distance from the nearest one chosen already.
    """
    points = frames - frames.mean(dim=0)  # or features that lie far from zero would lose digits
    squares = points.square().sum(dim=1)

    def squared_distances(rows: Tensor) -> Tensor:  # from all to some: (N, rows)
        return torch.addmm(squares[:, None] + squares[rows], points, points[rows].T, alpha=-2.0).clamp_(min=0.0)

    chosen = torch.from_numpy(random.integers(len(frames), size=1)).to(frames.device)
    closest = squared_distances(chosen)
    for _ in range(clusters - 1):
        cumulated = closest[:, 0].double().cumsum(dim=0)
        drawn = torch.from_numpy(random.random(2 + int(math.log(clusters)))).to(frames.device) * cumulated[-1]
        candidates = torch.searchsorted(cumulated, drawn, right=True).clamp(max=len(frames) - 1)
        closer = torch.minimum(closest, squared_distances(candidates))
        best = closer.sum(dim=0).argmin()
        chosen, closest = torch.cat([chosen, candidates[best, None]]), closer[:, best, None]
    return frames[chosen]


def _repair(centers: Tensor, means: Tensor, assigned: _Assigned, random: np.random.Generator) -> bool:
    """Move the center of each empty cluster to a little off the mean of one of large inertia, which can only lower the inertia."""
    empty = (assigned.counts == 0).nonzero()[:, 0]
    donors = assigned.spread.argsort(descending=True)[: len(empty)]
    donors = donors[assigned.spread[donors] > 0]
    radius = (assigned.spread[donors] / assigned.counts[donors]).sqrt()  # |x - center| of the cluster's frames
    # Along any one direction frames lie some radius / sqrt(D) apart: so far off the mean, the new center wins about a third of them.
    steps = torch.from_numpy(random.standard_normal((len(donors), means.shape[1]))).to(radius) * radius[:, None] / means.shape[1]
    centers[empty[: len(donors)]] = means[donors] + steps.to(means)
    return len(donors) > 0


def _smallest(most: int, parts: Sequence[tuple[Tensor, NDArray[np.float64]]]) -> tuple[Tensor, NDArray[np.float64]]:
    """Keep the frames that drew the smallest numbers, in that order."""
    frames, numbers = zip(*parts, strict=True)
    drawn = np.concatenate(numbers)
    order = np.argsort(drawn)[:most]
    return torch.cat(frames)[order], drawn[order]


def _again_and_again(features: Chunk | Iterable[Chunk]) -> Sequence[Chunk] | Iterable[Chunk]:
    if isinstance(features, Tensor | np.ndarray):
        return [features]
    if isinstance(features, Iterator):
        msg = (
            "k-means goes through the frames many times, and a generator can be gone through once: give the array, a list of chunks, or an "
            "object whose __iter__ begins anew"
        )
        raise UserError(msg)
    return features
