"""Algorithm 2 of "Contrastive Predictive Coding for Audio & Images", row by row, with latents that are really shuffled."""

import torch
from torch import Tensor


def loop_losses(
    predictions: Tensor,
    targets: Tensor,
    *,
    temperature: float,
    queue: Tensor | None = None,
    perturbed: Tensor | None = None,
    order: Tensor | None = None,
    others: Tensor | None = None,
    own_perturbed: bool = True,
    own_shuffled: bool = False,
) -> list[Tensor]:
    """Cross-entropies of rows i: prediction (D,) i is for target i of (N, D); `order` is how the targets are shuffled."""
    losses = []
    for i, prediction in enumerate(predictions):
        choices = [targets[i]] + [target for j, target in enumerate(targets) if j != i]
        choices += [] if queue is None else list(queue)
        if perturbed is not None:
            choices += [copy for j, copy in enumerate(perturbed) if own_perturbed or j != i]
        if order is not None:
            choices += [targets[j] for j in order.tolist() if own_shuffled or j != i]
        choices += [] if others is None else list(others)
        scores = torch.stack([prediction @ choice for choice in choices]) / temperature
        losses.append(-scores.log_softmax(0)[0])
    return losses
