"""Our fast parts said in ordinary operators, for other programs to run: convolutions are convolutions, and their weights are folded.

Equal to the originals to rounding, for any number of frames. `WaveformConvolutions` reads its input in place by matrix products, and
`PositionalConvolution` goes through a Fourier transform: both are quick here, and foreign to what else runs networks.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops import scan  # torch.export's own loop; it has no public name yet

from foresay.context.transformer import TransformerContext
from foresay.contracts import SpeechModel
from foresay.encoders.waveform_convolutions import TimeNorm, WaveformConvolutions
from foresay.layers.conformer import RelativeAttention
from foresay.layers.transformer import Attention, PositionalConvolution
from foresay.models.representation._masked_spectrogram import STACK, MaskedSpectrogram, normalized
from foresay.models.representation._masked_transformer import MaskedTransformer

PartT = TypeVar("PartT", bound=nn.Module)


def as_function(model: SpeechModel, layers: Sequence[str]) -> nn.Module:
    """Make a model a function of tensors: waveforms (B, S), lengths (B,) -> of each layer frames (B, T, D), and how many are real (B,)."""
    twin = copy.deepcopy(model).requires_grad_(requires_grad=False)
    room = 3 * model.receptive_field
    if isinstance(twin, MaskedTransformer):
        return WithRoom(PlainMaskedTransformer(twin, layers, room), room).eval()
    if isinstance(twin, MaskedSpectrogram):
        return WithRoom(PlainMaskedSpectrogram(twin, layers), room).eval()
    return WithRoom(PlainModel(twin, layers), room).eval()


class WithRoom(nn.Module):
    """A network whose clips are followed by silence, of which no frame is real.

    A program is traced for frames of any number, and PyTorch takes none and one for numbers of their own. With room for some frames more
    there are never so few, however short the clips are.
    """

    def __init__(self, network: nn.Module, room: int) -> None:
        """`room`: samples."""
        super().__init__()
        self.network, self.room = network, room

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Waveforms (B, S), lengths (B,) -> of each layer frames (B, T, D), and how many are real (B,)."""
        frames: tuple[Tensor, ...] = self.network(torch.cat([waveforms, waveforms.new_zeros(waveforms.shape[0], self.room)], 1), lengths)
        return frames


class PlainModel(nn.Module):
    """A model whose `features` are ordinary operators already, but for its recurrent networks."""

    def __init__(self, model: SpeechModel, layers: Sequence[str]) -> None:
        """`model` is taken over, and changed."""
        super().__init__()
        _exchange(model, nn.RNNBase, PlainRecurrence)
        _exchange(model, TransformerContext, PlainTransformerContext)
        self.model, self.layers = model, tuple(layers)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Encode waveforms (B, S) of lengths (B,): frames (B, T, D) and counts (B,) of each layer."""
        frames = self.model.features(waveforms, lengths, self.layers)
        return tuple(part for layer in self.layers for part in (frames.values[layer], frames.lengths[layer]))


class PlainMaskedTransformer(nn.Module):
    """wav2vec 2.0 or HuBERT. All clips go one way, with masks, whatever their lengths."""

    def __init__(self, model: MaskedTransformer, layers: Sequence[str], room: int) -> None:
        """`model` is taken over, and changed. `room`: samples at the end that are no padding of the caller's."""
        super().__init__()
        self.numbers = [model.layer_names.index(layer) for layer in layers]
        self.standardize: bool = model.settings.standardize
        self.convolutions = PlainWaveformConvolutions(model.convolutions, room)
        self.latent_norm, self.projection = model.latent_norm, model.projection
        self.position = PlainPositionalConvolution(model.position)
        self.position_bias = model.position_bias
        if self.position_bias is not None:
            _exchange(model.transformer, Attention, PlainAttention)
        self.transformer = model.transformer

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Encode waveforms (B, S) of lengths (B,): frames (B, T, D) and counts (B,) of each layer."""
        own = torch.arange(waveforms.shape[1], device=waveforms.device) < lengths[:, None]
        waveforms = waveforms * own
        if self.standardize:
            count = lengths.clamp(min=1)[:, None]
            waveforms = (waveforms - waveforms.sum(1, keepdim=True) / count) * own
            waveforms = waveforms * torch.rsqrt(waveforms.square().sum(1, keepdim=True) / count + 1e-7)
        counts = self.convolutions.frame_count(lengths)
        frames = self.projection(self.latent_norm(self.convolutions(waveforms, lengths)))
        frames = frames + self.position(frames, counts)
        states = self.transformer(frames, counts, position_bias=self.position_bias, depth=max(self.numbers))
        return tuple(part for number in self.numbers for part in (states[number], counts))


class PlainMaskedSpectrogram(nn.Module):
    """BEST-RQ or w2v-BERT. All clips go one way, with masks, whatever their lengths."""

    def __init__(self, model: MaskedSpectrogram, layers: Sequence[str]) -> None:
        """`model` is taken over, and changed."""
        super().__init__()
        self.numbers = [model.layer_names.index(layer) for layer in layers]
        _exchange(model, RelativeAttention, PlainRelativeAttention)
        _exchange(model, PositionalConvolution, PlainPositionalConvolution)
        self.spectrogram, self.subsampling, self.blocks = model.spectrogram, model.subsampling, model.blocks

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Encode waveforms (B, S) of lengths (B,): frames (B, T, D) and counts (B,) of each layer."""
        counts = self.spectrogram.frame_count(lengths) // STACK
        energies = normalized(self.spectrogram(waveforms, lengths), STACK * counts)  # to the last frame, which fills no stack
        states = self.blocks(self.subsampling(energies, STACK * counts), counts, depth=max(self.numbers))
        return tuple(part for number in self.numbers for part in (states[number], counts))


