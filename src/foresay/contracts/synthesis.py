"""Synthesis: what turns tokens into speech, and what it takes beside them: pitch, and whose voice."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from foresay.contracts.batches import Modality
from foresay.contracts.frames import Extractor
from foresay.contracts.models import Model, Trainable
from foresay.contracts.tokens import Tokenizer, Tokens


class Pitch(NamedTuple):
    """The fundamental frequency of a batch, frame by frame."""

    hertz: Tensor
    """(B, T) float32; 0 where nothing is voiced, and beyond an utterance's length."""
    lengths: Tensor
    """(B,) int64 on the CPU, frames."""

    @property
    def voiced(self) -> Tensor:
        """(B, T) bool."""
        return self.hertz > 0


class PitchEncoder(Model, ABC):
    """What a synthesizer takes of pitch: relative to the speaker's range, as it is or quantized."""

    size: int
    """D of `encode`."""
    sample_rate: int
    hop: int
    """Samples from each frame of `track` to the next; frame t is centered at sample (t + 1/2) hop, or one before."""
    code_hop: int
    """Samples from each frame of `encode` to the next: `hop`, or a multiple of it."""

    @property
    def bits_per_second(self) -> float | None:
        """What `encode` takes to be sent; None: it is not quantized."""
        return None

    @abstractmethod
    def track(self, waveforms: Tensor, lengths: Tensor) -> Pitch:
        """Measure the pitch of waveforms (B, S), of which `lengths` (B,) samples are real, without a gradient."""

    @abstractmethod
    def normalize(self, pitch: Pitch, speakers: Sequence[str | None]) -> Tensor:
        """Say where pitch lies in each speaker's range: (B, T, 2), and whether there is one.

        The first is log F0 in standard deviations from its mean, 0 where nothing is voiced; the second is 1 where it is voiced, else 0.
        Of a speaker that is unknown (None, or a strange name) the range is that of the utterance itself.
        """

    @abstractmethod
    def restore(self, normalized: Tensor, speakers: Sequence[str | None], pitch: Pitch | None = None) -> Tensor:
        """Return the pitch of normalized frames (B, T, 2) in each speaker's range: Hz (B, T).

        Of an unknown speaker the range is that of `pitch`, which was normalized, or else that of all.
        """

    @abstractmethod
    def encode(self, normalized: Tensor) -> Tensor:
        """Turn normalized frames (B, T, 2) into what a synthesizer takes: (B, ceil(T hop / code_hop), D)."""

    @abstractmethod
    def decode(self, encoded: Tensor, frames: int) -> Tensor:
        """Return the normalized frames (B, T, 2) that `encoded` (B, T', D) stands for, as far as it keeps them; `frames`: T."""


class SpeakerEncoder(Model, ABC):
    """What a synthesizer takes of a voice: a vector for each speaker, by name or by a recording."""

    size: int
    """D."""
    names: Sequence[str]
    """The speakers that are known by name, sorted."""

    @abstractmethod
    def of_names(self, names: Sequence[str]) -> Tensor:
        """Return the vectors of speakers by their names: (B, D).

        Raises:
            UserError: one is unknown; the message says who is known.
        """

    @abstractmethod
    def of_audio(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return the vectors of whoever speaks in waveforms (B, S), of which `lengths` (B,) samples are real: (B, D).

        Raises:
            UserError: speakers are known by name only.
            AudioError: a recording is too short to know a voice by.
        """

    @abstractmethod
    def of_batch(self, names: Sequence[str], waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return what is learnt with: (B, D), by the names or by the audio, whichever the voice is known by."""


class Synthesized(NamedTuple):
    """Waveforms that were synthesized."""

    waveforms: Tensor
    """(B, S) float32, zero beyond each length."""
    lengths: Tensor
    """(B,) int64 on the CPU, samples."""


class Synthesizer(Trainable, Extractor, ABC):
    """From tokens to speech. It is made of the tokenizer of its tokens, and takes no others; its one layer is the speech itself."""

    layer_names = ("speech",)
    modalities: Sequence[Modality] = ("audio",)
    sample_rate: int
    """Hz, of what is synthesized, and of what its parts take."""
    tokenizer: Tokenizer
    """A part, not trained."""
    pitch: PitchEncoder
    """A part, not trained."""
    speaker: SpeakerEncoder
    """A part, not trained."""
    met: Tensor
    """(V,) bool, a buffer: the tokens that it was trained on. What others sound like, nobody knows."""

    @abstractmethod
    def predict_pitch(self, tokens: Tokens, voices: Tensor) -> Tensor:
        """Predict normalized pitch from tokens on the clock (B, 1, T) and voices (B, D): (B, T', 2), on the clock of `pitch.hop`."""

    @abstractmethod
    def synthesize(self, tokens: Tokens, voices: Tensor, pitch: Tensor | None = None) -> Synthesized:
        """Synthesize tokens (B, 1, T or U) in voices (B, D), vectors of `speaker`, without a gradient.

        Tokens that are merged last as long as they say or, where they do not, as long as is predicted.
        `pitch`: normalized frames (B, T', 2) of `pitch`, padded or cut where they do not fit exactly; None: predicted from the tokens.

        Raises:
            UserError: the tokens are those of another tokenizer.
        """
