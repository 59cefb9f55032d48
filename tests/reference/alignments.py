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


def paths_with_blank(frames: int, predictions: int) -> list[list[int]]:
    """List the paths in which frames may also be blank (= `predictions`): all labelings that read 0, 1, … when merged and unblanked."""
    found = []
    for path in itertools.product(range(predictions + 1), repeat=frames):
        merged = [label for label, _ in itertools.groupby(path)]
        if [label for label in merged if label != predictions] == list(range(predictions)):
            found.append(list(path))
    return found


def align_with_blank_by_enumeration(scores: Tensor, blank: Tensor) -> tuple[float, Tensor, float, list[int]]:
    """Of one (M, K) matrix and its (M,) blanks: soft loss, posterior (M, K + 1), hard loss, best path."""
    frames, predictions = scores.shape
    cells = torch.cat([scores, blank[:, None]], dim=1)
    paths = paths_with_blank(frames, predictions)
    totals = torch.tensor([[float(cells[m, k]) for m, k in enumerate(p)] for p in paths], dtype=torch.float64).sum(dim=1)
    weights = totals.softmax(0)
    posterior = torch.zeros(frames, predictions + 1, dtype=torch.float64)
    for path, weight in zip(paths, weights, strict=True):
        for m, k in enumerate(path):
            posterior[m, k] += weight
    return -float(totals.logsumexp(0)), posterior, -float(totals.max()), paths[int(totals.argmax())]


def align_by_ctc(scores: Tensor, blank: Tensor | None = None) -> Tensor:
    """The paper's formulation: CTC with a blank that is all but forbidden, normalized, and the normalizer added back. (P, M, K) -> (P,).

    Or with a real one, `blank` (P, M).
    """
    positions, frames, predictions = scores.shape
    columns = F.pad(scores, (1, 0), value=-1000.0)
    if blank is not None:
        columns = torch.cat([blank[..., None], scores], dim=-1)
    columns = columns.transpose(0, 1)  # (M, P, 1 + K)
    normalizer = columns.logsumexp(dim=-1)  # (M, P)
    targets = torch.arange(1, predictions + 1).expand(positions, -1)
    lengths = torch.full((positions,), frames), torch.full((positions,), predictions)
    cost = F.ctc_loss(columns - normalizer[..., None], targets, *lengths, reduction="none")
    return cost - normalizer.sum(0)