class PlainWaveformConvolutions(nn.Module):
    """`WaveformConvolutions` of `nn.Conv1d`."""

    def __init__(self, original: WaveformConvolutions, room: int) -> None:
        """`room`: samples at the end that a norm over padding does not count."""
        super().__init__()
        self.room = room
        self.kernels, self.strides, self.padded = original.kernels, original.strides, original.padded
        self.downsampling = original.downsampling
        self.convolutions = nn.ModuleList()
        for ours, kernel, stride in zip(original.convolutions, self.kernels, self.strides, strict=True):
            assert isinstance(ours, nn.Conv1d)  # noqa: S101 - ModuleList forgets the type
            theirs = nn.Conv1d(ours.in_channels, ours.out_channels, kernel, stride, bias=ours.bias is not None)
            theirs.load_state_dict(ours.state_dict())
            self.convolutions.append(theirs)
        self.norms = original.norms

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            lengths = (lengths - kernel) // stride + 1
        return lengths.clamp(min=0)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Encode (B, S) waveforms, of which `lengths` (B,) samples are real, to (B, T, C)."""
        frames = waveforms[:, None]
        for number, convolution in enumerate(self.convolutions):
            frames = convolution(frames)
            if number < len(self.norms):
                norm = self.norms[number]
                if isinstance(norm, TimeNorm):
                    normed = torch.full_like(lengths, waveforms.shape[1] - self.room) if self.padded else lengths
                    frames = _normed_over_time(frames, norm, (normed - self.kernels[0]) // self.strides[0] + 1)
                else:
                    frames = norm(frames.transpose(1, 2)).transpose(1, 2)
            frames = F.gelu(frames)
        return frames.transpose(1, 2)


class PlainPositionalConvolution(nn.Module):
    """`PositionalConvolution` of one `nn.Conv1d`, its weight norm folded."""

    def __init__(self, original: PositionalConvolution) -> None:
        super().__init__()
        size, _, kernel = original.direction.shape
        self.convolution = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=original.groups)
        norms = original.direction.square().sum((0, 1), keepdim=True).sqrt()
        self.convolution.weight = nn.Parameter(original.direction * original.gain / norms, requires_grad=False)
        self.convolution.bias = nn.Parameter(original.bias.detach().clone(), requires_grad=False)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D); what lies beyond an utterance's `lengths` (B,) is silence."""
        frames = frames * (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
        output = self.convolution(frames.transpose(1, 2)).transpose(1, 2)
        return F.gelu(output[:, : frames.shape[1]])  # an even kernel gives one frame too many


class PlainAttention(nn.Module):
    """`Attention` with a bias for each pair of frames, by its formula: the fused one is taken apart for ONNX with strides of its own."""

    def __init__(self, original: Attention) -> None:
        super().__init__()
        self.heads, self.query_key_value, self.output = original.heads, original.query_key_value, original.output

    def forward(self, frames: Tensor, mask: Tensor, packing: None = None) -> Tensor:  # noqa: ARG002 - only training leaves padding out
        """(B, T, D) -> (B, T, D); `mask` (B, H, T, T) is added to the logits."""
        queries, keys, values = self.query_key_value(frames).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        logits = (queries / math.sqrt(queries.shape[-1])) @ keys.transpose(-1, -2) + mask
        return self.output((logits.softmax(-1) @ values).transpose(1, 2).flatten(2))


class PlainRelativeAttention(nn.Module):
    """`RelativeAttention`, by its formula too."""

    def __init__(self, original: RelativeAttention) -> None:
        super().__init__()
        self.original = original

    def forward(self, frames: Tensor, positions: Tensor, seen: Tensor) -> Tensor:
        """(B, T, D) and the sinusoids (2 T, D) -> (B, T, D); `seen` (B or 1, 1, T, T): which columns a row may look at."""
        part = self.original
        queries, keys, values = part.query_key_value(frames).unflatten(-1, (3, part.heads, -1)).permute(2, 0, 3, 1, 4)
        distances = part.distance(positions).unflatten(-1, (part.heads, -1)).transpose(0, 1)
        time = torch.arange(frames.shape[1], device=frames.device)
        places = frames.shape[1] + time - time[:, None]  # (T, T): of the distance i - j among T … 1 - T
        scores = (queries + part.distance_bias) @ distances.mT  # (B, H, T, 2 T)
        logits = (queries + part.content_bias) @ keys.mT + scores.gather(-1, places.expand(*scores.shape[:3], -1))
        logits = (logits / math.sqrt(queries.shape[-1])).masked_fill(~seen, -torch.inf)
        return part.output((logits.softmax(-1) @ values).transpose(1, 2).flatten(2))


class PlainRecurrence(nn.Module):
    """A recurrent network as a loop over its steps: PyTorch's own can only be exported for one number of frames."""

    def __init__(self, original: nn.RNNBase) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Recurrence(original.mode, *weights) for weights in original.all_weights)

    def forward(self, frames: Tensor, state: None = None) -> tuple[Tensor, None]:  # noqa: ARG002 - as PyTorch's own; it begins from zero
        """(B, T, C) -> (B, T, D)."""
        for layer in self.layers:
            frames = layer(frames)
        return frames, None


