"""Generation: what models sequences of tokens, and how it is sampled from."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from foresay.contracts.frames import FeatureExtractor
from foresay.contracts.language_models import LanguageModel
from foresay.contracts.models import Trainable
from foresay.contracts.tokens import Tokenizer, Tokens


@dataclass(frozen=True)
class Sampling:
    """How the next symbol is drawn: from the distribution at a temperature, cut off by rank or by probability."""

    temperature: float
    """What log p is divided by: below 1 the likely becomes likelier; 0: always the likeliest."""
    top_k: int | None = None
    """Draw among so many of the likeliest symbols; None: among all."""
    top_p: float | None = None
    """Draw among the likeliest symbols that together have at least this probability (nucleus sampling); None: among all."""
    longest: int = 500
    """Symbols that are drawn at most."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            msg = f"temperature = {self.temperature}: it must be 0 (always the likeliest) or more, and finite"
            raise ValueError(msg)
        if self.top_k is not None and self.top_k < 1:
            msg = f"top_k = {self.top_k}: at least one symbol must be left to draw"
            raise ValueError(msg)
        if self.top_p is not None and not 0 < self.top_p <= 1:
            msg = f"top_p = {self.top_p} is a probability, above 0 and at most 1"
            raise ValueError(msg)
        if self.longest < 1:
            msg = f"longest = {self.longest}: at least one symbol must be drawn"
            raise ValueError(msg)


class CausalBody(ABC):
    """The body of a causal language model: all but its embeddings and its output layer. What it reads are vectors, one a symbol."""

    size: int
    """D, of what it reads and of what it gives."""
    blocks: int
    """How many there are."""
    longest: int | None
    """So many symbols it reads at most; None: as many as there are."""
    tied: bool
    """Whether the output layer shares the weights of the embeddings in the model that it is of."""

    @abstractmethod
    def states(self, embedded: Tensor) -> list[Tensor]:
        """Return what block 1 is given, what it gives, … what the last one gives, normalized: (B, U, D) -> (B, U, D) each.

        Raises:
            UserError: they are more than it can read.
        """

    @abstractmethod
    def read(self, embedded: Tensor, real: Tensor, past: Any = None) -> tuple[Tensor, Any]:  # noqa: ANN401 - its own
        """Read on: (N, U, D) after a past of P symbols -> what the last block gives (N, U, D), and the past from then on.

        `real` (N, P + U): whether a place holds a symbol, or comes before the first one, as all rows end together. A past is used up.

        Raises:
            UserError: they are more than it can read.
        """

    @abstractmethod
    def rows_of(self, past: Any, rows: Tensor) -> Any:  # noqa: ANN401 - its own
        """Choose rows (N,) of a past, which is used up, in any order and number."""


class TokenModel(Trainable, FeatureExtractor, ABC):
    """A language model of the tokens of speech, together with what makes them; its layers are what it computes of them, on their clock."""

    tokenizer: Tokenizer
    """A part, not trained."""

    @property
    @abstractmethod
    def window(self) -> int:
        """Symbols that are read at once, the begin of a text counted. Longer texts are read in windows that overlap by half."""

    @property
    @abstractmethod
    def language_model(self) -> LanguageModel:
        """The same as a model of symbols, which are the numbers of units as text."""

    @abstractmethod
    def modelled(self, tokens: Tokens) -> Tokens:
        """Bring tokens, which are known to be the tokenizer's, into the form that is modelled, such as with runs of equal ones merged."""

    def prepared(self, tokens: Tokens) -> Tokens:
        """Bring tokens of the tokenizer into the form that is modelled.

        Raises:
            UserError: they are those of another tokenizer.
        """
        tokens.require(self.tokenizer.fingerprint, "this language model")
        return self.modelled(tokens)

    @abstractmethod
    def log_probabilities(self, tokens: Tokens) -> Tensor:
        """Score each symbol by those before it: tokens (B, 1, U), in any form, -> log p (B, U) in nats, 0 beyond an utterance's length.

        U is that of the form that is modelled (`prepared`). Ends of utterances are not scored. Of more units than `window`, each is scored
        once; the first `window` by all before them, the others by half as many or more.
        """

    @abstractmethod
    def generate(self, prompts: Tokens, sampling: Sampling, keys: Sequence[int]) -> Tokens:
        """Continue each of B prompts, which may be of length 0, with symbols that are drawn by its key: what was drawn alone, (B, 1, U).

        The tokens that are returned are in the form that is modelled. An utterance ends where its end is drawn, or at `sampling.longest`.
        Where prompt and continuation are longer than `window`, each symbol is drawn by the window that it would be scored in.
        """
