"""From planned windows and pictures to tensors, ahead of the training loop, on background threads.

soundfile and soxr release Python's global lock, so threads suffice: no processes to start, nothing to pickle, and no order that depends on
the number of workers. What is read depends on the plan alone, and so does how it is mixed and augmented: what is drawn for a window, by
its key.
"""

import dataclasses
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from foresay import draws
from foresay.audio.augment import Augmentation, NoiseSource, generated_noise
from foresay.audio.read import Waveform
from foresay.contracts import Batch, Modality
from foresay.corpora.item import Transcript, transcript_of
from foresay.corpora.labels import NO_CLASS, LabelReader
from foresay.corpora.manifest import Manifest
from foresay.corpora.mixing import Mixer
from foresay.corpora.noise import RecordedNoise
from foresay.corpora.plans.items import ItemPlan
from foresay.corpora.plans.transcripts import TextPlan, TranscriptPlan
from foresay.corpora.plans.utterances import UtterancePlan
from foresay.corpora.plans.windows import BatchPlan, DataSettings, Plan, PlannedBatch, Window
from foresay.errors import AudioError, UserError
from foresay.images.read import ImageError, Picture, read_image

AUDIO: tuple[Modality, ...] = ("audio",)


class Update(NamedTuple):
    """What one device needs for one update."""

    planned: PlannedBatch
    """The global batch, the same on every device. An unreadable window may have been replaced: `Batch.ids` names the replacement."""
    batches: tuple[Batch, ...]
    """This device's share: `accumulate` micro-batches of whole groups."""


class Unreadable(NamedTuple):
    """A window or an image that could not be read."""

    item: int
    """The recording or picture at fault: its place in the manifest."""
    error: AudioError | ImageError


class _Example(NamedTuple):
    window: Window
    waveform: Waveform | None
    image: Picture | None = None
    target: Waveform | None = None
    """Another version of the waveform, to be predicted from it."""


def plan_batches(
    manifest: Manifest,
    settings: DataSettings,
    *,
    seed: int,
    group: int = 1,
    modalities: Sequence[Modality] = AUDIO,
    unfit: Collection[str] = (),
) -> Plan:
    """Plan what the settings ask for: windows, whole utterances, or items with all the `modalities`.

    `unfit`: ids of transcribed utterances that are left out, for they have fewer frames than symbols.

    Raises:
        UserError: the manifest does not hold enough data, or the sampler cannot give images.
    """
    if settings.sampler == "items":
        return ItemPlan(manifest, settings, seed=seed, group=group, modalities=modalities)
    if "image" in modalities:
        msg = f"this model takes images, which the sampler {settings.sampler!r} does not support: --set data.sampler=items"
        raise UserError(msg)
    if settings.sampler in {"transcripts", "texts"}:
        if group > 1:
            msg = f"this model keeps groups of {group} utterances together, and transcribed ones go by length: choose another sampler"
            raise UserError(msg)
        if settings.sampler == "texts":
            return TextPlan(manifest, settings, seed=seed)
        return TranscriptPlan(manifest, settings, seed=seed, unfit=unfit)
    kind = UtterancePlan if settings.sampler == "utterances" else BatchPlan
    return kind(manifest, settings, seed=seed, group=group)


def plan_groups(
    manifest: Manifest,
    settings: DataSettings,
    *,
    seed: int,
    group: int = 1,
    modalities: Sequence[Modality] = AUDIO,
    unfit: Collection[str] = (),
) -> Plan:
    """Plan batches of one group each, of audio as it was recorded, and drawn apart from what is learnt from: for validation."""
    seed = draws.seed("validation", seed)
    plain = dataclasses.replace(settings, batch=group, seconds=group * settings.longest, mix=0.0, augment_past=(), augment_future=())
    if settings.sampler == "utterances":
        return UtterancePlan(manifest, plain, seed=seed, group=group, most_groups=1)
    if settings.sampler == "transcripts":
        plain = dataclasses.replace(plain, seconds=settings.seconds)
    return plan_batches(manifest, plain, seed=seed, group=group, modalities=modalities, unfit=unfit)


