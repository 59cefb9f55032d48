"""Every alignment of K predictions to M frames, one by one: slow, and plainly right."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor


def all_paths(frames: int, predictions: int) -> list[list[int]]:
    """List a(1..M) with a(1) = first, a(M) = last, each step staying or climbing by one: choose the M - 1 steps that climb."""
    paths = []
    for climbs in itertools.combinations(range(1, frames), predictions - 1):
        place, path = 0, [0]
        for m in range(1, frames):
            place += m in climbs
            path.append(place)
        paths.append(path)
    return paths


def align_by_enumeration(scores: Tensor) -> tuple[float, Tensor, float, list[int]]:
    """Of one (M, K) matrix: soft loss, posterior (M, K), hard loss, best path."""
    frames, predictions = scores.shape
    totals = {tuple(p): sum(float(scores[m, k]) for m, k in enumerate(p)) for p in all_paths(frames, predictions)}
    best = max(totals, key=lambda p: totals[p])
    top = totals[best]
    mass = sum(math.exp(total - top) for total in totals.values())
    posterior = torch.zeros(frames, predictions, dtype=torch.float64)
    for path, total in totals.items():
        for m, k in enumerate(path):
            posterior[m, k] += math.exp(total - top) / mass
    return -(top + math.log(mass)), posterior, -top, list(best)


def align_by_ctc(scores: Tensor) -> Tensor:
    """The paper's formulation: CTC with a blank that is all but forbidden, normalized, and the normalizer added back. (P, M, K) -> (P,)."""
    positions, frames, predictions = scores.shape
    columns = F.pad(scores, (1, 0), value=-1000.0).transpose(0, 1)  # (M, P, 1 + K)
    normalizer = columns.logsumexp(dim=-1)  # (M, P)
    targets = torch.arange(1, predictions + 1).expand(positions, -1)
    lengths = torch.full((positions,), frames), torch.full((positions,), predictions)
    cost = F.ctc_loss(columns - normalizer[..., None], targets, *lengths, reduction="none")
    return cost - normalizer.sum(0)
