"""The linear probe: a softmax regression from single frames to classes. What it finds lies open in the features.

    scores (N, C) = W (x - mean) / scale + b        loss = cross-entropy, mean over the frames of an update

Two protocols, because they answer different questions. `PAPER` is that of the CPC papers: ten epochs at a small learning rate, made for
eighty hours of labels; on minutes of them it stops long before it converges, and rates how *easily* phones are read off.
`CONVERGED` goes on until held-out utterances gain nothing, and rates how *well* they can be.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from foresay import draws
from foresay.errors import UserError
from foresay.settings import require_positive
from foresay.threads import one_thread


@dataclass(frozen=True)
class ProbeProtocol:
    """All that decides a probe's accuracy but the features. The defaults are those of the CPC papers (reference code)."""

    name: str
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 2e-8
    epochs: int = 10
    """With `held_out` the most there can be."""
    window: float = 1.28
    """Seconds: 20480 samples of 16 kHz. A model's state starts anew in each, and is carried within it."""
    joined: bool = True
    """Learn from windows that run on over a speaker's utterances, cut elsewhere each epoch; else from each recording, from its start."""
    batch: int = 8
    """Windows an update."""
    shortest: float = 0.025
    """Seconds: a recording's last window is tested if it has as much."""
    frames: int = 1024
    """Frames an update where frames, not windows, are given: as many as are in the windows of a batch at 100 Hz."""
    standardize: bool = False
    """Give each dimension of the features zero mean and unit variance over the training frames."""
    held_out: float = 0.0
    """Share of the training utterances that only decide when to stop."""
    patience: int = 0
    """Epochs without gain on the held-out utterances before training stops."""
    most_audio: float | None = None
    """None: every epoch encodes the whole corpus anew, cut elsewhere. Else: so many seconds at most, drawn at random, are encoded once."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "eps", "epochs", "window", "batch", "shortest", "frames", "most_audio")
        if not all(0 <= beta < 1 for beta in self.betas):
            msg = f"betas are shares, from 0 to below 1, not {self.betas}"
            raise ValueError(msg)
        if not 0 <= self.held_out < 1 or (self.held_out and self.patience < 1):
            msg = (
                f"held_out = {self.held_out}, patience = {self.patience}: a share of the utterances, and how many epochs without gain on "
                "them end the training, at least one"
            )
            raise ValueError(msg)


PAPER = ProbeProtocol("paper")
CONVERGED = ProbeProtocol(
    "converged", learning_rate=2e-3, epochs=1000, frames=256, standardize=True, held_out=0.1, patience=3, most_audio=5000.0
)
"""On three minutes of TIMIT within a point of the best L-BFGS with weight decay, on MFCC, log-mel and CPC features."""

CARRIED = 30.0
"""Seconds of a recording over which a model's state is carried where it is, from the recording's start: most utterances whole."""
PAPER_CARRIED = replace(PAPER, name="paper-carried", window=CARRIED, joined=False)
CONVERGED_CARRIED = replace(CONVERGED, name="converged-carried", window=CARRIED)
"""The reference code resets the state every 1.28 s or, with another option, carries it on, from one file into the next. Here it ends with
its recording."""


class LinearProbe(nn.Module):
    """Class scores of frames. It starts as `nn.Linear` does, from `seed`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dimensions: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        with draws.torch_seeded("probe, initially", seed):
            self.linear = nn.Linear(dimensions, classes)
        self.updates = 0
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, C)."""
        return self.linear((features - self.mean) / self.scale)

    @torch.no_grad()
    def predict(self, features: ArrayLike | Tensor) -> Tensor:
        """The likeliest class of each frame: (N, D) -> (N,)."""
        return self(torch.as_tensor(features).to(self.mean)).argmax(dim=-1)


class ProbeTraining:
    """A probe and its optimizer."""

    def __init__(self, probe: LinearProbe, protocol: ProbeProtocol) -> None:
        self.probe = probe
        self.optimizer = torch.optim.Adam(probe.parameters(), protocol.learning_rate, protocol.betas, protocol.eps, fused=True)

    def update(self, features: Tensor, labels: Tensor) -> Tensor:
        """Learn from (N, D) frames, standardized, of classes (N,); return the classes (N,) that were predicted before."""
        scores = self.probe.linear(features)
        self.optimizer.zero_grad()
        cast("Any", functional.cross_entropy(scores, labels)).backward()
        self.optimizer.step()
        self.probe.updates += 1
        return scores.detach().argmax(dim=-1)


def fit_probe(
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    classes: int | None = None,
    utterances: ArrayLike | Sequence[str] | None = None,
    protocol: ProbeProtocol = CONVERGED,
    seed: int = 0,
    device: str = "cpu",
) -> LinearProbe:
    """Train a probe on plain arrays.

    `features` (N, D) and `labels` (N,) from 0 to `classes` - 1, in an order drawn anew for each epoch.
    `utterances` (N,) says which frames belong together: some utterances are then held out whole, for frames of one are much alike.
    """
    inputs = torch.as_tensor(features, dtype=torch.float32, device=device)
    targets = torch.as_tensor(labels, dtype=torch.int64, device=device)
    _check(inputs, targets)
    random = draws.stream("order of a probe", seed)
    groups = np.arange(len(targets)) if utterances is None else np.asarray(utterances)
    learn, stop = _split(groups, protocol.held_out, random)
    if len(learn) < 2:  # noqa: PLR2004 - one has no spread to be standardized by
        msg = f"{len(targets)} examples are too few to train a probe on, for some are held out to say when to stop: give more"
        raise UserError(msg)
    probe = LinearProbe(inputs.shape[1], classes or int(targets.max()) + 1, seed).to(device)
    if protocol.standardize:
        probe.mean.copy_(inputs[learn].mean(dim=0))
        probe.scale.copy_(inputs[learn].std(dim=0).clamp(min=1e-5))  # a constant feature has no information, but must not divide by zero
    inputs = (inputs - probe.mean) / probe.scale
    training = ProbeTraining(probe, protocol)
    best, kept, since = np.inf, probe.state_dict(), 0
    for _ in range(protocol.epochs):
        order = torch.from_numpy(random.permutation(learn)).to(device)
        parts = max(1, len(learn) // protocol.frames)
        with one_thread():
            for some, classes_of_some in zip(inputs[order].tensor_split(parts), targets[order].tensor_split(parts), strict=True):
                training.update(some, classes_of_some)
        if len(stop) == 0:
            continue
        loss = _held_out_loss(probe, inputs[stop], targets[stop])
        since = 0 if loss < best else since + 1
        if since == 0:
            best, kept = loss, {name: value.clone() for name, value in probe.state_dict().items()}
        if since == protocol.patience:
            break
    probe.load_state_dict(kept)  # without held-out utterances these are the last weights
    return probe


def _check(features: Tensor, labels: Tensor) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or len(labels) == 0:  # noqa: PLR2004 - (N, D)
        msg = f"a probe takes features (N, D) and labels (N,) with N > 0, not {tuple(features.shape)} and {tuple(labels.shape)}"
        raise UserError(msg)
    if not features.isfinite().all():
        msg = f"the features of frame {int((~features.isfinite().all(dim=1)).nonzero()[0])} are not finite: has the model diverged?"
        raise UserError(msg)


def _split(groups: NDArray[Any], share: float, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames to learn from and frames that say when to stop: at least one group each, where any are held out."""
    frames = np.arange(len(groups))
    if share == 0.0:
        return frames, frames[:0]
    names = random.permutation(np.unique(groups))
    if len(names) == 1:
        msg = "all frames are of one utterance, so none can be held out to say when to stop: give more, or use the protocol `paper`"
        raise UserError(msg)
    held_out = np.isin(groups, names[: max(1, round(share * len(names)))])
    return frames[~held_out], frames[held_out]


@torch.no_grad()
def _held_out_loss(probe: LinearProbe, features: Tensor, labels: Tensor) -> float:
    return float(functional.cross_entropy(probe.linear(features), labels))