def load_windows(manifest: Manifest, windows: Sequence[Window], sample_rate: int, keys: npt.NDArray[np.int64] | None = None) -> Batch:
    """Read B windows into one batch, zero beyond the end of the shorter ones. `keys`: (B,).

    The waveform is not normalized, as in the reference.

    Raises:
        AudioError: a recording cannot be read.
    """
    examples = []
    settings = DataSettings(sample_rate=sample_rate)
    for window in windows:
        read = _read(manifest, window, settings, AUDIO)
        if isinstance(read, Unreadable):
            raise read.error
        examples.append(read)
    return _collate(manifest, examples, sample_rate, keys)


class BatchLoader:
    """Reads one device's share of a plan's batches, some updates ahead, on `workers` threads.

    Rank r of a world of w devices takes groups r, r + w, … of each batch, cut evenly into `accumulate` micro-batches. A window that cannot
    be read is replaced by the next of its group that can, a group of which none can by the next group: the audio of a group does not
    depend on where it is read.
    Close the loader, or use it in a `with` block, to end its threads.
    """

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan,
        *,
        labels: LabelReader | None = None,
        rank: int = 0,
        world: int = 1,
        workers: int = 2,
        accumulate: int = 1,
    ) -> None:
        """Share out the groups. `labels`: of frames, for models that learn them.

        Raises:
            UserError: a batch has fewer groups than there are micro-batches to fill, or nothing to mix with, or there is no such effect
                or manifest of noise.
        """
        if plan.fewest < world * accumulate:
            raise UserError(_too_few(plan, world, accumulate))
        self.wait = 0.0
        """Seconds that the caller has waited for batches, all together."""
        self.unreadable = 0
        """Windows and pictures replaced because they could not be read, all together."""
        self.messages = list(plan.notes)
        """The plan's notes, and what was wrong with each unreadable recording or picture, once for each. The caller may clear it."""
        self._manifest = manifest
        self._plan = plan
        self._labels = labels
        self._texts = plan.settings.transcript if plan.texts else None
        self._rank, self._world, self._accumulate = rank, world, accumulate
        noise = _noise(plan.settings)
        self._mixer = _mixer(plan, noise)
        self._versions = _versions(plan.settings, noise)
        self._reported: set[int] = set()
        self._ahead = max(2 * workers, 1)
        self._threads = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="batches")

    def updates(self, epoch: int = 0, step: int = 0, update: int = 0) -> Iterator[Update]:
        """Yield update after update from (epoch, step) on, epoch after epoch, for ever; `update` is the number of the first."""
        return self._fetch(self._plan_from(epoch, step, update))

    def one_epoch(self, epoch: int = 0) -> Iterator[Update]:
        """Yield the batches of one epoch, always with the same keys: for validation."""
        return self._fetch(self._plan.batch(epoch, step, update=step) for step in range(self._plan.steps(epoch)))

    def close(self) -> None:
        """End the threads; what they had yet to read is dropped."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _plan_from(self, epoch: int, step: int, update: int) -> Iterator[PlannedBatch]:
        updates = count(update)
        for now in count(epoch):
            for place in range(step if now == epoch else 0, self._plan.steps(now)):
                yield self._plan.batch(now, place, next(updates))

    def _fetch(self, plans: Iterable[PlannedBatch]) -> Iterator[Update]:
        """Keep the threads some updates ahead of the caller."""
        planned = iter(plans)
        pending: deque[Future[tuple[Update, list[Unreadable]]]] = deque()
        try:
            while True:
                asked = perf_counter()
                pending.extend(self._threads.submit(self._load, plan) for plan in islice(planned, self._ahead - len(pending)))
                if not pending:
                    return
                update, unreadable = pending.popleft().result()
                self._report(unreadable)
                self.wait += perf_counter() - asked
                yield update
        finally:
            for future in pending:
                future.cancel()

    def _load(self, planned: PlannedBatch) -> tuple[Update, list[Unreadable]]:
        """Read this device's share of a batch; runs on a thread and touches nothing that is shared."""
        size, sample_rate = self._plan.group, self._plan.settings.sample_rate
        reading = _Reading(self._manifest, planned.windows, self._plan)
        mixed = self._mixer.reader(planned.keys, reading.waveform) if self._mixer else None
        share = np.arange(len(planned.windows)).reshape(-1, size)[self._rank :: self._world]
        batches = []
        for places in (groups.ravel() for groups in np.array_split(share, self._accumulate)):
            keys = planned.keys[places]
            examples = [reading.read(place) for place in places.tolist()]
            if mixed:
                examples = [
                    one._replace(waveform=mixed(place), target=one.waveform) for one, place in zip(examples, places.tolist(), strict=True)
                ]
            if self._versions:
                examples = [_augment(one, key, *self._versions) for one, key in zip(examples, keys.tolist(), strict=True)]
            batches.append(_collate(self._manifest, examples, sample_rate, keys, self._labels, texts=self._texts))
        return Update(planned, tuple(batches)), reading.unreadable(share.ravel().tolist())

    def _report(self, unreadable: list[Unreadable]) -> None:
        self.unreadable += len(unreadable)
        for item, error in unreadable:
            if item not in self._reported:
                self._reported.add(item)
                self.messages.append(f"{error} (others of its batch take its place)")


