"""Batches by seconds: utterances of like length, each cropped to the shortest of its batch, so that nothing is padded.

    pieces     |------|  |---------|  |----|  |-----------|       recordings, by id; one of n times `longest` is n pieces
    order      |-----------|  |---------|  |------|  |----|       by length, give or take `spread`: drawn anew for every epoch
    batches    |[--------]-|  -[--------]  |[----]--|  ...        as many as `seconds` hold at the length of the shortest, a crop of each

A batch is one rectangle over all devices: however it is shared out, no device waits for one with longer utterances. (In fairseq, from which
crops and lengths are taken, each device has a rectangle of its own, and its audio depends on the number of devices.)
"""

import math
import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.advice import nearly_all
from foresay.corpora.plans.balance import balanced
from foresay.corpora.plans.windows import DataSettings, Integers, Plan, PlannedBatch, Segment, Window, cumulated
from foresay.errors import UserError


class _Epoch(NamedTuple):
    """An epoch dealt out."""

    number: int
    groups: Integers
    """(groups, group) pieces, from the longest down."""
    crops: npt.NDArray[np.float64]
    """(groups, group) from 0 to below 1: where each is cropped, of all possible places."""
    cuts: Integers
    """(steps, 2) groups with which each batch begins and ends."""
    left_out: int


