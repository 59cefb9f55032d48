"""A recording transcribed as it arrives: samples in, and out of them text that no sample to come will change.

samples, in chunks --> causal encoder, its state carried --> the recognizer's layer, new frames of it --> search, its beam carried --> text
"""

import torch
from torch import Tensor

from foresay.contracts import Encoded, Frames, Hypothesis, Recognizer, SearchStream, StablePrefix
from foresay.errors import UserError


class RecognitionStream:
    """One utterance. How it is cut into chunks changes nothing: the text at the end is that of the whole."""

    def __init__(self, recognizer: Recognizer, search: SearchStream) -> None:
        """`search`: a new one: `GreedyStream` or `PrefixStream`; of a transducer, `TransducerStream` or `PrefixStream`.

        Raises:
            UserError: the recognizer looks ahead.
        """
        try:
            self._stream = recognizer.stream()
        except TypeError as error:
            msg = (
                f"{error}: no text would be certain before its end. Transcribe whole recordings, or train a recognizer on an encoder that "
                "does not look ahead (cpc, acpc), with model.lstm = 0 and model.cmvn = false"
            )
            raise UserError(msg) from error
        (self._layer,) = recognizer.layer_names
        self._search = search

    @torch.no_grad()
    def push(self, samples: Tensor) -> StablePrefix:
        """Take the next samples (S,) at the recognizer's rate, and return the text that is certain now."""
        return self._search.push(self._encoded(self._stream.push(samples[None])))

    @torch.no_grad()
    def finish(self) -> Hypothesis:
        """Return the text of the whole.

        Raises:
            UserError: there were no samples.
        """
        self._search.push(self._encoded(self._stream.finish()))
        return self._search.finish()

    def _encoded(self, frames: Frames) -> Encoded:
        values = frames.values[self._layer]
        return Encoded(values, torch.tensor([values.shape[1]]))
