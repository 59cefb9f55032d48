"""Masked Transformer over convolutions of the waveform, which wav2vec 2.0, HuBERT and WavLM share.

    waveform (B, S) --> standardized? --> convolutions --> LayerNorm --> latents (B, T, C), one every 20 ms --> targets of wav2vec 2.0
                                                                            |
                                                     projection to D --> masked frames become one learned vector
                                                                            |
                                                       + positional convolution --> L0 --> block 1 --> L1 --> … --> Ln

arXiv:2006.11477, section 2; arXiv:2106.07447, section II-B. A subclass says what is masked, and what is predicted of the masked frames.
"""

from abc import ABC
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from foresay.contracts import Batch, Frames, MaskableExtractor, Masks, SpeechModel, Term, sent
from foresay.encoders.waveform_convolutions import WaveformConvolutions
from foresay.errors import UserError
from foresay.layers.dropout import Dropout
from foresay.layers.transformer import PositionalConvolution, PositionBias, Transformer
from foresay.settings import require_at_most, require_not_negative, require_positive, require_shares


@dataclass(frozen=True)
class MaskedTransformerSettings:
    """The network of wav2vec 2.0 BASE (arXiv:2006.11477, section 4.2), which HuBERT BASE shares."""

    sample_rate: int = 16_000
    standardize: bool = False
    """Give every waveform mean 0 and variance 1; what was trained so must be used so."""
    channels: int = 512
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    norm: Literal["group", "layer"] = "group"
    """Over the utterance's time after the first convolution, or over the channels after each."""
    convolution_bias: bool = False
    padding_in_norm: bool = False
    """Let group norm take in the padding, as the published implementations do: a clip's features then depend on its batch."""
    feature_gradient: float = 0.1
    """The convolutions' gradient is scaled by this; 0 freezes them."""
    size: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    pre_norm: bool = False
    position_kernel: int = 128
    position_groups: int = 16
    input_dropout: float = 0.1
    """On the projected latents."""
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    layer_drop: float = 0.05
    checkpoint: bool = False
    """Keep only what stands between the blocks and compute the rest anew for the gradient: a third slower, much less memory."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "channels", "kernels", "strides", "size", "layers", "heads", "inner")
        require_positive(self, "position_kernel", "position_groups")
        require_shares(self, "input_dropout", "dropout", "attention_dropout", "activation_dropout", "layer_drop")
        require_at_most(self, 1000, "layers")


class Clips(NamedTuple):
    """The audio of a batch, on the device."""

    waveforms: Tensor
    """(B, S)."""
    samples: Tensor
    """(B,): how many are real."""
    frames: Tensor | None
    """(B,): how many frames are real; None: all of them, and nothing need be masked out."""


class Latents(NamedTuple):
    """A batch as the convolutions encode it."""

    values: Tensor
    """(B, T, C), layer-normalized."""
    lengths: Tensor | None
    """(B,) frames that are real; None: all of them."""
    energy: Tensor
    """(B, T): mean square over the channels before the layer norm; zero beyond an utterance's end."""

    def penalty(self, weight: float) -> Term:
        """Keep the latents small (arXiv:2006.11477, section 4.2: an L2 penalty on the activations of the last layer, weight 10)."""
        frames = self.energy.numel() if self.lengths is None else self.lengths.sum()
        return Term(self.energy.sum(), frames, weight)