class _Reading:
    """Reads the windows of an update, each when it is asked for, and once."""

    def __init__(self, manifest: Manifest, windows: Sequence[Window], plan: Plan) -> None:
        self._manifest, self._windows, self._plan, self._group = manifest, windows, plan, plan.group
        self._done: dict[int, _Example | Unreadable] = {}

    def read(self, place: int) -> _Example:
        """Read the window at a place or, if it cannot be read, the next one of its group that can, if need be of the next groups."""
        first, start = place - place % self._group, place % self._group
        for ahead in range(0, len(self._windows), self._group):
            group = (first + ahead) % len(self._windows)
            for step in range(self._group):
                if isinstance(one := self._read(group + (start + step) % self._group), _Example):
                    return one
        first_error = next(one.error for one in self._done.values() if isinstance(one, Unreadable))
        msg = f"none of the {len(self._windows)} windows of a batch can be read; the first: {first_error}"
        raise AudioError(msg)

    def waveform(self, place: int) -> Waveform:
        """Read the window at a place."""
        waveform = self.read(place).waveform
        assert waveform is not None  # noqa: S101 - who mixes has audio
        return waveform

    def unreadable(self, places: Sequence[int]) -> list[Unreadable]:
        """List those of some places that could not be read."""
        return [one for place in places if isinstance(one := self._done.get(place), Unreadable)]

    def _read(self, place: int) -> "_Example | Unreadable":
        if place not in self._done:
            self._done[place] = _read(self._manifest, self._windows[place], self._plan.settings, self._plan.modalities)
        return self._done[place]


def _too_few(plan: Plan, world: int, accumulate: int) -> str:
    data = plan.settings
    if data.sampler == "texts":
        batch, way_out = f"{data.characters} characters", f"data.characters={data.characters // plan.fewest * world * accumulate}"
    elif data.sampler in {"utterances", "transcripts"}:
        batch, way_out = f"{data.seconds} s", f"data.seconds={data.seconds / plan.fewest * world * accumulate + 1:.0f}"
    else:
        batch, way_out = f"{data.batch} windows", f"data.batch={world * accumulate * plan.group}"
    return (
        f"a batch of {batch} has {plan.fewest} groups of {plan.group}, too few for {world} devices x {accumulate} micro-batches "
        f"each: --set {way_out}, or use fewer devices or --set trainer.accumulate=1"
    )


def _noise(data: DataSettings) -> NoiseSource:
    """Choose where noise comes from, for mixing and for the effect."""
    needed = (data.mix and data.mix_noise) or data.augment_past or data.augment_future
    return generated_noise if data.noise is None or not needed else RecordedNoise(Manifest.open(data.noise))


