"""Pruned transducer loss (RNN-T) for large vocabularies: the joint network is computed near the likely alignments alone.

Kuang et al., "Pruned RNN-T for fast, memory-efficient ASR training" (arXiv:2206.13236).

    u = U  .   .   o---o---*     Of each frame only R positions of the text are scored, here R = 2: its window. Windows begin with the text,
           .   o---o---o   .     end with it, never go back, and overlap from frame to frame, so that there is a way through them.
        1  o---o---o   .   .     What leaves any other node is impossible; otherwise the lattice is the one of `transducer.py`.
           o---o   .   .   .

Where the likely alignments are, a simple joint network says: its logits are sums of a number of the frame and one of the prefix, both of
them (…, V). The normalizer of a sum is a product of matrices, exp(frames) exp(prefixes)', so that all nodes are scored without
(B, T, U + 1, V) numbers. It learns by a loss of its own, which leads at first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.errors import UserError
from foresay.layers.joint_network import JointNetwork
from foresay.objectives.transducer import BLANK, IMPOSSIBLE, Arcs, TransducerObjective, following, lattice_loss, precise, scored_nodes


class PrunedLattice(TransducerObjective):
    """Losses of texts by a joint network within windows, `transducer`, and by the simple one that finds them, `simple`."""

    def __init__(self, size: int, symbols: int, *, positions: int = 5, simple: float = 0.5, warmup: int = 2000) -> None:
        """`size`: J of frames and prefixes. `symbols`: V. `positions`: R. `simple`, `warmup`: see `weights`.

        Raises:
            UserError: there are fewer than two positions, so that no symbol can be written, or another number is below 0.
        """
        super().__init__(size, symbols)
        if positions < 2 or min(simple, warmup) < 0:  # noqa: PLR2004 - from one position a symbol leads to another
            msg = (
                f"model.objective_options: positions is {positions}, and must be 2 or more, for a symbol leads from one to another; simple "
                f"({simple:g}) and warmup ({warmup}) must not be below 0"
            )
            raise UserError(msg)
        self.positions, self.simple, self.warmup = positions, simple, warmup
        self.frame, self.prefix = nn.Linear(size, symbols), nn.Linear(size, symbols)

    def forward(
        self, joint: JointNetwork, frames: Tensor, predicted: Tensor, labels: Tensor, lengths: Tensor, counts: Tensor, fast_emit: float
    ) -> dict[str, Tensor]:
        """Return both losses of texts (B, U) by frames (B, T, J) and what is known after each prefix (B, U + 1, J): (B,) nats each.

        Raises:
            UserError: a text has more symbols than windows can rise in its frames.
        """
        check_windows(lengths, counts, self.positions)
        lengths, counts, after = lengths.to(labels.device), counts.to(labels.device), following(labels)
        simple, posteriors = lattice_loss(additive_scores(self.frame(frames), self.prefix(predicted), after), lengths, counts, fast_emit)
        window = windows(posteriors, lengths, counts, self.positions)
        batch, longest, positions = window.shape
        flat = window.flatten(1)  # (B, T R)
        near = predicted.gather(1, flat[..., None].expand(-1, -1, predicted.shape[2])).view(batch * longest, positions, -1)
        logits = joint(frames.flatten(0, 1)[:, None], near).view(batch, longest, positions, -1)  # of each frame as of a text of its own
        scores = scored_nodes(logits, after.gather(1, flat).view_as(window))
        return {"transducer": lattice_loss(within(scores, window, after.shape[1]), lengths, counts, fast_emit)[0], "simple": simple}

    def weights(self, step: int) -> dict[str, float]:
        """Weigh the losses of an update: at first .1 and 1, after the warm-up, during which both change evenly, 1 and `simple`.

        So do later recipes of the authors, over 2,000 updates (icefall, `zipformer/train.py`): before the simple network knows where the
        likely alignments are, the windows do not hold them.
        """
        share = min(step / self.warmup, 1.0) if self.warmup else 1.0
        return {"transducer": 0.1 + 0.9 * share, "simple": 1 - (1 - self.simple) * share}

    def frames_needed(self, symbols: int) -> int:
        """Count the frames that a text takes at least: in each a window rises by R - 1 symbols."""
        return max(1, -(-symbols // (self.positions - 1)))

    def numbers(self, frames: int, symbols: int) -> int:
        """Count the numbers that an utterance takes, gradient included: those of windows, of the simple network, and of both lattices."""
        near = frames * min(self.positions, symbols + 1) * (2 * self.symbols + 3 * self.size)
        return near + 2 * (frames + symbols + 1) * self.symbols + 16 * frames * (symbols + 1)


def additive_scores(frames: Tensor, prefixes: Tensor, after: Tensor) -> Arcs:
    """Return log p of the arcs where logits are sums, of frames (B, T, V) and prefixes (B, U + 1, V): (B, T, U + 1) each.

    `after`: the symbol that comes next after each prefix, (B, U + 1).
    """
    frames, prefixes = precise(frames), precise(prefixes)
    blank = frames[..., BLANK, None] + prefixes[:, None, :, BLANK]
    label = frames.gather(2, after[:, None].expand(-1, frames.shape[1], -1)) + prefixes.gather(2, after[..., None]).mT
    highest, peaks = (given.detach().amax(2, keepdim=True) for given in (frames, prefixes))
    with torch.autocast(frames.device.type, enabled=False):
        product = (frames - highest).exp() @ (prefixes - peaks).exp().mT
    # Where a frame and a prefix are sure of different symbols the product may underflow: it is taken for the least number above 0.
    normalizer = product.clamp_min(torch.finfo(product.dtype).tiny).log() + highest + peaks.mT
    return Arcs(blank - normalizer, label - normalizer)


@torch.no_grad()
def windows(posteriors: Arcs, frames: Tensor, counts: Tensor, positions: int) -> Tensor:
    """Choose the window of each frame by the posteriors of all arcs, (B, T, U + 1) each: positions of the text, (B, T, R).

    R is `positions`, or U + 1 if that is less; lengths (B,). Section 3.2: each frame first takes the window within which the most paths
    leave it that have not come from below it in the frame. Then windows are moved down so that none lies above a later one, and up so that
    each overlaps with the next, the last at the end of the text.
    """
    _, longest, width = posteriors.blank.shape
    size = min(positions, width)
    leaving = F.pad(posteriors.blank.cumsum(2), (1, 0))
    through = leaving[..., size:] - leaving[..., :-size]
    through[..., 1:] -= posteriors.label[..., : width - size]
    time = torch.arange(longest, device=frames.device)
    last = (counts + 1 - size).clamp_min(0)[:, None]
    begin = torch.where(time < frames[:, None] - 1, through.argmax(2), last)
    begin = begin.flip(1).cummin(1).values.flip(1)
    rise = (size - 1) * time  # no window may begin higher, or the first would not begin with the text
    begin = torch.minimum((begin - rise).flip(1).cummax(1).values.flip(1) + rise, rise)
    return begin[..., None] + torch.arange(size, device=frames.device)


def within(scores: Arcs, window: Tensor, width: int) -> Arcs:
    """Put the arcs of the nodes of windows (B, T, R) into lattices `width` wide whose other arcs are impossible: (B, T, U + 1) each."""
    outside = scores.blank.new_full((*window.shape[:2], width), IMPOSSIBLE)
    return Arcs(*(outside.scatter(2, window, arcs) for arcs in scores))


def check_windows(frames: Tensor, counts: Tensor, positions: int) -> None:
    """Refuse texts through which no windows lead, of so many frames and symbols, (B,) each, on the CPU.

    Raises:
        UserError: there is one.
    """
    short = counts > (positions - 1) * frames
    if short.any():
        row = int(short.int().argmax())
        msg = (
            f"a text of {int(counts[row])} symbols does not fit into {int(frames[row])} frames with {positions} positions of it in each, "
            f"which rise by {positions - 1} a frame. Usual cause: a transcript of another recording. Or allow more positions of the text "
            "(model.objective_options)"
        )
        raise UserError(msg)
