"""What a model promises to the training loop, and a pre-trained encoder to everybody."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from foresay.contracts.batches import Batch, Need
from foresay.contracts.frames import FeatureExtractor
from foresay.contracts.losses import Losses

P = ParamSpec("P")
R = TypeVar("R")


def on_host(step: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that draws, counts or remembers: `torch.compile` leaves it alone, for it is no computation on tensors."""
    marked: Callable[P, R] = torch.compiler.disable(step)
    return marked


class Model(nn.Module, ABC):
    """What a recipe can name: built from `settings` and, where it is made of other models, from these parts.

    A constructor says what it takes: `def __init__(self, settings: CTCSettings, encoder: FeatureExtractor)`, and keeps each part as the
    attribute of that name. The part's weights are then among the model's own.
    """

    settings: Any
    """The frozen dataclass it was built from."""

    @classmethod
    def completed(cls, settings: Any, texts: Iterable[str]) -> Any:  # noqa: ANN401, ARG003 - of any model; this one needs nothing
        """Fill in what a recipe leaves to the transcripts of the corpus, such as the vocabulary. Asked of models that learn from text."""
        return settings


class Trainable(Model, ABC):
    """A model that is trained by gradients: all the training loop knows of it."""

    phases: Sequence[str] = ("train",)
    """What an update does one after the other, each with an optimizer of its own; one phase for everything but adversarial training."""

    group: int = 1
    """How many consecutive utterances of a batch must stay together on one device (they share negatives)."""

    needs: Sequence[Need] = ("audio",)
    """What every batch must hold: with audio and image, it is made of pairs. Checked before the first step, against recipe and corpus."""

    classes: int | None = None
    """C: how many labels it knows, if it needs labels."""

    uses_targets: bool = False
    """Whether it predicts `Batch.targets`, another version of its input."""

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
        """Compute the loss of a batch. `step` counts updates.

        A model that can be compiled does it in two steps: first, on the host, whatever is drawn or counted (a method marked `on_host`,
        `prepare` in most models), then `compute`.
        """

    def compute(self, *given: Any) -> Any:  # noqa: ANN401, ARG002 - what a model prepares, and makes losses of, is its own
        """Compute on the device what `forward` makes losses of: this is what `trainer.compile` compiles.

        It is given tensors and whatever is the same for all batches, draws nothing but dropout, asks for no value of a tensor, and leaves
        no trace but in buffers.
        """
        msg = f"{type(self).__name__} computes its loss as a whole: it has no part on tensors alone (`compute`) that could be compiled"
        raise TypeError(msg)

    def counts(self, batch: Batch, step: int, phase: str = "train") -> Mapping[str, Tensor | float]:
        """Say what each term of a batch's loss will count, each a scalar.

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

    rate_groups: Sequence[str] = ()
    """Beginnings of the names of parameters that have a learning rate of their own, such as `head.`; the others are the group ""."""

    def rate(self, group: str, step: int) -> float:  # noqa: ARG002 - of all groups, all of it
        """Return the share of the learning rate that a group has at an update; 0: it is frozen."""
        return 1.0

    def after_step(self, step: int) -> dict[str, float]:  # noqa: ARG002 - the default needs no step
        """Move what is not trained by gradients (temperature, queue, teacher); what must survive a resume lies in buffers."""
        return {}


class SpeechModel(Trainable, FeatureExtractor):
    """A pre-trained encoder: trained by the loop, used through its features."""

    aligns: bool = False
    """Whether it aligns predictions with frames to come: `inspect` then gives `alignment_posterior (B, T, M, K)`."""
    codebooks: int = 0
    """G, of a quantizer of its own; 0: it has none."""

    def codes(self, waveforms: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002 - of those that have a quantizer
        """Quantize waveforms (B, S), of which `lengths` (B,) are real, nothing masked and without noise: codes (B, T, G) int64.

        They are on the clock of the first layer; beyond an utterance's length they mean nothing.

        Raises:
            TypeError: it has no quantizer.
        """
        msg = f"{type(self).__name__} has no quantizer of its own"
        raise TypeError(msg)

    def inspect(self, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - nothing to draw is a fair default
        """Return what is worth drawing of a batch, by a name that says what it is (`alignment_posterior (B, T, M, K)`, …).

        Raises:
            UserError: the batch is too short for what it does in training.
        """
        return {}