class MaskedTransformer(SpeechModel, MaskableExtractor, ABC):
    """Convolutions, masked latents, Transformer. Its layers: L0 is what the first block is given, Ln what the n-th one gives."""

    settings: Any

    def __init__(self, settings: MaskedTransformerSettings, position_bias: PositionBias | None = None) -> None:
        """`position_bias`: what is added to the attention's logits; None: nothing."""
        super().__init__()
        s = self.settings = settings
        self.sample_rate, self.masked_size = s.sample_rate, s.size
        self.layer_names = tuple(f"L{number}" for number in range(s.layers + 1))
        self.convolutions = WaveformConvolutions(
            s.channels, s.kernels, s.strides, s.norm, bias=s.convolution_bias, padded=s.padding_in_norm
        )
        self.receptive_field, self.first_center = self.convolutions.receptive_field, self.convolutions.first_center
        self.latent_norm = nn.LayerNorm(s.channels)
        self.projection = nn.Linear(s.channels, s.size)
        self.input_dropout = Dropout(s.input_dropout)
        self.mask_vector = nn.Parameter(torch.rand(s.size))
        self.position = PositionalConvolution(s.size, s.position_kernel, s.position_groups)
        self.position_bias = position_bias
        self.transformer = Transformer(
            s.size,
            s.layers,
            s.heads,
            s.inner,
            pre_norm=s.pre_norm,
            dropout=s.dropout,
            attention_dropout=s.attention_dropout,
            activation_dropout=s.activation_dropout,
            layer_drop=s.layer_drop,
            checkpoint=s.checkpoint,
        )

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.convolutions.frame_count(lengths)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode (B, S) waveforms, nothing masked: (B, T, D) a layer, at 50 Hz. Blocks above the highest layer are not run."""
        chosen = self.chosen(layers)
        numbers = [self.layer_names.index(layer) for layer in chosen]
        counts = self.convolutions.frame_count(lengths)
        shape = (len(lengths), int(counts.max()), self.settings.size)
        values = {layer: waveforms.new_zeros(shape) for layer in chosen}
        for rows in [list(range(len(lengths)))] if self.settings.padding_in_norm else alike(lengths.tolist()):
            states = self._states(waveforms[rows], lengths[rows], max(numbers, default=0))
            for layer, number in zip(chosen, numbers, strict=True):
                values[layer][rows, : states[number].shape[1]] = states[number].to(waveforms.dtype)
        rate = self.sample_rate / self.convolutions.downsampling
        return Frames(values, dict.fromkeys(chosen, counts), dict.fromkeys(chosen, rate))

    def masked_features(
        self, waveforms: Tensor, lengths: Tensor, masks: Masks, layers: Sequence[str], kept: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Encode waveforms (B, S), with masked frames and channels of L0: (B, T, D) a layer."""
        numbers = [self.layer_names.index(layer) for layer in layers]
        encoded = scale_gradient(self.convolutions(self._prepared(waveforms, lengths), lengths), self.settings.feature_gradient)
        counts = self.convolutions.frame_count(lengths)
        how = {"channels": masks.channels, "kept": kept, "rows": masks.real}
        states = self.encode(self.latent_norm(encoded), masks.frames, counts, depth=max(numbers), **how)
        return {layer: states[number] for layer, number in zip(layers, numbers, strict=True)}

    def kept_layers(self, update: tuple[int, int]) -> Tensor | None:
        """Draw the blocks that an update runs: (L,) bool on the CPU; None: all."""
        return self.transformer.draw(update)

    def set_dropout(self, *, dropout: float, activation_dropout: float, layer_drop: float) -> None:
        """Drop otherwise than in the pre-training."""
        self.input_dropout.p = dropout
        self.transformer.set_dropout(dropout=dropout, activation_dropout=activation_dropout, layer_drop=layer_drop)

    def front_end(self) -> Iterable[nn.Parameter]:
        """Yield the parameters of the convolutions."""
        return self.convolutions.parameters()

    def clips(self, batch: Batch) -> tuple[Clips, list[int]]:
        """Check the audio of a batch, and count the frames of each utterance.

        Raises:
            UserError: an utterance is too short for a frame.
        """
        waveforms, lengths = batch.audio
        shortest = min(samples := lengths.tolist())
        if shortest < self.receptive_field:
            msg = (
                f"{batch.ids[samples.index(shortest)]} has {shortest} samples, fewer than the {self.receptive_field} of one frame: "
                "leave such clips out (data.shortest)"
            )
            raise UserError(msg)
        frames = self.convolutions.frame_count(lengths)
        cut = None if shortest == waveforms.shape[1] else sent(frames, waveforms.device)
        return Clips(waveforms, sent(lengths, waveforms.device), cut), frames.tolist()

    def latents(self, clips: Clips) -> Latents:
        """Encode waveforms by the convolutions, whose gradient is scaled by `feature_gradient`."""
        scale = self.settings.feature_gradient
        with torch.set_grad_enabled(torch.is_grad_enabled() and scale != 0.0):
            encoded = self.convolutions(self._prepared(clips.waveforms, clips.samples), None if clips.frames is None else clips.samples)
        encoded = scale_gradient(encoded, scale)
        energy = encoded.float().square().mean(-1)
        if clips.frames is not None:
            energy = energy * (torch.arange(energy.shape[1], device=energy.device) < clips.frames[:, None])
        return Latents(self.latent_norm(encoded), clips.frames, energy)

    def encode(
        self,
        latents: Tensor,
        mask: Tensor | None,
        lengths: Tensor | None,
        *,
        channels: Tensor | None = None,
        kept: Tensor | None = None,
        depth: int | None = None,
        rows: Tensor | None = None,
    ) -> list[Tensor]:
        """Encode (B, T, C) latents, of which `lengths` (B,) are real, with the Transformer. -> L0 … Ln, each (B, T, D).

        `mask` (B, T): frames that become the mask vector; `channels` (B, D): channels that become 0.
        `kept` (L,): the blocks that are run (`transformer.draw`); None: all. `depth`: stop after so many blocks.
        `rows` (N,): the real frames among all B x T, so that blocks need not compute padding; None: they do.
        """
        frames = self.input_dropout(self.projection(latents))
        if mask is not None:
            frames = torch.where(mask[..., None], self.mask_vector.to(frames.dtype), frames)
        if channels is not None:
            frames = frames.masked_fill(channels[:, None], 0.0)
        frames = frames + self.position(frames, lengths)
        return self.transformer(frames, lengths, kept=kept, position_bias=self.position_bias, depth=depth, rows=rows)

    def _states(self, waveforms: Tensor, lengths: Tensor, depth: int) -> list[Tensor]:
        """Encode (B, S) waveforms, nothing masked, up to a block: states (B, T, D) as long as the longest asks for."""
        counts = self.convolutions.frame_count(lengths)
        longest = waveforms.shape[1] if self.settings.padding_in_norm else int(lengths.max())
        latents = self.convolutions(self._prepared(waveforms[:, :longest], lengths), lengths)[:, : int(counts.max())]
        equal = bool((counts == counts[0]).all())
        return self.encode(self.latent_norm(latents), None, None if equal else counts, depth=depth)

    def _prepared(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Silence what lies beyond a clip's end and, if so set, give what lies before mean 0 and variance 1. (B, S) -> (B, S)."""
        own = torch.arange(waveforms.shape[1], device=waveforms.device) < lengths[:, None]
        waveforms = waveforms * own
        if not self.settings.standardize:
            return waveforms
        count = lengths.clamp(min=1)[:, None]
        centered = (waveforms - waveforms.sum(1, keepdim=True) / count) * own
        return centered * torch.rsqrt(centered.square().sum(1, keepdim=True) / count + 1e-7)


def alike(lengths: Sequence[int]) -> list[list[int]]:
    """Divide clips into those that may be encoded together: the shortest of each part has at least nine tenths of the longest's samples.

    Examples:
        >>> alike([100, 50, 95, 46])
        [[0, 2], [1, 3]]
    """
    parts: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if parts and lengths[row] >= 0.9 * lengths[parts[-1][0]]:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def scale_gradient(values: Tensor, scale: float) -> Tensor:
    """Return the values (…, D) as they are; what they are made of gets the gradient times `scale`."""
    scaled: Tensor = _ScaledGradient.apply(values, scale)
    return scaled


class _ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is scaled."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float) -> Tensor:  # noqa: ANN401 - of autograd
        ctx.scale = scale
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - of autograd
        return gradient * ctx.scale, None