class UtterancePlan(Plan):
    """The batches of every epoch. Each is as large as `settings.seconds` allow: no further group would fit at the length of its shortest.

    They are cut from the longest utterance down. What is left in the end, the shortest, is filled up with those before them, which are
    used a second time: no update is smaller than the others, and nobody is left out but, in every epoch somebody else, who does not
    fill a group. Where speakers, languages or corpora are balanced, an epoch is about as long as otherwise; what is used several times
    is cropped elsewhere each time.

    Opening an epoch of a million utterances takes half a second; a batch then costs as much as its own utterances.
    """

    def __init__(self, manifest: Manifest, settings: DataSettings, *, seed: int, group: int = 1, most_groups: int = sys.maxsize) -> None:
        """Choose what is long enough; `group` is how many consecutive utterances share their negatives.

        A batch of `most_groups` is full, too, however little audio that is.

        Raises:
            UserError: nothing is long enough, a batch does not hold one group, or the corpus does not fill one batch.
        """
        super().__init__(settings, seed, group)
        rate = settings.sample_rate
        self._longest, shortest = round(settings.longest * rate), max(round(settings.shortest * rate), 1)
        # Utterances are taken by id: the order of the manifest's lines does not matter.
        by_id = np.array(sorted(range(len(manifest)), key=manifest.ids.__getitem__), dtype=np.int64)
        lengths = manifest.lengths(rate)[by_id]
        self._recorded = lengths[lengths > 0]
        self.too_short = int((self._recorded < shortest).sum())
        """Recordings that are never used."""
        if self.too_short:
            self.notes = (f"{self.too_short:,} of {len(manifest):,} recordings are never used: data.shortest = {settings.shortest} s",)
        used = lengths >= shortest
        self._items, self._starts, self._lengths = _pieces(by_id[used], lengths[used], self._longest)
        self._speakers = manifest.speaker_codes
        self._times = balanced(
            self._lengths.astype(np.float64),
            [
                (manifest.corpus_codes[self._items], settings.corpus_exponent),
                (manifest.language_codes[self._items], settings.language_exponent),
                (manifest.speaker_codes[self._items], settings.speaker_exponent),
            ],
        ).round(9)
        self._opened: _Epoch | None = None
        self._most = round(settings.seconds * rate) // group
        """Samples of a batch, over the size of a group."""
        self._most_groups = most_groups
        self.fewest = min(self._most // max(int(np.minimum(self._lengths, self._longest).max(initial=0)), 1), most_groups)
        self._refuse_too_little(manifest.name)

    def steps(self, epoch: int) -> int:
        """Count the batches of an epoch."""
        return len(self._open(epoch).cuts)

    def left_out(self, epoch: int) -> int:
        """Count the utterances dealt that fill no group or batch of their epoch."""
        return self._open(epoch).left_out

    def batch(self, epoch: int, step: int, update: int) -> PlannedBatch:
        """Plan a batch; the crops are the epoch's, the keys the update's."""
        opened = self._open(epoch)
        if not 0 <= step < len(opened.cuts):
            msg = f"epoch {epoch} has steps 0 to {len(opened.cuts) - 1}, not {step}"
            raise IndexError(msg)
        rows = slice(*opened.cuts[step].tolist())
        pieces = opened.groups[rows].ravel()
        length = min(int(self._lengths[pieces].min()), self._longest)
        spare = self._lengths[pieces] - length
        starts = self._starts[pieces] + (opened.crops[rows].ravel() * (spare + 1)).astype(np.int64)
        items = self._items[pieces]
        windows = tuple(
            Window(speaker, (Segment(item, start, start + length),))
            for speaker, item, start in zip(self._speakers[items].tolist(), items.tolist(), starts.tolist(), strict=True)
        )
        return PlannedBatch(windows, self._keys(update, len(windows)), epoch, step)

    def _open(self, epoch: int) -> _Epoch:
        """Deal out an epoch. The last one asked for is kept: it is slow to work out, and can always be worked out again."""
        if self._opened is None or self._opened.number != epoch:
            self._opened = self._deal(epoch)
        return self._opened

    def _deal(self, epoch: int) -> _Epoch:
        times = np.floor(self._times + self._shares(epoch, "balance", len(self._times))).astype(np.int64)  # right on average
        pieces = np.repeat(np.arange(len(times)), times)
        lengths = np.minimum(self._lengths[pieces], self._longest)
        like = lengths * (1 + self.settings.spread * self._shares(epoch, "lengths", len(pieces)))
        order = np.argsort(like, kind="stable")[::-1]
        spare = len(order) % self.group
        gap = int(self._shares(epoch, "groups", 1)[0] * (len(order) - spare + 1))
        order = np.delete(order, slice(gap, gap + spare)).reshape(-1, self.group)
        cuts = _cuts(lengths[order].min(axis=1), self._most, self._most_groups)
        left_out = spare + (len(order) - int(cuts[:, 1].max(initial=0))) * self.group
        cuts = cuts[np.argsort(self._random(epoch, "batches", len(cuts)), kind="stable")]
        return _Epoch(epoch, pieces[order], self._shares(epoch, "crops", order.size).reshape(order.shape), cuts, left_out)

    def _refuse_too_little(self, name: str) -> None:
        """Say what does not fit, and what would."""
        settings, group = self.settings, self.group
        longest = min(settings.longest, int(self._recorded.max(initial=0)) / settings.sample_rate)
        if len(self._items) and self.fewest and self.steps(0):
            return
        if not len(self._recorded):
            msg = f"{name} has no audio: name a manifest of recordings"
        elif 2 * self.too_short > len(self._recorded):
            msg = self._too_many_short(name)
        elif not self.fewest:
            several = f"{group} utterances, which share their negatives and stay together," if group > 1 else "an utterance"
            msg = (
                f"data.seconds = {settings.seconds} s of audio an update do not hold {several} of {longest:.2f} s: "
                f"--set data.seconds={group * longest + 1:.0f}, or crop them (--set data.longest={settings.seconds / group:.2f})"
            )
        else:
            enough = self._enough(int(self._lengths.min()), len(self._items))
            msg = (
                f"{name} has {len(self._items)} utterances of {settings.shortest} s or more, too few for the {settings.seconds} s of one "
                f"update. Use more audio, or a smaller batch: --set data.seconds={max(enough, group * longest):.2f}"
            )
        raise UserError(msg)

    def _too_many_short(self, name: str) -> str:
        """Advise to use the shorter ones too: nearly all, not the few that are left."""
        rate, count, settings = self.settings.sample_rate, len(self._recorded), self.settings
        shortest = nearly_all(self._recorded)
        kept = int((self._recorded >= shortest).sum())
        longest = min(settings.longest, int(self._recorded.max()) / rate)
        enough = max(self._enough(shortest, kept), self.group * longest)
        smaller = f" --set data.seconds={enough:.2f}" if settings.seconds > enough else ""
        none = "no recording" if self.too_short == count else f"only {count - self.too_short:,} of {count:,} recordings"
        change = f"--set data.shortest={math.floor(100 * shortest / rate) / 100 or shortest / rate:g}{smaller}"
        return (
            f"{name} has {none} of {settings.shortest} s or more: {self.too_short:,} are shorter ({self.too_short / count:.1%}). Use "
            f"shorter ones: {change} keeps {kept:,}. Or take windows across a speaker's recordings (--set data.sampler=same-speaker)"
        )

    def _enough(self, shortest: int, count: int) -> float:
        """Return seconds that an update of so many utterances, whole groups of them, surely has."""
        return count // self.group * self.group * min(self.settings.longest, shortest / self.settings.sample_rate) - 0.01


def _pieces(items: Integers, lengths: Integers, longest: int) -> tuple[Integers, Integers, Integers]:
    """Cut recordings into as many equal pieces as they hold `longest` samples: of each piece its item, start and length (pieces,)."""
    counts = np.maximum(lengths // longest, 1)
    place = np.arange(counts.sum()) - np.repeat(cumulated(counts)[:-1], counts)  # within its recording
    whole, count = np.repeat(lengths, counts), np.repeat(counts, counts)
    starts = place * whole // count
    return np.repeat(items, counts), starts, (place + 1) * whole // count - starts


def _cuts(lengths: Integers, most: int, most_groups: int) -> Integers:
    """Cut groups of these lengths, (groups,) in order, into full batches: (batches, 2), where each begins and ends.

    The last one begins as far back as it takes to be full. Where even all groups do not fill it, what is left is left out.
    """
    ahead = min(most // int(lengths.min(initial=most)) + 1, most_groups)  # groups that are one too many for any batch, if they may be
    cuts = []
    begin, end = 0, len(lengths)
    while count := _full(lengths[begin : begin + ahead], most, most_groups):
        cuts.append((begin, begin + count))
        begin += count
    if begin < end and (count := _full(lengths[::-1][:ahead], most, most_groups)):
        cuts.append((end - count, end))
    return np.array(cuts, dtype=np.int64).reshape(-1, 2)


def _full(lengths: Integers, most: int, most_groups: int) -> int:
    """Count the groups, from the first on, that fill a batch: groups x shortest is at most `most`, with one more it is not. 0: too few."""
    shortest = np.minimum.accumulate(lengths)
    too_much = np.arange(1, len(lengths) + 1) * shortest > most
    if too_much.any():
        return int(np.argmax(too_much))
    count = len(lengths)
    return count if count and (count == most_groups or (count + 1) * int(shortest[-1]) > most) else 0
