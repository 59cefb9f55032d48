"""Batches of so many items: clips, pictures, or pairs of both.

    clips      |------|  |---------|  |----|  |-----------|       by id; of one longer than `window`, that much is used
    order      |-----------|  |---------|  |------|  |----|       by length, give or take `spread`: drawn anew for every epoch
    batches    |[--------]-|  -[--------]  |[----]--|  ...        `batch` of them, a crop of each as long as the shortest

Nothing is padded: silence after the end of a clip would be a future that is always known, and the same in all of them. Pictures are as long
as each other, so that any may meet any. What fills no batch is left out, in every epoch something else.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from foresay.contracts import Modality
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.advice import nearly_all
from foresay.corpora.plans.windows import DataSettings, Integers, Plan, PlannedBatch, Segment, Window
from foresay.errors import UserError

NOUNS = {"audio": "audio", "image": "picture"}


class _Epoch(NamedTuple):
    """An epoch dealt out."""

    number: int
    places: Integers
    """(steps, batch) places among the items."""
    crops: npt.NDArray[np.float64]
    """(steps, batch) from 0 to below 1: where each is cropped, of all possible places."""


class ItemPlan(Plan):
    """The batches of every epoch: `settings.batch` items each, in whole groups; an item is in one of them at most."""

    def __init__(
        self, manifest: Manifest, settings: DataSettings, *, seed: int, group: int = 1, modalities: Sequence[Modality] = ("audio",)
    ) -> None:
        """Choose what is long enough; `group` is how many consecutive items share their negatives, `modalities` what each must have.

        Raises:
            UserError: an item lacks what is to be learnt from, the batch is not made of whole groups, or there are too few items for one.
        """
        super().__init__(settings, seed, group)
        self.modalities = tuple(modalities)
        self.fewest = settings.batch // group
        _refuse_halves(manifest, self.modalities)
        # Items are taken by id: the order of the manifest's lines does not matter.
        self._items = np.array(sorted(range(len(manifest)), key=manifest.ids.__getitem__), dtype=np.int64)
        self._lengths = np.zeros(len(manifest), dtype=np.int64)
        if "audio" in modalities:
            lengths = manifest.lengths(settings.sample_rate)[self._items]
            used = lengths >= max(round(settings.shortest * settings.sample_rate), 1)
            self._items, self._lengths = self._items[used], lengths[used]
            if too_short := len(manifest) - len(self._items):
                self.notes = (f"{too_short:,} of {len(manifest):,} clips are never used: data.shortest = {settings.shortest} s",)
        self._speakers = manifest.speaker_codes[self._items]
        self._opened: _Epoch | None = None
        self._refuse_too_little(manifest)

    def steps(self, epoch: int) -> int:  # noqa: ARG002 - every epoch has as many
        """Count the batches of an epoch."""
        return len(self._items) // self.settings.batch

    def left_out(self, epoch: int) -> int:  # noqa: ARG002
        """Count the items that an epoch leaves to the next one's draw."""
        return len(self._items) % self.settings.batch

    def batch(self, epoch: int, step: int, update: int) -> PlannedBatch:
        """Plan a batch; the crops are the epoch's, the keys the update's."""
        if not 0 <= step < self.steps(epoch):
            msg = f"epoch {epoch} has steps 0 to {self.steps(epoch) - 1}, not {step}"
            raise IndexError(msg)
        opened = self._open(epoch)
        places = opened.places[step]
        lengths = self._lengths[places]
        length = min(int(lengths.min()), self.settings.window)
        starts = (opened.crops[step] * (lengths - length + 1)).astype(np.int64)
        windows = tuple(
            Window(speaker, (Segment(item, start, start + length),))
            for speaker, item, start in zip(self._speakers[places].tolist(), self._items[places].tolist(), starts.tolist(), strict=True)
        )
        return PlannedBatch(windows, self._keys(update, len(windows)), epoch, step)

    def _open(self, epoch: int) -> _Epoch:
        """Deal out an epoch. The last one asked for is kept: it can always be worked out again."""
        if self._opened is None or self._opened.number != epoch:
            self._opened = self._deal(epoch)
        return self._opened

    def _deal(self, epoch: int) -> _Epoch:
        count, spare = len(self._items), self.left_out(epoch)
        used = np.minimum(self._lengths, self.settings.window)
        like = used * (1 + self.settings.spread * self._shares(epoch, "lengths", count))
        order = np.lexsort((self._random(epoch, "windows", count), like))  # at random where all are alike
        gap = int(self._shares(epoch, "groups", 1)[0] * (count - spare + 1))
        batches = np.delete(order, slice(gap, gap + spare)).reshape(-1, self.settings.batch)
        batches = batches[np.argsort(self._random(epoch, "batches", len(batches)), kind="stable")]
        return _Epoch(epoch, batches, self._shares(epoch, "crops", batches.size).reshape(batches.shape))

    def _refuse_too_little(self, manifest: Manifest) -> None:
        settings, count = self.settings, len(self._items)
        if settings.batch % self.group:
            msg = (
                f"data.batch = {settings.batch} is not a whole number of the model's groups of {self.group} items, which share their "
                f"negatives and stay together: --set data.batch={max(settings.batch // self.group, 1) * self.group}"
            )
        elif "audio" not in self.modalities and (settings.mix or settings.augment_past or settings.augment_future):
            msg = "data.mix and data.augment_… change audio, and this model is trained on pictures alone: leave them out of the recipe"
        elif not count:
            lengths = manifest.lengths(settings.sample_rate)
            shortest = nearly_all(lengths[lengths > 0]) / settings.sample_rate
            msg = f"{manifest.name} has no clip of {settings.shortest} s or more: --set data.shortest={math.floor(100 * shortest) / 100:g}"
        elif count < settings.batch:
            whole = count - count % self.group
            smaller = f"--set data.batch={whole or count}" + ("" if whole else f" --set model.negative_group={count}")
            msg = f"{manifest.name} has {count} items, too few for one batch of {settings.batch}. Use more, or a smaller batch: {smaller}"
        else:
            return
        raise UserError(msg)


def _refuse_halves(manifest: Manifest, modalities: Sequence[Modality]) -> None:
    """Name the first item that lacks what is to be learnt from."""
    has = {"audio": manifest.durations > 0, "image": manifest.pictured}
    for modality in modalities:
        lacking = np.flatnonzero(~has[modality])
        if not len(lacking):
            continue
        other: Modality = "image" if modality == "audio" else "audio"
        name = manifest.ids[int(lacking[0])]
        first = f"{manifest.path}: item {name!r} has no {NOUNS[modality]}"
        alone = f"--set model.modalities={other}"
        if len(modalities) == 1:
            msg = f"{first}, which this model learns from. Name another manifest, or learn from {NOUNS[other]} ({alone})"
        else:
            msg = (
                f"{first}, and this model learns from pairs of audio and picture ({len(lacking):,} of {len(manifest):,} items lack that "
                f'half). Give them the key "{modality}", delete their lines from the manifest, or learn from one half alone ({alone})'
            )
        raise UserError(msg)
