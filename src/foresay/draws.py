"""Random draws: every stream of random numbers, by what it is for and what it belongs to.

    drawn for                                  from
    an utterance of an update (masks, codes)   its key, which is itself drawn from (seed, update, place in the global batch)
    an update (dropped blocks, dropout)        (seed, update), for dropout the rank as well
    an epoch (order, crops)                    (seed, epoch)
    a run or a measurement (weights, orders)   (seed,)

Nobody else makes a generator or seeds one. Each purpose has a stream of its own, so that no draw repeats another one's numbers, and none
depends on how many numbers another one took: what is drawn is the same after a resume, in any order, and on any number of devices.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

PlanPurpose: TypeAlias = Literal["offset", "windows", "groups", "batches", "keys", "balance", "lengths", "crops", "validation"]
"""Of a plan: which stretches of audio meet in which update. `keys`: the keys of utterances; `validation`: the seed of held-out batches."""
LearningPurpose: TypeAlias = Literal[
    "weights",
    "weights of parts",
    "random projection",
    "kept layers",
    "dropout",
    "mixture",
    "past",
    "future",
    "mask",
    "mask noise",
    "masked spans",
    "masked channels",
    "scheduled sampling",
    "codes",
    "codes of targets",
    "restarted codewords",
    "distractors",
    "negatives",
    "negatives, backwards",
    "perturbed audio",
    "perturbed images",
    "excitation",
]
"""Of training. `masked frames`, `masked channels`: of fine-tuning. `excitation`: the noise that a vocoder filters.
`past`, `future`: effects on what is encoded and on what is predicted; `codes of targets`: of another version of it."""
MeasuringPurpose: TypeAlias = Literal[
    "k-means",
    "centers",
    "recordings",
    "moments",
    "frames",
    "pairs",
    "trials",
    "shuffled units",
    "tokens",
    "sampled symbols",
    "continuations",
    "samples of prompts",
    "phones of a map",
    "items of a map",
    "disturbance",
    "order of a probe",
    "probe, initially",
    "windows of a probe",
    "recordings of a probe",
    "CTC",
    "CTC, initially",
    "heads, initially",
    "order of heads",
    "ratios",
    "utterances",
    "speakers",
    "runs",
    "models",
    "self-test",
]
"""Of evaluation, labels and intervals: what is drawn, or drawn again."""
Purpose: TypeAlias = PlanPurpose | LearningPurpose | MeasuringPurpose


def bits(purpose: Purpose, *numbers: int, count: int) -> npt.NDArray[np.uint64]:
    """Draw numbers (count,) of 64 random bits; `numbers`, none negative, say whose they are: a seed and a step, a key.

    NumPy promises that seed sequences and raw bits never change between its versions, which it does not of `Generator`'s methods.
    """
    return np.asarray(np.random.PCG64(_sequence(purpose, numbers)).random_raw(count))


def stream(purpose: Purpose, *numbers: int) -> np.random.Generator:
    """Open a stream for NumPy."""
    return np.random.default_rng(_sequence(purpose, numbers))


def generator(purpose: Purpose, *numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Open a stream for torch, on the device that draws.

    On a CPU torch heeds 32 bits of a seed: of four billion pairs of streams, one pair coincides by chance.
    """
    return torch.Generator(device).manual_seed(seed(purpose, *numbers))


def seed(purpose: Purpose, *numbers: int) -> int:
    """Draw a seed of 63 bits."""
    return int(bits(purpose, *numbers, count=1)[0]) >> 1


def seed_torch(purpose: Purpose, *numbers: int) -> None:
    """Let what torch draws without a generator (initial weights, dropout) come from a stream, on all devices, from here on."""
    torch.manual_seed(seed(purpose, *numbers))


@contextmanager
def torch_seeded(purpose: Purpose, *numbers: int) -> Iterator[None]:
    """Let what torch draws on the CPU without a generator come from a stream for a while."""
    with torch.random.fork_rng(devices=[]):
        seed_torch(purpose, *numbers)
        yield


def made(recipe: int, seed: int, *what: int) -> np.random.Generator:
    """Open a stream for a part of a generated corpus: another draw would be another corpus, and have another number of its recipe."""
    return np.random.default_rng([recipe, seed, *what])


def _sequence(purpose: Purpose, numbers: tuple[int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence((*numbers, *purpose.encode()))
