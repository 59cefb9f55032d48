"""The best path: the likeliest symbol of each frame, merged where it repeats, without the blanks.

It is the likeliest path, not the likeliest text, which may have many paths (`prefix_beam` sums over them).
"""

from collections.abc import Callable, Sequence

import torch

from foresay.contracts.recognition import Emissions, Hypothesis
from foresay.decoding.emissions import BLANK, begins, checked, real_frames


def best_path(emissions: Emissions, text_of: Callable[[Sequence[int]], str]) -> list[Hypothesis]:
    """Transcribe each utterance by its best path.

    Args:
        emissions: (B, T, V).
        text_of: writes symbols as text, as a recognizer's `text_of` does.

    Returns:
        B hypotheses, each with the frames at which its symbols begin. Score and acoustic are log p of the path, in nats.

    Raises:
        UserError: the emissions are no emissions, or are not numbers.
    """
    checked(emissions)
    real = real_frames(emissions)
    scores, path = emissions.log_probabilities.max(-1)
    path = torch.where(real, path, BLANK)
    totals = torch.where(real, scores, 0.0).sum(-1).tolist()
    new = begins(path)
    counts = new.sum(1).tolist()
    tokens = path[new].cpu().split(counts)
    frames = new.nonzero()[:, 1].cpu().split(counts)
    return [
        Hypothesis(text_of(symbols.tolist()), score, tuple(symbols.tolist()), tuple(starts.tolist()), acoustic=score)
        for symbols, starts, score in zip(tokens, frames, totals, strict=True)
    ]
