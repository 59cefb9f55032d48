"""Somebody's wav2vec 2.0 or HuBERT without the heads it was pre-trained with: it hears, but has nothing left to be trained by.

Published checkpoints that were fine-tuned, and every HuBERT in the format of transformers, are such.
"""

from dataclasses import dataclass
from typing import Literal

from foresay.contracts import Batch, Losses
from foresay.errors import UserError
from foresay.models._masked_transformer import MaskedTransformer, MaskedTransformerSettings


@dataclass(frozen=True)
class EncoderSettings(MaskedTransformerSettings):
    """The network, and where it comes from."""

    family: Literal["wav2vec2", "hubert"] = "wav2vec2"
    fine_tuned: bool = False
    """Whether it was fine-tuned to recognize or classify."""


class Encoder(MaskedTransformer):
    """Convolutions and Transformer, to be used through their features."""

    def __init__(self, settings: EncoderSettings) -> None:
        super().__init__(settings)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002 - of the contract
        """Refuse: there is nothing to be minimized.

        Raises:
            UserError: always.
        """
        what = "a fine-tuned checkpoint" if self.settings.fine_tuned else "a checkpoint without the heads of its pre-training"
        msg = (
            f"this is {what}: its features can be used, but it cannot be pre-trained further. Take a pre-trained one that kept its heads "
            "(Wav2Vec2ForPreTraining in transformers, or the .pt file of fairseq)"
        )
        raise UserError(msg)
