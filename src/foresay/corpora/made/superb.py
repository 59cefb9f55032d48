"""The miniature of SUPERB: data for its ten tasks, spoken by a synthesizer.

SUPERB (arXiv:2105.01051) measures a speech model by ten tasks on data sets that are large or cost money. These are small and made here, so
that all ten can be run offline, in minutes: they show that a model and the tasks work, and say little of real speech. One kind of data is
one file of `spoken/`.

    DESTINATION/TASK/train.jsonl  valid.jsonl  test.jsonl     pr asr ks sid asv sd er ic sf
                asv/valid-trials.txt  test-trials.txt         lines `1 ID ID` (one speaker) and `0 ID ID` (two)
                qbe/documents.jsonl  valid-queries.jsonl  test-queries.jsonl  valid-relevant.txt  test-relevant.txt
                manifest.jsonl (everything once)  corpus.toml  audio/KIND/ID.flac (16 kHz)

32 speakers, two of each timbre. In all tasks but sid, which has all speakers in each split, those of valid and of test are their own:
18 learn, 6 choose, 8 test. No sentence is in two splits.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from foresay import draws
from foresay.audio import espeak
from foresay.audio.voice import PHONE_SET
from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.made.demo import NOTE
from foresay.corpora.made.recording import SAMPLE_RATE, flac
from foresay.corpora.made.spoken import commands, conversations, keywords, queries, readings, requests, styles
from foresay.corpora.made.spoken.clips import SPLITS, Clip
from foresay.corpora.manifest import Item
from foresay.errors import UserError
from foresay.files import write_text
from foresay.progress import ProgressBar

RECIPE = 1
"""To be raised when the same seed shall give another corpus."""

KINDS = (readings, keywords, commands, requests, styles, conversations, queries)
TASKS = ("pr", "asr", "ks", "sid", "asv", "sd", "er", "ic", "sf")
"""Those that learn; qbe does not."""
MANIFESTS = (*(f"{task}/{split}" for task in TASKS for split in SPLITS), "qbe/documents", "qbe/valid-queries", "qbe/test-queries")

_MEGABYTES = 60
"""At scale 1."""


@dataclass(frozen=True)
class MiniatureSuperb(Maker):
    """Lets a synthesizer speak. Needs the extra `demo`."""

    seed: int = 0
    """Another number, another corpus."""
    scale: float = 1.0
    """How much of it; 1: about 40 minutes of audio, made in half a minute. No class and no speaker is ever left out."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder, with a progress bar."""
        seed, scale = self.seed, self.scale
        if not (0 < scale < math.inf and seed >= 0):
            msg = f"scale={scale} must be above 0, seed={seed} not below it"
            raise UserError(msg)
        description = {
            "name": "superb",
            "recipe": RECIPE,
            "seed": seed,
            "scale": float(scale),
            "sample_rate": SAMPLE_RATE,
            "phone_set": PHONE_SET,
            "engine": f"eSpeak NG {espeak.version()}",
            "note": NOTE,
        }
        return make_once(
            destination,
            "the miniature of SUPERB",
            description,
            MANIFESTS,
            lambda: _record_all(plan(seed, scale), destination, seed),
            megabytes=math.ceil(_MEGABYTES * scale),
            phone_set=PHONE_SET,
        )


def plan(seed: int, scale: float) -> list[Clip]:
    """Plan the clips of all kinds."""
    return [clip for number, kind in enumerate(KINDS) for clip in kind.plan(scale, draws.made(RECIPE, seed, number))]


def _record_all(clips: list[Clip], folder: Path, seed: int) -> dict[str, list[Item]]:
    """Record as many clips at a time as there are processors: what is recorded depends on the clip and the seed alone."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        recorded = pool.map(lambda clip: _record(clip, folder, seed), clips)
        items = list(ProgressBar(recorded, "speaking", "clip", total=len(clips), leave=True))
    members = {name: [clip for clip in clips if name in clip.manifests] for name in MANIFESTS}
    for number, split in enumerate(("valid", "test")):
        pairs = readings.trials(members[f"asv/{split}"], draws.made(RECIPE, seed, len(KINDS), number))
        _write_lines(folder / "asv" / f"{split}-trials.txt", pairs)
        _write_lines(folder / "qbe" / f"{split}-relevant.txt", queries.relevant(members[f"qbe/{split}-queries"], members["qbe/documents"]))
    by_id = {item.id: item for item in items}
    return {name: [by_id[clip.id] for clip in found] for name, found in members.items()}


def _record(clip: Clip, folder: Path, seed: int) -> Item:
    samples, item = clip.record(draws.made(RECIPE, seed, *clip.id.encode()))
    path = folder / "audio" / clip.folder / f"{clip.id}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(flac(samples))
    return replace(item, audio=path, duration=len(samples) / SAMPLE_RATE, sample_rate=SAMPLE_RATE)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{line}\n" for line in lines))
