"""A look at every sample and label of a corpus, before a night of training is spent on it."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foresay.audio.faults import Fault, FaultyAudioError
from foresay.audio.read import AudioInfo, Waveform, audio_blocks, audio_info
from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.phones import misplaced
from foresay.images.read import ImageError, image_info, read_pixels
from foresay.progress import ProgressBar
from foresay.shards import digest_in_name, digest_of, file_of, part_of

SILENCE = 1e-3
"""A recording whose peak stays below (-60 dBFS) is silent."""
FULL_SCALE = 0.999
CLIPPED_RUN = 3
"""So many samples at full scale, one after another, are no chance."""
LABEL_TOLERANCE = 0.0101
"""Seconds that labels may go beyond the audio: those of phone files are 10 ms long."""
AHEAD = 256
"""Items handed to the threads at once."""

ALIKE = 0.5
"""Channels that are less alike (their correlation, over a minute) hold different things."""

MISPLACED = "impossible phone times"
REMARKS: Mapping[str, str] = {
    MISPLACED: "no measure that uses phones takes this corpus: milliseconds, or times of another recording?",
    "silent": "no sound: leave out",
    "clipped": "full scale for several samples on end: recorded too loud",
    "channels differ": "their mean is two recordings in one, unless the manifest names a `channel`",
    "stereo": "the mean of the channels is used, unless the manifest names a `channel`",
    "duplicate": "the very same samples as another item: they count twice, or are in train and test",
    "grey": "without colors: read as three equal channels",
    "transparent": "read on a white background",
    "wrong sample rate": "another than the manifest says: import again",
    "longer": "than the manifest says: the rest is not used",
    "labels beyond the audio": "frames beyond the audio are not counted: are they of another recording?",
    "labels overlap": "of two, the later counts",
    "no speaker": "while others have one: all such items count as one speaker, `unknown`",
    "no text": "while others have one",
    "no phones": "while others have some",
    "no words": "while others have some",
}
"""Warnings about an item that is usable all the same, and what they mean."""
HARMLESS = {"stereo", "grey", "transparent", "labels overlap", "no speaker", "no text", "no phones", "no words"}
"""What need not be looked at."""


@dataclass(frozen=True)
class Finding:
    """Something about one item."""

    item: str
    """Its id."""
    kind: str
    """A key of `REMARKS`, or what makes it unusable: missing, empty, not audio, no picture, truncated, damaged, not finite, too short, …"""
    detail: str = ""

    @property
    def unusable(self) -> bool:
        """Whether the item cannot be read in full."""
        return self.kind not in REMARKS


@dataclass(frozen=True)
class Report:
    """What `check` found."""

    name: str
    items: int
    hours: float
    findings: tuple[Finding, ...]

    @property
    def unusable(self) -> int:
        """Count the items that cannot be read in full."""
        return len({finding.item for finding in self.findings if finding.unusable})

    @property
    def misplaced(self) -> int:
        """Count the items whose phones cannot be used."""
        return sum(finding.kind == MISPLACED for finding in self.findings)

    @property
    def doubtful(self) -> Mapping[str, int]:
        """Count what someone should look at, though it can be used: a kind and how many."""
        return Counter(finding.kind for finding in self.findings if not finding.unusable and finding.kind not in {MISPLACED, *HARMLESS})


class _Decoded(NamedTuple):
    item: Item
    findings: list[Finding]
    digest: bytes | None
    """Of the samples; None if they could not be read, or are silence."""


def check(manifest: Manifest, workers: int = 4) -> Report:
    """Decode everything, on `workers` threads."""
    findings: list[Finding] = []
    first_with: dict[bytes, str] = {}
    longer: dict[str, Path | None] = {}
    cut: set[Path | None] = set()
    shards: dict[Path, str] = {}
    missing: dict[str, list[str]] = {"speaker": [], "text": [], "phones": [], "words": []}
    with ProgressBar[int](what=f"checking {manifest.name}", unit="item", total=len(manifest), leave=True) as progress:
        for item, found, digest in _decode(manifest, workers):
            progress.update()
            findings += found
            if any(finding.kind == "longer" for finding in found):
                longer[item.id] = item.audio
            if item.start > 0:
                cut.add(item.audio)
            _note_shards(item, shards)
            if digest is not None and (twin := first_with.setdefault(digest, item.id)) != item.id:
                findings.append(Finding(item.id, "duplicate", f"of {twin}"))
            for key, without in missing.items():
                if getattr(item, key) is None:
                    without.append(item.id)
    findings += _other_shards(shards)
    for key, without in missing.items():
        if len(without) < len(manifest):
            findings += [Finding(name, f"no {key}") for name in without]
    # That the file goes on means nothing if other items are parts of it.
    findings = [finding for finding in findings if not (finding.kind == "longer" and longer[finding.item] in cut)]
    return Report(manifest.name, len(manifest), float(manifest.durations.sum()) / 3600, tuple(findings))


def _note_shards(item: Item, shards: dict[Path, str]) -> None:
    for path in (item.audio, item.image):
        if path is not None and (part := part_of(path)):
            shards.setdefault(part.shard, item.id)


def _other_shards(shards: Mapping[Path, str]) -> Iterator[Finding]:
    """Find shards whose bytes are not those that were packed, each reported with its first item."""
    for shard, first in ProgressBar(shards.items(), "checking shards", "shard"):
        if shard.is_file() and (promised := digest_in_name(shard)) and digest_of(shard) != promised:
            yield Finding(first, "damaged", f"{shard} holds other bytes than were packed, here or elsewhere: copy it again, or pack again")


def _decode(manifest: Manifest, workers: int) -> Iterator[_Decoded]:
    items = iter(manifest)
    with ThreadPoolExecutor(workers) as pool:
        while ahead := list(islice(items, AHEAD)):
            yield from pool.map(_examine, ahead)


def _examine(item: Item) -> _Decoded:
    """Look at one item; runs on a thread."""
    findings = list(_labels(item))
    digest = None
    if item.image is not None:
        try:
            seen, digest = _pixels(item, item.image)
        except ImageError as error:
            kind = "no picture" if file_of(item.image).exists() else "missing"
            return _Decoded(item, [*findings, Finding(item.id, kind, str(error))], None)
        findings += seen
    if item.audio is None:
        return _Decoded(item, findings, digest)
    try:
        findings += _header(item, item.audio)
        digest, loudness = _samples(item, item.audio)
    except FaultyAudioError as error:
        return _Decoded(item, [*findings, Finding(item.id, error.fault, str(error))], None)
    return _Decoded(item, findings + loudness, digest)


def _pixels(item: Item, path: Path) -> tuple[list[Finding], bytes]:
    """Decode a picture; return what was found in it, and the digest of its pixels."""
    info, pixels = image_info(path), read_pixels(path)
    findings = [Finding(item.id, kind) for kind, found in (("grey", info.grey), ("transparent", info.transparent)) if found]
    return findings, hashlib.blake2b(pixels.tobytes(), key=str(pixels.shape).encode(), digest_size=16).digest()


def _header(item: Item, path: Path) -> Iterator[Finding]:
    info = audio_info(path)
    if info.sample_rate != item.sample_rate:
        yield Finding(item.id, "wrong sample rate", f"{item.sample_rate} Hz in the manifest, {info.sample_rate} Hz in the file")
    if info.channels > 1 and item.channel is None:
        likeness = _likeness(item, path, info)
        reported = f"{info.channels} channels, correlation {likeness:.2f}"
        yield Finding(item.id, "stereo" if likeness >= ALIKE else "channels differ", reported)
    end, frames = item.start + item.duration, info.frames / info.sample_rate
    if end > frames + 0.5 / info.sample_rate:
        msg = f"{path} lasts {frames:.3f} s, but the item ends at {end:.3f} s: import it again"
        raise FaultyAudioError(msg, Fault.TOO_SHORT)
    if item.start == 0 and end < frames - 1.5 / info.sample_rate:
        yield Finding(item.id, "longer", f"{frames:.3f} s, not {end:.3f} s")


def _likeness(item: Item, path: Path, info: AudioInfo) -> float:
    """Return the least correlation of the first channel with another, over the item's first minute; 1 if one is silent."""
    start = round(item.start * info.sample_rate)
    stop = min(start + min(round(item.duration * info.sample_rate), 60 * info.sample_rate), info.frames)
    first, *others = (next(audio_blocks(path, start, stop, channel)) for channel in range(info.channels))
    if stop - start < CLIPPED_RUN or not first.std():
        return 1.0
    return min((float(np.corrcoef(first, other)[0, 1]) for other in others if other.std()), default=1.0)


