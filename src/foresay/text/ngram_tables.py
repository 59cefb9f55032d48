"""An n-gram model as sorted tables, all in nats."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

UNKNOWN, END, BEGIN = "<unk>", "</s>", "<s>"
SPECIAL = (UNKNOWN, END, BEGIN)
"""They follow the W words: W is the unknown word, W + 1 the end of a sentence, W + 2 its beginning."""
NEVER = -99.0
"""log10 of what files write for a probability of zero."""

Keys: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class NGrams:
    """The n-grams of orders 1 to N, of M = W + 3 symbols. The 1-grams are all of these.

    The key of an n-gram is the place of its first n - 1 words among the (n - 1)-grams, times M, plus its last word; of a 1-gram, its word.
    """

    words: tuple[str, ...]
    """W words, sorted."""
    keys: tuple[Keys, ...]
    """Of each order, ascending."""
    log_probabilities: tuple[Numbers, ...]
    """Of each order, in nats."""
    backoffs: tuple[Numbers, ...]
    """Of each order but the last: log of the weight of what is read off the shorter context, in nats."""

    @property
    def names(self) -> tuple[str, ...]:
        """The M symbols."""
        return (*self.words, *SPECIAL)
