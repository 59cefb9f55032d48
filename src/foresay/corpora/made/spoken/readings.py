"""Sentences read by all speakers: phonemes, recognition, and who speaks (pr, asr, sid, asv); and which pairs of them are compared (asv)."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from foresay.corpora.made.sentences import draw_sentences
from foresay.corpora.made.spoken.clips import SPEAKERS, SPLITS, Clip, Split, SpokenClip, several, split_of

COUNTS: dict[Split, int] = {"train": 5, "valid": 1, "test": 2}
"""Of one speaker, where all speakers are in each split."""
FORM = "{one} {did} {thing}"


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan the readings: every sentence is read once, by one speaker.

    By speaker a reading is in one split of pr, asr and asv; by its number it is in one split of sid, which has all speakers in each.
    """
    splits = [split for split in SPLITS for _ in range(several(COUNTS[split], scale))]
    sentences = iter(draw_sentences(len(SPEAKERS) * len(splits), rng, FORM))
    for speaker in SPEAKERS:
        for number, split in enumerate(splits):
            manifests = *(f"{task}/{split_of(speaker)}" for task in ("pr", "asr", "asv")), f"sid/{split}"
            yield SpokenClip(f"{speaker}-{number:02d}", "readings", manifests, speaker, next(sentences))


def trials(clips: Iterable[Clip], rng: np.random.Generator) -> list[str]:
    """List all pairs of clips of one speaker as lines `1 ID ID`, and as many pairs of two speakers, drawn, as lines `0 ID ID`."""
    readings = [clip for clip in clips if isinstance(clip, SpokenClip)]
    pairs = list(itertools.combinations(readings, 2))
    same = [pair for pair in pairs if pair[0].speaker == pair[1].speaker]
    others = [pair for pair in pairs if pair[0].speaker != pair[1].speaker]
    drawn = [others[place] for place in sorted(rng.permutation(len(others))[: len(same)])]
    return [f"{int(one.speaker == other.speaker)} {one.id} {other.id}" for one, other in (*same, *drawn)]
