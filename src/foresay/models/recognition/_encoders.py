"""What recognizers do with an encoder: refuse what is none; each utterance is encoded once if it is frozen, and its features are kept."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import FeatureExtractor
from foresay.contracts.states import check_encoder

MOST = 2**31
"""Bytes that are kept: an encoder of 128 dimensions at 100 Hz takes 3 MB a minute, one of 768 at 50 Hz 9 MB."""


def begin_on(encoder: FeatureExtractor, symbols: Sequence[str]) -> None:
    """Make sure that a recognizer of these symbols can be built on an encoder; `eval()`: encoding silence, its norms shall learn nothing.

    Raises:
        UserError: it cannot.
    """
    check_encoder(encoder, symbols)
    if isinstance(encoder, nn.Module):
        encoder.eval()


class FrozenFeatures:
    """Some layers of utterances, by their ids. What comes first stays; when it is full, the rest is encoded every time.

    An utterance is encoded alone, so that its features are the same to the last bit whatever batch it is first met in: a run that is
    resumed goes on as if it had never stopped.
    """

    def __init__(self, layers: Sequence[str], most: int = MOST) -> None:
        self.layers, self._left = tuple(layers), most
        self._kept: dict[tuple[str, int], list[Tensor]] = {}

    @torch.no_grad()
    def __call__(self, encoder: FeatureExtractor, ids: Sequence[str], waveforms: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return layer -> (B, T, D) of the utterances `ids`: waveforms (B, S), of which `lengths` (B,), on the CPU, samples are real."""
        found = [self._one(encoder, *one) for one in zip(ids, waveforms, lengths.tolist(), strict=True)]
        return {
            layer: pad_sequence(list(frames), batch_first=True) for layer, frames in zip(self.layers, zip(*found, strict=True), strict=True)
        }

    def _one(self, encoder: FeatureExtractor, name: str, waveform: Tensor, length: int) -> list[Tensor]:
        """Return the frames (T, D) of each layer of an utterance."""
        known = self._kept.get((name, length))
        if known is not None:
            return known
        values = encoder.features(waveform[None, :length], torch.tensor([length]), self.layers).values
        frames = [values[layer][0] for layer in self.layers]
        size = sum(one.nbytes for one in frames)
        if size <= self._left:
            self._left -= size
            self._kept[name, length] = frames
        return frames
