"""Tokens: discrete symbols of speech or text, and what makes them of waveforms."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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
    """Symbols per second; None: they follow no clock, as runs of equal ones are merged."""
    durations: Tensor | None = None
    """(B, T) int64, frames that each symbol stands for, where runs of equal symbols are merged and it is known for how long each lasts."""

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

    def merged(self) -> "Tokens":
        """Merge runs of equal symbols, and say how long each lasts; of several levels, runs in which all are equal. On the CPU."""
        ids, durations = [], []
        for row, length in zip(self.ids.cpu(), self.lengths.tolist(), strict=True):
            different, counts = torch.unique_consecutive(row[:, :length], dim=1, return_counts=True)
            ids.append(different.T)
            durations.append(counts)
        lengths = torch.tensor([len(counts) for counts in durations])
        padded = pad_sequence(ids, batch_first=True).transpose(1, 2)
        return Tokens(padded, lengths, self.vocabulary, self.fingerprint, durations=pad_sequence(durations, batch_first=True))

    def expanded(self, frame_rate: float) -> "Tokens":
        """Repeat each symbol as long as it lasts: the inverse of `merged`. On the CPU.

        Raises:
            ValueError: nobody knows how long.
        """
        if self.durations is None:
            msg = "these tokens have no durations: they cannot be repeated"
            raise ValueError(msg)
        rows = [
            row[:, :length].repeat_interleave(durations[:length], dim=1).T
            for row, durations, length in zip(self.ids.cpu(), self.durations.cpu(), self.lengths.tolist(), strict=True)
        ]
        lengths = torch.tensor([len(row) for row in rows])
        return Tokens(pad_sequence(rows, batch_first=True).transpose(1, 2), lengths, self.vocabulary, self.fingerprint, frame_rate)


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

    @property
    def centers(self) -> Tensor | None:
        """Where each symbol lies among the frames that are quantized, (V, D), if each is a place there: near ones sound alike."""
        return None

    @property
    def frame_rate(self) -> float:
        """Symbols per second, before runs of equal ones are merged."""
        return self.encoder.sample_rate / self.encoder.hop(self.layer)

    @abstractmethod
    def quantize(self, frames: Tensor) -> Tensor:
        """Return the symbols of frames: (N, D) -> (N, G) int64."""

    def encode(self, waveforms: Tensor, lengths: Tensor) -> Tokens:
        """Encode waveforms (B, S), of which `lengths` (B,) samples are real."""
        found = self.encoder.features(waveforms, lengths, (self.layer,))
        frames = found.values[self.layer]
        ids = self.quantize(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)
        return Tokens(ids, found.lengths[self.layer], self.vocabulary, self.fingerprint, found.frame_rate[self.layer])
