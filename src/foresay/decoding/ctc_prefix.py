"""CTC prefix scores: log p that what is said begins with certain symbols, whatever follows; for the joint decoding of CTC and attention.

Watanabe et al., "Hybrid CTC/Attention Architecture for End-to-End Speech Recognition" (IEEE JSTSP 2017), section II-D. For a prefix g, and
g followed by c, with n(t), b(t) = p of g in the first t frames whose last frame is its last symbol, or a blank:

    n'(t) = (n'(t-1) + phi(t-1)) p_c(t)      phi = b if c is the last symbol of g, else n + b      p(g c ...) = sum_t phi(t-1) p_c(t)
    b'(t) = (b'(t-1) + n'(t-1)) p_blank(t)                                                         p(g alone) = n(T) + b(T)

Both recursions are linear, so that each is a cumulative sum of what is divided by the product of p up to there: no loop over frames.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.contracts.recognition import Emissions
from foresay.decoding.emissions import BLANK, IMPOSSIBLE, checked, padded_with_blanks

_SMALLEST = -1e3
"""Log p of a symbol in a frame, at least: a product over a recording then still is a number."""


class PrefixScores:
    """The emissions of B utterances, and the scores of K prefixes of each in them. A state is (B, K, 2, T + 1) float64: log n and log b."""

    def __init__(self, emissions: Emissions) -> None:
        """`emissions`: (B, T, V).

        Raises:
            UserError: they are none, or no numbers.
        """
        scores = padded_with_blanks(checked(emissions)).transpose(0, 1).double().clamp(min=_SMALLEST)
        self._sums = F.pad(scores.cumsum(1), (0, 0, 1, 0)).transpose(1, 2)  # (B, V, T + 1)

    def begin(self, beam: int) -> Tensor:
        """Return the state of `beam` empty prefixes of each utterance: (B, K, 2, T + 1)."""
        blank = self._sums[:, BLANK]
        return torch.stack([torch.full_like(blank, IMPOSSIBLE), blank], 1)[:, None].expand(-1, beam, -1, -1)

    def grow(self, states: Tensor, last: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """Score prefixes that go on.

        Args:
            states: of the prefixes.
            last: (B, K) int64, their last symbols; the blank, of empty ones.
            symbols: (B, K, M) int64, what each may go on with, no blanks.

        Returns:
            Log p of the longer prefixes, whatever follows, (B, K, M), and their states (B, K, M, 2, T + 1).
        """
        count, (rows, beam, size) = self._sums.shape[-1], symbols.shape
        sums = self._sums.gather(1, symbols.flatten(1)[..., None].expand(-1, -1, count)).view(rows, beam, size, count)
        repeated = (symbols == last[..., None])[..., None]
        before = torch.where(repeated, states[:, :, None, 1], states.logsumexp(2)[:, :, None])[..., :-1]  # phi(0 ... T - 1)
        ends = _accumulated(before, sums)
        blanks = _accumulated(ends[..., :-1], self._sums[:, None, None, BLANK])
        total = (before + sums.diff(dim=-1)).logsumexp(-1)
        return total, torch.stack([ends, blanks], 3)

    @staticmethod
    def whole(states: Tensor) -> Tensor:
        """Log p that a prefix is all that is said: (B, K)."""
        return states[..., -1].logsumexp(-1)


def _accumulated(before: Tensor, sums: Tensor) -> Tensor:
    """Solve r(t) = (r(t-1) + before(t-1)) p(t) for t = 0 ... T, r(0) = 0: `before` (…, T), sums of log p (…, T + 1) -> log r, alike."""
    return F.pad(sums[..., 1:] + (before - sums[..., :-1]).logcumsumexp(-1), (1, 0), value=IMPOSSIBLE)
