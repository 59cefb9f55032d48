"""The likeliest alignment of a text in a transducer's lattice (Viterbi), for pictures and times."""

import torch
from torch import Tensor

from foresay.objectives.transducer import Diagonals, after_label, checked_lattice, scored


@torch.no_grad()
def best_alignment(logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
    """Find the likeliest alignment of each text: arguments as those of `transducer_loss`.

    Args:
        logits: (B, T, U + 1, V).
        labels: (B, U) int64.
        frames: (B,) T of each.
        counts: (B,) U of each.

    Returns:
        The frame in which each symbol is written, (B, U) int64; -1 beyond a text's end.

    Raises:
        UserError: as `transducer_loss` says.
    """
    checked_lattice(logits, labels, frames, counts)
    frames, place = frames.to(logits.device), counts.to(logits.device)
    lattice, end = Diagonals.of(scored(logits, labels), frames, place), frames + place
    score, writes = lattice.start, []
    for blank, label in zip(lattice.blank, lattice.label, strict=True):
        read, write = score + blank, after_label(score + label)
        writes.append(write > read)
        score = torch.maximum(read, write)
    found = torch.full((len(labels), labels.shape[1] + 1), -1, device=logits.device)  # the last column is for what writes nothing
    for step in range(len(writes) - 1, -1, -1):
        wrote = writes[step].gather(1, place[:, None])[:, 0] & (step < end)
        place = place - wrote.long()
        found.scatter_(1, torch.where(wrote, place, labels.shape[1])[:, None], (step - place)[:, None])
    return torch.where(torch.arange(labels.shape[1], device=logits.device) < counts.to(logits.device)[:, None], found[:, :-1], -1)
