"""Connected digits out of single ones, strings of 3 to 7 of one speaker: for recognizers from few labels, tested on a speaker of its own.

    foresay corpus import digits FSDD corpora/digits        the Free Spoken Digit Dataset
    python benchmarks/digit_strings.py corpora/digits corpora/digit-strings [MANIFEST]       speech of anybody, without texts
    foresay reproduce wav2vec2 --scale cpu --corpus corpora/digit-strings --run runs/digit-strings

Writes train.jsonl, valid.jsonl (other takes of the same speakers), test.jsonl (the last speaker by name), texts.txt for language models,
and unlabelled.jsonl: train.jsonl without its texts, and the recordings of MANIFEST at the digits' sample rate, for a network that learnt
from 8 kHz of bandwidth knows little of a telephone's 4 kHz.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.draws import made

SPLITS = {"train": 340, "valid": 60, "test": 100}
"""Strings of each."""
SHORTEST, LONGEST = 3, 7
TEXTS = 5000


def draw(items: Sequence[Item], rng: np.random.Generator) -> list[Item]:
    """Draw the digits of a string, all of one speaker."""
    speakers = sorted({item.speaker or "" for item in items})
    speaker = speakers[int(rng.integers(len(speakers)))]
    own = [item for item in items if item.speaker == speaker]
    return [own[place] for place in rng.integers(len(own), size=int(rng.integers(SHORTEST, LONGEST + 1)))]


def joined(name: str, digits: Sequence[Item], folder: Path) -> Item:
    """Write a string as one file."""
    read = [soundfile.read(item.audio, dtype="float32") for item in digits]
    rate, path = read[0][1], folder / f"{name}.wav"
    samples = np.concatenate([one for one, _ in read])
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    text = " ".join(item.text or "" for item in digits)
    return Item(name, audio=path, duration=len(samples) / rate, sample_rate=rate, speaker=digits[0].speaker, language="en", text=text)


def narrowed(item: Item, folder: Path, sample_rate: int) -> Item:
    """Write a recording without its text at a lower sample rate."""
    samples, rate = soundfile.read(item.audio, dtype="float32")
    samples, path = soxr.resample(samples, rate, sample_rate), folder / f"{item.id}.flac"
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, sample_rate)
    return Item(item.id, audio=path, duration=len(samples) / sample_rate, sample_rate=sample_rate, speaker=item.speaker)


def main() -> None:
    """Make the corpus."""
    source, dest, *unlabelled = map(Path, sys.argv[1:])
    train, others = (list(Manifest.open(source / f"{split}.jsonl")) for split in ("train", "test"))
    apart = max(item.speaker or "" for item in train)
    pools = {
        "train": [item for item in train if item.speaker != apart],
        "valid": [item for item in others if item.speaker != apart],
        "test": [item for item in (*train, *others) if item.speaker == apart],
    }
    tested = set[str | None]()
    for number, (split, count) in enumerate(SPLITS.items()):
        rng = made(0, number)
        items = [joined(f"{split}-{place:03d}", draw(pools[split], rng), dest / split) for place in range(count)]
        write_manifest(dest / f"{split}.jsonl", items)
        tested |= {item.text for item in items if split == "test"}
        print(f"{split}: {count} strings, {sum(item.duration for item in items) / 60:.1f} min, {len({i.speaker for i in items})} speakers")
    words, rng = sorted({item.text or "" for item in train}), made(0, len(SPLITS))
    texts = (" ".join(rng.choice(words, size=rng.integers(SHORTEST, LONGEST + 1))) for _ in range(TEXTS))
    (dest / "texts.txt").write_text("".join(f"{text}\n" for text in texts if text not in tested), encoding="utf-8")
    for manifest in unlabelled:
        own = list(Manifest.open(dest / "train.jsonl"))
        others = [narrowed(item, dest / "unlabelled", own[0].sample_rate) for item in Manifest.open(manifest)]
        write_manifest(dest / "unlabelled.jsonl", [*others, *(replace(item, text=None) for item in own)])


if __name__ == "__main__":
    main()
