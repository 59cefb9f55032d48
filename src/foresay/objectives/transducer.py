"""Transducer loss (RNN-T), exact: log p of a text, summed over all alignments of its symbols with the frames.

Graves, "Sequence Transduction with Recurrent Neural Networks" (arXiv:1211.3711), section 2; FastEmit: Yu et al. (arXiv:2010.11148), eq. 9.

    u = U  o---o---o---*      at node (t, u), frame t has been reached and u symbols have been written:
           |   |   |   |          a blank leads to frame t + 1, a label writes symbol u + 1 and stays
        1  o---o---o---o
           |   |   |   |      alpha(t, u) = logadd(alpha(t - 1, u) + blank(t - 1, u), alpha(t, u - 1) + label(t, u - 1))
        0  o---o---o---o
       t = 0   1   2   3      loss = -(alpha(T - 1, U) + blank(T - 1, U)), which is alpha of the end *, (T, U)

All nodes of a diagonal t + u depend on the one before alone, so that the lattice is computed in T + U steps. The gradient of the loss by an
arc's log-probability is minus the arc's posterior: it is computed with the loss, and of all that has the size of the logits nothing is kept
but the logits themselves. Whatever scores the arcs, the lattice is the same: `pruned_transducer.py` scores them otherwise.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.errors import UserError
from foresay.layers.joint_network import JointNetwork

BLANK = 0
IMPOSSIBLE = -1e30
"""Log p of what leads out of the lattice: finite, for the difference of two infinities is no number."""


class Arcs(NamedTuple):
    """One number for each arc of a lattice, by the node that it leaves."""

    blank: Tensor
    """(B, T, U + 1): to the next frame."""
    label: Tensor
    """(B, T, U + 1): to the next symbol; there is none after the last."""


def transducer_loss(logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, fast_emit: float = 0.0) -> Tensor:
    """Return -log p of each text, in nats: (B,).

    Args:
        logits: (B, T, U + 1, V), not normalized, the blank first; beyond an utterance's frames and symbols they mean nothing.
        labels: (B, U) int64, none of them the blank; behind an utterance's symbols stands any number below V.
        frames: (B,) T of each, at least 1; on the CPU, as `counts`, where a device shall not be waited for.
        counts: (B,) U of each, 0 or more.
        fast_emit: the gradient of labels is 1 + this times as large, that of blanks as it is: symbols are written earlier. The loss stays.

    Raises:
        UserError: shapes or lengths do not fit each other.
    """
    checked_lattice(logits, labels, frames, counts)
    scores, frames, counts = scored(logits, labels), frames.to(logits.device), counts.to(logits.device)
    if not scores.blank.requires_grad:
        return -_at_end(Diagonals.of(scores, frames, counts).forwards(), frames, counts)
    return lattice_loss(scores, frames, counts, fast_emit)[0]


@torch.no_grad()
def arc_posteriors(logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor) -> Arcs:
    """Say how probable it is that an alignment of the text takes an arc: arguments as those of `transducer_loss`, arcs (B, T, U + 1).

    Both arcs of a node together are the posterior of the node. All blanks of a frame sum to 1, and so do all labels that write a symbol.

    Raises:
        UserError: as `transducer_loss` says.
    """
    checked_lattice(logits, labels, frames, counts)
    frames, counts = frames.to(logits.device), counts.to(logits.device)
    return _posteriors(Diagonals.of(scored(logits, labels), frames, counts), frames, counts)[1]


def checked_lattice(logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor) -> None:
    """Refuse shapes and lengths that do not fit each other: logits (B, T, U + 1, V), labels (B, U), frames and counts (B,).

    Raises:
        UserError: they do not.
    """
    batch, longest, width = logits.shape[:3]
    if labels.shape != (batch, width - 1) or frames.shape != (batch,) or counts.shape != (batch,):
        msg = f"logits (B, T, U + 1, V) {tuple(logits.shape)} do not fit labels (B, U) {tuple(labels.shape)} and their lengths"
        raise UserError(msg)
    if batch and (min(frames.min(), counts.min() + 1) < 1 or frames.max() > longest or counts.max() >= width):
        msg = (
            f"a transducer's lattice has 1 to {longest} frames and 0 to {width - 1} symbols here, not {frames.tolist()} and "
            f"{counts.tolist()}. Usual cause: a recording shorter than one frame"
        )
        raise UserError(msg)


def lattice_loss(scores: Arcs, frames: Tensor, counts: Tensor, fast_emit: float = 0.0) -> tuple[Tensor, Arcs]:
    """Sum over all paths of lattices whose arcs are scored, (B, T, U + 1) log p; lengths (B,) where the scores are.

    Returns:
        -log p of each text (B,), and the posteriors of the arcs, through which no gradient goes.
    """
    loss, blank, label = _LatticeLoss.apply(*scores, frames, counts, fast_emit)
    return loss, Arcs(blank, label)


class _LatticeLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's
        blank: Tensor,
        label: Tensor,
        frames: Tensor,
        counts: Tensor,
        fast_emit: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        total, posteriors = _posteriors(Diagonals.of(Arcs(blank, label), frames, counts), frames, counts)
        ctx.save_for_backward(*posteriors)
        ctx.mark_non_differentiable(*posteriors)
        ctx.fast_emit = fast_emit
        return -total, *posteriors

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # noqa: ANN401 - PyTorch's
        blank, label = ctx.saved_tensors
        outer = -outer[:, None, None]
        return blank * outer, label * (1 + ctx.fast_emit) * outer, None, None, None


class TransducerObjective(nn.Module, ABC):
    """What a transducer minimizes, by the nodes of the lattice that its joint network is computed at."""

    def __init__(self, size: int, symbols: int) -> None:
        """`size`: J of what the joint network takes. `symbols`: V."""
        super().__init__()
        self.size, self.symbols = size, symbols

    @abstractmethod
    def forward(
        self, joint: JointNetwork, frames: Tensor, predicted: Tensor, labels: Tensor, lengths: Tensor, counts: Tensor, fast_emit: float
    ) -> dict[str, Tensor]:
        """Return losses of texts (B, U) by frames (B, T, J) and what is known after each prefix (B, U + 1, J): each (B,) nats.

        `lengths`, `counts` and `fast_emit` as `transducer_loss` has them.
        """

    def weights(self, step: int) -> dict[str, float]:  # noqa: ARG002 - they may change
        """Weigh the losses of an update."""
        return {"transducer": 1.0}

    def frames_needed(self, symbols: int) -> int:  # noqa: ARG002 - it may depend on them
        """Count the frames that a text takes at least: one may write all of it."""
        return 1

    @abstractmethod
    def numbers(self, frames: int, symbols: int) -> int:
        """Count the numbers that an utterance takes, gradient included."""


class WholeLattice(TransducerObjective):
    """The joint network is computed at every node. `PrunedLattice` is the other way."""

    def forward(
        self, joint: JointNetwork, frames: Tensor, predicted: Tensor, labels: Tensor, lengths: Tensor, counts: Tensor, fast_emit: float
    ) -> dict[str, Tensor]:
        """Return the loss of texts (B, U) by frames (B, T, J) and what is known after each prefix (B, U + 1, J): (B,) nats."""
        return {"transducer": transducer_loss(joint(frames, predicted), labels, lengths, counts, fast_emit)}

    def numbers(self, frames: int, symbols: int) -> int:
        """Count the numbers that the joint network of an utterance takes, gradient included."""
        return frames * (symbols + 1) * (2 * self.symbols + 3 * self.size)


class Diagonals(NamedTuple):
    """A lattice, sheared: row d holds the arcs that leave the nodes with t + u = d, in the order of u."""

    blank: Tensor
    """(T + U, B, U + 1) log p; IMPOSSIBLE outside of an utterance's lattice."""
    label: Tensor
    start: Tensor
    """(B, U + 1) log p of the nodes of row 0."""

    @classmethod
    def of(cls, scores: Arcs, frames: Tensor, counts: Tensor) -> Self:
        """Shear scores (B, T, U + 1) of utterances with so many frames and symbols, each (B,)."""
        _, longest, width = scores.blank.shape
        place = torch.arange(width, device=frames.device)
        time = torch.arange(longest + width - 1, device=frames.device)[:, None] - place  # (T + U, U + 1)
        inside = (time >= 0) & (time < frames[:, None, None]) & (place <= counts[:, None, None])  # (B, T + U, U + 1)
        blank, label = (arcs[:, time.clamp(0, longest - 1), place] for arcs in scores)
        start = torch.where(place == 0, 0.0, IMPOSSIBLE).to(blank).expand(len(frames), -1)
        blank = torch.where(inside, blank, IMPOSSIBLE)
        label = torch.where(inside & (place < counts[:, None, None]), label, IMPOSSIBLE)
        return cls(blank.transpose(0, 1).contiguous(), label.transpose(0, 1).contiguous(), start)

    def forwards(self) -> Tensor:
        """Sum over the paths from the start to each node: alpha, (T + U + 1, B, U + 1)."""
        score = self.start
        rows = [score]
        for blank, label in zip(self.blank, self.label, strict=True):
            score = torch.logaddexp(score + blank, after_label(score + label))
            rows.append(score)
        return torch.stack(rows)

    def backwards(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Sum over the paths from each node to the end: beta, (T + U + 1, B, U + 1); lengths (B,)."""
        place = torch.arange(self.start.shape[1], device=counts.device)
        end, last = place == counts[:, None], (frames + counts)[:, None]
        steps = len(self.blank)
        score = torch.where(end & (last == steps), 0.0, IMPOSSIBLE).to(self.start)
        rows = [score]
        for step in range(steps - 1, -1, -1):
            above = F.pad(score[:, 1:], (0, 1), value=IMPOSSIBLE)
            score = torch.logaddexp(score + self.blank[step], above + self.label[step])
            score = torch.where(end & (last == step), 0.0, score)
            rows.append(score)
        return torch.stack(rows[::-1])


def precise(logits: Tensor) -> Tensor:
    """Return logits (…, V) in float32, or float64 if they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


def scored(logits: Tensor, labels: Tensor) -> Arcs:
    """Return log p of the arcs by logits (B, T, U + 1, V) and labels (B, U): (B, T, U + 1) each."""
    return scored_nodes(logits, following(labels)[:, None].expand(-1, logits.shape[1], -1))


def following(labels: Tensor) -> Tensor:
    """Say which symbol comes next after each prefix of texts (B, U): (B, U + 1); after the whole text any will do, here the blank."""
    return F.pad(labels, (0, 1), value=BLANK)


def scored_nodes(logits: Tensor, symbols: Tensor) -> Arcs:
    """Return log p of the blank and of the symbol that comes next (…) at nodes of logits (…, V), of which no other copy is kept."""
    return Arcs(*_Scored.apply(precise(logits), symbols))


class _Scored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - PyTorch's
        normalizer, symbols = logits.logsumexp(-1), symbols[..., None]
        ctx.save_for_backward(logits, normalizer, symbols)
        return logits[..., BLANK] - normalizer, logits.gather(-1, symbols)[..., 0] - normalizer

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, blank: Tensor, label: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - PyTorch's
        logits, normalizer, symbols = ctx.saved_tensors
        gradient = (logits - normalizer[..., None]).exp_()
        gradient *= -(blank + label)[..., None]
        gradient[..., BLANK] += blank
        gradient.scatter_add_(-1, symbols, label[..., None])
        return gradient, None


def after_label(score: Tensor) -> Tensor:
    """Move what labels lead to (B, U + 1) to the place of one symbol more."""
    return F.pad(score[:, :-1], (1, 0), value=IMPOSSIBLE)


def _at_end(alpha: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
    """Read alpha (T + U + 1, B, U + 1) at each utterance's end: (B,) log p."""
    return alpha[frames + counts, torch.arange(len(counts), device=counts.device), counts]


def _posteriors(lattice: Diagonals, frames: Tensor, counts: Tensor) -> tuple[Tensor, Arcs]:
    """Return log p of the texts (B,), and the posteriors of the arcs, each (B, T, U + 1)."""
    alpha, beta = lattice.forwards(), lattice.backwards(frames, counts)
    total = _at_end(alpha, frames, counts)
    before = alpha[:-1] - total[:, None]
    blank = (before + lattice.blank + beta[1:]).exp()
    label = (before + lattice.label + F.pad(beta[1:, :, 1:], (0, 1), value=IMPOSSIBLE)).exp()
    place = torch.arange(alpha.shape[2], device=alpha.device)
    step = torch.arange(len(lattice.blank) - len(place) + 1, device=alpha.device)[:, None] + place  # (T, U + 1)
    return total, Arcs(*(arcs.transpose(0, 1)[:, step, place] for arcs in (blank, label)))