class _Recurrence(nn.Module):
    def __init__(self, mode: str, weight_in: Tensor, weight_state: Tensor, bias_in: Tensor, bias_state: Tensor) -> None:
        super().__init__()
        self.cell = {"LSTM": _lstm, "GRU": _gru, "RNN_TANH": _rnn}[mode]
        self.states = 2 if mode == "LSTM" else 1
        self.from_input, self.carried = (nn.Linear(w.shape[1], w.shape[0]) for w in (weight_in, weight_state))
        self.from_input.load_state_dict({"weight": weight_in, "bias": bias_in})
        self.carried.load_state_dict({"weight": weight_state, "bias": bias_state})
        self.requires_grad_(requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, D)."""
        start = tuple(frames.new_zeros(frames.shape[0], self.carried.in_features) for _ in range(self.states))
        _, outputs = scan(self._step, start, self.from_input(frames).transpose(0, 1))
        return outputs.transpose(0, 1)

    def _step(self, states: tuple[Tensor, ...], gates: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        states = self.cell(states, gates, self.carried(states[0]))
        return states, states[0].clone()  # scan forbids that one tensor is given twice


class PlainTransformerContext(nn.Module):
    """`TransformerContext` over the whole at once, not chunk by chunk."""

    def __init__(self, original: TransformerContext) -> None:
        super().__init__()
        self.stack = original.stack

    def forward(self, latents: Tensor, state: None = None) -> tuple[Tensor, None]:  # noqa: ARG002 - it begins with silence
        """(B, T, D) -> (B, T, D)."""
        for layer in self.stack:
            latents = layer(latents, latents)
        return latents, None


def _exchange(model: nn.Module, kind: type[PartT], plain: Callable[[PartT], nn.Module]) -> None:
    """Put a plain part in the place of every one of a kind."""
    for module in list(model.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, kind):
                setattr(module, name, plain(part))


def _lstm(states: tuple[Tensor, ...], from_input: Tensor, carried: Tensor) -> tuple[Tensor, ...]:
    let_in, kept, new, let_out = (from_input + carried).chunk(4, -1)
    memory = kept.sigmoid() * states[1] + let_in.sigmoid() * new.tanh()
    return let_out.sigmoid() * memory.tanh(), memory


def _gru(states: tuple[Tensor, ...], from_input: Tensor, carried: Tensor) -> tuple[Tensor, ...]:
    (reset, kept, new), (carried_reset, carried_kept, carried_new) = from_input.chunk(3, -1), carried.chunk(3, -1)
    new = (new + (reset + carried_reset).sigmoid() * carried_new).tanh()
    kept = (kept + carried_kept).sigmoid()
    return (kept * states[0] + (1 - kept) * new,)


def _rnn(states: tuple[Tensor, ...], from_input: Tensor, carried: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG001 - as the others
    return ((from_input + carried).tanh(),)


def _normed_over_time(frames: Tensor, norm: TimeNorm, counts: Tensor) -> Tensor:
    """Normalize each channel of (B, C, T) over the first `counts` (B,) frames.

    Sums are in double precision, for ONNX runtimes add number by number: of seconds of near-silence nothing would be left beside speech.
    """
    own = (torch.arange(frames.shape[2], device=frames.device) < counts[:, None])[:, None]
    count = counts.clamp(min=1)[:, None, None]
    mean = (frames * own).double().sum(2, keepdim=True) / count
    centered = frames - mean.to(frames.dtype)
    variance = (centered * own).square().double().sum(2, keepdim=True) / count
    return centered * torch.rsqrt(variance.to(frames.dtype) + norm.eps) * norm.weight[:, None] + norm.bias[:, None]
