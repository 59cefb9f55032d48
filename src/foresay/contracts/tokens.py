"""Tokens: discrete symbols of speech or text, and what makes them of waveforms."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from foresay.contracts.frames import FeatureExtractor
from foresay.errors import UserError


@dataclass(frozen=True)
class Tokens:
    """The symbols of a batch, with what they mean: ids of different tokenizers are never comparable."""

    ids: Tensor
    """(B, G, T) int64 from 0 to below `vocabulary`; beyond an utterance's length they mean nothing."""
    lengths: Tensor
    """(B,) int64, symbols."""
    vocabulary: int
    """V, of each of the G levels."""
    fingerprint: str
    """Digest of what made them. Wherever tokens meet a model, it is compared."""
    frame_rate: float | None = None
    """Symbols per second; None: they follow no clock."""
    durations: Tensor | None = None
    """(B, T) int64, frames that each symbol stands for, where runs of equal symbols are merged."""

    def require(self, fingerprint: str, of: str) -> None:
        """Make sure that the tokens are those that something was made for; `of` names it in the message.

        Raises:
            UserError: they are not.
        """
        if self.fingerprint != fingerprint:
            msg = (
                f"these tokens were made by tokenizer {self.fingerprint}, and {of} knows those of tokenizer {fingerprint}: equal numbers "
                "mean other things. Encode the audio with the tokenizer that it was trained on"
            )
            raise UserError(msg)


class Tokenizer(ABC):
    """From waveforms to tokens: each frame of an encoder's layer becomes one symbol, or one of each level."""

    encoder: FeatureExtractor
    layer: str
    """Of the encoder: the frames that are quantized."""
    vocabulary: int
    """V: how many symbols there are, of each level."""
    levels: int = 1
    """G: symbols per frame."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Digest of the weights and settings that the tokens come from."""

    @abstractmethod
    def quantize(self, frames: Tensor) -> Tensor:
        """Return the symbols of frames: (N, D) -> (N, G) int64."""

    def encode(self, waveforms: Tensor, lengths: Tensor) -> Tokens:
        """Encode waveforms (B, S), of which `lengths` (B,) samples are real."""
        found = self.encoder.features(waveforms, lengths, (self.layer,))
        frames = found.values[self.layer]
        ids = self.quantize(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)
        return Tokens(ids, found.lengths[self.layer], self.vocabulary, self.fingerprint, found.frame_rate[self.layer])
