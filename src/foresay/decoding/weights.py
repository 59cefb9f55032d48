"""How much a language model counts: log p_AM + a log p_LM + b words, all in nats; the weights that were published, and their units.

KenLM returns log10 p, and the decoder of fairseq multiplies it by its weight as it is; a Transformer's scores there are natural logarithms.
So a published weight of 2.46 for an n-gram is 2.46 / ln 10 = 1.07 in nats, beside 1.06 for the Transformer (wav2vec 2.0, tables 7 and 8).
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from foresay.errors import UserError

LARGEST = 2.5
"""Of the weights of a language model in nats. None that was published is above 1.7."""
LARGEST_WORD = 100.0
"""Nats that a word may add, or take: none that was published is beyond 3, and so many outweigh the audio."""

Labels: TypeAlias = Literal["10min", "1h", "10h", "100h", "960h"]


@dataclass(frozen=True)
class Weights:
    """Of a language model and of the number of words (or symbols), in nats."""

    language: float = 0.0
    """a: what log p by the language model is multiplied by."""
    words: float = 0.0
    """b: what each word adds."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.words) or not 0 <= self.language < math.inf:
            msg = f"weights are finite, that of a language model 0 or more, not {self.language} and {self.words}"
            raise UserError(msg)
        if abs(self.words) > LARGEST_WORD:
            msg = (
                f"a word's weight of {self.words:g} nats outweighs whatever was said: usual are -5 to 5, and more than {LARGEST_WORD:g} is "
                "perhaps another option's number"
            )
            raise UserError(msg)
        if self.language > LARGEST:
            msg = (
                f"a language model's weight of {self.language:g} is larger than any of use in nats (0 to {LARGEST}). Usual cause: the "
                f"weight of an n-gram's log10, as in fairseq, flashlight and the tables of wav2vec 2.0. In nats it is "
                f"{self.language:g} / ln 10 = {nats(self.language):.2f}"
            )
            raise UserError(msg)


def nats(base_ten: float) -> float:
    """Turn the weight of log10 p into that of log p."""
    return base_ten / math.log(10)


_LIBRISPEECH_NGRAM: dict[Labels, tuple[float, float]] = {
    "10min": (3.23, -0.26),
    "1h": (2.90, -1.62),
    "10h": (2.46, -0.59),
    "100h": (2.15, -0.52),
    "960h": (1.74, 0.52),
}
_LIBRIVOX_NGRAM: dict[Labels, tuple[float, float]] = {
    "10min": (3.86, -1.18),
    "1h": (3.09, -2.33),
    "10h": (2.12, -0.90),
    "100h": (2.15, -0.52),
    "960h": (1.57, -0.64),
}
_LIBRISPEECH_TRANSFORMER: dict[Labels, tuple[float, float]] = {
    "10min": (1.20, -1.39),
    "1h": (1.15, -2.08),
    "10h": (1.06, -2.32),
    "100h": (0.87, -1.00),
    "960h": (0.92, -0.86),
}
_LIBRIVOX_TRANSFORMER: dict[Labels, tuple[float, float]] = {
    "10min": (1.47, -2.82),
    "1h": (1.33, -0.69),
    "10h": (0.94, -1.05),
    "100h": (0.87, -1.00),
    "960h": (0.90, -0.31),
}


def nearest_labels(hours: float) -> Labels:
    """Return the amount of transcribed speech of the published tables that is nearest to so many hours."""
    amounts: dict[Labels, float] = {"10min": 1 / 6, "1h": 1, "10h": 10, "100h": 100, "960h": 960}
    return min(amounts, key=lambda labels: abs(math.log(max(hours, 1e-3) / amounts[labels])))


def published(model: Literal["ngram", "transformer"], labels: Labels, pretrained: Literal["librispeech", "librivox"]) -> Weights:
    """Return the weights of wav2vec 2.0 (arXiv:2006.11477, tables 7 and 8) in nats: where tuning of one's own begins.

    Args:
        model: the language model.
        labels: how much transcribed speech the recognizer was fine-tuned on.
        pretrained: on what speech, without text.
    """
    if model == "ngram":
        a, b = (_LIBRISPEECH_NGRAM if pretrained == "librispeech" else _LIBRIVOX_NGRAM)[labels]
        return Weights(nats(a), b)
    return Weights(*(_LIBRISPEECH_TRANSFORMER if pretrained == "librispeech" else _LIBRIVOX_TRANSFORMER)[labels])
