"""CPC and ACPC written straight from the papers and the specification of the reference code: gathered vectors, elementwise products.

Nothing here is shared with the package but the shapes of its inputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from reference.alignments import align_by_ctc


def plain_scores(predictions: Tensor, latents: Tensor, rows: Tensor, group: int, matched: int) -> tuple[Tensor, Tensor]:
    """Mean over D of prediction times vector, by loops: positives (B, K, W, M) and negatives (B, K, W, N)."""
    batch, count, positions, _ = predictions.shape
    frames = latents.shape[1]
    positives = torch.empty(batch, count, positions, matched, dtype=predictions.dtype)
    negatives = torch.empty(batch, count, positions, rows.shape[-1], dtype=predictions.dtype)
    for b in range(batch):
        pool = latents[b - b % group : b - b % group + group].reshape(group * frames, -1)
        for t in range(positions):
            for k in range(count):
                prediction = predictions[b, k, t]
                for m in range(matched):
                    positives[b, k, t, m] = (prediction * latents[b, t + 1 + m]).mean()
                negatives[b, k, t] = (prediction * pool[rows[b, t]]).mean(dim=-1)
    return positives, negatives


def plain_cpc_loss(positives: Tensor, negatives: Tensor) -> Tensor:
    """Sum over k of the cross-entropy of the positive among its negatives, mean over positions."""
    total = torch.zeros((), dtype=positives.dtype)
    for k in range(positives.shape[1]):
        logits = torch.cat([positives[:, k, :, k, None], negatives[:, k]], dim=-1).flatten(0, 1)
        total = total + F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))
    return total


def plain_acpc_loss(positives: Tensor, negatives: Tensor) -> Tensor:
    """Each cell contrasts one positive with all negatives; the alignment is scored by CTC; mean over positions."""
    batch, count, positions, matched = positives.shape
    cells = torch.empty(batch * positions, matched, count, dtype=positives.dtype)
    for k in range(count):
        for m in range(matched):
            logits = torch.cat([positives[:, k, :, m, None], negatives[:, k]], dim=-1)
            cells[:, m, k] = logits.log_softmax(dim=-1)[..., 0].flatten()
    return align_by_ctc(cells).mean()


def plain_accuracy(positives: Tensor, negatives: Tensor, same: Tensor, path: Tensor) -> float:
    """Share of frames whose aligned prediction scores strictly above each negative that is not the frame itself."""
    positives, negatives = positives.detach(), negatives.detach()
    batch, positions, matched = path.shape
    right = 0
    for b in range(batch):
        for t in range(positions):
            for m in range(matched):
                k = int(path[b, t, m])
                rivals = [float(negatives[b, k, t, n]) for n in range(negatives.shape[-1]) if not same[b, t, m, n]]
                right += all(float(positives[b, k, t, m]) > rival for rival in rivals)
    return right / (batch * positions * matched)
