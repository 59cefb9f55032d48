"""Features of models with an encoder and a context: layers z and c, of a whole utterance or, if causal, of a stream."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.context import Context, State
from foresay.contracts import Frames, SpeechModel, on_host
from foresay.errors import UserError


class Encoder(Protocol):
    """A module that encodes waveforms as latents; frame t covers `receptive_field` samples from `first_sample` + t `downsampling` on."""

    channels: int
    downsampling: int
    receptive_field: int
    first_sample: int

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""

    def __call__(self, waveforms: Any, lengths: Tensor | None = None) -> Any:  # noqa: ANN401 - as of any module of torch
        """Encode (B, S) waveforms; with `lengths` (B,), as if each clip were encoded alone. -> (B, T, D)."""

    def after_step(self) -> None:
        """Move on, after each update."""


class EncoderAndContext(SpeechModel, ABC):
    """Latents z = encoder(waveform) and contexts c of them; a subclass builds the context, and the objective.

    The waveform is taken as it is, in [-1, 1]: CPC does not standardize it (reference code).
    """

    layer_names: tuple[str, ...] = ("z", "c")
    uses_targets = True

    def __init__(self, encoder: Encoder, sample_rate: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.sample_rate = sample_rate
        self.receptive_field = encoder.receptive_field
        self.first_center = encoder.first_sample + encoder.receptive_field // 2

    @abstractmethod
    def contexts(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Summarize (B, T, D) latents, of which `lengths` (B,) frames are real. -> (B, T, D)."""

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.encoder.frame_count(lengths)

    def front_end(self) -> Iterable[nn.Parameter]:
        """Yield the parameters of the convolutions."""
        return [parameter for name, parameter in self.named_parameters() if name.startswith("encoder.")]

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode (B, S) waveforms: z and c, both (B, T, D) at 100 Hz for CPC's encoder."""
        wanted = self.chosen(layers)
        waveforms = F.pad(waveforms, (0, max(self.receptive_field - waveforms.shape[1], 0)))  # room for a frame, if not a real one
        latents, counts = self.encoder(waveforms, lengths), self.encoder.frame_count(lengths)
        values = self.layer_values(latents, counts, wanted)
        return self.frames_of({name: values[name] for name in wanted}, counts)

    def layer_values(self, latents: Tensor, lengths: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        """Compute the wanted layers, perhaps more, of (B, T, D) latents, of which `lengths` (B,) frames are real."""
        return {"z": latents} if "c" not in wanted else {"z": latents, "c": self.contexts(latents, lengths)}

    @on_host
    def counted(self, waveforms: Tensor, ahead: int) -> tuple[int, int]:
        """Count the frames that (B, S) waveforms will give, and the positions among them after which `ahead` frames follow.

        Raises:
            UserError: there is no such position.
        """
        frames = int(self.encoder.frame_count(torch.tensor(waveforms.shape[1])))
        return frames, self.positions(frames, ahead)

    def positions(self, frames: int, ahead: int) -> int:
        """Count the positions of an utterance after which `ahead` frames follow."""
        count = frames - ahead
        if count < 1:
            msg = (
                f"{frames} frames hold no position with {ahead} frames after it: this audio is too short to train on. "
                f"Set data.window to more than {(ahead + 1) * self.encoder.downsampling} samples (CPC: 20480)"
            )
            raise UserError(msg)
        return count

    def frames_of(self, values: dict[str, Tensor], lengths: Tensor) -> Frames:
        """Label layers (B, T, D) with their lengths (B,) and rate."""
        rate = self.sample_rate / self.encoder.downsampling
        return Frames(values, dict.fromkeys(values, lengths), dict.fromkeys(values, rate))


class CausalModel(EncoderAndContext, ABC):
    """A model whose context is causal, so that it can stream."""

    def __init__(self, encoder: Encoder, context: Context, sample_rate: int) -> None:
        super().__init__(encoder, sample_rate)
        self.context = context

    def contexts(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Summarize (B, T, D) latents. -> (B, T, D)."""
        contexts: Tensor = self.context(latents)[0]
        return contexts

    def stream(self, layers: Sequence[str] | None = None) -> "CausalStream":
        """Start to encode an utterance chunk by chunk; use under `eval()` and `torch.no_grad()`."""
        return CausalStream(self, self.chosen(layers))


class CausalStream:
    """An utterance encoded as it arrives. The frames of all pushes and of `finish` together are those of the whole.

    A frame is encoded when its receptive field has come. The samples kept begin one frame before the next one's own: then no zero padding
    stands where samples have been, at any layer, and only the context's state is carried.
    """

    def __init__(self, model: CausalModel, layers: tuple[str, ...]) -> None:
        self.model, self.layers = model, layers
        self.kept: Tensor | None = None  # (B, S) from sample (done - 1) * downsampling on, or from the start
        self.done = 0
        self.state: State | None = None

    def push(self, chunk: Tensor) -> Frames:
        """Take the next (B, S) samples, return the frames that they complete (perhaps none)."""
        self.kept = chunk if self.kept is None else torch.cat([self.kept, chunk], dim=1)
        encoder = self.model.encoder
        first_kept = max(self.done - 1, 0) * encoder.downsampling
        come = first_kept + self.kept.shape[1]
        # Frame t is complete when sample t x downsampling + first_sample + receptive_field - 1 has come.
        complete = max((come - encoder.receptive_field - encoder.first_sample) // encoder.downsampling + 1, self.done)
        return self._emit(complete, self.kept)

    def finish(self) -> Frames:
        """Return the last frames, whose view reaches into the silence after the end."""
        if self.kept is None:
            msg = "nothing was pushed into this stream: push(chunk) first, chunk of shape (B, S)"
            raise UserError(msg)
        first_kept = max(self.done - 1, 0) * self.model.encoder.downsampling
        length = torch.tensor(first_kept + self.kept.shape[1])
        return self._emit(int(self.model.encoder.frame_count(length)), self.kept)

    def _emit(self, until: int, samples: Tensor) -> Frames:
        encoder, context = self.model.encoder, self.model.context
        new = max(until - self.done, 0)
        latents = samples.new_zeros(samples.shape[0], 0, encoder.channels)
        contexts = samples.new_zeros(samples.shape[0], 0, context.size)
        if new > 0:
            skipped = min(self.done, 1)  # one frame of left context, once there is one
            latents = encoder(samples)[:, skipped : skipped + new]
            contexts, self.state = context(latents, self.state)
            forget = (until - 1 - max(self.done - 1, 0)) * encoder.downsampling
            self.kept, self.done = samples[:, forget:], until
        values = {"z": latents, "c": contexts}
        lengths = torch.full((samples.shape[0],), new, device=samples.device)
        return self.model.frames_of({name: values[name] for name in self.layers}, lengths)
