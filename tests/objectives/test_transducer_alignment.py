"""The likeliest alignment in a transducer's lattice against every alignment."""

import torch

from foresay.objectives.transducer_alignment import best_alignment
from reference.transducer_loops import best_alignment_of

TEXTS = [(1, 2, 1), (2, 2), (), (1,), (2, 1, 1)]
FRAMES = [4, 3, 2, 1, 2]


def test_best_alignment_is_that_of_all() -> None:
    counts = torch.tensor([len(text) for text in TEXTS])
    labels = torch.full((5, 5), 2)
    for row, text in zip(labels, TEXTS, strict=True):
        row[: len(text)] = torch.tensor(text, dtype=torch.int64)
    for seed in range(4):
        logits = 2 * torch.randn(5, 6, 6, 3, generator=torch.Generator().manual_seed(seed))
        scores = logits.log_softmax(-1)
        found = best_alignment(logits, labels, torch.tensor(FRAMES), counts).tolist()
        for b, (text, frames) in enumerate(zip(TEXTS, FRAMES, strict=True)):
            rows = scores[b, :frames, : len(text) + 1].tolist()
            assert found[b] == [*best_alignment_of(rows, text), *[-1] * (5 - len(text))]
