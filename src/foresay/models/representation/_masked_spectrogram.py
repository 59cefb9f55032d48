"""Encoder of masked spectrograms, which BEST-RQ and w2v-BERT share: log-mel, two convolutions of stride 2, and a stack of blocks.

    waveform (B, S) -> log-mel (B, 4 T, 80), 10 ms -> mean 0, variance 1 for each band of an utterance -> 2 convolutions, 3 x 3, stride 2
                                                                                                               |
                            L0 … Ln (B, T, D) <-- Conformer, or other blocks (L0: what they are given) <-- linear, norm: (B, T, D), 40 ms

arXiv:2202.01855, section 4; arXiv:2108.06209, section 3. A subclass says what is masked, and what is predicted of the masked frames.
Of an utterance's last frames those that do not fill a stack of four, 30 ms at most, are dropped.
"""

import math
from abc import ABC
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay import draws
from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.contracts import Batch, Frames, MaskableExtractor, Masks, SpeechModel, sent
from foresay.errors import UserError
from foresay.layers.conformer import Conformer
from foresay.settings import require_at_most, require_not_negative, require_positive, require_shares

STACK = 4
"""Frames of the spectrogram for one of the blocks: two convolutions of stride 2."""


@dataclass(frozen=True)
class MaskedSpectrogramSettings:
    """The 0.6 B Conformer that BEST-RQ and w2v-BERT XL share."""

    sample_rate: int = 16_000
    bands: int = 80
    subsampling_channels: tuple[int, ...] = (128, 32)
    """Of the two convolutions; the papers do not state them."""
    size: int = 1024
    layers: int = 24
    heads: int = 8
    inner: int = 4096
    kernel: int = 5
    """Frames of 40 ms that a block's convolution covers."""
    causal: bool = False
    """Blocks are causal (BEST-RQ's streaming models); the spectrogram's mean and variance are still those of the utterance."""
    left_context: int | None = None
    """Frames before it that a frame attends to; None: all."""
    dropout: float = 0.1
    """Of the Conformer (arXiv:2005.08100, section 3.2)."""
    attention_dropout: float = 0.1
    layer_drop: float = 0.0
    noise: float = 0.1
    """Standard deviation of the noise that masked frames are replaced by."""
    checkpoint: bool = False
    """Keep only what stands between the blocks and compute the rest anew for the gradient: a third slower, much less memory."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "bands", "subsampling_channels", "size", "layers", "heads", "inner", "kernel")
        require_shares(self, "dropout", "attention_dropout", "layer_drop")
        require_at_most(self, 1000, "layers")


class Blocks(Protocol):
    """A stack of blocks, such as a Conformer."""

    def draw(self, update: tuple[int, int] | None) -> Tensor | None:
        """Draw which blocks are run in training in an update, (seed, step): (L,) bool on the CPU; None: all."""

    def __call__(self, frames: Any, lengths: Tensor | None = None, *, kept: Tensor | None = None, depth: int | None = None) -> Any:  # noqa: ANN401 - as of any module of torch
        """Encode (B, T, D) frames, of which `lengths` (B,) are real. -> L0 … Ln."""


class SpectrogramClips(NamedTuple):
    """The audio of a batch, on the device."""

    waveforms: Tensor
    """(B, S)."""
    samples: Tensor
    """(B,): how many are real."""
    frames: Tensor
    """(B,): T of each."""
    unequal: bool
    """Whether utterances differ in T, so that the blocks must not look beyond an end."""

    @property
    def ends(self) -> Tensor | None:
        """(B,): where the blocks must not look beyond; None: nowhere."""
        return self.frames if self.unequal else None


class MaskNoise(NamedTuple):
    """The noise that stands for masked frames."""

    rows: Tensor
    """(N,) int64: the utterance of each."""
    times: Tensor
    """(N,) int64."""
    values: Tensor
    """(N, D), of standard deviation 1."""


class MaskedSpectrogram(SpeechModel, MaskableExtractor, ABC):
    """Spectrogram, convolutions, blocks. Its layers: L0 is what the first block is given, Ln what the n-th one gives."""

    settings: Any

    def __init__(self, settings: MaskedSpectrogramSettings, blocks: Blocks | None = None) -> None:
        """`blocks`: None makes a Conformer."""
        super().__init__()
        s = self.settings = settings
        self.sample_rate, self.masked_size = s.sample_rate, s.bands
        self.layer_names = tuple(f"L{number}" for number in range(s.layers + 1))
        hop, window = s.sample_rate // 100, s.sample_rate // 40
        fft = max(1024, 2 ** math.ceil(math.log2(window)))
        self.spectrogram = LogMelSpectrogram(s.sample_rate, window, hop, fft, s.bands)
        self.subsampling = Subsampling(s.bands, s.subsampling_channels, s.size)
        # Frame t covers the spectrogram's frames 4 t - 2 … 4 t + 4.
        self.receptive_field = self.spectrogram.receptive_field + 6 * hop
        self.first_center = self.spectrogram.first_center + hop
        self.blocks: Blocks = blocks or Conformer(
            s.size,
            s.layers,
            s.heads,
            s.inner,
            kernel=s.kernel,
            causal=s.causal,
            left_context=s.left_context,
            dropout=s.dropout,
            attention_dropout=s.attention_dropout,
            layer_drop=s.layer_drop,
            checkpoint=s.checkpoint,
        )

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.spectrogram.frame_count(lengths) // STACK

    def front_end(self) -> Iterable[nn.Parameter]:
        """Yield the parameters of the subsampling."""
        return self.subsampling.parameters()

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode (B, S) waveforms, nothing masked: (B, T, D) a layer, at 25 Hz. Blocks above the highest layer are not run."""
        chosen = self.chosen(layers)
        numbers = [self.layer_names.index(layer) for layer in chosen]
        counts = self.frame_count(lengths, "L0")
        if int(counts.max()):
            energies = self.energies(waveforms, lengths, STACK * counts, STACK * int(counts.max()))
            latents = self.subsampling(energies, STACK * counts)
            equal = bool((counts == counts[0]).all())
            states = self.blocks(latents, None if equal else counts, depth=max(numbers, default=0))
            values = {layer: states[number].to(waveforms.dtype) for layer, number in zip(chosen, numbers, strict=True)}
        else:
            values = {layer: waveforms.new_zeros(len(waveforms), 0, self.settings.size) for layer in chosen}
        rate = self.sample_rate / self.spectrogram.hop / STACK
        return Frames(values, dict.fromkeys(chosen, counts), dict.fromkeys(chosen, rate))

    def masked_frames(self, lengths: Tensor) -> Tensor:
        """Frames of the spectrogram, 10 ms: (B,) -> (B,)."""
        return STACK * self.frame_count(lengths, "L0")

    def masked_features(
        self, waveforms: Tensor, lengths: Tensor, masks: Masks, layers: Sequence[str], kept: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Encode waveforms (B, S), with masked frames (B, 4 T) and bands of the spectrogram, which become its mean: (B, T, D) a layer."""
        numbers = [self.layer_names.index(layer) for layer in layers]
        counts = self.masked_frames(lengths)
        energies = self.energies(waveforms, lengths, counts, masks.frames.shape[1])
        energies = energies.masked_fill(masks.frames[..., None] | masks.channels[:, None], 0.0)
        states = self.blocks(self.subsampling(energies, counts), counts // STACK, kept=kept, depth=max(numbers))
        return {layer: states[number] for layer, number in zip(layers, numbers, strict=True)}

    def kept_layers(self, update: tuple[int, int]) -> Tensor | None:
        """Draw the blocks that an update runs: (L,) bool on the CPU; None: all."""
        return self.blocks.draw(update)

    def energies(self, waveforms: Tensor, lengths: Tensor, counts: Tensor, longest: int) -> Tensor:
        """Log energies of (B, S) waveforms, of mean 0 and variance 1 in each band of an utterance: (B, 4 T, bands), 0 after its end.

        `lengths` (B,): samples that are real; `counts` (B,): frames of 10 ms that are; 4 T = `longest` of these.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            return normalized(self.spectrogram(waveforms, lengths, longest), counts)

    def clips(self, batch: Batch, shortest: int) -> tuple[SpectrogramClips, list[int]]:
        """Check the audio of a batch, utterances of at least `shortest` frames, and count the frames T of each.

        Raises:
            UserError: an utterance is shorter.
        """
        waveforms, lengths = batch.audio
        counts = self.frame_count(lengths, "L0").tolist()
        if min(counts) < shortest:
            least = min(range(len(counts)), key=counts.__getitem__)
            second = 100 // STACK
            msg = (
                f"{batch.ids[least]} lasts {int(lengths[least]) / self.sample_rate:.2f} s, {counts[least]} frames of 40 ms: too "
                "short for masked spans with unmasked frames around them. Leave such clips out (data.shortest: at least "
                f"{shortest / second:.2f} s; data.window: {shortest * self.sample_rate // second} samples), or choose a shorter "
                "model.mask_length"
            )
            raise UserError(msg)
        device = waveforms.device
        frames = sent(torch.tensor(counts), device)
        return SpectrogramClips(waveforms, sent(lengths, device), frames, min(counts) < max(counts)), counts

    def draw_noise(self, mask: Tensor, keys: Tensor, size: int, device: torch.device) -> MaskNoise:
        """Draw noise of D = `size` for masked frames, each utterance's from its key (B,); `mask` (B, T) lies on the CPU."""
        drawn = []
        for hidden, key in zip(mask.sum(1).tolist(), keys.tolist(), strict=True):
            random = draws.generator("mask noise", key, device=device)
            drawn.append(torch.randn((hidden, size), generator=random, device=device))
        rows, times = mask.nonzero(as_tuple=True)
        return MaskNoise(sent(rows, device), sent(times, device), torch.cat(drawn))

    def with_noise(self, values: Tensor, noise: MaskNoise) -> Tensor:
        """Replace the masked frames of (B, T, D) by noise."""
        return values.index_put((noise.rows, noise.times), self.settings.noise * noise.values.to(values.dtype))


class Subsampling(nn.Module):
    """Two convolutions over time and pitch, ReLU after each, and a linear layer over all that they say of a frame.

    The papers have no norm after these. Here there is one: beside latents of another size noise of 0.1 would be nothing, or everything.
    """

    def __init__(self, bands: int, channels: Sequence[int], size: int) -> None:
        super().__init__()
        if len(channels) != 2 or bands % STACK:  # noqa: PLR2004
            msg = f"two convolutions over {bands} bands with {list(channels)} channels: give two numbers, and a multiple of {STACK} bands"
            raise UserError(msg)
        first, second = channels
        self.first = nn.Conv2d(1, first, 3, stride=2, padding=(0, 1))
        self.second = nn.Conv2d(first, second, 3, stride=2, padding=(0, 1))
        self.output = nn.Linear(second * bands // STACK, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, energies: Tensor, counts: Tensor) -> Tensor:
        """(B, 4 T, bands), of which `counts` (B,) frames are real and the rest is 0 -> (B, T, D)."""
        # One frame of silence is needed after the end for the first, one before the beginning for the second: centered within 5 ms.
        cells = F.relu(self.first(F.pad(energies, (0, 0, 0, 1))[:, None]))
        inside = torch.arange(cells.shape[2], device=cells.device) < (counts // 2)[:, None]
        cells = F.relu(self.second(F.pad(cells * inside[:, None, :, None], (0, 0, 1, 0))))
        return self.norm(self.output(cells.transpose(1, 2).flatten(2)))


def normalized(energies: Tensor, counts: Tensor) -> Tensor:
    """Give each band of an utterance mean 0 and variance 1 over its own frames: (B, T, bands), `counts` (B,) -> the same, 0 after its end.

    A band that says always the same is 0.
    """
    own = (torch.arange(energies.shape[1], device=energies.device) < counts[:, None])[..., None]
    count = counts.clamp(min=1)[:, None, None]
    centered = (energies - (energies * own).sum(1, keepdim=True) / count) * own
    return centered * torch.rsqrt(centered.square().sum(1, keepdim=True) / count + 1e-5)
