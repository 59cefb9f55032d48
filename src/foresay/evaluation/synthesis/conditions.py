"""Speech to be measured: a corpus resynthesized, in other voices, with its units shuffled, as files that any other model reads."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from foresay.audio.write import write_speech
from foresay.contracts import Synthesizer
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.resynthesis import Change, Resynthesizer, speaker_of, spoken_again
from foresay.errors import UserError

RECORDED, RESYNTHESIZED, CONVERTED, SHUFFLED = "recorded", "resynthesized", "converted", "units shuffled"
"""What the rows of measures are of."""


def targets_of(manifest: Manifest, names: Sequence[str]) -> list[str]:
    """Choose in whose voice, of at least two, each recording shall be spoken: for those of a speaker, all the others in turn."""
    count: Counter[str] = Counter()
    targets = []
    for speaker in (speaker_of(manifest, place) for place in range(len(manifest))):
        others = [name for name in names if name != speaker]
        targets.append(others[count[speaker] % len(others)])
        count[speaker] += 1
    return targets


@torch.no_grad()
def converting(synthesizer: Synthesizer, targets: Sequence[str]) -> Change:
    """Speak each recording in the voice of its target."""
    vectors = {name: synthesizer.speaker.of_names([name]) for name in set(targets)}
    return lambda pieces, place: [piece.in_voice(vectors[targets[place]].to(piece.voice)) for piece in pieces]


@contextmanager
def spoken_corpora(resynthesizer: Resynthesizer, manifest: Manifest, changes: Mapping[str, Change]) -> Iterator[dict[str, Manifest]]:
    """Speak a corpus again, for each of the changes, into files that are there meanwhile: a manifest for each, with the ids of the corpus.

    Recordings that are too short for a unit are not in them.

    Raises:
        UserError: all are, or one is of an unknown speaker.
    """
    rate = resynthesizer.synthesizer.sample_rate
    items: dict[str, list[Item]] = {name: [] for name in changes}
    with tempfile.TemporaryDirectory() as folder:
        for place, spoken in spoken_again(resynthesizer, manifest, changes):
            item = manifest[place]
            for number, (name, waveform) in enumerate(spoken.items()):
                path = Path(folder) / f"{number}" / f"{place}.wav"
                write_speech(path, waveform, rate)
                length = len(waveform) / rate
                items[name].append(replace(item, audio=path, image=None, start=0.0, channel=None, duration=length, sample_rate=rate))
        if not all(items.values()):
            msg = f"none of the {len(manifest):,} recordings of {manifest.name} is long enough for a unit: is it the right corpus?"
            raise UserError(msg)
        manifests = {}
        for number, (name, some) in enumerate(items.items()):
            path = Path(folder) / f"{number}" / "manifest.jsonl"
            write_manifest(path, some)
            manifests[name] = Manifest.open(path)
        yield manifests
