"""How the probes of all layers learn from a corpus: epoch after epoch of fresh windows, or once from frames that are kept."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from foresay import draws
from foresay.contracts import Batch
from foresay.corpora.batches import BatchLoader, load_windows
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import BatchPlan, DataSettings, Window, recording_windows
from foresay.encoding.labelled_frames import LabelledFrames, PhoneLabels, SubjectLayer, encode_labelled
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.probes.frame_accuracy import FrameAccuracy
from foresay.evaluation.probes.linear_probe import LinearProbe, ProbeProtocol, ProbeTraining, fit_probe
from foresay.progress import ProgressBar

Batches: TypeAlias = Iterator[tuple[Batch, Sequence[Window]]]
"""An epoch: the batches, and their windows."""


class Learner(NamedTuple):
    """A trained probe, and how often it was right on what it learnt from (`paper`: in the last epoch, before each update)."""

    probe: LinearProbe
    train: FrameAccuracy


def learn(protocol: ProbeProtocol, subjects: Sequence[Subject], phones: PhoneLabels, seed: int, device: str) -> dict[SubjectLayer, Learner]:
    """Train a probe on every layer of subjects of one sample rate."""
    how = _from_fresh_windows if protocol.most_audio is None else _from_kept_frames
    return how(protocol, subjects, phones, seed, device)


def encode_batches(
    protocol: ProbeProtocol, subjects: Sequence[Subject], phones: PhoneLabels, device: str, *, title: str, draw: int | None = None
) -> Iterator[tuple[SubjectLayer, LabelledFrames]]:
    """Yield the labelled frames of every recording, window by window; or, with `draw`, of windows drawn at random with that seed."""
    rate = subjects[0].extractor.sample_rate
    windows = recording_windows(phones.manifest, round(protocol.window * rate), rate, round(protocol.shortest * rate))
    if draw is not None and protocol.most_audio is not None:
        order = draws.stream("windows of a probe", draw).permutation(len(windows))
        windows = [windows[i] for i in order[: round(protocol.most_audio / protocol.window)]]
    for first in _progress(title, range(0, len(windows), protocol.batch)):
        part = windows[first : first + protocol.batch]
        yield from encode_labelled(subjects, load_windows(phones.manifest, part, rate).to(device), part, phones)


def _from_fresh_windows(
    protocol: ProbeProtocol, subjects: Sequence[Subject], phones: PhoneLabels, seed: int, device: str
) -> dict[SubjectLayer, Learner]:
    """Learn from each epoch's own windows, joined over a speaker's utterances: a batch an update, all probes in one pass."""
    trainings: dict[SubjectLayer, ProbeTraining] = {}
    right: dict[SubjectLayer, FrameAccuracy] = {}
    epochs = _joined_windows if protocol.joined else _whole_recordings
    for batches in epochs(protocol, phones.manifest, subjects[0].extractor.sample_rate, seed):
        right.clear()
        for batch, windows in batches:
            for place, frames in encode_labelled(subjects, batch.to(device), windows, phones):
                if place not in trainings:
                    probe = LinearProbe(frames.features.shape[1], len(phones.vocabulary), seed).to(device)
                    trainings[place] = ProbeTraining(probe, protocol)
                predicted = trainings[place].update(frames.features, frames.labels)
                right.setdefault(place, FrameAccuracy(len(phones.manifest), device)).add(frames, predicted)
    return {place: Learner(training.probe, right[place]) for place, training in trainings.items()}


def _joined_windows(protocol: ProbeProtocol, manifest: Manifest, sample_rate: int, seed: int) -> Iterator[Batches]:
    """Epochs of windows joined over a speaker's utterances, cut elsewhere in each."""
    plan = _plan(protocol, manifest, sample_rate, seed)
    with BatchLoader(manifest, plan) as loader:
        for epoch in range(protocol.epochs):
            updates = _progress(_epoch(epoch, protocol), loader.one_epoch(epoch), plan.steps(epoch))
            yield ((update.batches[0], update.planned.windows) for update in updates)


def _whole_recordings(protocol: ProbeProtocol, manifest: Manifest, sample_rate: int, seed: int) -> Iterator[Batches]:
    """Epochs of recordings from their start, in an order drawn anew for each."""
    samples, shortest = round(protocol.window * sample_rate), round(protocol.shortest * sample_rate)
    windows = recording_windows(manifest, samples, sample_rate, shortest)
    random = draws.stream("recordings of a probe", seed)
    for epoch in range(protocol.epochs):
        order = random.permutation(len(windows))
        batches = [[windows[i] for i in order[first : first + protocol.batch]] for first in range(0, len(order), protocol.batch)]
        yield ((load_windows(manifest, part, sample_rate), part) for part in _progress(_epoch(epoch, protocol), batches))


def _from_kept_frames(
    protocol: ProbeProtocol, subjects: Sequence[Subject], phones: PhoneLabels, seed: int, device: str
) -> dict[SubjectLayer, Learner]:
    """Encode the recordings once, and train on the frames until nothing is gained."""
    learners: dict[SubjectLayer, Learner] = {}
    for subject in subjects:  # one by one, or the frames of all might not fit into memory
        kept: dict[SubjectLayer, list[LabelledFrames]] = {}
        for place, frames in encode_batches(protocol, [subject], phones, device, title=subject.name, draw=seed):
            kept.setdefault(place, []).append(frames)
        for place, parts in kept.items():
            frames = LabelledFrames(*map(torch.cat, zip(*parts, strict=True)))
            probe = fit_probe(
                frames.features,
                frames.labels,
                classes=len(phones.vocabulary),
                utterances=frames.utterances.cpu(),
                protocol=protocol,
                seed=seed,
                device=device,
            )
            right = FrameAccuracy(len(phones.manifest), device)
            right.add(frames, probe.predict(frames.features))
            learners[place] = Learner(probe, right)
    return learners


def _plan(protocol: ProbeProtocol, manifest: Manifest, sample_rate: int, seed: int) -> BatchPlan:
    settings = DataSettings(sample_rate, round(protocol.window * sample_rate), join=True, sampler="uniform", batch=protocol.batch)
    try:
        return BatchPlan(manifest, settings, seed=seed)
    except UserError as error:
        msg = (
            f"{manifest.name} has {manifest.durations.sum():.1f} s of audio, too little for the probe `{protocol.name}`, which learns from "
            f"{protocol.batch} windows of {protocol.window} s at a time, joined over a speaker's utterances. Give more labelled audio; "
            "`probe:converged` does with less."
        )
        raise UserError(msg) from error


def _epoch(epoch: int, protocol: ProbeProtocol) -> str:
    return f"epoch {epoch + 1} of {protocol.epochs}"


def _progress(title: str, steps: Iterable[Any], total: int | None = None) -> Any:  # noqa: ANN401 - whatever is stepped through
    return ProgressBar(steps, f"probe, {title}", "batch", total=total)
