"""Robustness of features to another talker, or to noise.

Every recording is encoded twice, as it is (x_t) and with another sound mixed into the whole of it (y_t), so many dB softer:

    cosine clean to disturbed     mean of cos(x_t, y_t)                                                      1: nothing changed
    relative disturbance          root mean square of |x_t - y_t|, relative to that of |x_s - x_t| for any two clean frames

Relative disturbance is 0 where nothing changed and 1 where a disturbed frame is no nearer to itself than to any other: of features that are
all alike, such as an untrained network's, cosines say little. No labels are needed. WavLM (arXiv:2110.13900) is trained to be robust;
`corpora/mixing.py`, which trains WavLM, mixes into a part of some utterances only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from foresay import draws
from foresay.audio.augment import NoiseSource, generated_noise
from foresay.audio.read import Waveform
from foresay.audio.room import add_noise
from foresay.corpora.manifest import Manifest
from foresay.corpora.noise import RecordedNoise
from foresay.encoding.recordings import SHORTEST
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.progress import ProgressBar
from foresay.results import NO_RANK, Metric, Result
from foresay.statistics.estimates import Estimate, Floats, estimate

LONGEST = 30.0
"""Seconds of a recording that are encoded, from its start."""


@dataclass(frozen=True)
class RobustnessProtocol:
    """What is mixed into recordings."""

    name: str
    other: Literal["speech", "noise"]
    """`speech`: other recordings of the test corpus, of other speakers if there are any."""
    snr: float
    """dB, between the mean powers of both."""
    noise: str | None = None
    """A manifest of noise, such as MUSAN's; None: noise is generated."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.snr):
            msg = f"snr is a number of dB, not {self.snr}"
            raise ValueError(msg)


SPEECH, NOISE = RobustnessProtocol("speech-5db", "speech", 5.0), RobustnessProtocol("noise-5db", "noise", 5.0)


class Robustness(Measure[RobustnessProtocol]):
    """How far the features of every layer move when other sounds are mixed in."""

    name = "robustness"
    protocols: ClassVar[Mapping[str, RobustnessProtocol]] = {p.name: p for p in (SPEECH, NOISE)}
    metrics: ClassVar[Mapping[str, Metric]] = dict.fromkeys(("cosine clean to disturbed", "relative disturbance"), NO_RANK)

    def __init__(self, protocol: RobustnessProtocol) -> None:
        super().__init__(protocol)
        self.files = (Path(protocol.noise),) if protocol.noise else ()

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Encode `corpora.test` twice; nothing is trained.

        Raises:
            UserError: there is one recording only, and speech was asked for; all are silent or too short.
        """
        test, protocol = corpora.test, self.protocol
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter())
            sums: dict[str, dict[str, Floats]] = {layer: {} for layer in subject.layers}
            for item, clean, disturbed in ProgressBar(
                disturbed_recordings(test, protocol, subject.extractor.sample_rate, seed),
                f"disturbing, {subject.name}",
                "recording",
                total=len(test),
            ):
                pair = torch.from_numpy(np.stack([clean, disturbed])).to(device)
                with torch.no_grad():
                    frames = subject.extractor.features(pair, torch.tensor([len(clean)] * 2, device=device), subject.layers)
                for layer in subject.layers:
                    if count := int(frames.lengths[layer][0]):
                        sums[layer][test.ids[item]] = sum_disturbances(*frames.values[layer][:, :count])
            for layer in subject.layers:
                if not sums[layer]:
                    msg = f"{test.name} has no recording that is neither silent nor too short for {subject.name}, layer {layer}"
                    raise UserError(msg)
                about = {"recordings": len(sums[layer]), "snr": protocol.snr}
                found = rate_disturbances(list(sums[layer].values()), seed).items()
                there = where._replace(over=Population("utterances", list(sums[layer])))
                results += [self.row(subject, layer, name, number.value, number.interval, there, **about) for name, number in found]
        return results


def disturbed_recordings(
    manifest: Manifest, protocol: RobustnessProtocol, rate: int, seed: int
) -> Iterator[tuple[int, Waveform, Waveform]]:
    """Yield the places of recordings, and of long ones the first 30 s, as they are and disturbed: (S,) each. Silent ones are left out.

    Raises:
        UserError: nobody else speaks.
    """
    source = _source(manifest, protocol)
    for item, length in enumerate(manifest.lengths(rate).tolist()):
        if length < SHORTEST * rate:
            continue
        clean = manifest.read(item, rate, 0, min(length, round(LONGEST * rate)))
        other = source(item)(len(clean), rate, draws.stream("disturbance", seed, item))
        if clean.any() and other.any():
            yield item, clean, add_noise(clean, other, protocol.snr)


def sum_disturbances(clean: Tensor, disturbed: Tensor) -> Floats:
    """Sum over the frames (T, D) of a recording what can be added to that of others: (4 + D,)."""
    clean, disturbed = clean.double(), disturbed.double()
    cosines = (functional.normalize(clean, dim=-1) * functional.normalize(disturbed, dim=-1)).sum()
    moved, squares = (clean - disturbed).square().sum(), clean.square().sum()
    return torch.cat([torch.stack([cosines, moved, squares]).cpu(), torch.tensor([len(clean)]), clean.sum(dim=0).cpu()]).numpy()


def rate_disturbances(sums: Sequence[Floats], seed: int = 0) -> dict[str, Estimate]:
    """Rate recordings by their sums."""
    return estimate(np.stack(sums), _rates, seed)


def _rates(sums: Floats) -> dict[str, Floats]:
    """From n sums of all recordings, (n, 4 + D)."""
    cosines, moved, squares, frames = sums[:, :4].T
    spread = squares / frames - np.square(sums[:, 4:] / frames[:, None]).sum(axis=1)
    apart = 2.0 * np.maximum(spread, 0.0)  # the mean of |x_s - x_t|^2
    relative = np.sqrt(np.divide(moved / frames, apart, out=np.zeros_like(apart), where=apart > 0))
    return {"cosine clean to disturbed": cosines / frames, "relative disturbance": relative}


def _source(manifest: Manifest, protocol: RobustnessProtocol) -> Callable[[int], NoiseSource]:
    """Choose what is mixed into each item of a manifest."""
    if protocol.other == "noise":
        noise = generated_noise if protocol.noise is None else RecordedNoise(Manifest.open(protocol.noise))
        return lambda item: noise  # noqa: ARG005 - the same for all
    if len(manifest) < 2:  # noqa: PLR2004
        msg = f"{manifest.name} has one recording only: nobody else can talk over it. Give more, or measure robustness:noise-5db"
        raise UserError(msg)
    return partial(_speech, manifest)


def _speech(manifest: Manifest, item: int) -> NoiseSource:
    """Draw whole recordings of other speakers, or where there is one speaker only other recordings; short ones are repeated."""
    speakers = manifest.speaker_codes
    others = np.flatnonzero(speakers != speakers[item])
    if not len(others):
        others = np.delete(np.arange(len(manifest)), item)

    def draw(count: int, sample_rate: int, random: np.random.Generator) -> Waveform:
        return np.resize(manifest.read(int(random.choice(others)), sample_rate), count)

    return draw
