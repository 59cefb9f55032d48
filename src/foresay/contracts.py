"""The shared types: what flows between the parts of Foresay, and what a model promises.

One alphabet of shapes, everywhere:
B utterances, S samples, T frames, D features, K predictions, M future frames aligned to them, N negatives,
C classes or codes, G codebooks, L layers, H heads, P image patches.

Data travels one way: Manifest -> Batch -> model -> Frames -> Result.
`Trainable` is all the training loop knows of a model; `FeatureExtractor` (hears) and `ImageExtractor` (sees) all that evaluation does.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn

from foresay.errors import UserError, nearest

Modality: TypeAlias = Literal["audio", "image"]


@dataclass(frozen=True)
class Batch:
    """What one step sees. Only `ids` is always there."""

    ids: tuple[str, ...]
    waveforms: Tensor | None = None
    """(B, S) float32, zero beyond each length."""
    lengths: Tensor | None = None
    """(B,) int64 on the CPU, samples."""
    keys: Tensor | None = None
    """(B,) int64 on the CPU: the source of everything random that is drawn for an utterance (negatives, masks, mixing) in this step.
    A function of (seed, step, place in the global batch), so the draw is the same on one device and on eight."""
    speakers: Tensor | None = None
    """(B,) int64."""
    labels: Tensor | None = None
    """(B, T) int64 on the CPU: the classes of frames; -1: none."""
    text: tuple[str, ...] | None = None
    images: Tensor | None = None
    """(B, 3, height, width) float32 from 0 to 1: red, green, blue."""
    targets: Tensor | None = None
    """(B, S) float32: another version of the same waveforms, whose latents are to be predicted; None: the waveforms themselves."""

    def to(self, device: torch.device | str) -> Self:
        """Send every tensor but keys, lengths and labels, which shape the computation: were they there, the step would wait for them."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"keys", "lengths", "labels"}}
        moved: dict[str, Any] = {name: sent(value, device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def sent(values: Tensor, device: torch.device | str) -> Tensor:
    """Send a tensor of the CPU to a device without waiting for what is computed there: from pinned memory, or the copy would wait."""
    there = torch.device(device)
    return values.pin_memory().to(there, non_blocking=True) if there.type == "cuda" and not values.is_cuda else values.to(there)


@dataclass(frozen=True)
class Term:
    """One part of the loss: a sum over `count` things (positions, frames, …) and its weight in the total.

    Where there is nothing to count, the count is 0 and the sum is 0: then the term contributes nothing.
    """

    sum: Tensor
    count: Tensor | float
    weight: float = 1.0


@dataclass(frozen=True)
class Losses:
    """What a training step returns.

    The trainer minimizes the sum over terms of weight x sum / count, each count summed over all devices and accumulated micro-batches:
    the gradient does not depend on how a global batch was cut up, also where terms count different things. A model returns the same terms
    for every batch. `scalars` are means, for the log only.
    """

    terms: Mapping[str, Term]
    scalars: Mapping[str, Tensor]
    means_of: Mapping[str, str] = field(default_factory=dict)
    """Scalar -> the term over whose count it is a mean, where terms count different things."""

    def total(self) -> Tensor:
        """The loss of this batch alone."""
        counts = [torch.as_tensor(term.count, dtype=term.sum.dtype, device=term.sum.device) for term in self.terms.values()]
        parts = [term.weight * term.sum / torch.where(n > 0, n, torch.inf) for term, n in zip(self.terms.values(), counts, strict=True)]
        return torch.stack(parts).sum()


class Trainable(nn.Module, ABC):
    """All the training loop knows of a model."""

    phases: Sequence[str] = ("train",)
    """What an update does one after the other, each with an optimizer of its own; one phase for everything but adversarial training."""

    group: int = 1
    """How many consecutive utterances of a batch must stay together on one device (they share negatives)."""

    modalities: Sequence[Modality] = ("audio",)
    """What every utterance of a batch must bring along: with both, a batch is made of pairs."""

    uses_targets: bool = False
    """Whether it predicts `Batch.targets`, another version of what it hears."""

    updates: int | None = None
    """How many are planned: the training loop says it, for schedules that are a share of them."""

    seed: int = 0
    """Of the run: the training loop says it, for what is drawn once an update (LayerDrop) and not for an utterance, by its key."""

    @staticmethod
    def depends_on_length(settings: Any) -> bool:  # noqa: ANN401, ARG004 - of any model; this one has none
        """Whether a model of these settings has a schedule that is a share of the updates: then a run may not be made longer or shorter."""
        return False

    @abstractmethod
    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Compute the loss of a batch. `step` counts updates."""

    def counts(self, batch: Batch, step: int, phase: str = "train") -> Mapping[str, Tensor | float]:
        """Say what each term of a batch's loss will count.

        Asked before `forward` where an update has several micro-batches and the loss several terms, for a term's gradient can be summed
        over them only if its count in all of them is known. A model that knows it from lengths and keys says so; here the loss is
        computed for it.
        """
        trains = self.training
        with torch.no_grad():
            terms = self.eval()(batch, step, phase).terms
        self.train(trains)
        return {name: term.count for name, term in terms.items()}

    def trained(self, phase: str) -> Iterable[nn.Parameter]:  # noqa: ARG002 - of one phase, all
        """Yield the parameters that a phase trains, and no other phase does."""
        return self.parameters()

    def after_step(self, step: int) -> dict[str, float]:  # noqa: ARG002 - the default needs no step
        """Move what is not trained by gradients (temperature, queue, teacher); what must survive a resume lies in buffers."""
        return {}


@dataclass(frozen=True)
class Frames:
    """What a model heard, by layer name: all that evaluation, units and fine-tuning need."""

    values: Mapping[str, Tensor]
    """Layer -> (B, T, D); beyond an utterance's length the values mean nothing."""
    lengths: Mapping[str, Tensor]
    """Layer -> (B,) int64, frames."""
    frame_rate: Mapping[str, float]
    """Layer -> frames per second; of pictures, which take no time, there is none."""


class Extractor(ABC):
    """What makes frames of something, layer by layer."""

    layer_names: tuple[str, ...]
    modalities: Sequence[Modality]
    """What it can be given."""

    def chosen(self, layers: Sequence[str] | None) -> tuple[str, ...]:
        """Check the names of layers; None is all of them.

        Raises:
            UserError: there is no such layer.
        """
        chosen = self.layer_names if layers is None else tuple(layers)
        for layer in chosen:
            if layer not in self.layer_names:
                msg = f"{type(self).__name__} has no layer {layer!r}: {nearest(layer, self.layer_names)}"
                raise UserError(msg)
        return chosen


class FeatureExtractor(Extractor, ABC):
    """From waveforms to frames. It prepares (standardises) the waveform itself.

    `features` is differentiable; the caller chooses `eval()` and `no_grad()`. In `eval()` a clip's features do not depend on its
    batch mates or on padding (1e-4).
    """

    modalities: Sequence[Modality] = ("audio",)
    sample_rate: int
    receptive_field: int
    """Samples that one frame sees."""
    first_center: int
    """The sample at the middle of what frame 0 sees; frame t is centred `t * sample_rate / frame_rate` later."""

    @abstractmethod
    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""

    def hop(self, layer: str) -> int:
        """Samples from each frame of a layer to the next, `sample_rate / frame_rate`: one frame more whenever a clip is so much longer."""
        counts = self.frame_count(torch.arange(8 * self.sample_rate), layer)
        before, last = counts.diff().nonzero().flatten()[-2:].tolist()
        return int(last - before)

    @abstractmethod
    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Hear (B, S) waveforms, of which `lengths` (B,) samples are real. `layers`: which to return, default all."""


class ImageExtractor(Extractor, ABC):
    """From pictures to frames: a frame is a patch, and they come in the order in which one reads."""

    modalities: Sequence[Modality] = ("image",)

    @abstractmethod
    def see(self, images: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Look at (B, 3, height, width) pictures from 0 to 1: frames (B, P, D). `layers`: which to return, default all."""


class FeatureStream(Protocol):
    """An utterance heard as it arrives: the frames of all pushes and `finish` together equal those of the whole."""

    def push(self, chunk: Tensor) -> Frames:
        """Take the next (B, S) samples, return the frames that they complete (perhaps none)."""

    def finish(self) -> Frames:
        """Return the last frames, which see the silence after the end."""


class SpeechModel(Trainable, FeatureExtractor):
    """A pre-trained encoder: trained by the loop, used through its features."""

    settings: Any
    """The frozen dataclass it was built from: `type(model)(model.settings)` is an untrained copy."""

    aligns: bool = False
    """Whether it aligns predictions with frames to come: `inspect` then gives `alignment_posterior (B, T, M, K)`."""

    def inspect(self, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - nothing to draw is a fair default
        """Return what is worth drawing of a batch, by a name that says what it is (`alignment_posterior (B, T, M, K)`, …).

        Raises:
            UserError: the batch is too short for what it does in training.
        """
        return {}

    def stream(self) -> FeatureStream:
        """Start to hear an utterance chunk by chunk. Causal models only."""
        msg = f"{type(self).__name__} looks at the whole utterance and cannot stream"
        raise TypeError(msg)
