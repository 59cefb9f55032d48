"""Batches of transcribed utterances: whole, for a transcript cannot be cropped with its audio, and padded to the longest of the batch.

    utterances  |------|  |---------|  |----|  |-----------|      with a text, by id
    order       |-----------|  |---------|  |------|  |----|      by length, give or take `spread`: drawn anew for every epoch
    batches     |[-----------]|  [---------]  |[------]....|      as many as `seconds` hold, each at the length of the longest

Every utterance is in every epoch. The last batch is filled up with some that were there before, so that no update is much smaller than the
others; what is too short, too long or has no text is left out, and counted.
"""

from typing import NamedTuple

import numpy as np

from foresay.corpora.item import transcript_of
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import DataSettings, Integers, Plan, PlannedBatch, Segment, Window
from foresay.errors import UserError


class _Epoch(NamedTuple):
    """An epoch dealt out."""

    number: int
    order: Integers
    """(utterances,) places among those that are used, from the longest down, give or take the spread."""
    cuts: Integers
    """(steps, 2) where in the order each batch begins and ends."""


class TranscriptPlan(Plan):
    """The batches of every epoch, each of at most `settings.seconds` of audio and padding together."""

    texts = True

    def __init__(self, manifest: Manifest, settings: DataSettings, *, seed: int) -> None:
        """Choose what has a text, and is neither too short nor too long.

        Raises:
            UserError: there is nothing of the kind, or the longest utterance does not fit into a batch.
        """
        super().__init__(settings, seed, group=1)
        rate = settings.sample_rate
        # Utterances are taken by id: the order of the manifest's lines does not matter.
        by_id = np.array(sorted(range(len(manifest)), key=manifest.ids.__getitem__), dtype=np.int64)
        lengths = manifest.lengths(rate)[by_id]
        transcribed = np.array([bool(transcript_of(item, settings.transcript)) for item in manifest])[by_id]
        short, long = lengths < max(round(settings.shortest * rate), 1), lengths > round(settings.longest * rate)
        used = transcribed & ~short & ~long
        self._items, self._lengths = by_id[used], lengths[used]
        self._speakers = manifest.speaker_codes
        self.notes = _left_out(
            manifest, settings, int((~transcribed).sum()), int((transcribed & short).sum()), int((transcribed & long).sum())
        )
        self._most = round(settings.seconds * rate)
        """Samples of a batch, padding included."""
        if not len(self._items):
            msg = f"{manifest.name} has no utterance to learn from: {'; '.join(self.notes) or 'it is empty'}"
            raise UserError(msg)
        longest = int(self._lengths.max())
        self.fewest = min(self._most // longest, len(self._items))
        if not self.fewest:
            msg = (
                f"data.seconds = {settings.seconds} s an update do not hold the longest utterance, {longest / rate:.2f} s: "
                f"--set data.seconds={longest / rate + 1:.0f}, or leave out the long ones (--set data.longest={settings.seconds:g})"
            )
            raise UserError(msg)
        self._opened: _Epoch | None = None

    def steps(self, epoch: int) -> int:
        """Count the batches of an epoch."""
        return len(self._open(epoch).cuts)

    def left_out(self, epoch: int) -> int:  # noqa: ARG002 - every epoch has all
        """Count the utterances that an epoch leaves to the next: none."""
        return 0

    def batch(self, epoch: int, step: int, update: int) -> PlannedBatch:
        """Plan a batch; the keys are the update's."""
        opened = self._open(epoch)
        if not 0 <= step < len(opened.cuts):
            msg = f"epoch {epoch} has steps 0 to {len(opened.cuts) - 1}, not {step}"
            raise IndexError(msg)
        places = opened.order[slice(*opened.cuts[step].tolist())]
        windows = tuple(
            Window(int(self._speakers[item]), (Segment(item, 0, length),))
            for item, length in zip(self._items[places].tolist(), self._lengths[places].tolist(), strict=True)
        )
        return PlannedBatch(windows, self._keys(update, len(windows)), epoch, step)

    def _open(self, epoch: int) -> _Epoch:
        """Deal out an epoch. The last one asked for is kept: it can always be worked out again."""
        if self._opened is None or self._opened.number != epoch:
            like = self._lengths * (1 + self.settings.spread * self._shares(epoch, "lengths", len(self._lengths)))
            order = np.argsort(like, kind="stable")[::-1]
            cuts = _cuts(self._lengths[order], self._most)
            self._opened = _Epoch(epoch, order, cuts[np.argsort(self._random(epoch, "batches", len(cuts)), kind="stable")])
        return self._opened


def _cuts(lengths: Integers, most: int) -> Integers:
    """Cut utterances of these lengths, in order, into batches of at most `most` samples, padded: (batches, 2), begin and end of each."""
    cuts, begin = [], 0
    while begin < len(lengths):
        count = _fitting(lengths[begin:], most)
        cuts.append((begin, begin + count))
        begin += count
    last = len(lengths)
    cuts[-1] = (last - _fitting(lengths[::-1], most), last)
    return np.array(cuts, dtype=np.int64)


def _fitting(lengths: Integers, most: int) -> int:
    """Count how many of the first utterances fit into a batch: as many times the longest of them."""
    ahead = lengths[: most // int(lengths[0]) + 1]  # more of the first length do not fit, and with longer ones still fewer
    padded = np.arange(1, len(ahead) + 1) * np.maximum.accumulate(ahead)
    return max(int((padded <= most).sum()), 1)


def _left_out(manifest: Manifest, settings: DataSettings, untranscribed: int, short: int, long: int) -> tuple[str, ...]:
    """Say how many utterances are left out, and why."""
    whys = (
        (untranscribed, f'have no {settings.transcript} (the key "{settings.transcript}" of the manifest)'),
        (short, f"are shorter than data.shortest = {settings.shortest} s"),
        (long, f"are longer than data.longest = {settings.longest} s, and a transcript cannot be cropped"),
    )
    return tuple(f"{count:,} of {len(manifest):,} recordings {why}" for count, why in whys if count)
