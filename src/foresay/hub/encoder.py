"""Somebody's wav2vec 2.0, HuBERT or WavLM without the heads it was pre-trained with: it gives features, but no loss.

Published checkpoints that were fine-tuned, and every HuBERT and WavLM in the format of transformers, are such. To train one further, begin
a run of the whole model with its weights (`foresay pretrain --from`).
"""

from dataclasses import dataclass
from typing import Literal

from foresay.contracts import Batch, Losses
from foresay.errors import UserError
from foresay.models.representation._masked_transformer import MaskedTransformer, MaskedTransformerSettings
from foresay.models.representation.wavlm import GatedRelativePositions


@dataclass(frozen=True)
class EncoderOnlySettings(MaskedTransformerSettings):
    """The network, and where it comes from."""

    family: Literal["wav2vec2", "hubert", "wavlm"] = "wav2vec2"
    fine_tuned: bool = False
    """Whether it was fine-tuned to recognize or classify."""
    buckets: int = 0
    """Buckets of WavLM's relative position bias; 0: the network has none."""
    farthest: int = 800
    """Frames: what is farther is as far."""


class EncoderOnly(MaskedTransformer):
    """Convolutions and Transformer, to be used through their features."""

    def __init__(self, settings: EncoderOnlySettings) -> None:
        s = settings
        super().__init__(s, GatedRelativePositions(s.size, s.layers, s.heads, s.buckets, s.farthest) if s.buckets else None)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002 - of the contract
        """Refuse: there is nothing to be minimized.

        Raises:
            UserError: always.
        """
        what = "a fine-tuned checkpoint" if self.settings.fine_tuned else "a checkpoint without the heads of its pre-training"
        msg = (
            f"this is {what}: its features can be used, but it gives no loss. To train it further, begin a run with its weights and "
            f"new heads: foresay pretrain RECIPE --from MODEL, with a recipe of {self.settings.family}"
        )
        raise UserError(msg)
