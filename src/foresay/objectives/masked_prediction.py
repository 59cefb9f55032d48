"""Masked prediction loss: the class of a masked frame (HuBERT, arXiv:2106.07447, eq. 1 and 3).

    p(class | frame) = softmax over classes of cosine(projected state, class vector) / 0.1

The reference compares each frame with its own class and with all classes, and strikes its own out of these: each class counts once, which
is a plain cross-entropy over one product of matrices.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.contracts import Term

NO_CLASS = -1


class PredictionLoss(NamedTuple):
    """The loss, and the share of frames whose class is found."""

    term: Term
    accuracy: Tensor


def masked_prediction_loss(projected: Tensor, classes: Tensor, labels: Tensor, temperature: float, weight: float = 1.0) -> PredictionLoss:
    """Sum of the cross-entropies of N frames: projected states (N, D), class vectors (C, D), labels (N,), -1 where there is none."""
    with torch.autocast(projected.device.type, enabled=False):  # in full precision: the temperature makes ten times of every error
        states, vectors = (F.normalize(values.to(classes.dtype), dim=-1) for values in (projected, classes))
        logits = F.linear(states, vectors) / temperature
    known = labels != NO_CLASS
    right = (logits.argmax(dim=-1) == labels) & known
    total = F.cross_entropy(logits, labels, ignore_index=NO_CLASS, reduction="sum")
    return PredictionLoss(Term(total, known.sum(), weight), right.sum() / known.sum().clamp(min=1))
