"""Are the times of eSpeak NG's phones true? Look for the sound that changes where it says.

    python benchmarks/voice_times.py

First, where there was digital silence: how many milliseconds after the reported time comes the first sample of sound?
Then, for each kind of boundary: how far is it from the strongest spectral change within 40 ms, as the engine reports it and as
`foresay.audio.voice` corrects it? A lead or lag of the engine would show as one and the same median everywhere.
"""

from collections import defaultdict
from itertools import pairwise

import numpy as np

from foresay.audio.espeak import SAMPLE_RATE, synthesize
from foresay.audio.voice import FRICATIVES, SILENCE, SONORANTS, STOPS, phone_edges, strongest_change
from foresay.corpora.made.demo import VOICES
from foresay.corpora.made.sentences import draw_sentences

SENTENCES = 25  # of each voice
REACH = round(0.040 * SAMPLE_RATE)
SILENT = round(0.008 * SAMPLE_RATE)
KINDS = {
    SILENCE: "pause",
    **dict.fromkeys(STOPS, "stop"),
    **dict.fromkeys(FRICATIVES, "fricative"),
    **dict.fromkeys(SONORANTS, "sonorant"),
}


def main() -> None:
    """Print the two tables."""
    onsets: list[int] = []
    offsets: dict[str, list[tuple[int, int]]] = defaultdict(list)  # boundary -> (change - reported, change - corrected)
    sentences = iter(draw_sentences(SENTENCES * len(VOICES), np.random.default_rng(1)))
    for voice in VOICES.values():
        for _ in range(SENTENCES):
            manner = {"rate": voice.rate, "pitch": voice.pitch, "melody": voice.melody}
            spoken, marks = synthesize(next(sentences), accent=voice.accent, timbre=voice.timbre, **manner)
            samples = (spoken / 32768).astype(np.float32)
            labels, corrected = phone_edges(samples, marks)
            reported = [mark.sample for mark in marks] + [len(samples)]
            for i, (before, after) in enumerate(pairwise(KINDS.get(label, "vowel") for label in labels), start=1):
                here = reported[i]
                if here >= SILENT and not samples[here - SILENT : here].any():
                    if after != "pause":
                        onsets.append(int(samples[here:].nonzero()[0][0]))
                    continue
                low = max(here - REACH, (reported[i - 1] + here) // 2)
                high = min(here + REACH, (here + reported[i + 1]) // 2)
                change = strongest_change(samples, low, high)
                offsets[f"{before} > {after}"].append((change - here, change - corrected[i]))

    late = np.array(onsets) / SAMPLE_RATE * 1000
    print(
        f"after digital silence: {len(late)} onsets; sound comes {late.mean():.3f} ms after the reported time, at most {late.max():.3f} ms"
    )
    print("\nstrongest change minus boundary, ms            as reported                 as corrected")
    print(f"{'boundary':22}{'count':>7}" + 2 * f"{'quarter':>10}{'median':>9}{'quarter':>9}")
    for boundary, pairs in sorted(offsets.items(), key=lambda entry: -len(entry[1])):
        if len(pairs) >= SENTENCES:
            quartiles = np.percentile(np.array(pairs) / SAMPLE_RATE * 1000, [25, 50, 75], axis=0)  # (3, 2)
            print(f"{boundary:22}{len(pairs):7}" + "".join(f"{low:10.1f}{median:9.1f}{high:9.1f}" for low, median, high in quartiles.T))


if __name__ == "__main__":
    main()
