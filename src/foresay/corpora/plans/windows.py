"""Which segments of audio an update is trained on: a pure function of (seed, epoch, step), worked out from lengths and speakers alone.

    recordings  |--A1--|---A2---|-A3-|-------A4------|-----B1-----|---B2---|   sorted by speaker and id, end to end: the tape
    timelines   |----------------- A ----------------|--------- B ---------|   a speaker's; without joining, a recording's
    windows      ..[  0  ][  1  ][  2  ][  3  ][  4  ]..[  5  ][  6  ]         one offset an epoch; none crosses a timeline's end
    batches     [ 3 0 4 ] [ 6 1 5 ] ...                                        by the sampler, in whole groups

The windows are those of CPC's reference implementation (facebookresearch/CPC_audio); `utterance_plan.py` plans whole utterances instead.
Nothing is remembered between calls and no audio is read, so any step can be planned at any time by any number of processes, and all agree.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from foresay import draws
from foresay.audio.augment import Effect
from foresay.contracts import Modality
from foresay.corpora.item import Transcript
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.advice import WindowsFound, never_used, shortage
from foresay.corpora.plans.balance import balanced
from foresay.errors import UserError
from foresay.settings import require_not_negative, require_positive

Integers: TypeAlias = npt.NDArray[np.int64]


Sampler: TypeAlias = Literal["same-speaker", "same-recording", "sequential", "uniform", "utterances", "items", "transcripts", "texts"]


@dataclass(frozen=True)
class DataSettings:
    """What an update is made of."""

    sample_rate: int = 16_000
    """Hz; recordings of another rate are resampled."""
    window: int = 20_480
    """Samples of one window; CPC's 1.28 s."""
    join: bool = True
    """Whether windows run across a speaker's recordings, sorted by id, as in the reference; `same-recording` never joins."""
    sampler: Sampler = "same-speaker"
    """`same-speaker`, `same-recording`: a group of utterances has one speaker, or comes from one recording.
    `uniform`: windows at random. `sequential`: `batch` parallel streams, in order.
    `utterances`: no windows but whole utterances of like length, cropped to the shortest, until there are `seconds` of them.
    `items`: the same, but `batch` of them, and of pictures too, or of pairs of both.
    `transcripts`: whole utterances with their text, padded to the longest of the batch, as many as `seconds` hold, padding included.
    `texts`: no audio but texts, whole and padded, as many as `characters` hold, padding included."""
    transcript: Transcript = "text"
    """What is the transcript of an utterance where the sampler is `transcripts` or `texts`: its text, or its phones in order."""
    batch: int = 64
    """Windows or items an update, over all devices."""
    image_side: int = 128
    """Pixels in height and width that pictures are resized to, after the middle square is cut out of those that are none."""
    seconds: float = 5600.0
    """Audio an update, over all devices, where the sampler is `utterances` or `transcripts`; wav2vec 2.0 BASE's 1.56 h (section 4.2)."""
    characters: int = 20_000
    """Of the texts of an update, over all devices, where the sampler is `texts`."""
    longest: float = 15.625
    """Seconds of an utterance at most; wav2vec 2.0 BASE's 250,000 samples. One of twice the length is used in two parts."""
    shortest: float = 2.0
    """Seconds; a shorter utterance or clip is left out, where there are no windows."""
    spread: float = 0.1
    """Share by which the lengths of an update's utterances differ. Less crops less, more makes for other company in every epoch."""
    speaker_exponent: float = 1.0
    """A speaker's share of an epoch is the amount of audio to the power of this. 1: as recorded. 0: every speaker equally often."""
    language_exponent: float = 1.0
    """The same for the languages of a corpus, where the sampler is `utterances`. XLSR and XLS-R (arXiv:2006.13979, 2111.09296): 0.5."""
    corpus_exponent: float = 1.0
    """The same for the corpora of a manifest. XLS-R: 0.5. Speakers are balanced within their language, languages within their corpus."""
    augment_past: tuple[Effect, ...] = ()
    """Effects, one after the other, on the input that the model predicts from (`audio/augment.py`). CPC2: pitch, noise, reverb."""
    augment_future: tuple[Effect, ...] = ()
    """Effects on what is predicted, drawn apart from those on the past. CPC2: none."""
    mix: float = 0.0
    """Share of the utterances over part of which lies another of their batch, or noise (`corpora/mixing.py`). WavLM: 0.2."""
    mix_noise: float = 0.1
    """Of these, the share over which lies noise. WavLM: 0.1."""
    noise: str | None = None
    """A manifest of recordings for the effect `noise` and for mixing, such as MUSAN's; None: generated noise."""

    def __post_init__(self) -> None:
        for name in ("sample_rate", "window", "batch", "image_side", "characters"):
            if getattr(self, name) < 1:
                msg = f"{name} must be at least 1, not {getattr(self, name)}"
                raise ValueError(msg)
        require_not_negative(self)
        require_positive(self, "seconds")
        if not 0 < self.shortest <= self.longest or self.spread < 0:
            msg = (
                f"utterances of {self.shortest} s (shortest) to {self.longest} s (longest), spread {self.spread}: "
                "lengths must be above 0 and the longest no less than the shortest; the spread is a share, from 0"
            )
            raise ValueError(msg)
        for name in ("mix", "mix_noise"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"{name} is a share of the utterances, from 0 to 1, not {getattr(self, name)}"
                raise ValueError(msg)
        self._check_balance(
            "speaker", "the samplers same-speaker, same-recording and utterances", {"same-speaker", "same-recording", "utterances"}
        )
        for kind in ("language", "corpus"):
            self._check_balance(kind, "the sampler utterances", {"utterances"})

    @property
    def audio_per_update(self) -> float:
        """Seconds of audio in an update over all devices; where it is made of utterances, at most."""
        return self.seconds if self.sampler in {"utterances", "transcripts"} else self.batch * self.window / self.sample_rate

    def _check_balance(self, kind: str, balancing: str, samplers: set[str]) -> None:
        exponent = getattr(self, f"{kind}_exponent")
        if not 0 <= exponent <= 1:
            msg = f"{kind}_exponent must be from 0 (every {kind} equally often) to 1 (as recorded), not {exponent}"
            raise ValueError(msg)
        if exponent < 1 and self.sampler not in samplers:
            msg = f"{kind}_exponent = {exponent} is for {balancing}, not for {self.sampler!r}, which samples the corpus as recorded"
            raise ValueError(msg)


class Segment(NamedTuple):
    """A part of one recording."""

    item: int
    """Place in the manifest."""
    start: int
    stop: int
    """In samples at the rate of the settings, from the item's own start. An image has none."""


class Window(NamedTuple):
    """One row of a batch: segments of one speaker, joined without a gap."""

    speaker: int
    """Index into the manifest's speakers."""
    segments: tuple[Segment, ...]

    @property
    def samples(self) -> int:
        """Its length."""
        return sum(stop - start for _, start, stop in self.segments)


class PlannedBatch(NamedTuple):
    """The windows of one update, over all devices and of one length; each `group` of consecutive windows stays together."""

    windows: tuple[Window, ...]
    keys: Integers
    """(B,) not negative: the source of all that is drawn at random for a window in this update."""
    epoch: int
    step: int


class Plan(ABC):
    """The batches of every update: a pure function of (seed, epoch, step)."""

    fewest: int
    """Groups in the smallest batch: so many devices times micro-batches can share every one of them."""
    notes: tuple[str, ...] = ()
    """What whoever trains should know."""
    modalities: Sequence[Modality] = ("audio",)
    """What is to be read of every window."""
    texts: bool = False
    """Whether every window has a transcript, which is to be read too."""

    def __init__(self, settings: DataSettings, seed: int, group: int) -> None:
        self.settings = settings
        self.group = group
        self._seed = seed

    @abstractmethod
    def steps(self, epoch: int) -> int:
        """Count the batches of an epoch."""

    @abstractmethod
    def left_out(self, epoch: int) -> int:
        """Count the windows dealt that fill no batch of their epoch; another epoch uses them."""

    @abstractmethod
    def batch(self, epoch: int, step: int, update: int) -> PlannedBatch:
        """Plan a batch. `update` counts the updates of the whole training: a window used again is not given the same negatives again."""

    def _keys(self, update: int, count: int) -> Integers:
        return (self._random(update, "keys", count) >> np.uint64(1)).astype(np.int64)

    def _shares(self, time: int, purpose: draws.PlanPurpose, count: int) -> npt.NDArray[np.float64]:
        """Draw numbers from 0 to below 1."""
        return (self._random(time, purpose, count) >> np.uint64(11)) / 2**53

    def _random(self, time: int, purpose: draws.PlanPurpose, count: int) -> npt.NDArray[np.uint64]:
        """Draw 64-bit numbers that depend on nothing but seed, epoch or update, and purpose."""
        return draws.bits(purpose, self._seed, time, count=count)


class _Epoch(NamedTuple):
    """An epoch dealt out."""

    number: int
    offset: int
    first_windows: Integers
    """Number of the first window of each timeline, and last the count of all."""
    batches: Integers
    """(steps, batch) numbers of windows."""


class _Decks(NamedTuple):
    """What an epoch deals out. A deck is the windows of one unit, shuffled; a group comes from one deck, so no window is in it twice."""

    units: Integers
    """(decks,) of what: a speaker, a recording, or the whole corpus. One that is sampled more often than recorded has several decks."""
    dealt: Integers
    """(decks,) how many windows are dealt, from the top."""


class BatchPlan(Plan):
    """The batches of every epoch. Each has exactly `settings.batch` windows, in whole groups.

    What does not fill a group of its speaker (or recording), and groups that do not fill a last batch, are left to the next epoch's draw:
    no update is smaller than the others, on any number of devices. Where speakers are balanced, an epoch is as long as otherwise: of a
    speaker with much audio it takes some windows, others in the next epoch, and those of a speaker with little it takes several times.

    Opening an epoch of ten million windows takes about two seconds; a batch then costs as much as its own windows.
    """

    def __init__(self, manifest: Manifest, settings: DataSettings, *, seed: int, group: int = 1) -> None:
        """Lay out the tape; `group` is how many consecutive windows share their negatives.

        Raises:
            UserError: the batch is not made of whole groups, or the corpus has too few windows for one batch in some epoch.
        """
        super().__init__(settings, seed, group)
        self.fewest = settings.batch // group
        # Speakers are numbered by name: the order of the manifest's lines does not matter.
        by_id = np.array(sorted(range(len(manifest)), key=manifest.ids.__getitem__), dtype=np.int64)
        self._items = by_id[np.argsort(manifest.speaker_codes[by_id], kind="stable")]
        self._speakers = manifest.speaker_codes[self._items].astype(np.int64)
        self._tape = cumulated(manifest.lengths(settings.sample_rate)[self._items])
        # A timeline begins at every recording or, joined, at every first recording of a speaker.
        begins = np.ones(len(self._items), dtype=bool)
        if settings.join and settings.sampler != "same-recording":
            begins[1:] = np.diff(self._speakers) != 0
        first_items = np.flatnonzero(begins)
        self._starts = self._tape[first_items]
        self._lengths = np.diff(self._starts, append=self._tape[-1])
        self._units = {"same-speaker": self._speakers[first_items], "same-recording": np.arange(len(first_items))}.get(
            settings.sampler, np.zeros(len(first_items), dtype=np.int64)
        )
        self._timeline_speakers = self._speakers[first_items]
        self._opened: _Epoch | None = None
        self._refuse_too_little(manifest.name)
        self.notes = never_used(self._lengths, len(np.unique(self._speakers)), settings.window)

    def steps(self, epoch: int) -> int:
        """Count the batches of an epoch; each has `settings.batch` windows."""
        return self._count_batches(self._decks(self._windows(epoch), epoch).dealt)

    def left_out(self, epoch: int) -> int:
        """Count the windows dealt that an epoch leaves to the next one's draw."""
        return int(self._decks(self._windows(epoch), epoch).dealt.sum()) - self.steps(epoch) * self.settings.batch

    def offset(self, epoch: int) -> int:
        """Return where windows begin in every timeline, in samples: uniform from 0 to half a window, as in the reference."""
        return int(self._random(epoch, "offset", 1)[0]) % (self.settings.window // 2 + 1)

    def batch(self, epoch: int, step: int, update: int) -> PlannedBatch:
        """Plan a batch. `update` counts the updates of the whole training: a window used again is not given the same negatives again."""
        opened = self._open(epoch)
        if not 0 <= step < len(opened.batches):
            msg = f"epoch {epoch} has steps 0 to {len(opened.batches) - 1}, not {step}"
            raise IndexError(msg)
        windows = opened.batches[step]
        timelines = np.searchsorted(opened.first_windows, windows, side="right") - 1
        starts = self._starts[timelines] + opened.offset + (windows - opened.first_windows[timelines]) * self.settings.window
        return PlannedBatch(tuple(map(self._window, starts.tolist())), self._keys(update, self.settings.batch), epoch, step)

    def _window(self, start: int) -> Window:
        """Find the recordings under a window that starts at this sample of the tape."""
        stop = start + self.settings.window
        first = int(np.searchsorted(self._tape, start, side="right")) - 1
        last = int(np.searchsorted(self._tape, stop, side="left"))
        items = self._items[first:last].tolist()
        edges = pairwise(self._tape[first : last + 1].tolist())
        segments = (Segment(item, max(start - a, 0), min(stop, b) - a) for item, (a, b) in zip(items, edges, strict=True) if a < b)
        return Window(int(self._speakers[first]), tuple(segments))

    def _windows(self, epoch: int) -> Integers:
        """Count the windows of each timeline."""
        return np.maximum(self._lengths - self.offset(epoch), 0) // self.settings.window

    def _fewest_windows(self, window: int) -> Integers:
        """Count the windows of each timeline in an unlucky epoch: the largest offset leaves the fewest."""
        return np.maximum(self._lengths - window // 2, 0) // window

    def _count_batches(self, dealt: Integers) -> int:
        batch, group = self.settings.batch, self.group
        return int((dealt // batch).sum() + (dealt % batch // group).sum() * group // batch)

    def _sizes(self, windows: Integers) -> Integers:
        """Count the windows of each unit. A group comes from one unit: a speaker, a recording, or the whole corpus."""
        return np.bincount(self._units, weights=windows).astype(np.int64)

    def _decks(self, windows: Integers, epoch: int | None) -> _Decks:
        """Say what an epoch deals out; of no epoch in particular, the least that any deals with so many windows."""
        sizes = self._sizes(windows)
        if self.settings.speaker_exponent == 1:
            return _Decks(np.arange(len(sizes)), sizes)
        groups = sizes // self.group
        fractions = np.zeros(len(groups)) if epoch is None else self._shares(epoch, "balance", len(groups))
        wanted = np.floor(self._balanced(groups) + fractions).astype(np.int64)  # right on average, however few they are
        decks = -(-wanted // np.maximum(groups, 1))
        units = np.repeat(np.arange(len(groups)), decks)
        earlier = np.arange(len(units)) - np.repeat(cumulated(decks)[:-1], decks)  # decks of the same unit
        return _Decks(units, np.minimum(wanted[units] - earlier * groups[units], groups[units]) * self.group)

    def _balanced(self, groups: Integers) -> npt.NDArray[np.float64]:
        """Share out as many groups as there are among the speakers, and a speaker's among the recordings: (units,), not whole numbers."""
        speakers = np.zeros(len(groups), dtype=np.int64)
        speakers[self._units] = self._timeline_speakers
        times = balanced(groups.astype(np.float64), [(speakers, self.settings.speaker_exponent)])
        return np.round(groups * times, 9)  # 2.9999999999999996 groups are three

    def _open(self, epoch: int) -> _Epoch:
        """Deal out an epoch. The last one asked for is kept: it is slow to work out, and can always be worked out again."""
        if self._opened is None or self._opened.number != epoch:
            batches = self._streams(epoch) if self.settings.sampler == "sequential" else self._shuffled(epoch)
            self._opened = _Epoch(epoch, self.offset(epoch), cumulated(self._windows(epoch)), batches)
        return self._opened

    def _streams(self, epoch: int) -> Integers:
        """Cut the whole tape into `batch` streams, read side by side."""
        steps = self.steps(epoch)
        return np.arange(self.settings.batch * steps).reshape(self.settings.batch, steps).T

    def _shuffled(self, epoch: int) -> Integers:
        """Shuffle each deck and cut what is dealt into batches; pool what remains of all decks, group by group, into mixed batches."""
        batch, group = self.settings.batch, self.group
        windows = self._windows(epoch)
        sizes = self._sizes(windows)
        units, dealt = self._decks(windows, epoch)
        cards = sizes[units]
        # One stable sort shuffles and sorts by deck: the deck in the upper half of the key, chance in the lower.
        keys = np.repeat(np.arange(len(units), dtype=np.uint64) << np.uint64(32), cards)
        keys |= self._random(epoch, "windows", len(keys)) >> np.uint64(32)
        place = np.arange(len(keys)) - np.repeat(cumulated(cards)[:-1], cards)  # within its deck
        shuffled = (np.repeat(cumulated(sizes)[units], cards) + place)[np.argsort(keys, kind="stable")]
        whole, grouped = (place < np.repeat(dealt - dealt % part, cards) for part in (batch, group))
        batches = shuffled[whole].reshape(-1, batch)
        groups = shuffled[grouped & ~whole].reshape(-1, group)
        groups = groups[np.argsort(self._random(epoch, "groups", len(groups)), kind="stable")]
        mixed = groups[: len(groups) - len(groups) % (batch // group)].reshape(-1, batch)
        batches = np.concatenate([batches, mixed])
        return batches[np.argsort(self._random(epoch, "batches", len(batches)), kind="stable")]

    def _refuse_too_little(self, name: str) -> None:
        """Say now what an unlucky epoch would find out."""
        windows = self._fewest_windows(self.settings.window)
        found = WindowsFound(
            name, self.group, self._lengths, self._timeline_speakers, windows, self._sizes(windows), self._decks(windows, None).dealt
        )
        if reason := shortage(found, self.settings, self._fills):
            raise UserError(reason)

    def _fills(self, window: int) -> bool:
        """Whether there would be a batch of such windows."""
        return self._count_batches(self._decks(self._fewest_windows(window), None).dealt) > 0


def recording_windows(manifest: Manifest, window: int, sample_rate: int, minimum: int) -> list[Window]:
    """Cut every recording from its start into windows, in order, without joining: for testing, where each sample is used once.

    The last window of a recording is shorter; it is kept if it has at least `minimum` samples.
    """
    lengths = manifest.lengths(sample_rate).tolist()
    speakers = manifest.speaker_codes.tolist()
    return [
        Window(speaker, (Segment(item, start, min(start + window, length)),))
        for item, (speaker, length) in enumerate(zip(speakers, lengths, strict=True))
        for start in range(0, length, window)
        if length - start >= minimum
    ]


def cumulated(counts: Integers) -> Integers:
    """Return where each begins, and last where all end."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
