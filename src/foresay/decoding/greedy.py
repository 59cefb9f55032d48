"""The best path: the likeliest symbol of each frame, merged where it repeats, without the blanks.

It is the likeliest path, not the likeliest text, which may have many paths (`prefix_beam` sums over them).
"""

from collections.abc import Callable, Sequence

import torch

from foresay.contracts.recognition import Emissions, Encoded, Hypothesis, StablePrefix
from foresay.decoding.emissions import BLANK, begins, checked, checked_chunk, real_frames


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


class GreedyStream:
    """The best path of one utterance, chunk by chunk (`SearchStream`). Whatever it has found is certain."""

    def __init__(self, text_of: Callable[[Sequence[int]], str]) -> None:
        """`text_of`: writes symbols as text."""
        self._text_of = text_of
        self._tokens: list[int] = []
        self._frames: list[int] = []
        self._score, self._done, self._last = 0.0, 0, BLANK

    def push(self, encoded: Encoded) -> StablePrefix:
        """Go on by the emissions of a chunk (1, t, V).

        Raises:
            UserError: they are no emissions of one utterance, or are not numbers.
        """
        scores, path = checked_chunk(encoded).log_probabilities.max(-1)
        starts = begins(path, self._last)[0].nonzero()[:, 0]
        self._tokens += path[0, starts].tolist()
        self._frames += (starts + self._done).tolist()
        self._score += float(scores.double().sum())
        if path.shape[1]:
            self._last, self._done = int(path[0, -1]), self._done + path.shape[1]
        return StablePrefix(self._text_of(self._tokens), tuple(self._tokens), tuple(self._frames))

    def finish(self) -> Hypothesis:
        """Return the path of the whole; its score is log p, in nats."""
        tokens = tuple(self._tokens)
        return Hypothesis(self._text_of(tokens), self._score, tokens, tuple(self._frames), acoustic=self._score)