def _mixer(plan: Plan, noise: NoiseSource) -> Mixer | None:
    """Make what mixes, if anything is to be mixed."""
    data = plan.settings
    if not data.mix:
        return None
    if plan.fewest * plan.group == 1 and data.mix_noise < 1:
        larger = f"data.seconds={2 * data.longest:g} or more" if data.sampler == "utterances" else "data.batch=2 or more"
        msg = (
            f"data.mix = {data.mix} mixes each utterance with others of its batch, but a batch may have only one: --set {larger}, or mix "
            "with noise alone (--set data.mix_noise=1)"
        )
        raise UserError(msg)
    return Mixer(data.mix, data.mix_noise, data.sample_rate, noise)


def _versions(data: DataSettings, noise: NoiseSource) -> tuple[Augmentation, Augmentation] | None:
    """Choose the effects for past and future, if there are any."""
    chains = (data.augment_past, data.augment_future)
    if not any(chains):
        return None
    past, future = (Augmentation(chain, data.sample_rate, noise) for chain in chains)
    return past, future


def _augment(example: _Example, key: int, past: Augmentation, future: Augmentation) -> _Example:
    """Make two versions of the waveforms; each has its own random numbers, which depend on the key alone."""
    assert example.waveform is not None  # noqa: S101 - plans see to it
    clean = example.waveform if example.target is None else example.target
    return example._replace(waveform=past(example.waveform, draws.stream("past", key)), target=future(clean, draws.stream("future", key)))


def _read(manifest: Manifest, window: Window, settings: DataSettings, modalities: Sequence[Modality]) -> _Example | Unreadable:
    parts, image = [], None
    for item, start, stop in window.segments:
        try:
            if "audio" in modalities:
                parts.append(manifest.read(item, settings.sample_rate, start, stop))
            if "image" in modalities and (path := manifest[item].image):
                image = read_image(path, settings.image_side)
        except (AudioError, ImageError) as error:
            return Unreadable(item, error)
        except Exception as error:
            error.add_note(f"while reading {manifest[item].audio or manifest[item].image}")
            raise
    return _Example(window, np.concatenate(parts) if parts else None, image)


def _collate(
    manifest: Manifest,
    examples: Sequence[_Example],
    sample_rate: int,
    keys: npt.NDArray[np.int64] | None,
    labels: LabelReader | None = None,
    *,
    texts: Transcript | None = None,
) -> Batch:
    waveforms = [one.waveform for one in examples if one.waveform is not None]
    targets = [one.target for one in examples if one.target is not None]
    images = [one.image for one in examples if one.image is not None]
    return Batch(
        ids=tuple(_name(manifest, one.window, sample_rate) for one in examples),
        waveforms=_stack(waveforms) if waveforms else None,
        targets=_stack(targets) if targets else None,
        lengths=torch.tensor([len(waveform) for waveform in waveforms]) if waveforms else None,
        images=torch.from_numpy(np.stack(images)) if images else None,
        keys=None if keys is None else torch.from_numpy(keys),
        speakers=torch.tensor([one.window.speaker for one in examples]),
        speaker_names=tuple(manifest.speakers[one.window.speaker] for one in examples),
        labels=None if labels is None else _stack_labels([labels(one.window) for one in examples]),
        text=None if texts is None else tuple(transcript_of(manifest[one.window.segments[0].item], texts) for one in examples),
    )


def _stack_labels(labels: Sequence[npt.NDArray[np.int64]]) -> Tensor:
    """Make (B, T) of (T,) labels each; without a class beyond the end of the shorter ones."""
    stacked = np.full((len(labels), max(map(len, labels))), NO_CLASS)
    for row, one in zip(stacked, labels, strict=True):
        row[: len(one)] = one
    return torch.from_numpy(stacked)


def _stack(waveforms: Sequence[Waveform]) -> Tensor:
    """Make (B, S) of (S,) samples each; zero beyond the end of the shorter ones."""
    stacked = np.zeros((len(waveforms), max(map(len, waveforms))), dtype=np.float32)
    for row, waveform in zip(stacked, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return torch.from_numpy(stacked)


def _name(manifest: Manifest, window: Window, sample_rate: int) -> str:
    """Say where a window begins: speaker/recording@seconds. A picture has its id alone."""
    item, start, _ = window.segments[0]
    if not window.samples:
        return manifest.ids[item]
    return f"{manifest.speakers[window.speaker]}/{manifest.ids[item]}@{start / sample_rate:.3f}"
