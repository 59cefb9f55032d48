"""Monotonic alignment of K predictions to M frames: the dynamic program at the heart of ACPC (arXiv:2104.11946, section 3).

Given log-scores s[m, k] of frame m under prediction k, a path gives each frame one prediction: a(1) = 1, a(M) = K and
a(m + 1) is a(m) or a(m) + 1. Every prediction is used, none is skipped:

    prediction K  . . . . . x x        frames run to the right, predictions upwards;
               .  . . x x x . .        a path stays or climbs by one.
               1  x x . . . . .
                  1 . . . . . M

`soft` sums over all paths (what the paper computes through CTC), `hard` keeps the best one (dynamic time warping).
No blank symbol and no normaliser are needed, unlike with CTC, and the gradient of the loss is minus the posterior.
"""

from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from foresay.errors import UserError


class Alignment(NamedTuple):
    """What the program finds for each (M, K) matrix of scores."""

    loss: Tensor
    """(...,): soft, -log of the sum over paths of exp(score of the path); hard, minus the score of the best path."""
    posterior: Tensor
    """(..., M, K): the probability that frame m is aligned to prediction k; under `hard` 1 on the best path, 0 elsewhere."""
    path: Tensor
    """(..., M) int64: the best path's prediction for each frame, from 0. Among equals, the path that climbs latest."""


def monotonic_alignment(scores: Tensor, mode: Literal["soft", "hard"] = "soft") -> Alignment:
    """Align K predictions to M >= K frames.

    `scores`: (..., M, K) log-scores, -inf where an alignment is forbidden. Computed in float32 at least, whatever autocast says.
    The loss is differentiable in the scores; posterior and path are not.
    """
    frames, predictions = scores.shape[-2:]
    if not 1 <= predictions <= frames:
        msg = f"{predictions} predictions cannot be aligned to {frames} frames: each needs at least one frame of its own (1 <= K <= M)"
        raise UserError(msg)
    exact = scores if scores.dtype == torch.float64 else scores.float()
    return Alignment(*_Align.apply(exact, mode))


class _Align(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, scores: Tensor, mode: str) -> tuple[Tensor, Tensor, Tensor]:
        # Positions last: each step of the program then works on contiguous rows.
        cells = scores.movedim((-2, -1), (0, 1)).contiguous()  # (M, K, ...)
        best = _prefix_scores(cells, torch.maximum)
        path = _backtrack(best)  # (M, ...)
        if mode == "hard":
            total = best[-1, -1]
            posterior = torch.nn.functional.one_hot(path, cells.shape[1]).movedim(-1, 1).to(cells)
        else:
            prefix = _prefix_scores(cells, torch.logaddexp)
            suffix = _prefix_scores(cells.flip(0, 1), torch.logaddexp).flip(0, 1)
            total = prefix[-1, -1]
            # Both halves hold the cell's own score, so it is taken off once.
            posterior = (prefix + suffix - cells - total).exp().masked_fill(cells == -torch.inf, 0.0)
        posterior = posterior.movedim((0, 1), (-2, -1)).contiguous()
        ctx.save_for_backward(posterior)
        path = path.movedim(0, -1)
        ctx.mark_non_differentiable(posterior, path)
        return -total, posterior, path

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> tuple[Tensor, None]:  # noqa: ANN401 - autograd's signature
        (posterior,) = cast("Any", ctx).saved_tensors
        return -posterior * gradients[0][..., None, None], None


def _prefix_scores(cells: Tensor, combine: Any) -> Tensor:  # noqa: ANN401 - torch.logaddexp or torch.maximum
    """Score of all paths (or the best) from the first cell to each cell, both included. (M, K, ...) -> (M, K, ...)."""
    frames, predictions = cells.shape[:2]
    prefix = torch.full_like(cells, -torch.inf)
    prefix[0, 0] = cells[0, 0]
    for m in range(1, frames):
        # Only cells from which the end can still be reached: predictions low .. high.
        low, high = max(0, predictions - frames + m), min(m, predictions - 1)
        start = max(low, 1)
        reached = combine(prefix[m - 1, start : high + 1], prefix[m - 1, start - 1 : high])  # stay, climb
        prefix[m, start : high + 1] = reached + cells[m, start : high + 1]
        if low == 0:
            prefix[m, 0] = prefix[m - 1, 0] + cells[m, 0]
    return prefix


def _backtrack(best: Tensor) -> Tensor:
    """Follow the best path from the last cell to the first. (M, K, ...) -> (M, ...) int64."""
    frames, predictions = best.shape[:2]
    place = torch.full(best.shape[2:], predictions - 1, dtype=torch.int64, device=best.device)
    path = [place]
    for m in range(frames - 1, 0, -1):
        stay = best[m - 1].gather(0, place[None])[0]
        climb = best[m - 1].gather(0, (place - 1).clamp(min=0)[None])[0]
        # At k = m there is nothing to stay on: its prefix is -inf, and so the path must have climbed.
        place = place - ((place > 0) & (climb >= stay)).long()
        path.append(place)
    return torch.stack(path[::-1])
