"""Aligned contrastive loss (ACPC): K predictions are aligned to the M >= K next frames, and each must match its frames.

arXiv:2104.11946, section 3. The model says what comes next, not exactly when. With K = M there is one alignment, and this is CPC.
What else the authors' code offers, which the paper does not use, is in `Lattice`: frames that need no prediction, forbidden cells.
"""

import re
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.contracts import Term
from foresay.errors import UserError
from foresay.monotonic import Alignment, monotonic_alignment
from foresay.objectives.contrastive import ContrastiveLoss, Scores, accuracy, log_probabilities


@dataclass(frozen=True)
class Lattice:
    """Which alignments of K predictions to M frames there are, and how they are weighed. The defaults are the paper's."""

    mode: Literal["soft", "hard"] = "soft"
    """Sum over all alignments, or take the best."""
    skip_begin: int = 0
    """Free frames before the M, with score 0 under every prediction: up to so many of the first predictions may match nothing."""
    skip_end: int = 0
    """Free frames after the M: up to so many of the last predictions may match nothing."""
    blank: bool = False
    """The last prediction is none: it may take frames before, between and after the others."""
    masked: tuple[str, ...] = ()
    """Forbidden cells, `frames, predictions` as slices: "0:2, 3:" forbids predictions 3, 4, … for frames 0 and 1."""
    temperature: float = 1.0
    """tau: the loss is tau x alignment(scores / tau); below 1 nearer to the best alignment, above 1 nearer to all alike."""

    def forbidden(self, frames: int, predictions: int) -> Tensor | None:
        """Cells (M, K) that no alignment may use; None if there are none.

        Raises:
            UserError: a rule is not two slices, or no alignment is left.
        """
        if not self.masked:
            return None
        cells = torch.zeros(frames, predictions, dtype=torch.bool)
        for rule in self.masked:
            parts = re.fullmatch(r"\s*(\d*):(\d*)\s*,\s*(\d*):(\d*)\s*", rule)
            if parts is None:
                msg = f"model.masked: {rule!r} is not two slices, of frames and of predictions, such as '0:2, 3:'"
                raise UserError(msg)
            a, b, c, d = (int(part) if part else None for part in parts.groups())
            cells[a:b, c:d] = True
        if not self.align_cells(torch.zeros(frames, predictions).masked_fill(cells, -torch.inf)).loss.isfinite():
            msg = f"model.masked = {list(self.masked)} leaves no alignment of {predictions} predictions to {frames} frames: forbid fewer"
            raise UserError(msg)
        return cells

    def align_cells(self, cells: Tensor) -> Alignment:
        """Align log-probabilities (..., M, K); the free frames are not in the posterior and the path."""
        frames = cells.shape[-2]
        scores = F.pad(cells / self.temperature, (0, 0, self.skip_begin, self.skip_end))
        scores, blank = (scores[..., :-1], scores[..., -1]) if self.blank else (scores, None)
        found = monotonic_alignment(scores, self.mode, blank)
        scored = slice(self.skip_begin, self.skip_begin + frames)
        return Alignment(self.temperature * found.loss, found.posterior[..., scored, :], found.path[..., scored])


def align(scores: Scores, lattice: Lattice, forbidden: Tensor | None = None) -> Alignment:
    """Align the predictions of every position to its next M frames: loss (B, W), posterior (B, W, M, K), path (B, W, M).

    `forbidden` (M, K): cells that no alignment may use, those of `lattice.forbidden`.
    """
    cells = log_probabilities(scores)
    if forbidden is not None:
        cells = cells.masked_fill(forbidden, -torch.inf)
    return lattice.align_cells(cells)


def aligned_contrastive_loss(scores: Scores, lattice: Lattice, forbidden: Tensor | None = None) -> ContrastiveLoss:
    """Sum over B x W positions of the alignment's cost, a sum over M frames: it compares with the sum over k of CPC's cross-entropies.

    `forbidden`: (M, K) bool, cells that no alignment goes through.
    """
    alignment = align(scores, lattice, forbidden)
    term = Term(sum=alignment.loss.sum(), count=float(alignment.loss.numel()))
    return ContrastiveLoss(term, accuracy(scores, alignment.path))
