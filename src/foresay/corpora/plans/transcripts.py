"""Batches of transcribed utterances, or of texts alone: whole, for a transcript cannot be cropped, and padded to the longest of the batch.

    utterances  |------|  |---------|  |----|  |-----------|      with a text, by id
    order       |-----------|  |---------|  |------|  |----|      by length, give or take `spread`: drawn anew for every epoch
    batches     |[-----------]|  [---------]  |[------]....|      as many as `seconds`, or `characters`, hold, each as long as the longest

Every utterance is in every epoch. The last batch is filled up with some that were there before, so that no update is much smaller than the
others; what is too short, too long or has no text is left out, and counted.
"""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from foresay.contracts import Modality
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


class _PaddedPlan(Plan):
    """The batches of every epoch, each of at most so much, padding included."""

    texts = True

    def __init__(self, manifest: Manifest, settings: DataSettings, seed: int, lengths: Integers, used: npt.NDArray[np.bool_]) -> None:
        """`lengths` (items,), in samples or characters, by id, as the items are that are `used`."""
        super().__init__(settings, seed, group=1)
        self._items, self._lengths = _by_id(manifest)[used], lengths[used]
        self._speakers = manifest.speaker_codes
        if not len(self._items):
            msg = f"{manifest.name} has nothing to learn from: {'; '.join(self.notes) or 'it is empty'}"
            raise UserError(msg)
        self.fewest = min(self._most // int(self._lengths.max()), len(self._items))
        self._opened: _Epoch | None = None

    @property
    @abstractmethod
    def _most(self) -> int:
        """Samples or characters of a batch, padding included."""

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
            Window(int(self._speakers[item]), (Segment(item, 0, length if "audio" in self.modalities else 0),))
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


class TranscriptPlan(_PaddedPlan):
    """Utterances with their transcripts: batches of at most `settings.seconds` of audio and padding together."""

    def __init__(self, manifest: Manifest, settings: DataSettings, *, seed: int, unfit: Collection[str] = ()) -> None:
        """Choose what has a text, and is neither too short nor too long. `unfit`: ids of what has too few frames.

        Raises:
            UserError: there is nothing of the kind, or the longest utterance does not fit into a batch.
        """
        rate = settings.sample_rate
        lengths = manifest.lengths(rate)[_by_id(manifest)]
        transcribed = _characters(manifest, settings) > 0
        short, long = lengths < max(round(settings.shortest * rate), 1), lengths > round(settings.longest * rate)
        used = transcribed & ~short & ~long
        few = used & np.isin(np.array(manifest.ids)[_by_id(manifest)], list(unfit))
        whys = {
            _untranscribed(settings): ~transcribed,
            f"are shorter than data.shortest = {settings.shortest} s": transcribed & short,
            f"are longer than data.longest = {settings.longest} s, and a transcript cannot be cropped": transcribed & long,
            "have fewer frames than symbols": few,
        }
        self.notes = _left_out("recordings", whys)
        super().__init__(manifest, settings, seed, lengths, used & ~few)
        if not self.fewest:
            longest = int(self._lengths.max()) / rate
            msg = (
                f"data.seconds = {settings.seconds} s an update do not hold the longest utterance, {longest:.2f} s: "
                f"--set data.seconds={longest + 1:.0f}, or leave out the long ones (--set data.longest={settings.seconds:g})"
            )
            raise UserError(msg)

    @property
    def _most(self) -> int:
        return round(self.settings.seconds * self.settings.sample_rate)


class TextPlan(_PaddedPlan):
    """Texts without audio: batches of at most `settings.characters`, padding included."""

    modalities: Sequence[Modality] = ()

    def __init__(self, manifest: Manifest, settings: DataSettings, *, seed: int) -> None:
        """Choose what has a text that fits into a batch.

        Raises:
            UserError: there is nothing of the kind.
        """
        lengths = _characters(manifest, settings)
        long = lengths > settings.characters
        longest = lengths.max(initial=0)
        too_long = (
            f"are longer than an update, data.characters = {settings.characters}, and left out: --set data.characters={longest} holds the "
            "longest, or write a sentence a line (of units: cut recordings into sentences)"
        )
        self.notes = _left_out("items", {_untranscribed(settings): lengths == 0, too_long: long})
        super().__init__(manifest, settings, seed, lengths, (lengths > 0) & ~long)

    @property
    def _most(self) -> int:
        return self.settings.characters


def _by_id(manifest: Manifest) -> Integers:
    """Put the items in order (items,): that of the manifest's lines does not matter."""
    return np.array(sorted(range(len(manifest)), key=manifest.ids.__getitem__), dtype=np.int64)


def _characters(manifest: Manifest, settings: DataSettings) -> Integers:
    """Count the characters of each transcript: (items,), by id."""
    return np.array([len(transcript_of(item, settings.transcript)) for item in manifest], dtype=np.int64)[_by_id(manifest)]


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


def _untranscribed(settings: DataSettings) -> str:
    return f'have no {settings.transcript} (the key "{settings.transcript}" of the manifest)'


def _left_out(noun: str, whys: Mapping[str, npt.NDArray[np.bool_]]) -> tuple[str, ...]:
    """Say how many are left out, and why; of each reason, which these are (items,)."""
    return tuple(f"{int(some.sum()):,} of {len(some):,} {noun} {why}" for why, some in whys.items() if some.any())