def _samples(item: Item, path: Path) -> tuple[bytes | None, list[Finding]]:
    """Decode the item; return the digest of its samples, and what was found in them."""
    rate = audio_info(path).sample_rate
    start = round(item.start * rate)
    digest, peak, clipped = hashlib.blake2b(str(rate).encode(), digest_size=16), 0.0, 0
    for block in audio_blocks(path, start, start + round(item.duration * rate), item.channel):
        digest.update(block.tobytes())
        peak = max(peak, float(np.abs(block).max()))
        clipped += _clipped(block)
    if peak < SILENCE:
        reported = f"the peak is {20 * np.log10(peak):.0f} dBFS" if peak else "every sample is zero"
        return None, [Finding(item.id, "silent", reported)]
    findings = [Finding(item.id, "clipped", f"in {clipped} places")] if clipped else []
    return digest.digest(), findings


def _clipped(block: Waveform) -> int:
    """Count the runs of samples at full scale."""
    full = np.abs(block) >= FULL_SCALE
    if not full.any():
        return 0
    edges = np.flatnonzero(np.diff(full, prepend=False, append=False))
    return int((edges[1::2] - edges[::2] >= CLIPPED_RUN).sum())


def _labels(item: Item) -> Iterator[Finding]:
    if item.phones and (wrong := misplaced(item.phones, item.duration)):
        yield Finding(item.id, MISPLACED, wrong)
    for kind, labels in (("words", item.words), ("turns", item.turns)):
        first, last = min((label.start for label in labels or ()), default=0), max((label.end for label in labels or ()), default=0)
        if last > item.duration + LABEL_TOLERANCE or first < 0:
            yield Finding(item.id, "labels beyond the audio", f"{kind} from {first:.3f} to {last:.3f} s, audio to {item.duration:.3f} s")
    overlap = next(((a, b) for a, b in pairwise(item.words or ()) if b.start < a.end - 1e-6), None)
    if overlap:
        yield Finding(item.id, "labels overlap", f"words: {tuple(overlap[0])} and {tuple(overlap[1])}")
