"""Monotonic alignment of K predictions to M frames: the dynamic program at the heart of ACPC (arXiv:2104.11946, section 3).

Given log-scores s[m, k] of frame m under prediction k, a path gives each frame one prediction: a(1) = 1, a(M) = K and
a(m + 1) is a(m) or a(m) + 1. Every prediction is used, none is skipped:

    prediction K  . . . . . x x        frames run to the right, predictions upwards;
               .  . . x x x . .        a path stays or climbs by one.
               1  x x . . . . .
                  1 . . . . . M

`soft` sums over all paths (what the paper computes through CTC), `hard` keeps the best one (dynamic time warping).
With a `blank`, some frames may belong to no prediction: before, between and after them stands an optional state, as in CTC.
No normalizer is needed, unlike with CTC, and the gradient of the loss is minus the posterior.
"""

from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from foresay.errors import UserError


class Alignment(NamedTuple):
    """What the program finds for each (M, K) matrix of scores."""

    loss: Tensor
    """(...,): soft, -log of the sum over paths of exp(score of the path); hard, minus the score of the best path."""
    posterior: Tensor
    """(..., M, K), with a blank (..., M, K + 1), the blank last: the probability that frame m is aligned to prediction k;
    under `hard` 1 on the best path, 0 elsewhere."""
    path: Tensor
    """(..., M) int64: the best path's prediction for each frame, from 0; K is the blank. Among equals, the path that climbs latest."""


def monotonic_alignment(scores: Tensor, mode: Literal["soft", "hard"] = "soft", blank: Tensor | None = None) -> Alignment:
    """Align K predictions to M >= K frames.

    `scores`: (..., M, K) log-scores, `blank` (..., M) that of each frame under the blank; -inf where an alignment is forbidden.
    Computed in float32 at least, whatever autocast says. The loss is differentiable in both; posterior and path are not.
    """
    frames, predictions = scores.shape[-2:]
    if not 1 <= predictions <= frames:
        msg = f"{predictions} predictions cannot be aligned to {frames} frames: each needs at least one frame of its own (1 <= K <= M)"
        raise UserError(msg)
    exact = scores if scores.dtype == torch.float64 else scores.float()
    if blank is None:
        return Alignment(*_Align.apply(exact, mode, 0))
    # States: blank, 1, blank, 2, …, K, blank. The blanks, at even places, may be passed over.
    blanks = blank.to(exact)[..., None]  # (..., M, 1)
    between = torch.stack([blanks.expand_as(exact), exact], dim=-1).flatten(-2)
    states = torch.cat([between, blanks], dim=-1)  # (..., M, 2 K + 1)
    loss, posterior, path = _Align.apply(states, mode, 1)
    silent = posterior[..., 0::2].sum(-1, keepdim=True)
    return Alignment(loss, torch.cat([posterior[..., 1::2], silent], dim=-1), torch.where(path % 2 == 1, path // 2, predictions))


class _Align(torch.autograd.Function):
    """The program over J states; `first` is 1 if the states at even places are optional, else 0."""

    @staticmethod
    def forward(ctx: FunctionCtx, scores: Tensor, mode: str, first: int) -> tuple[Tensor, Tensor, Tensor]:
        # Positions last: each step of the program then works on contiguous rows.
        cells = scores.movedim((-2, -1), (0, 1)).contiguous()  # (M, J, ...)
        best = _prefix_scores(cells, torch.maximum, first)
        path = _backtrack(best, first)  # (M, ...)
        if mode == "hard":
            total = best[-1, -1 - first :].amax(0)
            posterior = F.one_hot(path, cells.shape[1]).movedim(-1, 1).to(cells)
        else:
            prefix = _prefix_scores(cells, torch.logaddexp, first)
            suffix = _prefix_scores(cells.flip(0, 1), torch.logaddexp, first).flip(0, 1)
            total = prefix[-1, -1 - first :].logsumexp(0)
            # Both halves hold the cell's own score, so it is taken off once.
            posterior = (prefix + suffix - cells - total).exp().masked_fill(cells == -torch.inf, 0.0)
        posterior = posterior.movedim((0, 1), (-2, -1)).contiguous()
        ctx.save_for_backward(posterior)
        path = path.movedim(0, -1)
        ctx.mark_non_differentiable(posterior, path)
        return -total, posterior, path

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> tuple[Tensor, None, None]:  # noqa: ANN401 - autograd's signature
        (posterior,) = cast("Any", ctx).saved_tensors
        return -posterior * gradients[0][..., None, None], None, None


def _prefix_scores(cells: Tensor, combine: Any, first: int) -> Tensor:  # noqa: ANN401 - torch.logaddexp or torch.maximum
    """Score of all paths (or the best) from the start to each cell, both included. (M, J, ...) -> (M, J, ...)."""
    frames, states = cells.shape[:2]
    prefix = torch.full_like(cells, -torch.inf)
    prefix[0, : 1 + first] = cells[0, : 1 + first]
    for m in range(1, frames):
        before, now = prefix[m - 1], prefix[m]
        # Only cells that can be reached, and from which the end still can: states low .. high.
        step = 1 + first
        low, high = max(0, states - 1 - first - step * (frames - 1 - m)), min(states - 1, first + step * m)
        start = max(low, 1)
        now[start : high + 1] = combine(before[start : high + 1], before[start - 1 : high])  # stay, climb
        if low == 0:
            now[0] = before[0]
        if first:  # pass over a blank, from one prediction to the next
            odd = max(3, start + 1 - start % 2)
            now[odd : high + 1 : 2] = combine(now[odd : high + 1 : 2], before[odd - 2 : high - 1 : 2])
        now[low : high + 1] += cells[m, low : high + 1]
    return prefix


def _backtrack(best: Tensor, first: int) -> Tensor:
    """Follow the best path from its last cell to the first. (M, J, ...) -> (M, ...) int64."""
    states = best.shape[1]
    place = torch.full(best.shape[2:], states - 1, dtype=torch.int64, device=best.device)
    if first:
        place = place - (best[-1, -2] >= best[-1, -1]).long()
    path = [place]
    for m in range(best.shape[0] - 1, 0, -1):
        stay, climb = (best[m - 1].gather(0, (place - back).clamp(min=0)[None])[0] for back in (0, 1))
        # At the lowest state that can be reached there is nothing to stay on: its prefix is -inf, and so the path must have climbed.
        climbed = ((place > 0) & (climb >= stay)).long()
        if first:
            leap = best[m - 1].gather(0, (place - 2).clamp(min=0)[None])[0]
            leapt = (place % 2 == 1) & (place > 1) & (leap >= torch.maximum(stay, climb))
            climbed = torch.where(leapt, 2, climbed)
        place = place - climbed
        path.append(place)
    return torch.stack(path[::-1])
