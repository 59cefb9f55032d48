"""Aligned contrastive coding: K predictions are aligned to the M >= K frames that come, and each must match the frames it is given.

arXiv:2104.11946, section 3. The model says what comes next, not exactly when. With K = M there is one alignment, and this is CPC.
"""

from typing import Literal

from foresay.contracts import Term
from foresay.monotonic import Alignment, monotonic_alignment
from foresay.objectives.contrastive import ContrastiveLoss, Scores, accuracy, log_probabilities


def align(scores: Scores, mode: Literal["soft", "hard"]) -> Alignment:
    """Align the predictions of every position to its next M frames: loss (B, W), posterior (B, W, M, K), path (B, W, M)."""
    return monotonic_alignment(log_probabilities(scores), mode)


def aligned_contrastive_loss(scores: Scores, mode: Literal["soft", "hard"]) -> ContrastiveLoss:
    """Sum over B x W positions of the alignment's cost, a sum over M frames: it compares with the sum over k of CPC's cross-entropies."""
    alignment = align(scores, mode)
    term = Term(sum=alignment.loss.sum(), count=float(alignment.loss.numel()))
    return ContrastiveLoss(term, accuracy(scores, alignment.path))
